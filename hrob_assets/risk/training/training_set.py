"""The rows that train, validate and test a model, and what must hold of them."""

# Scikit-learn and Hyperopt have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import in_words
from hrob_assets.risk.errors import ContractError, TooSmallError
from hrob_assets.risk.training.periods import Periods
from hrob_assets.risk.training.split import SplitPlan
from hrob_assets.risk.use_case import ModelSpec, UseCase

TRAINING_COLUMNS = (
    "person_id",
    "encounter_id",
    "prediction_time",
    "week",
    "split",
    "person_seen",
    "eligible",
    "label",
)


def assemble_training_set(
    features: pl.LazyFrame,
    cohort: pl.LazyFrame,
    labels: pl.LazyFrame,
    *,
    use_case: UseCase,
    plan: SplitPlan,
    columns: Sequence[str],
) -> pl.DataFrame:
    """Rows with a ripe outcome, their split and their features.

    Only rows that were followed, as in the evidence of the alarm: were of those who left only the
    rows with the outcome kept, a model would learn too high a risk. Validation and test have
    eligible rows only; training has what the use case says.

    Parameters
    ----------
    features, cohort, labels : LazyFrame
        The weekly tables, all weeks.
    use_case : UseCase
    plan : SplitPlan
        From `split.plan_split`.
    columns : sequence of str
        Feature columns.

    Returns
    -------
    DataFrame
        `TRAINING_COLUMNS` and `columns`, sorted by prediction time and encounter.

    Raises
    ------
    ContractError
        If the cohort or the features lack rows: a version would be judged without them, unseen.
    """
    key = ["person_id", "encounter_id", "prediction_time"]
    start, end = plan.bounds.train_start, plan.bounds.test_end
    rows = (
        labels.filter(
            pl.col("label").is_not_null() & pl.col("followed"),
            pl.col("prediction_time") >= start,
            pl.col("prediction_time") < end,
        )
        .select(*key, "week", "label")
        .join(cohort.select(*key, "eligible"), on=key, how="left")
        .sort("prediction_time", "encounter_id")
        .collect()
    )
    _require_each(rows.drop_nulls("eligible"), rows, "the cohort", use_case.name)
    split = plan.assign(rows)
    wanted = pl.col("eligible")
    if use_case.cohort.train_on == "all":
        wanted = wanted | (pl.col("split") == "train")
    kept = split.filter(pl.col("split").is_not_null() & wanted)
    matrix = features.select(*key, *columns)
    joined = kept.lazy().join(matrix, on=key, how="inner", maintain_order="left")
    found = joined.select(*TRAINING_COLUMNS, *columns).collect()
    _require_each(found, kept, "the feature store", use_case.name)
    return found


def _require_each(found: pl.DataFrame, rows: pl.DataFrame, table: str, use_case_name: str) -> None:
    if found.height != rows.height:
        msg = (
            f"{table} must have each row of the labels once (found {in_words(found.height)} rows "
            f"for {in_words(rows.height)}); build the features of all weeks, run "
            f"ripen_{use_case_name} for them, and make the training set again"
        )
        raise ContractError(msg)


def require_ripe(
    labels: pl.LazyFrame, bounds: Periods, *, missing_weeks: Sequence[date], use_case_name: str
) -> None:
    """Raise `ContractError` where weeks of the periods have no labels or rows are pending.

    Parameters
    ----------
    labels : LazyFrame
        ``prediction_time`` and ``label_status`` of all weeks that were made.
    bounds : Periods
    missing_weeks : sequence of date
        Mondays of the weeks whose labels were never made.
    use_case_name : str

    Examples
    --------
    >>> from datetime import datetime
    >>> bounds = Periods(*(datetime(2022 + year, 6, 1) for year in range(4)))
    >>> schema = {"prediction_time": pl.Datetime("us"), "label_status": pl.String}
    >>> none = pl.LazyFrame(schema=schema)
    >>> require_ripe(none, bounds, missing_weeks=[date(2023, 1, 2)], use_case_name="falls")
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ContractError: all weeks of the training and test periods must have...
    """
    first = bounds.train_start.date() - timedelta(days=7)
    missing = [week for week in missing_weeks if first <= week < bounds.test_end.date()]
    pending = (
        _within(labels, bounds)
        .filter(pl.col("label_status") == "pending")
        .select(pl.col("prediction_time").dt.truncate("1w").n_unique())
        .collect()
        .item()
    )
    if missing or pending:
        msg = (
            "all weeks of the training and test periods must have ripe labels (found "
            f"{len(missing)} weeks without labels and {pending} weeks with pending rows); "
            f"run ripen_{use_case_name} for them, or let the periods end earlier"
        )
        raise ContractError(msg)


