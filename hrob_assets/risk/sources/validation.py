"""What a staged table must satisfy before anything is built on it.

The expectations are data (`SUITES`); Great Expectations evaluates them. Small tables are checked
row by row. What is expensive on events (keys, references, order) is measured by DuckDB first and
the measurements, one row of counts, are validated. Results hold counts only, never a value of a
person.
"""

import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import polars as pl

from hrob_assets.risk.disclosure import SMALLEST_CELL, SUPPRESSED, in_words, is_small
from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.risk.sources.engine import open_engine, quoted
from hrob_assets.risk.tables import STAGED, Table

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - it has none

Severity = Literal["critical", "warning"]
Staged = pl.DataFrame | pl.LazyFrame | Path

FEWEST_ROWS_RATIO, MOST_ROWS_RATIO = 0.80, 1.50
FEWEST_ROWS_RATIO_OF_A_DOMAIN = 0.50
QUARANTINE_WARNING, QUARANTINE_CRITICAL = 0.05, 0.20
NEGATIVE_OR_NOT_FINITE_WARNING = 0.01
EARLIEST = date(1850, 1, 1)
GENDERS = ("female", "male", "unknown")
RACES = (
    "White",
    "Black",
    "Asian",
    "American Indian or Alaska Native",
    "Native Hawaiian or Other Pacific Islander",
    "Other",
    "Unknown",
)
ETHNICITIES = ("Hispanic or Latino", "Not Hispanic or Latino", "Unknown")
ENCOUNTER_CLASSES = (
    "inpatient",
    "emergency",
    "emergency_inpatient",
    "outpatient",
    "office",
    "telehealth",
    "laboratory",
    "home",
    "pharmacy",
    "other",
)
DOMAINS = ("visit", "condition", "procedure", "drug", "measurement", "observation", "death")
UNNAMED_VOCABULARIES = ("Unknown", "OMOP")  # no pattern fits; a concept id without a concept


@dataclass(frozen=True)
class Expectation:
    """One expectation on one frame.

    Parameters
    ----------
    name : str
        Unique within its suite.
    severity : {"critical", "warning"}
        Critical blocks what follows.
    description : str
        What must hold, for a reader.
    kind : str
        Class of `great_expectations.expectations`, for example ``ExpectColumnValuesToNotBeNull``.
    on : {"rows", "metrics"}
        The table itself, or its one row of measurements.
    options : mapping
        Arguments of the class.
    """

    name: str
    severity: Severity
    description: str
    kind: str
    on: Literal["rows", "metrics"]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class ExpectationResult:
    """The verdict on one expectation; ``observed`` holds counts and shares only."""

    name: str
    severity: Severity
    success: bool
    observed: str
    expectation_description: str


@dataclass(frozen=True)
class ValidationReport:
    """The verdicts on one table."""

    table_name: str
    row_count: int
    results: tuple[ExpectationResult, ...]

    @property
    def critical_failures(self) -> tuple[ExpectationResult, ...]:
        """Failed expectations that block what follows."""
        return tuple(r for r in self.results if not r.success and r.severity == "critical")

    @property
    def warnings(self) -> tuple[ExpectationResult, ...]:
        """Failed expectations that someone should look at."""
        return tuple(r for r in self.results if not r.success and r.severity == "warning")


def _not_null(table: str, *columns: str) -> tuple[Expectation, ...]:
    return tuple(
        Expectation(
            f"{column}_is_not_null",
            "critical",
            f"{column} of {table} is filled in every row.",
            "ExpectColumnValuesToNotBeNull",
            "rows",
            {"column": column},
        )
        for column in columns
    )


def _in_set(
    name: str, column: str, values: Sequence[str], *, severity: Severity, mostly: float = 1.0
) -> Expectation:
    share = "" if mostly == 1.0 else f" in at least {mostly:.0%} of the rows"
    return Expectation(
        name,
        severity,
        f"{column} is one of {', '.join(values)}{share}.",
        "ExpectColumnValuesToBeInSet",
        "rows",
        {"column": column, "value_set": list(values), "mostly": mostly},
    )


def _not_before(
    name: str, later: str, earlier: str, *, or_equal: bool = True, severity: Severity = "critical"
) -> Expectation:
    words = "not before" if or_equal else "after"
    return Expectation(
        name,
        severity,
        f"{later} is {words} {earlier} wherever both are filled.",
        "ExpectColumnPairValuesAToBeGreaterThanB",
        "rows",
        {
            "column_A": later,
            "column_B": earlier,
            "or_equal": or_equal,
            "ignore_row_if": "either_value_is_missing",
        },
    )


