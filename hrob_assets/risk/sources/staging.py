"""From an OMOP snapshot to the four staged tables, the codes of the events, and the quarantine.

No row is dropped in silence: what cannot be staged is in ``quarantine`` with its reason and
the whole row. A row that is staged without a part of itself (a link to a visit that does not
exist, an end in the future) is there too, with ``kept`` true.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from hrob_assets.risk.errors import ConfigurationError, SourceError, nearest
from hrob_assets.risk.files import whole_folder
from hrob_assets.risk.sources.engine import open_engine, quoted
from hrob_assets.risk.sources.omop import OMOP_TABLES
from hrob_assets.risk.tables import CODE_COLUMNS, STAGED, Column, Table

LAG_DOMAINS = (
    "visit",
    "condition",
    "procedure",
    "drug",
    "measurement",
    "observation",
    "death",
    "coverage",
)
ROW_GROUP_ROWS = 131_072
QUARANTINE = Table(
    "quarantine",
    "One row per source row that could not be staged whole.",
    ("source_table", "source_row_id", "reason"),
    (
        Column("staged_table", pl.String, "Table in which the row would stand."),
        Column("source_table", pl.String, "OMOP table from which the row comes."),
        Column("source_row_id", pl.Int64, "Its primary key; null when it has none.", nullable=True),
        Column("reason", pl.String, "What is wrong with it."),
        Column("kept", pl.Boolean, "True when the row is staged without the part at fault."),
        Column("row", pl.String, "The whole row as JSON."),
    ),
)
EVENT_ORDER = "person_id, occurred_at, known_at, domain, source_row_id, code"
SORT_ORDERS = {
    "persons": "person_id",
    "coverage": "person_id, started_at, payer",
    "encounters": "person_id, occurred_at, encounter_id",
    "quarantine": 'staged_table, source_table, source_row_id, reason, "row"',
}
_STATEMENTS = ("persons", "coverage", "encounters", "events", "quarantine")


@dataclass(frozen=True)
class StagingResult:
    """What one staging made: counts only, no values of persons.

    Parameters
    ----------
    folder : Path
        Holds ``<table>.parquet`` for the staged tables, ``codes`` and ``quarantine``.
    as_of : datetime
        First moment of which the source knows nothing (exclusive bound, UTC). Rows that state a
        time at or after it are in quarantine as ``future date``.
    rows : mapping of str to int
        Rows per staged table, of ``codes`` and of ``quarantine``.
    source_rows : mapping of str to int
        Rows per OMOP table of the snapshot.
    quarantined : mapping of str to mapping of str to int
        Rows per staged table and reason, kept rows included.
    rejected : mapping of str to int
        Source rows per staged table that are not staged at all.
    domain_rows : mapping of str to int
        Staged events per domain that has any.
    """

    folder: Path
    as_of: datetime
    rows: Mapping[str, int]
    source_rows: Mapping[str, int]
    quarantined: Mapping[str, Mapping[str, int]]
    rejected: Mapping[str, int]
    domain_rows: Mapping[str, int]

    def path(self, table_name: str) -> Path:
        """Return the Parquet file of a staged table, of ``codes`` or of ``quarantine``."""
        return self.folder / f"{table_name}.parquet"

    def quarantine_share(self, table_name: str) -> float:
        """Return the fraction of the source rows of a staged table that are not staged (0 to 1)."""
        rejected = self.rejected.get(table_name, 0)
        seen = rejected + self.rows[table_name]
        return rejected / seen if seen else 0.0


def stage(
    snapshot_folder: Path,
    output_folder: Path,
    *,
    known_lag_days: Mapping[str, int],
    as_of: datetime | None = None,
    complete: Callable[[StagingResult], None] | None = None,
    memory_limit: str = "3GB",
    threads: int | None = None,
) -> StagingResult:
    """Stage a snapshot: ``persons``, ``coverage``, ``encounters``, ``events``, ``quarantine``.

    Parameters
    ----------
    snapshot_folder : Path
        One Parquet file per OMOP table, as `resources.source_database` writes it.
    output_folder : Path
        Appears whole, or stays as it was.
    known_lag_days : mapping of str to int, days
        Per domain (`LAG_DOMAINS`): the assumed time between a fact and its being known, for rows
        without a ``known_at`` of their own. A domain that is not named has no lag.
    as_of : datetime, optional
        First moment of which the source knows nothing, UTC. None takes it from the visits: the
        midnight after the last day on which they became known at the usual pace (the rule and
        its limits are in ``sql/omop/as_of.sql``).
    complete : callable, optional
        Called with the result when all tables are written and ``output_folder`` is still the
        earlier one; what it writes into ``result.folder`` appears together with the tables.
    memory_limit : str
        Memory of the engine; beyond it sorts spill to a folder beside ``output_folder``.
    threads : int, optional
        None means one per core.

    Returns
    -------
    StagingResult

    Raises
    ------
    ConfigurationError
        If ``known_lag_days`` names an unknown domain or a negative lag.
    SourceError
        If a snapshot file is missing, nothing in it tells ``as_of``, or writing fails.

    Examples
    --------
    >>> stage(Path("snapshot"), Path("staged"), known_lag_days={"visits": 30})
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ConfigurationError: known_lag_days must name domains; 'visits' is
    none. Did you mean 'visit'?
    """
    lags = _checked_lags(known_lag_days)
    _check_snapshot(snapshot_folder)
    with whole_folder(output_folder) as work:
        spill = work / ".spill"
        spill.mkdir()
        try:
            with open_engine(
                temp_folder=spill, memory_limit=memory_limit, threads=threads
            ) as engine:
                found = _stage_with(engine, snapshot_folder, work, lags=lags, as_of=as_of)
        except duckdb.Error as error:
            msg = (
                "Staging must be able to read the snapshot and to write its tables; the engine "
                f"stopped with {type(error).__name__}{_safe_reason(error)}. Earlier staged tables "
                "are untouched. Check the free space and the snapshot, then run again."
            )
            raise SourceError(msg) from None
        _remove_empty(spill)
        if complete is not None:
            complete(found)
    return replace(found, folder=output_folder)


def _stage_with(
    engine: duckdb.DuckDBPyConnection,
    snapshot_folder: Path,
    work: Path,
    *,
    lags: Mapping[str, int],
    as_of: datetime | None,
) -> StagingResult:
    source_rows = _register_snapshot(engine, snapshot_folder)
    engine.execute(f"SET VARIABLE known_lag_days = {_sql_map(lags)}")
    engine.execute(_statement("macros"))
    settled = as_of or _single_value(engine, _statement("as_of"))
    if settled is None:
        msg = (
            "visit_occurrence must have at least one dated visit of a known person, from which "
            f"the end of the data is taken; of {source_rows['visit_occurrence']:,} rows none is. "
            "Check visit_start_date and person_id, or state as_of."
        )
        raise SourceError(msg)
    engine.execute(f"SET VARIABLE as_of = TIMESTAMP {quoted(settled)}")
    for name in _STATEMENTS:
        engine.execute(_statement(name))
    _add_rows_to_quarantine(engine, snapshot_folder)
    rows = {name: _write(engine, name, work) for name in SORT_ORDERS}
    rows |= _write_events(engine, work)
    rejected = engine.execute(
        "SELECT staged_table, count(*) FROM rejected WHERE NOT kept GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return StagingResult(
        folder=work,
        as_of=settled,
        rows=rows,
        source_rows=source_rows,
        quarantined=_counts(engine),
        rejected=dict(rejected),
        domain_rows=_domain_rows(engine, work),
    )


def _register_snapshot(engine: duckdb.DuckDBPyConnection, snapshot_folder: Path) -> dict[str, int]:
    rows: dict[str, int] = {}
    for table in OMOP_TABLES:
        path = quoted(snapshot_folder / f"{table.name}.parquet")
        engine.execute(
            f"CREATE TEMP VIEW {table.name} AS FROM read_parquet({path}, file_row_number = true)"
        )
        rows[table.name] = engine.table(table.name).count("*").fetchall()[0][0]
    return rows


_QUARANTINED_ROWS = """
SELECT
  staged_table, source_table, source_row_id, reason, kept, CAST(to_json(whole) AS VARCHAR) AS row
