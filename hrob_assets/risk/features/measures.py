"""Features that are not counted from codes: of the person, the coverage and the encounter.

Each function takes rows with `ROW_KEY` and returns one row per row, in the same order, with the
columns ``<family>__<measure>``.
"""

import polars as pl

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.catalogue import MEASURES
from hrob_assets.risk.windows import history, known_before, window_start

_COVERAGE_DAYS = 365


def person_measures(rows: pl.DataFrame, persons: pl.DataFrame) -> pl.DataFrame:
    """Age, gender, race and ethnicity at the prediction time.

    Parameters
    ----------
    rows : DataFrame
    persons : DataFrame[PERSONS]

    Returns
    -------
    DataFrame
        ``age__years``: completed years, and the part of the present year of life as a fraction.
        All others are 0 or 1.

    Raises
    ------
    ContractError
        If a row's person is not in ``persons``.

    Examples
    --------
    >>> from datetime import date, datetime
    >>> rows = pl.DataFrame({"person_id": [7], "encounter_id": [1],
    ...     "prediction_time": [datetime(2024, 7, 2)]})
    >>> persons = pl.DataFrame({"person_id": [7], "birth_date": [date(2000, 1, 1)],
    ...     "gender": ["female"], "race": ["Black"], "ethnicity": ["Unknown"]})
    >>> person_measures(rows, persons).select("age__years", "gender__female").row(0)
    (24.5, 1)
    """
    known = rows.join(persons, on="person_id", how="left", maintain_order="left")
    if lost := known["birth_date"].null_count():
        msg = (
            f"Each row's person must be in persons with a birth date; {lost} of {rows.height} rows "
            "are without. Stage persons and encounters from the same load."
        )
        raise ContractError(msg)
    race = pl.col("race").str.to_lowercase().str.replace_all(" ", "_", literal=True)
    family = MEASURES["person"]
    return known.select(
        _age_years().alias("age__years"),
        *[_flag(pl.col("gender") == name, f"gender__{name}") for name in family["gender"]],
        *[_flag(race == name, f"race__{name}") for name in family["race"]],
        _flag(pl.col("ethnicity") == "Hispanic or Latino", "ethnicity__hispanic"),
    )


def _age_years() -> pl.Expr:
    born, today = pl.col("birth_date"), pl.col("prediction_time").dt.date()
    in_year = [day.dt.month().cast(pl.Int32) * 100 + day.dt.day() for day in (born, today)]
    years = today.dt.year() - born.dt.year() - (in_year[1] < in_year[0]).cast(pl.Int32)
    last, following = (born.dt.offset_by(pl.format("{}y", years + more)) for more in (0, 1))
    return years + (today - last).dt.total_days() / (following - last).dt.total_days()


def encounter_measures(rows: pl.DataFrame) -> pl.DataFrame:
    """Class of the index encounter, and the days until it was known.

    Parameters
    ----------
    rows : DataFrame
        Also ``encounter_class`` and ``occurred_at``.

    Returns
    -------
    DataFrame
        Classes are 0 or 1; an ``emergency_inpatient`` encounter is both.
        ``this_encounter__days_to_known``: calendar days from its start to the prediction time.

    Raises
    ------
    ContractError
        If ``rows`` lacks one of the two columns.
    """
    missing = [name for name in ("encounter_class", "occurred_at") if name not in rows.columns]
    if missing:
        msg = (
            "rows must have encounter_class and occurred_at for the features of this_encounter; "
            f"missing: {', '.join(missing)}. Take them over from encounters."
        )
        raise ContractError(msg)
    classes = [name for name in MEASURES["encounter"]["this_encounter"] if name != "days_to_known"]
    both = pl.col("encounter_class") == "emergency_inpatient"
    return rows.select(
        *[
            _flag(
                (pl.col("encounter_class") == name) | (both & (name in {"emergency", "inpatient"})),
                f"this_encounter__{name}",
            )
            for name in classes
        ],
        _days_from("occurred_at").alias("this_encounter__days_to_known"),
    )


