"""The part of OMOP CDM 5.4 that is read: tables, columns, types, and what may be missing."""

from dataclasses import dataclass
from typing import Literal

from hrob_assets.risk.errors import ContractError, nearest

Kind = Literal["integer", "number", "text", "timestamp"]
DUCKDB_TYPES: dict[Kind, str] = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP",
}
KIND_NAMES: dict[Kind, str] = {
    "integer": "a whole number",
    "number": "a number",
    "text": "text",
    "timestamp": "a date (YYYY-MM-DD) or a timestamp (YYYY-MM-DD HH:MM:SS)",
}


@dataclass(frozen=True)
class OmopColumn:
    """One column that is read.

    Parameters
    ----------
    name : str
        Lower case.
    kind : {"integer", "number", "text", "timestamp"}
        A date counts as a timestamp at midnight.
    required : bool
        Whether the source must have the column (its cells may still be empty).
    unless : str, optional
        Another column that may stand in for it.
    """

    name: str
    kind: Kind
    required: bool = False
    unless: str | None = None


@dataclass(frozen=True)
class OmopTable:
    """One table that is read.

    Parameters
    ----------
    name : str
    key : str
        Column that numbers the rows.
    columns : tuple of OmopColumn
    required : bool
        A table that is not required may be missing, which means empty.
    """

    name: str
    key: str
    columns: tuple[OmopColumn, ...]
    required: bool = False

    def check_columns(self, found: list[str], *, origin: str) -> None:
        """Raise `ContractError` unless the required columns are among ``found`` (lower case).

        Examples
        --------
        >>> DEATH.check_columns(["person_id", "death_dat"], origin="DEATH.csv")
        Traceback (most recent call last):
        ...
        hrob_assets.risk.errors.ContractError: death must have the column death_date; DEATH.csv
        has no such column. Did you mean 'death_dat'?
        """
        for column in self.columns:
            stands_in = column.unless is not None and column.unless in found
            if column.required and column.name not in found and not stands_in:
                hint = nearest(column.name, found)
                msg = (
                    f"{self.name} must have the column {column.name}; {origin} has no such "
                    f"column. {hint}"
                )
                raise ContractError(msg)


def _needed(name: str, kind: Kind, *, unless: str | None = None) -> OmopColumn:
    return OmopColumn(name, kind, required=True, unless=unless)


def _optional(kind: Kind, *names: str) -> tuple[OmopColumn, ...]:
    return tuple(OmopColumn(name, kind) for name in names)


def _dated(name: str) -> tuple[OmopColumn, ...]:
    day, moment = f"{name}_date", f"{name}_datetime"
    return (_needed(day, "timestamp", unless=moment), OmopColumn(moment, "timestamp"))


_PERSON_ID = _needed("person_id", "integer")
_KNOWN_AT = OmopColumn("known_at", "timestamp")


def _clinical(name: str, *, word: str, start: str, more: tuple[OmopColumn, ...] = ()) -> OmopTable:
    """Describe one of the five clinical event tables, which share their shape."""
    return OmopTable(
        name,
        f"{name}_id",
        (
            _needed(f"{name}_id", "integer"),
            _PERSON_ID,
            *_dated(start),
            *_optional("integer", f"{word}_concept_id", f"{word}_source_concept_id"),
            OmopColumn(f"{word}_source_value", "text"),
            OmopColumn("visit_occurrence_id", "integer"),
            *more,
            _KNOWN_AT,
        ),
    )


_MEASURED = (
    OmopColumn("value_as_number", "number"),
    OmopColumn("value_source_value", "text"),
    OmopColumn("unit_concept_id", "integer"),
    OmopColumn("unit_source_value", "text"),
)

PERSON = OmopTable(
    "person",
    "person_id",
    (
        _PERSON_ID,
        _needed("year_of_birth", "integer", unless="birth_datetime"),
        *_optional("integer", "month_of_birth", "day_of_birth"),
        OmopColumn("birth_datetime", "timestamp"),
        *_optional("integer", "gender_concept_id", "race_concept_id", "ethnicity_concept_id"),
        *_optional("text", "gender_source_value", "race_source_value", "ethnicity_source_value"),
    ),
    required=True,
)
OBSERVATION_PERIOD = OmopTable(
    "observation_period",
    "observation_period_id",
    (
        OmopColumn("observation_period_id", "integer"),
        _PERSON_ID,
        _needed("observation_period_start_date", "timestamp"),
        _needed("observation_period_end_date", "timestamp"),
        _KNOWN_AT,
    ),
)
VISIT_OCCURRENCE = OmopTable(
    "visit_occurrence",
    "visit_occurrence_id",
    (
        _needed("visit_occurrence_id", "integer"),
        _PERSON_ID,
        _needed("visit_concept_id", "integer", unless="visit_source_value"),
        *_dated("visit_start"),
        *_optional("timestamp", "visit_end_date", "visit_end_datetime"),
        OmopColumn("visit_source_value", "text"),
        _KNOWN_AT,
    ),
    required=True,
)
CONDITION_OCCURRENCE = _clinical("condition_occurrence", word="condition", start="condition_start")
PROCEDURE_OCCURRENCE = _clinical("procedure_occurrence", word="procedure", start="procedure")
DRUG_EXPOSURE = _clinical("drug_exposure", word="drug", start="drug_exposure_start")
MEASUREMENT = _clinical("measurement", word="measurement", start="measurement", more=_MEASURED)
OBSERVATION = _clinical("observation", word="observation", start="observation", more=_MEASURED)
DEATH = OmopTable(
    "death",
    "person_id",
    (
        _PERSON_ID,
        *_dated("death"),
        *_optional("integer", "cause_concept_id", "cause_source_concept_id"),
        OmopColumn("cause_source_value", "text"),
        _KNOWN_AT,
    ),
)
PAYER_PLAN_PERIOD = OmopTable(
    "payer_plan_period",
    "payer_plan_period_id",
    (
        OmopColumn("payer_plan_period_id", "integer"),
        _PERSON_ID,
        _needed("payer_plan_period_start_date", "timestamp"),
        _needed("payer_plan_period_end_date", "timestamp"),
        OmopColumn("payer_concept_id", "integer"),
        OmopColumn("payer_source_value", "text"),
        _KNOWN_AT,
    ),
)
CONCEPT = OmopTable(
    "concept",
    "concept_id",
    (
        _needed("concept_id", "integer"),
        _needed("vocabulary_id", "text"),
        _needed("concept_code", "text"),
        OmopColumn("concept_name", "text"),
    ),
)
OMOP_TABLES = (
    PERSON,
    OBSERVATION_PERIOD,
    VISIT_OCCURRENCE,
    CONDITION_OCCURRENCE,
    PROCEDURE_OCCURRENCE,
    DRUG_EXPOSURE,
    MEASUREMENT,
    OBSERVATION,
    DEATH,
    PAYER_PLAN_PERIOD,
    CONCEPT,
)
"""The eleven tables of the input contract, in the order in which they are read."""
