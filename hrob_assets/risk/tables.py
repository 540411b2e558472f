"""Contracts of the tables that pass between stages: columns, types, keys and meaning.

All times are UTC and stored without a zone.
"""

from dataclasses import dataclass

import polars as pl

from hrob_assets.risk.errors import ContractError, nearest

TIMESTAMP = pl.Datetime("us")
ROW_KEY = ("person_id", "encounter_id", "prediction_time")
CODE_COLUMNS = ("vocabulary", "code", "standard_vocabulary", "standard_code", "unit")


@dataclass(frozen=True)
class Column:
    """One column of a contract.

    Parameters
    ----------
    name : str
    dtype : polars data type
    description : str
        Meaning, unit and what null means.
    nullable : bool
        Whether null may stand in it.
    """

    name: str
    dtype: pl.DataType | type[pl.DataType]
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """The contract of one table.

    Examples
    --------
    >>> PERSONS.schema["birth_date"]
    Date
    >>> PERSONS.check(pl.DataFrame({"person_id": [1]}))
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ContractError: persons must have the columns birth_date, ...
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """Column names and polars types, in order."""
        return {column.name: column.dtype for column in self.columns}

    def column(self, name: str) -> Column:
        """Return the column of this name."""
        return next(column for column in self.columns if column.name == name)

    def empty(self) -> pl.DataFrame:
        """Return a frame with these columns and no rows."""
        return pl.DataFrame(schema=self.schema)

    def check(self, frame: pl.DataFrame | pl.LazyFrame) -> None:
        """Raise `ContractError` unless the columns are there with their types."""
        found = frame.collect_schema()
        missing = [name for name in self.schema if name not in found]
        if missing:
            hint = nearest(missing[0], found.names())
            msg = f"{self.name} must have the columns {', '.join(missing)}. {hint}"
            raise ContractError(msg)
        wrong = [
            f"{name} ({found[name]} instead of {dtype})"
            for name, dtype in self.schema.items()
            if found[name] != dtype
        ]
        if wrong:
            msg = f"{self.name} has columns of the wrong type: {', '.join(wrong)}. Cast them."
            raise ContractError(msg)


_PERSON = Column("person_id", pl.Int64, "Member or patient, as in OMOP `person`.")
_KNOWN = Column("known_at", TIMESTAMP, "When the fact became known to the organisation (UTC).")

PERSONS = Table(
    "persons",
    "One row per person.",
    ("person_id",),
    (
        _PERSON,
        Column("birth_date", pl.Date, "Date of birth; the middle of the unit that is known."),
        Column("gender", pl.String, "female, male or unknown."),
        Column("race", pl.String, "OMB race category, or Unknown."),
        Column("ethnicity", pl.String, "Hispanic or Latino, Not Hispanic or Latino, or Unknown."),
        Column("death_at", TIMESTAMP, "Time of death; null when none is recorded.", nullable=True),
        Column("death_known_at", TIMESTAMP, "When the death became known.", nullable=True),
    ),
)
COVERAGE = Table(
    "coverage",
    "One row per span of enrolment.",
    ("person_id", "started_at", "payer"),
    (
        _PERSON,
        Column("started_at", TIMESTAMP, "First moment of the span."),
        Column("ended_at", TIMESTAMP, "First moment after it; null when open.", nullable=True),
        Column("payer", pl.String, "Payer as the source names it; Unknown when it does not."),
        _KNOWN,
        Column(
            "end_known_at",
            TIMESTAMP,
            "When the end became known (UTC); until then the span is open. Null when open.",
            nullable=True,
        ),
    ),
)
ENCOUNTERS = Table(
    "encounters",
    "One row per encounter of any kind.",
    ("encounter_id",),
    (
        Column("encounter_id", pl.Int64, "Encounter, as in OMOP `visit_occurrence`."),
        _PERSON,
        Column("encounter_class", pl.String, "inpatient, emergency, office and so on."),
        Column("occurred_at", TIMESTAMP, "Start of the encounter."),
        Column("ended_at", TIMESTAMP, "End; null when not recorded.", nullable=True),
        _KNOWN,
        Column("prediction_time", TIMESTAMP, "First midnight after it happened and is known."),
        Column("week", pl.Date, "Monday of the week in which it became known."),
    ),
)
EVENTS = Table(
    "events",
    "One row per dated fact with a code, ordered by person and time.",
    ("domain", "source_row_id", "code"),
    (
        _PERSON,
        Column("domain", pl.String, "visit, condition, procedure, drug, measurement, ..."),
        Column("source_row_id", pl.Int64, "Row of the source table that states the fact."),
        Column("encounter_id", pl.Int64, "Encounter it belongs to; null when none.", nullable=True),
        Column("vocabulary", pl.String, "Vocabulary of the source code."),
        Column("code", pl.String, "Source code; ICD codes without dots."),
        Column("standard_vocabulary", pl.String, "Standard concept: vocabulary.", nullable=True),
        Column("standard_code", pl.String, "Standard concept: code.", nullable=True),
        Column("value", pl.Float64, "Number that was measured; null when none.", nullable=True),
        Column("unit", pl.String, "Unit of the value; null when not stated.", nullable=True),
        Column("occurred_at", TIMESTAMP, "When it happened."),
        _KNOWN,
    ),
)
STAGED = (PERSONS, COVERAGE, ENCOUNTERS, EVENTS)
CODES = Table(
    "codes",
    "One row per distinct code of the events; the file of the events has its number, `code_id`.",
    ("code_id",),
    (
        Column("code_id", pl.Int32, "0, 1, ... in the order of the columns below; of this load."),
        *(EVENTS.column(name) for name in CODE_COLUMNS),
        Column("rows", pl.Int64, "Events that have it."),
        Column("first_occurred_at", TIMESTAMP, "When the first of them happened."),
        Column("last_occurred_at", TIMESTAMP, "When the last of them happened."),
    ),
)
