"""What the champion says of labelled rows, in one person-level file for analyses elsewhere."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import yaml

from hrob_assets.assets.keys import use_case_key
from hrob_assets.assets.model.evaluation import required_model
from hrob_assets.components.catalogue import DEFS
from hrob_assets.resources.environment import load_environment
from hrob_assets.resources.records.model_registry import (
    CHAMPION,
    JUDGED_FROM,
    ModelRegistry,
    RegisteredModel,
)
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.cohort import group_rows
from hrob_assets.risk.errors import ConfigurationError, ContractError, nearest
from hrob_assets.risk.files import DEFINITION, write_parquet
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.training import TRAINING_COLUMNS, predict
from hrob_assets.risk.use_case import UseCase, use_case_from

PERSON_AND_TIME = ("person_id", "prediction_time")
CONTENT = "labelled scores, version 1"
"""In the metadata of the file: only a file that says so is ever replaced."""


def require_place(out: Path, *, overwrite: bool) -> None:
    """Refuse a place that is not a new Parquet file, nor an earlier export that may be replaced.

    Raises
    ------
    ConfigurationError
    """
    if out.suffix != ".parquet":
        msg = f"OUT must end in .parquet (found {out}); choose another name"
        raise ConfigurationError(msg)
    if not out.exists():
        return
    earlier = out.is_file() and _content(out) == CONTENT
    if overwrite and earlier:
        return
    then = "give --overwrite to replace that export" if earlier else "choose another name"
    msg = f"OUT must not exist, unless it is an earlier export to replace (found {out}); {then}"
    raise ConfigurationError(msg)


def export_scores(
    use_case_name: str,
    out: Path,
    *,
    features: Sequence[str],
    every_split: bool,
    one_per_time: bool,
    overwrite: bool,
) -> pl.DataFrame:
    """Write what the champion says of labelled rows, whole or not at all, and return it.

    The file is person-level: `hrob evaluate` and `hrob monitor` read it, nothing shows it.

    Parameters
    ----------
    use_case_name : str
    out : Path
    features : sequence of str
        Columns of the training set to add.
    every_split : bool
        False gives the rows of the test period that the champion has not learnt from; True adds
        those of training and validation.
    one_per_time : bool
        Whether of several encounters of a person with one prediction time only the first is
        kept, for tools whose key is person and time.
    overwrite : bool
        Whether an earlier export may be replaced; nothing else ever is.

    Returns
    -------
    DataFrame
        One row per eligible encounter with a ripe outcome: row key, ``split``, ``probability``,
        ``outcome``, ``known_at`` (horizon and run-out after the prediction), ``model_version``,
        the groups of the use case and the features; in the order of the training set.

    Raises
    ------
    ConfigurationError
        If the place is taken, or a feature is not in the training set.
    ContractError
        If there is no champion, no training set with its columns, or no row.
    """
    require_place(out, overwrite=overwrite)
    environment = load_environment()
    root = environment.data_root
    storage = Storage(data_root=str(root))
    registry = ModelRegistry(
        tracking_uri=environment.tracking_uri,
        artifact_root=str(root.absolute() / "mlflow_artifacts"),
    )
    champion = required_model(registry, use_case_name, CHAMPION)
    use_case = _use_case(use_case_name)
    rows = _labelled_rows(storage, champion, features, every_split=every_split)
    if one_per_time:
        rows = rows.unique(list(PERSON_AND_TIME), keep="first", maintain_order=True)
    scored = _scored(rows, champion, use_case, storage, features)
    require_place(out, overwrite=overwrite)  # the prediction took a while
    write_parquet(scored, out, definition=CONTENT)
    return scored


def _labelled_rows(
    storage: Storage, champion: RegisteredModel, features: Sequence[str], *, every_split: bool
) -> pl.DataFrame:
    path = storage.asset_path(use_case_key(champion.name, "training_set")).with_suffix(".parquet")
    if not path.exists():
        msg = f"the data root must have a training set (found no {path}); run train_{champion.name}"
        raise ContractError(msg)
    rows = pl.scan_parquet(path)
    there = rows.collect_schema().names()
    _require_columns(champion, features, there)
    wanted = pl.col("eligible")
    if not every_split:
        wanted &= pl.col("split") == "test"
        if JUDGED_FROM in champion.tags:
            judged = pl.lit(champion.tags[JUDGED_FROM]).str.to_datetime(time_unit="us")
            wanted &= pl.col("prediction_time") >= judged
    found = rows.filter(wanted).collect()
    if found.is_empty():
        msg = (
            f"the training set must have labelled rows that version {champion.version} has not "
            "learnt from (found none); give --every-split, or train on a longer history"
        )
        raise ContractError(msg)
    return found


def _require_columns(
    champion: RegisteredModel, features: Sequence[str], there: Sequence[str]
) -> None:
    absent = [name for name in champion.model.columns if name not in there]
    if absent:
        msg = (
            f"the training set must have all columns of version {champion.version} (found "
            f"{len(absent)} missing, the first is {absent[0]!r}); run train_{champion.name}"
        )
        raise ContractError(msg)
    known = [name for name in there if name not in TRAINING_COLUMNS]
    for name in features:
        if name not in known:
            msg = (
                f"a feature must be a column of the training set (found {name!r}). "
                f"{nearest(name, known)}"
            )
            raise ConfigurationError(msg)


def _scored(
    rows: pl.DataFrame,
    champion: RegisteredModel,
    use_case: UseCase,
    storage: Storage,
    features: Sequence[str],
) -> pl.DataFrame:
    waited = pl.duration(days=use_case.outcome.horizon_days + use_case.outcome.runout_days)
    added = list(dict.fromkeys(features))
    scores = rows.select(
        *ROW_KEY,
        "split",
        pl.Series("probability", predict(champion.model, rows)),
        pl.col("label").alias("outcome"),
        (pl.col("prediction_time") + waited).alias("known_at"),
        pl.lit(champion.version).alias("model_version"),
    )
    staged = storage.staged_files(("persons", "coverage"))
    named = group_rows(
        scores,
        groups=tuple(dict.fromkeys((*use_case.fairness.groups, *use_case.monitoring.groups))),
        persons=pl.scan_parquet(staged["persons"]),
        coverage=pl.scan_parquet(staged["coverage"]),
        features=rows.lazy(),
    )
    return named.hstack(rows.select(added))


def _use_case(name: str) -> UseCase:
    values = yaml.safe_load((DEFS / name / "defs.yaml").read_text(encoding="utf-8"))
    return use_case_from(values["attributes"]["use_case"])


def _content(path: Path) -> str | None:
    try:
        return pl.read_parquet_metadata(path).get(DEFINITION)
    except (OSError, pl.exceptions.PolarsError):
        return None  # not a Parquet file