FROM (FROM rejected WHERE source_table = {name})
JOIN (
  SELECT file_row_number, struct_pack(*COLUMNS(* EXCLUDE (file_row_number))) AS whole
  FROM read_parquet({path}, file_row_number = true)
) USING (file_row_number)
"""


def _add_rows_to_quarantine(engine: duckdb.DuckDBPyConnection, snapshot_folder: Path) -> None:
    """Join the whole rows to their reasons, table by table, so that only these become JSON."""
    parts = [
        _QUARANTINED_ROWS.format(
            name=quoted(table.name), path=quoted(snapshot_folder / f"{table.name}.parquet")
        )
        for table in OMOP_TABLES
        if table.name != "concept"
    ]
    engine.execute(f"CREATE TEMP VIEW quarantine AS {' UNION ALL '.join(parts)}")


def _write(engine: duckdb.DuckDBPyConnection, name: str, work: Path) -> int:
    """Sort into a table first: the engine sorts and writes in parallel, but not both at once."""
    _sort(engine, name, SORT_ORDERS[name])
    rows = _copy(engine, "sorted_rows", work / f"{name}.parquet")
    engine.execute("DROP TABLE sorted_rows")
    return rows


_CODES = f"""
CREATE TEMP TABLE codes AS
SELECT CAST(row_number() OVER (ORDER BY {", ".join(CODE_COLUMNS)}) - 1 AS INTEGER) AS code_id, *
FROM (
  SELECT {", ".join(CODE_COLUMNS)}, count(*) AS rows,
    min(occurred_at) AS first_occurred_at, max(occurred_at) AS last_occurred_at
  FROM plain_events
  GROUP BY ALL
)
ORDER BY code_id
"""  # noqa: S608 - names of our own columns
_SAME_CODE = " AND ".join(f"event.{name} IS NOT DISTINCT FROM code.{name}" for name in CODE_COLUMNS)
_NUMBERED_EVENTS = (
    f"(SELECT event.*, code_id FROM plain_events AS event JOIN codes AS code ON {_SAME_CODE})"  # noqa: S608 - names of our own columns
)


def _write_events(engine: duckdb.DuckDBPyConnection, work: Path) -> dict[str, int]:
    """Write the events with the numbers of their codes, and what the numbers stand for."""
    engine.execute("CREATE TEMP TABLE plain_events AS FROM events")
    engine.execute(_CODES)
    _sort(engine, _NUMBERED_EVENTS, EVENT_ORDER)
    engine.execute("DROP TABLE plain_events")
    rows = {
        "events": _copy(engine, "sorted_rows", work / "events.parquet"),
        "codes": _copy(engine, "codes", work / "codes.parquet"),
    }
    engine.execute("DROP TABLE sorted_rows")
    return rows


def _sort(engine: duckdb.DuckDBPyConnection, relation: str, order: str) -> None:
    engine.execute(f"CREATE TEMP TABLE sorted_rows AS SELECT * FROM {relation} ORDER BY {order}")  # noqa: S608 - names of our own tables


def _copy(engine: duckdb.DuckDBPyConnection, relation: str, path: Path) -> int:
    return _single_value(
        engine,
        f"COPY {relation} TO {quoted(path)} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS})",
    )


def _domain_rows(engine: duckdb.DuckDBPyConnection, work: Path) -> dict[str, int]:
    path = quoted(work / "events.parquet")
    return dict(
        engine.execute(
            f"SELECT domain, count(*) FROM read_parquet({path}) GROUP BY 1 ORDER BY 1"  # noqa: S608  # our own file
        ).fetchall()
    )


def _single_value(engine: duckdb.DuckDBPyConnection, statement: str) -> Any:
    ((value,),) = engine.execute(statement).fetchall()
    return value


def _counts(engine: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {table.name: {} for table in STAGED}
    for name, reason, rows in engine.execute(
        "SELECT staged_table, reason, count(*) FROM rejected GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        counts[name][reason] = rows
    return counts


def _statement(name: str) -> str:
    folder = resources.files("hrob_assets.risk.sources") / "sql" / "omop"
    return (folder / f"{name}.sql").read_text(encoding="utf-8")


def _checked_lags(known_lag_days: Mapping[str, int]) -> dict[str, int]:
    for domain, days in known_lag_days.items():
        if domain not in LAG_DOMAINS:
            hint = nearest(domain, LAG_DOMAINS)
            msg = f"known_lag_days must name domains; {domain!r} is none. {hint}"
            raise ConfigurationError(msg)
        if days < 0:
            msg = (
                f"known_lag_days must not be negative; {domain} has {days}. A fact cannot be "
                "known before it happens: state 0 or more days."
            )
            raise ConfigurationError(msg)
    return {domain: known_lag_days.get(domain, 0) for domain in LAG_DOMAINS}


def _check_snapshot(snapshot_folder: Path) -> None:
    missing = [
        table.name
        for table in OMOP_TABLES
        if not (snapshot_folder / f"{table.name}.parquet").is_file()
    ]
    if missing:
        msg = (
            "A snapshot must hold one Parquet file per OMOP table; "
            f"{', '.join(missing)} missing. Take the snapshot again."
        )
        raise SourceError(msg)


def _sql_map(lags: Mapping[str, int]) -> str:
    entries = ", ".join(f"{quoted(domain)}: {int(days)}" for domain, days in lags.items())
    return f"MAP {{{entries}}}"


def _safe_reason(error: duckdb.Error) -> str:
    """Name the cause without the engine's text, which may quote values of rows."""
    text = str(error).lower()
    if "no space left" in text or "file too large" in text or "could not write" in text:
        return " (the disk is full or not writable)"
    if isinstance(error, duckdb.OutOfMemoryException):
        return " (the memory limit is too small)"
    return ""


def _remove_empty(spill: Path) -> None:
    for left in spill.iterdir():
        left.unlink()
    spill.rmdir()
