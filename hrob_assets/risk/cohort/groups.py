"""Which group each row belongs to, as known at its prediction time."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from hrob_assets.risk.errors import ContractError, nearest
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import GROUP_NAMES
from hrob_assets.risk.windows import history

UNKNOWN = "Unknown"
NOT_COVERED = "Not covered"
AREA_DEPRIVATION = "area_deprivation__last_value_ever"
_AGE_BANDS = ((18, "under 18"), (25, "18-24"), (35, "25-34"), (45, "35-44"), (65, "45-64"),
              (75, "65-74"))  # fmt: skip
_OLDEST = "75 and over"
_FOURTHS = ((26, "1-25 (least deprived)"), (51, "26-50"), (76, "51-75"))
_MOST_DEPRIVED = "76-100 (most deprived)"
_YEAR_DAYS = 365.2425
_LAST_MOMENT = timedelta(microseconds=1)


def group_rows(
    rows: pl.DataFrame,
    *,
    groups: Sequence[str],
    persons: pl.LazyFrame,
    coverage: pl.LazyFrame,
    features: pl.LazyFrame | None = None,
) -> pl.DataFrame:
    """Add the groups of each row.

    Parameters
    ----------
    rows : DataFrame
        With the columns of `ROW_KEY`.
    groups : sequence of str
        Of `hrob_assets.risk.use_case.GROUP_NAMES`.
    persons, coverage : LazyFrame
        Staged tables.
    features : LazyFrame, optional
        Row key and ``area_deprivation__last_value_ever``; only for ``area_deprivation``.

    Returns
    -------
    DataFrame
        The same rows in the same order with one text column per group, never null: ``Unknown``
        where nothing says it. ``payer`` is that of the span, known by then, which reaches the day
        before the prediction time; of several the one that started last; ``Not covered`` without
        one. ``age_band`` is in years at the prediction time, ``area_deprivation`` a fourth of the
        national percentile.

    Raises
    ------
    ContractError
        If a group is unknown, or its source is missing.

    Examples
    --------
    >>> from datetime import date, datetime
    >>> rows = pl.DataFrame({"person_id": [7], "encounter_id": [1],
    ...     "prediction_time": [datetime(2024, 3, 2)]})
    >>> persons = pl.LazyFrame({"person_id": [7], "birth_date": [date(1990, 5, 1)],
    ...     "race": ["Asian"]})
    >>> found = group_rows(rows, groups=["race", "age_band"], persons=persons,
    ...     coverage=pl.LazyFrame())
    >>> found.select("race", "age_band").row(0)
    ('Asian', '25-34')
    """
    _require_known(groups)
    keyed = rows.select(ROW_KEY).lazy().with_row_index("row")
    frame = keyed.join(persons, on="person_id", how="left", maintain_order="left")
    found = frame.select(
        "row", *(_of_person(name) for name in groups if name not in _FROM_ELSEWHERE)
    ).collect()
    if "payer" in groups:
        found = found.join(_payers(keyed, coverage), on="row", how="left", maintain_order="left")
        found = found.with_columns(pl.col("payer").fill_null(NOT_COVERED))
    if "area_deprivation" in groups:
        found = found.join(
            _deprivation(keyed, features), on="row", how="left", maintain_order="left"
        )
    named = found.select(pl.col(name).fill_null(UNKNOWN) for name in groups)
    return rows.drop(groups, strict=False).hstack(named)


_FROM_ELSEWHERE = ("payer", "area_deprivation")


def _require_known(groups: Sequence[str]) -> None:
    for name in groups:
        if name not in GROUP_NAMES:
            msg = f"a group must be a known one (found {name!r}). {nearest(name, GROUP_NAMES)}"
            raise ContractError(msg)


def _of_person(name: str) -> pl.Expr:
    if name != "age_band":
        return pl.col(name).cast(pl.String)
    days = (pl.col("prediction_time").cast(pl.Date) - pl.col("birth_date")).dt.total_days()
    return _banded(days / _YEAR_DAYS, _AGE_BANDS, _OLDEST).alias(name)


def _banded(value: pl.Expr, bands: Sequence[tuple[float, str]], last: str) -> pl.Expr:
    """Name of the first band whose upper bound is above the value; null for null."""
    chosen: Any = pl.when(value.is_null()).then(None)
    for below, name in bands:
        chosen = chosen.when(value < below).then(pl.lit(name))
    return chosen.otherwise(pl.lit(last))


def _payers(keyed: pl.LazyFrame, coverage: pl.LazyFrame) -> pl.DataFrame:
    """``row`` and ``payer`` of the rows that a span reaches, by what was known."""
    spans = coverage.with_columns(pl.col("started_at").alias("occurred_at"))
    day_before = pl.col("prediction_time") - _LAST_MOMENT
    end_was_known = pl.col("end_known_at") < pl.col("prediction_time")
    open_still = pl.col("ended_at").is_null() | ~end_was_known.fill_null(value=False)
    return (
        history(spans, keyed)
        .filter(open_still | (pl.col("ended_at") > day_before))
        .sort("started_at", "payer")
        .group_by(ROW_KEY)
        .agg(pl.col("payer").last())
        .join(keyed, on=list(ROW_KEY))
        .select("row", "payer")
        .collect()
    )


def _deprivation(keyed: pl.LazyFrame, features: pl.LazyFrame | None) -> pl.DataFrame:
    if features is None or AREA_DEPRIVATION not in features.collect_schema():
        msg = (
            f"the group area_deprivation must have the feature {AREA_DEPRIVATION} (found none); "
            "add it to feature_mappings.yml, or take the group out"
        )
        raise ContractError(msg)
    fourth = _banded(pl.col(AREA_DEPRIVATION), _FOURTHS, _MOST_DEPRIVED)
    values = features.select(*ROW_KEY, fourth.alias("area_deprivation"))
    return keyed.join(values, on=list(ROW_KEY)).select("row", "area_deprivation").collect()