def _measured(
    name: str,
    description: str,
    *,
    severity: Severity = "critical",
    least: float | None = None,
    most: float | None = None,
) -> Expectation:
    """Expect a measurement, a column of the one-row metrics frame of the same name, in a range."""
    return Expectation(
        name,
        severity,
        description,
        "ExpectColumnMaxToBeBetween",
        "metrics",
        {"column": name, "min_value": least, "max_value": most},
    )


def _no(name: str, description: str) -> Expectation:
    return _measured(name, description, most=0)


_EVERY_TABLE = (
    _no("columns_missing", "All columns of the contract are there."),
    _no("columns_of_wrong_type", "All columns have the type of the contract."),
    _no("became_empty", "A table that had rows in an earlier load is not empty now."),
    _measured(
        "rows_per_previous_row_low",
        f"The row count does not fall below {FEWEST_ROWS_RATIO:.0%} of the previous load.",
        severity="warning",
        least=FEWEST_ROWS_RATIO,
    ),
    _measured(
        "rows_per_previous_row_high",
        f"The row count does not rise above {MOST_ROWS_RATIO:.0%} of the previous load.",
        severity="warning",
        most=MOST_ROWS_RATIO,
    ),
    _measured(
        "quarantine_share_warning",
        f"At most {QUARANTINE_WARNING:.0%} of the source rows are in quarantine.",
        severity="warning",
        most=QUARANTINE_WARNING,
    ),
    _measured(
        "quarantine_share_critical",
        f"At most {QUARANTINE_CRITICAL:.0%} of the source rows are in quarantine.",
        most=QUARANTINE_CRITICAL,
    ),
)
NEEDS_EARLIER_LOAD = frozenset(
    {
        "became_empty",
        "rows_per_previous_row_low",
        "rows_per_previous_row_high",
        "domains_that_became_empty",
        "rows_per_previous_row_of_poorest_domain",
    }
)
"""Expectations that cannot be evaluated before there has been an earlier load with rows."""

_OF_A_PERSON = _no("rows_of_unknown_persons", "Every person_id is in persons.")
_NOT_EMPTY = _measured("row_count", "The table has rows.", least=1)

