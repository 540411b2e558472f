"""Features of the person and of the index encounter.

Each function takes rows with `ROW_KEY` and returns one row per row, in the same order, with the
columns ``<family>__<measure>``.
"""

import polars as pl

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.catalogue.measures import MEASURES
from hrob_assets.risk.windows import calendar_days


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
        calendar_days(pl.col("occurred_at"), pl.col("prediction_time")).alias(
            "this_encounter__days_to_known"
        ),
    )


def _flag(condition: pl.Expr, name: str) -> pl.Expr:
    return condition.fill_null(value=False).cast(pl.Int8).alias(name)
