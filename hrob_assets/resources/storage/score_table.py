"""What was sent, for ever: an append-only Delta table of weekly scores per use case."""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.risk.errors import SourceError
from hrob_assets.risk.scoring import WEEKLY_SCORES
from hrob_assets.risk.tables import TIMESTAMP, Column, Table

SCORINGS = Table(
    "scorings",
    "Which model and data the valid scoring of a week has; the latest entry of a week counts.",
    ("week", "recorded_at"),
    (
        Column("week", pl.Date, "Monday of the week."),
        Column("model_version", pl.String, "Version in the model registry."),
        Column("data_version", pl.String, "Hash of the features that were scored, or no rows."),
        Column("recorded_at", TIMESTAMP, "When it became the valid one (UTC)."),
    ),
)
NO_ROWS = "no rows"
_ATTEMPTS = 8
_FIRST_WAIT_SECONDS = 0.1


class ScoreTable(dg.ConfigurableResource):
    """Delta tables of scores, one per use case."""

    data_root: str

    def path(self, use_case_name: str) -> Path:
        """Folder of the Delta table."""
        return Path(self.data_root) / "weekly_scores" / use_case_name

    def append(self, use_case_name: str, scores: pl.DataFrame) -> int:
        """Append the rows that the table does not have yet; return how many were new.

        A row is known by its key, model version and data version, so that scoring a week again
        with the same data and model adds nothing, also when two runs do it at once.

        Raises
        ------
        SourceError
            If other writers keep winning.
        """
        from deltalake.exceptions import CommitFailedError  # noqa: PLC0415 - slow to import

        WEEKLY_SCORES.check(scores)
        for attempt in range(_ATTEMPTS):
            try:
                table = _table(self.path(use_case_name))
                new = scores.join(_keys(table, scores), on=list(WEEKLY_SCORES.key), how="anti")
                if not new.is_empty():
                    _insert(table, new)
            except CommitFailedError:
                time.sleep(_FIRST_WAIT_SECONDS * 2**attempt)
            else:
                return new.height
        msg = (
            f"the scores of {use_case_name} must be appended (other writers won {_ATTEMPTS} "
            "times); run one scoring of a use case at a time"
        )
        raise SourceError(msg)

    def read(self, use_case_name: str, *, weeks: list[date] | None = None) -> pl.DataFrame:
        """All rows ever written, optionally of some weeks; empty when there is no table yet."""
        from deltalake import DeltaTable  # noqa: PLC0415 - slow to import

        location = str(self.path(use_case_name))
        if not DeltaTable.is_deltatable(location):
            return WEEKLY_SCORES.empty()
        scan = pl.scan_delta(location)
        if weeks is not None:
            scan = scan.filter(pl.col("week").is_in(weeks))
        return scan.collect().cast(pl.Schema(WEEKLY_SCORES.schema))

    def record(
        self, use_case_name: str, weeks: Sequence[date], scores: pl.DataFrame, model_version: str
    ) -> None:
        """Write down which scoring of each week is the valid one now, where that has changed.

        Also for a week without rows, and for a scoring that had been replaced and is valid again.

        Parameters
        ----------
        weeks : sequence of date
            All weeks of the run.
        scores : DataFrame
            What was appended, or was there already.
        """
        from deltalake import write_deltalake  # noqa: PLC0415 - slow to import

        versions = dict(scores.select("week", "data_version").unique().iter_rows())
        now = datetime.now(UTC).replace(tzinfo=None)
        entries = pl.DataFrame(
            [(week, model_version, versions.get(week, NO_ROWS), now) for week in weeks],
            schema=SCORINGS.schema,
            orient="row",
        )
        valid = self.scorings(use_case_name)
        new = entries.join(valid, on=["week", "model_version", "data_version"], how="anti")
        if not new.is_empty():
            path = self._log(use_case_name)
            path.mkdir(parents=True, exist_ok=True)
            write_deltalake(str(path), new.to_arrow(), mode="append")

    def scorings(self, use_case_name: str) -> pl.DataFrame:
        """The valid scoring of each week: `SCORINGS`, one row per week; empty before the first."""
        from deltalake import DeltaTable  # noqa: PLC0415 - slow to import

        location = str(self._log(use_case_name))
        if not DeltaTable.is_deltatable(location):
            return SCORINGS.empty()
        found = pl.scan_delta(location).collect().cast(pl.Schema(SCORINGS.schema))
        return found.sort("week", "recorded_at").unique("week", keep="last").sort("week")

    def current(self, use_case_name: str) -> pl.DataFrame:
        """Rows of the valid scoring of each week, ranked people first."""
        valid = self.scorings(use_case_name).select("week", "model_version", "data_version")
        scores = self.read(use_case_name, weeks=valid["week"].to_list())
        found = scores.join(valid, on=["week", "model_version", "data_version"], how="semi")
        return found.sort("week", pl.col("rank").fill_null(2**31 - 1), "probability")

    def _log(self, use_case_name: str) -> Path:
        return Path(self.data_root) / "weekly_scores" / f"{use_case_name}_scorings"


def _table(path: Path) -> Any:
    from deltalake import DeltaTable, write_deltalake  # noqa: PLC0415 - slow to import

    if not DeltaTable.is_deltatable(str(path)):
        path.mkdir(parents=True, exist_ok=True)
        empty = WEEKLY_SCORES.empty().to_arrow()
        write_deltalake(str(path), empty, partition_by=["week"], mode="ignore")
    return DeltaTable(str(path))


def _keys(table: Any, scores: pl.DataFrame) -> pl.DataFrame:
    weeks = scores["week"].unique().to_list()
    found = pl.scan_delta(table).filter(pl.col("week").is_in(weeks)).select(WEEKLY_SCORES.key)
    return found.collect().cast({name: WEEKLY_SCORES.schema[name] for name in WEEKLY_SCORES.key})


def _insert(table: Any, new: pl.DataFrame) -> None:
    """Insert rows that are still absent; a commit in between makes this one fail, not double."""
    same = " AND ".join(f"old.{name} = new.{name}" for name in ("week", *WEEKLY_SCORES.key))
    table.merge(
        new.to_arrow(), predicate=same, source_alias="new", target_alias="old"
    ).when_not_matched_insert_all().execute()