SUITES: Mapping[str, tuple[Expectation, ...]] = {
    "persons": (
        *_EVERY_TABLE,
        _NOT_EMPTY,
        *_not_null("persons", "person_id", "birth_date", "gender", "race", "ethnicity"),
        Expectation(
            "person_id_is_unique",
            "critical",
            "Each person has one row.",
            "ExpectColumnValuesToBeUnique",
            "rows",
            {"column": "person_id"},
        ),
        _in_set("gender_is_a_category", "gender", GENDERS, severity="critical"),
        _in_set("race_is_a_category", "race", RACES, severity="critical"),
        _in_set("ethnicity_is_a_category", "ethnicity", ETHNICITIES, severity="critical"),
        _in_set("gender_is_known", "gender", GENDERS[:-1], severity="warning", mostly=0.9),
        _in_set("race_is_known", "race", RACES[:-1], severity="warning", mostly=0.5),
        _no("births_out_of_range", "Births lie between 1850 and the end of the data."),
        _not_before("death_is_not_before_birth", "death_at", "birth_date", severity="warning"),
        _no("deaths_known_without_a_date", "death_at and death_known_at are filled together."),
    ),
    "coverage": (
        *_EVERY_TABLE,
        *_not_null("coverage", "person_id", "started_at", "payer", "known_at"),
        Expectation(
            "span_is_unique",
            "critical",
            "A person has one span per start and payer.",
            "ExpectCompoundColumnsToBeUnique",
            "rows",
            {"column_list": ["person_id", "started_at", "payer"]},
        ),
        _not_before("span_ends_after_its_start", "ended_at", "started_at", or_equal=False),
        _not_before("end_is_not_known_before_it_happens", "end_known_at", "ended_at"),
        _not_before("end_is_not_known_before_the_span", "end_known_at", "known_at"),
        _no("ends_known_without_an_end", "ended_at and end_known_at are filled together."),
        _OF_A_PERSON,
        _measured(
            "unknown_payer_share",
            "At most half of the spans have an unknown payer.",
            severity="warning",
            most=0.5,
        ),
    ),
    "encounters": (
        *_EVERY_TABLE,
        _NOT_EMPTY,
        *_not_null(
            "encounters",
            "encounter_id",
            "person_id",
            "encounter_class",
            "occurred_at",
            "known_at",
            "prediction_time",
            "week",
        ),
        Expectation(
            "encounter_id_is_unique",
            "critical",
            "Each encounter has one row.",
            "ExpectColumnValuesToBeUnique",
            "rows",
            {"column": "encounter_id"},
        ),
        _in_set("class_is_known", "encounter_class", ENCOUNTER_CLASSES, severity="critical"),
        _in_set(
            "class_is_specific",
            "encounter_class",
            ENCOUNTER_CLASSES[:-1],
            severity="warning",
            mostly=0.8,
        ),
        _not_before("end_is_not_before_start", "ended_at", "occurred_at"),
        _not_before(
            "prediction_is_after_the_encounter", "prediction_time", "occurred_at", or_equal=False
        ),
        _not_before(
            "prediction_is_after_it_is_known", "prediction_time", "known_at", or_equal=False
        ),
        _no("predictions_not_at_midnight", "prediction_time is a midnight."),
        _no("weeks_not_on_monday", "week is the Monday of the week in which it became known."),
        _no("dates_out_of_range", "Dates lie between 1850 and the end of the data."),
        _OF_A_PERSON,
    ),
    "events": (
        *_EVERY_TABLE,
        _NOT_EMPTY,
        _no("nulls_in_required_columns", "Columns that may not be null are filled."),
        _no(
            "domains_that_became_empty",
            "A domain that had events in an earlier load has events now.",
        ),
        _measured(
            "rows_per_previous_row_of_poorest_domain",
            "In no domain the events fall below "
            f"{FEWEST_ROWS_RATIO_OF_A_DOMAIN:.0%} of the previous load.",
            severity="warning",
            least=FEWEST_ROWS_RATIO_OF_A_DOMAIN,
        ),
        _no("rows_of_unknown_domains", f"domain is one of {', '.join(DOMAINS)}."),
        _no("repeated_keys", "(domain, source_row_id, code) is unique."),
        _no("rows_out_of_order", "Rows are ordered by person and time."),
        _no("known_before_they_occurred", "No event is known on a day before it happened."),
        _no("dates_out_of_range", "Dates lie between 1850 and the end of the data."),
        _no("values_not_finite", "Values are finite numbers."),
        # Some measurements may be negative (base excess), so such events stay and are counted.
        _measured(
            "negative_or_not_finite_measurement_share",
            f"At most {NEGATIVE_OR_NOT_FINITE_WARNING:.0%} of the measurement values are negative "
            "or not finite.",
            severity="warning",
            most=NEGATIVE_OR_NOT_FINITE_WARNING,
        ),
        _no("dotted_icd_codes", "ICD codes are upper case without dots."),
        _OF_A_PERSON,
        _no("rows_of_unknown_encounters", "Every encounter_id is in encounters."),
        _measured(
            "known_vocabulary_share",
            "At least 95 % of the events have a source or standard code of a known vocabulary.",
            severity="warning",
            least=0.95,
        ),
        _measured(
            "known_vocabulary_share_of_poorest_domain",
            "In each domain at least half of the events have a code of a known vocabulary.",
            severity="warning",
            least=0.5,
        ),
    ),
}
"""The expectations per staged table."""