def coverage_measures(rows: pl.DataFrame, coverage: pl.DataFrame) -> pl.DataFrame:
    """Enrolment as known at the prediction time.

    Parameters
    ----------
    rows : DataFrame
    coverage : DataFrame[COVERAGE]
        Spans count once they have started and are known. An end that is not known before the
        prediction time, or lies at or after it, is not seen: the span is open. Spans that
        overlap or touch are one stretch.

    Returns
    -------
    DataFrame
        ``enrolled``: a span reaches the prediction time. ``days_enrolled_365d``: days of the last
        365 that are covered. ``gaps_365d``: stretches without coverage, after coverage, that
        reach into the last 365 days. ``days_since_start``: calendar days since the start of the
        stretch that reaches the prediction time; null when there is none. ``medicaid``,
        ``payer_unknown``: of the spans that reach it, one is Medicaid; none names a payer.
    """
    ended = known_before(
        pl.col("prediction_time"),
        occurred_at=pl.col("ended_at"),
        known_at=pl.col("end_known_at"),
    )
    # One number stands for the row's key, because grouping by one integer is fast.
    keys = rows.select("person_id", pl.int_range(pl.len()).alias("encounter_id"), "prediction_time")
    spans = history(coverage.lazy().rename({"started_at": "occurred_at"}), keys.lazy()).select(
        pl.col("encounter_id").alias("row"),
        "prediction_time",
        pl.col("occurred_at").alias("start"),
        pl.when(ended).then("ended_at").otherwise("prediction_time").alias("end"),
        pl.col("payer").str.to_lowercase(),
    )
    known = spans.filter(pl.col("start") < pl.col("end")).sort("row", "start", "end").collect()
    found = (
        keys.select(pl.col("encounter_id").alias("row"))
        .join(_enrolment(known), on="row", how="left", maintain_order="left")
        .join(_payers(known), on="row", how="left", maintain_order="left")
        .drop("row")
    )
    nullable = "days_since_start"
    return found.with_columns(pl.exclude(nullable).fill_null(0)).rename(
        lambda name: f"coverage__{name}"
    )


def _enrolment(spans: pl.DataFrame) -> pl.DataFrame:
    """Measures of the stretches; one row per row that has any span."""
    t, first = pl.col("prediction_time"), window_start(pl.col("prediction_time"), _COVERAGE_DAYS)
    before = pl.col("end").cum_max().shift(1).over("row")
    stretches = (
        spans.with_columns(later=(pl.col("start") > before).fill_null(value=False))
        .with_columns(stretch=pl.col("later").cast(pl.Int32).cum_sum().over("row"))
        .group_by("row", "stretch")
        .agg(pl.col("start").min(), pl.col("end").max(), pl.col("prediction_time").first())
    )
    reaches = pl.col("end") == t
    inside = pl.col("end") - pl.max_horizontal("start", first)
    broken = (pl.col("stretch") > 0) & (pl.col("start") > first)
    return stretches.group_by("row").agg(
        enrolled=reaches.any().cast(pl.Int32),
        days_enrolled_365d=(inside.filter(pl.col("end") > first).sum()).dt.total_days(),
        gaps_365d=broken.sum().cast(pl.Int32) + (~reaches.any()).cast(pl.Int32),
        days_since_start=_days_from("start").filter(reaches).first(),
    )


def _payers(spans: pl.DataFrame) -> pl.DataFrame:
    current = spans.filter(pl.col("end") == pl.col("prediction_time"))
    return current.group_by("row").agg(
        medicaid=pl.col("payer").str.contains("medicaid", literal=True).any().cast(pl.Int32),
        payer_unknown=(pl.col("payer") == "unknown").all().cast(pl.Int32),
    )


def _flag(condition: pl.Expr, name: str) -> pl.Expr:
    return condition.fill_null(value=False).cast(pl.Int8).alias(name)


def _days_from(column: str) -> pl.Expr:
    return (pl.col("prediction_time").dt.date() - pl.col(column).dt.date()).dt.total_days()