def censored_rows(labels: pl.LazyFrame, bounds: Periods) -> int:
    """Count the rows of the periods that are left out because their persons left or died."""
    return (
        _within(labels, bounds)
        .filter((pl.col("label_status") == "censored") | ~pl.col("followed"))
        .select(pl.len())
        .collect()
        .item()
    )


def _within(labels: pl.LazyFrame, bounds: Periods) -> pl.LazyFrame:
    when = pl.col("prediction_time")
    return labels.filter(when >= bounds.train_start, when < bounds.test_end)


def require_enough(training_set: pl.DataFrame, model: ModelSpec) -> None:
    """Raise `TooSmallError` unless each split can carry a model.

    Examples
    --------
    >>> from hrob_assets.risk.use_case import Tuning
    >>> empty = pl.DataFrame(schema={"split": pl.String, "label": pl.Boolean})
    >>> tuning = Tuning(trials=1, folds=2, maximum_rows=1000)
    >>> require_enough(empty, ModelSpec("logistic_regression", tuning, seed=1))
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.TooSmallError: training needs at least 1000 rows with 100 events...
    """
    counts = {
        name: (part.height, int(part["label"].sum()))
        for name in ("train", "validation", "test")
        for part in [training_set.filter(pl.col("split") == name)]
    }
    rows, events = counts["train"]
    enough = rows >= model.minimum_rows and model.minimum_events <= events < rows
    both_classes = all(0 < counts[name][1] < counts[name][0] for name in ("validation", "test"))
    if enough and both_classes:
        return
    found = ", ".join(
        f"{name} {in_words(n)} rows with {in_words(e)} events" for name, (n, e) in counts.items()
    )
    msg = (
        f"training needs at least {model.minimum_rows} rows with {model.minimum_events} events, "
        f"and both outcomes in validation and test (found: {found}). Load a longer history, "
        "or score with a champion that was trained elsewhere."
    )
    raise TooSmallError(msg)


def fingerprint(frame: pl.DataFrame) -> str:
    """Hash of a frame's column names, types and values; the same rows give the same hash.

    Examples
    --------
    >>> fingerprint(pl.DataFrame({"a": [1]})) == fingerprint(pl.DataFrame({"a": [1]}))
    True
    """
    digest = hashlib.sha256()
    for series in frame.iter_columns():
        digest.update(f"{series.name}:{series.dtype}:{series.len()};".encode())
        values = series.cast(pl.String) if series.dtype == pl.Categorical else series
        for buffer in _buffers(values):
            digest.update(buffer)
    return digest.hexdigest()


def training_set_tag(training_set: pl.DataFrame) -> str:
    """Short fingerprint by which a model version names what it was trained on.

    Examples
    --------
    >>> len(training_set_tag(pl.DataFrame({"a": [1]})))
    16
    """
    return fingerprint(training_set)[:16]


def _buffers(series: pl.Series) -> list[bytes]:
    nulls = np.packbits(series.is_null().to_numpy()).tobytes()
    if series.dtype == pl.String:
        filled = series.fill_null("")
        lengths = filled.str.len_bytes().to_numpy().tobytes()
        return [nulls, lengths, "".join(filled.to_list()).encode()]
    if series.dtype.is_float():
        return [nulls, series.fill_null(0.0).to_numpy().tobytes()]
    physical = series.to_physical()
    zero = False if physical.dtype == pl.Boolean else 0
    return [nulls, physical.fill_null(zero).to_numpy().tobytes()]