def validate(
    table_name: str,
    frame: Staged,
    *,
    persons: Staged | None = None,
    encounters: Staged | None = None,
    previous_row_counts: Sequence[int] = (),
    previous_domain_counts: Mapping[str, int] | None = None,
    quarantine_share: float | None = None,
    as_of: datetime | None = None,
    memory_limit: str = "2GB",
) -> ValidationReport:
    """Validate a staged table with Great Expectations.

    Parameters
    ----------
    table_name : {"persons", "coverage", "encounters", "events"}
    frame : DataFrame, LazyFrame or Path
        The table, or its Parquet file (for millions of rows).
    persons, encounters : the same, optional
        Tables to which ``frame`` refers. Without them references are not checked and the result
        list says so by not holding them.
    previous_row_counts : sequence of int
        Row counts of earlier loads, oldest first; empty when there was none.
    previous_domain_counts : mapping of str to int, optional
        Events per domain of the earlier load; of use for events only.
    quarantine_share : float, 0 to 1, optional
        `StagingResult.quarantine_share` of the table.
    as_of : datetime, optional
        First moment of which the source knows nothing; dates are checked against it. A date
        that rests on an assumed lag may lie after it.
    memory_limit : str
        Memory of the engine that measures.

    Returns
    -------
    ValidationReport
        One result per expectation that could be evaluated: when columns are missing or of the
        wrong type the rest is left out. An expectation that raised an exception counts as failed.

    Raises
    ------
    ConfigurationError
        If ``table_name`` is not a staged table.

    Examples
    --------
    >>> validate("person", pl.DataFrame())
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ConfigurationError: A staged table must be named; 'person' is none.
    Did you mean 'persons'?
    """
    table = _staged_table(table_name)
    with _engine(memory_limit) as engine:
        _register(engine, "staged_rows", frame)
        metrics = _schema_metrics(engine, table)
        keeps_schema = metrics["columns_missing"] == metrics["columns_of_wrong_type"] == 0
        if keeps_schema:
            references = {"persons": persons, "encounters": encounters}
            metrics |= _table_metrics(engine, table, references=references, as_of=as_of)
            metrics |= _domain_metrics(engine, previous_domain_counts or {})
        metrics |= _load_metrics(
            metrics["row_count"],
            previous_row_counts=previous_row_counts,
            quarantine_share=quarantine_share,
        )
        suite = [
            expectation
            for expectation in SUITES[table_name]
            if expectation.name in metrics or (expectation.on == "rows" and keeps_schema)
        ]
        rows = _pandas_rows(engine, suite)
    return ValidationReport(table_name, int(metrics["row_count"]), _evaluate(suite, rows, metrics))


def _staged_table(table_name: str) -> Table:
    for table in STAGED:
        if table.name == table_name:
            return table
    hint = nearest(table_name, SUITES)
    msg = f"A staged table must be named; {table_name!r} is none. {hint}"
    raise ConfigurationError(msg)


@contextmanager
def _engine(memory_limit: str) -> Generator[duckdb.DuckDBPyConnection]:
    with (
        TemporaryDirectory() as folder,
        open_engine(temp_folder=Path(folder), memory_limit=memory_limit) as engine,
    ):
        yield engine


def _register(engine: duckdb.DuckDBPyConnection, name: str, frame: Staged) -> None:
    if isinstance(frame, Path):
        engine.execute(f"CREATE TEMP VIEW {name} AS FROM read_parquet({quoted(frame)})")
        return
    collected = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    # PyArrow has no types.
    engine.register(name, collected.to_arrow())  # pyright: ignore[reportUnknownArgumentType]


def _schema_metrics(engine: duckdb.DuckDBPyConnection, table: Table) -> dict[str, float]:
    empty = engine.sql("FROM staged_rows LIMIT 0").pl()
    missing = [name for name in table.schema if name not in empty.columns]
    wrong = [
        name
        for name, dtype in table.schema.items()
        if name in empty.columns and empty.schema[name] != dtype
    ]
    rows = engine.execute("SELECT count(*) FROM staged_rows").fetchall()[0][0]
    return {
        "row_count": rows,
        "columns_missing": len(missing),
        "columns_of_wrong_type": len(wrong),
    }


