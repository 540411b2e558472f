"""Parquet files by asset key: written whole or not at all, read lazily."""

import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from upath import UPath

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.files import DEFINITION, UNTIL, write_parquet

KNOWN_UNTIL = "known until"
"""Metadata of an output (ISO 8601) that is kept in its file, for whoever reads it."""
_REFUSED = "refused.json"


class Storage(dg.ConfigurableResource):
    """Paths below the data root."""

    data_root: str

    @property
    def root(self) -> Path:
        """The data root."""
        return Path(self.data_root)

    def asset_path(self, key: dg.AssetKey) -> Path:
        """File of an unpartitioned asset, folder of a partitioned one."""
        return self.root / "assets" / Path(*key.path)

    def known_until(self, key: dg.AssetKey) -> datetime:
        """First moment of which a stored asset knows nothing.

        Raises
        ------
        ContractError
            If the file does not say it.
        """
        path = self.asset_path(key).with_suffix(".parquet")
        told = pl.read_parquet_metadata(_existing(path)).get(UNTIL)
        if told is None:
            msg = f"{path.name} must say up to when it knows (found nothing); materialise it again"
            raise ContractError(msg)
        return datetime.fromisoformat(told)

    def staged_files(self, names: Iterable[str]) -> dict[str, Path]:
        """Files of staged tables by name; of a load that is there and was not refused."""
        folder = self.root / "assets" / "staged"
        return {name: _existing(folder / f"{name}.parquet") for name in names}


def write_text(text: str, path: Path) -> None:
    """Write a text beside its place and move it there, so that no reader sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse(folder: Path, table: str, *, rows: int, failed: Sequence[str]) -> None:
    """Mark the tables of a folder as not to be read, because one of them failed.

    Parameters
    ----------
    folder : Path
    table : str
        The table that failed.
    rows : int
        Its rows.
    failed : sequence of str
        Names of what must hold and does not.
    """
    _write_refusals(folder, _refusals(folder) | {table: {"rows": rows, "failed": list(failed)}})


def withdraw_refusal(folder: Path, table: str) -> None:
    """Take back what was said against one table; with the last of them the mark goes."""
    refusals = _refusals(folder)
    if table in refusals:
        _write_refusals(folder, {name: why for name, why in refusals.items() if name != table})


def _refusals(folder: Path) -> dict[str, Any]:
    path = folder / _REFUSED
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _write_refusals(folder: Path, refusals: Mapping[str, Any]) -> None:
    if not refusals:
        (folder / _REFUSED).unlink(missing_ok=True)
        return
    temporary = folder / f".{_REFUSED}.{uuid.uuid4().hex}"
    temporary.write_text(json.dumps(refusals, indent=2, sort_keys=True), encoding="utf-8")
    os.replace(temporary, folder / _REFUSED)  # noqa: PTH105 - works for two names on one file system


class ParquetIOManager(dg.UPathIOManager):
    """Frames as Parquet; a weekly asset has one file per week, also after one run of many weeks.

    A run of several partitions returns one frame with the column ``week``; the rows of each week
    go to the file of that week, and a week without rows gets a valid empty file.
    """

    extension = ".parquet"

    def __init__(self, data_root: Path) -> None:
        super().__init__(base_path=UPath(data_root / "assets"))

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a frame, split by week when the asset is partitioned."""
        if obj is None:
            return
        frame = obj.collect() if isinstance(obj, pl.LazyFrame) else obj
        if not context.has_asset_partitions:
            until = context.output_metadata.get(KNOWN_UNTIL)
            write_parquet(
                frame,
                Path(str(self._get_path(context))),
                until=None if until is None else str(until.value),
            )
            return
        paths = self._get_paths_for_partitions(context)
        _require_weeks(frame, list(paths))
        parts = frame.partition_by("week", as_dict=True, maintain_order=True)
        by_week = {str(key[0]): part for key, part in parts.items()}
        definition = context.definition_metadata.get(DEFINITION)
        for week, path in paths.items():
            part = by_week.get(week, frame.clear())
            write_parquet(part, Path(str(path)), definition=definition)

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        """Scan the file, or the files of the weeks.

        A weekly asset needs each of its weeks, so that a week that was never made is not taken
        for one without rows; any other asset takes all weeks that were made.
        """
        if not context.has_asset_partitions:
            return pl.scan_parquet(_existing(Path(str(self._get_path(context)))))
        paths = [Path(str(path)) for path in self._get_paths_for_partitions(context).values()]
        if _is_partitioned(context.step_context):
            _require_all(paths)
        upstream = context.upstream_output
        _require_definition(paths, upstream.definition_metadata if upstream else {})
        return _scan_weeks(paths)

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:  # noqa: ARG002
        """Write one frame to one path."""
        write_parquet(obj, Path(str(path)))

    def load_from_path(  # the base class names the context
        self,
        context: dg.InputContext,  # noqa: ARG002
        path: UPath,
    ) -> pl.LazyFrame:
        """Scan one path."""
        return pl.scan_parquet(_existing(Path(str(path))))


def _require_definition(paths: Sequence[Path], asset: Mapping[str, Any]) -> None:
    """Refuse weeks that mean something else under the same column names."""
    wanted = asset.get(DEFINITION)
    if wanted is None:
        return
    found = [pl.read_parquet_metadata(path).get(DEFINITION) for path in paths if path.exists()]
    if other := sum(definition != wanted for definition in found):
        msg = (
            f"all weeks of {paths[0].parent.name} must be built with the present definitions "
            f"({other} of {len(found)} weeks were built with others); materialise them again"
        )
        raise ContractError(msg)


def _existing(path: Path) -> Path:
    if refusals := _refusals(path.parent):
        failed = "; ".join(
            f"{table}: {', '.join(why['failed'])}" for table, why in sorted(refusals.items())
        )
        msg = (
            f"The tables of {path.parent.name} must have passed their critical checks before they "
            f"are read; the last load failed ({failed}). Look at these checks, correct the source "
            "and stage it again."
        )
        raise ContractError(msg)
    if not path.exists():
        msg = f"{path.name} must have been materialised (found no file); materialise it first"
        raise ContractError(msg)
    return path


def _scan_weeks(paths: Sequence[Path]) -> pl.LazyFrame:
    existing = [path for path in paths if path.exists()]
    if not existing:
        name = paths[0].parent.name if paths else "the asset"
        msg = f"{name} must have at least one materialised week (found none); materialise it first"
        raise ContractError(msg)
    return pl.scan_parquet(existing)


def _is_partitioned(step: Any) -> bool:
    return any(step.has_asset_partitions_for_output(name) for name in step.op_def.output_dict)


def _require_all(paths: Sequence[Path]) -> None:
    missing = [path for path in paths if not path.exists()]
    if missing:
        msg = (
            f"{missing[0].parent.name} must have all {len(paths)} weeks that are asked for (found "
            f"none of {len(missing)}, the first is {missing[0].stem}); materialise them first"
        )
        raise ContractError(msg)


def _require_weeks(frame: pl.DataFrame, weeks: Sequence[str]) -> None:
    if "week" not in frame.columns:
        msg = "a weekly asset must return the column 'week' (found none); add it"
        raise ContractError(msg)
    foreign = frame.filter(~pl.col("week").cast(pl.String).is_in(list(weeks))).height
    if foreign:
        msg = (
            f"a weekly asset must return rows of its own weeks only (found {foreign} rows of "
            "other weeks); filter them"
        )
        raise ContractError(msg)