_OUT_OF_RANGE = """
count(*) FILTER (WHERE occurred_at < DATE '1850-01-01'
  OR occurred_at >= coalesce(getvariable('as_of'), TIMESTAMP '9999-12-31'))
"""
_METRICS = {
    "persons": """
SELECT
  count(*) FILTER (WHERE birth_date < DATE '1850-01-01'
    OR birth_date >= coalesce(getvariable('as_of'), TIMESTAMP '9999-12-31'))
    AS births_out_of_range,
  count(*) FILTER (WHERE (death_at IS NULL) <> (death_known_at IS NULL))
    AS deaths_known_without_a_date
FROM staged_rows
""",
    "coverage": """
SELECT
  coalesce(avg(CAST(payer = 'Unknown' AS INT)), 0) AS unknown_payer_share,
  count(*) FILTER (WHERE (ended_at IS NULL) <> (end_known_at IS NULL)) AS ends_known_without_an_end
FROM staged_rows
""",
    "encounters": f"""
SELECT
  {_OUT_OF_RANGE} AS dates_out_of_range,
  count(*) FILTER (WHERE prediction_time <> date_trunc('day', prediction_time))
    AS predictions_not_at_midnight,
  count(*) FILTER (
    WHERE week <> CAST(date_trunc('week', prediction_time - INTERVAL 1 MICROSECOND) AS DATE)
  ) AS weeks_not_on_monday
FROM staged_rows
""",  # noqa: S608  # constants only
    "events": f"""
WITH previous AS (
  SELECT *,
    lag(person_id) OVER () AS previous_person, lag(occurred_at) OVER () AS previous_time
  FROM staged_rows
)
SELECT
  {_OUT_OF_RANGE} AS dates_out_of_range,
  count(*) FILTER (WHERE person_id IS NULL OR source_row_id IS NULL OR domain IS NULL
    OR vocabulary IS NULL OR code IS NULL OR occurred_at IS NULL OR known_at IS NULL)
    AS nulls_in_required_columns,
  count(*) FILTER (WHERE person_id < previous_person
    OR (person_id = previous_person AND occurred_at < previous_time)) AS rows_out_of_order,
  count(*) FILTER (WHERE known_at < date_trunc('day', occurred_at)) AS known_before_they_occurred,
  count(*) FILTER (WHERE NOT isfinite(value)) AS values_not_finite,
  coalesce(
    count(*) FILTER (WHERE domain = 'measurement' AND (value < 0 OR NOT isfinite(value)))
      / nullif(count(value) FILTER (WHERE domain = 'measurement'), 0),
    0
  ) AS negative_or_not_finite_measurement_share,
  count(*) FILTER (WHERE vocabulary IN ('ICD10CM', 'ICD10PCS', 'ICD9CM')
    AND (contains(code, '.') OR code <> upper(code))) AS dotted_icd_codes
FROM previous
""",  # noqa: S608  # constants only
}
_REPEATED_KEYS = """
SELECT count(*) - count(DISTINCT hash(domain, source_row_id, code)) AS repeated_keys
FROM staged_rows
"""
_VOCABULARIES = """
WITH pairs AS (
  SELECT domain, vocabulary, standard_vocabulary, count(*) AS events
  FROM staged_rows GROUP BY ALL
),
domains AS (
  SELECT domain, sum(events) AS events,
    coalesce(sum(events) FILTER (
      WHERE NOT list_contains($unnamed, vocabulary)
        OR NOT list_contains($unnamed, standard_vocabulary)
    ), 0) AS known
  FROM pairs GROUP BY domain
)
SELECT
  CAST(coalesce(sum(events) FILTER (WHERE NOT list_contains($domains, domain)), 0) AS BIGINT)
    AS rows_of_unknown_domains,
  coalesce(sum(known) / sum(events), 1.0) AS known_vocabulary_share,
  coalesce(min(known / events), 1.0) AS known_vocabulary_share_of_poorest_domain
FROM domains
"""


def _table_metrics(
    engine: duckdb.DuckDBPyConnection,
    table: Table,
    *,
    references: Mapping[str, Staged | None],
    as_of: datetime | None,
) -> dict[str, float]:
    moment = "NULL" if as_of is None else quoted(as_of)
    engine.execute(f"SET VARIABLE as_of = CAST({moment} AS TIMESTAMP)")
    metrics = _one_row(engine, _METRICS[table.name])
    if table.name == "events":
        metrics |= _one_row(engine, _REPEATED_KEYS)
        lists = {"unnamed": list(UNNAMED_VOCABULARIES), "domains": list(DOMAINS)}
        metrics |= _one_row(engine, _VOCABULARIES, lists)
    for name, key in (("persons", "person_id"), ("encounters", "encounter_id")):
        reference = references[name]
        if reference is None or name == table.name or key not in table.schema:
            continue
        _register(engine, name, reference)
        metrics |= _one_row(
            engine,
            f"SELECT count(*) AS rows_of_unknown_{name} FROM staged_rows "  # noqa: S608
            f"ANTI JOIN {name} USING ({key}) WHERE staged_rows.{key} IS NOT NULL",
        )
    return metrics


def _one_row(
    engine: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, Any] | None = None
) -> dict[str, float]:
    result = engine.execute(query, parameters)
    names = [column[0] for column in result.description]
    return dict(zip(names, result.fetchall()[0], strict=True))


def _load_metrics(
    row_count: float, *, previous_row_counts: Sequence[int], quarantine_share: float | None
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    if quarantine_share is not None:
        metrics["quarantine_share_warning"] = quarantine_share
        metrics["quarantine_share_critical"] = quarantine_share
    if previous_row_counts:
        metrics["became_empty"] = int(row_count == 0 and max(previous_row_counts) > 0)
        if previous_row_counts[-1] > 0:
            ratio = row_count / previous_row_counts[-1]
            metrics["rows_per_previous_row_low"] = ratio
            metrics["rows_per_previous_row_high"] = ratio
    return metrics


def _domain_metrics(
    engine: duckdb.DuckDBPyConnection, previous_domain_counts: Mapping[str, int]
) -> dict[str, float]:
    """Compare each domain that had events with what it has now; nothing when none had any."""
    before = {domain: rows for domain, rows in previous_domain_counts.items() if rows > 0}
    if not before:
        return {}
    now: dict[str, int] = dict(
        engine.execute("SELECT domain, count(*) FROM staged_rows GROUP BY 1").fetchall()
    )
    return {
        "domains_that_became_empty": sum(now.get(domain, 0) == 0 for domain in before),
        "rows_per_previous_row_of_poorest_domain": min(
            now.get(domain, 0) / rows for domain, rows in before.items()
        ),
    }


def _pandas_rows(
    engine: duckdb.DuckDBPyConnection, suite: Sequence[Expectation]
) -> "pd.DataFrame | None":
    """Read the columns that row-wise expectations need, and no others."""
    needed: set[str] = set()
    for expectation in suite:
        if expectation.on == "rows":
            options = expectation.options
            needed |= {options[k] for k in ("column", "column_A", "column_B") if k in options}
            needed |= set(options.get("column_list", ()))
    if not needed:
        return None
    return engine.sql(f"SELECT {', '.join(sorted(needed))} FROM staged_rows").df()  # noqa: S608


def _evaluate(
    suite: Sequence[Expectation], rows: "pd.DataFrame | None", metrics: Mapping[str, float]
) -> tuple[ExpectationResult, ...]:
    import pandas as pd  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs] - it has none

    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    source = context.data_sources.add_pandas("staged")
    frames = {"rows": rows, "metrics": pd.DataFrame([dict(metrics)])}
    found: dict[str, ExpectationResult] = {}
    for on, frame in frames.items():
        part = [expectation for expectation in suite if expectation.on == on]
        if not part or frame is None:
            continue
        asset = source.add_dataframe_asset(on)
        batch = asset.add_batch_definition_whole_dataframe(on).get_batch({"dataframe": frame})
        expectations = gx.ExpectationSuite(name=on)
        for expectation in part:
            expectations.add_expectation(_gx_expectation(expectation))
        outcome = batch.validate(expectations, result_format={"result_format": "BASIC"})
        by_name = {r.expectation_config.meta["name"]: r for r in outcome.results}
        for expectation in part:
            outcome_of = by_name[expectation.name]
            found[expectation.name] = _result(expectation, outcome_of, int(metrics["row_count"]))
    return tuple(found[expectation.name] for expectation in suite)


def _great_expectations() -> Any:
    with warnings.catch_warnings():
        # It imports modules of the standard library that are deprecated; not ours to mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations as gx  # noqa: PLC0415  # takes seconds to import
    return gx


def _gx_expectation(expectation: Expectation) -> Any:
    from great_expectations import expectations as gxe  # noqa: PLC0415

    kind = getattr(gxe, expectation.kind)
    return kind(
        **expectation.options, severity=expectation.severity, meta={"name": expectation.name}
    )


def _observed(name: str, value: float, rows: int) -> str:
    """A measured number as it may be told: no small cell, and no share of one."""
    if name in _NOT_OF_PERSONS:
        return f"{value:g}"
    if name.endswith("_count") or not ("share" in name or "per_" in name):
        return in_words(int(value))
    told = rows >= SMALLEST_CELL and not is_small(round(value * rows))
    return f"{value:g}" if told or value == 0 else SUPPRESSED


_NOT_OF_PERSONS = frozenset({"columns_missing", "columns_of_wrong_type", "became_empty"})


def _result(expectation: Expectation, outcome: Any, rows: int) -> ExpectationResult:
    raised = any(
        info.get("raised_exception", False)
        for info in _exception_infos(outcome.exception_info or {})
    )
    details: dict[str, Any] = outcome.result or {}
    if raised:
        observed = "could not be evaluated"
    elif expectation.on == "metrics":
        observed = _observed(expectation.name, float(details["observed_value"]), rows)
    else:
        differ, of_rows = (int(details[key]) for key in ("unexpected_count", "element_count"))
        observed = f"{in_words(differ)} of {in_words(of_rows)} rows differ"
    return ExpectationResult(
        expectation.name,
        expectation.severity,
        bool(outcome.success) and not raised,
        observed,
        expectation.description,
    )


def _exception_infos(info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the exception records, which GX nests by metric when there are any."""
    if "raised_exception" in info:
        return [info]
    return [nested for nested in info.values() if isinstance(nested, Mapping)]
