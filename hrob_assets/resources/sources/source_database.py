"""Readers of OMOP CDM 5.4: a folder of CSV or Parquet files, a DuckDB file, PostgreSQL.

All three end in the same snapshot: one Parquet file per table of `risk.sources.omop`, with
lower-case names and the types of that contract.
"""

import csv
import gzip
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import adbc_driver_manager
import duckdb
import pyarrow.parquet as pq

from hrob_assets.risk.errors import ContractError, SourceError, nearest
from hrob_assets.risk.files import whole_folder
from hrob_assets.risk.sources import (
    DUCKDB_TYPES,
    KIND_NAMES,
    OMOP_TABLES,
    Kind,
    OmopColumn,
    OmopTable,
    named,
    open_engine,
    quoted,
)

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor  # slow to import

CONNECT_TIMEOUT_SECONDS = 5
DELIMITERS = (",", "\t", ";", "|")
_CSV_ENDINGS = (".csv", ".csv.gz")
_INTEGER_TYPES = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
)
_MISSING_WORDS = "('NA', 'NaN', 'nan', 'NULL', 'None', '')"


@dataclass(frozen=True)
class SourceTable:
    """One table of a snapshot.

    Parameters
    ----------
    name : str
        OMOP name, lower case.
    rows : int
    size_bytes : int
        Size of the Parquet file.
    found : bool
        False when the source lacks this optional table; the file then has no rows.
    missing_columns : tuple of str
        Optional columns that the source lacks; they are null throughout.
    """

    name: str
    rows: int
    size_bytes: int
    found: bool
    missing_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Located:
    """A table in its source: where, what to select from, and how its columns are called there."""

    origin: str
    relation: str
    columns: Mapping[str, tuple[str, str]] = field(repr=False)  # lower name -> (SQL name, type)
    fetch: Callable[[], str] | None = None  # copies the table to a file, returns the relation


class SourceDatabase(ABC):
    """A place that holds OMOP CDM 5.4 tables. `open_source` chooses the right kind."""

    description: str

    def snapshot(
        self,
        folder: Path,
        *,
        on_table: Callable[[SourceTable], None] | None = None,
        memory_limit: str = "3GB",
    ) -> list[SourceTable]:
        """Copy the eleven OMOP tables to ``<folder>/<table>.parquet``.

        Parameters
        ----------
        folder : Path
            Appears whole, or stays as it was.
        on_table : callable, optional
            Called with each `SourceTable` when it has been copied.
        memory_limit : str
            Memory of the engine that copies.

        Returns
        -------
        list of SourceTable
            One per OMOP table, also for those that the source lacks.

        Raises
        ------
        ContractError
            If a required table or column is missing, a name occurs twice, or a value does not
            have the type of its column.
        SourceError
            If the source cannot be read or the snapshot cannot be written.
        """
        with whole_folder(folder) as work:
            scratch = work / ".scratch"
            scratch.mkdir()
            copied = []
            with (
                open_engine(temp_folder=scratch, memory_limit=memory_limit) as engine,
                self._open(engine, scratch) as located,
            ):
                self._check(located)
                for table in OMOP_TABLES:
                    copied.append(_copy(engine, table, located.get(table.name), work))
                    if on_table is not None:
                        on_table(copied[-1])
            _remove_tree(scratch)
        return copied

    @abstractmethod
    def _open(
        self, engine: duckdb.DuckDBPyConnection, scratch: Path
    ) -> AbstractContextManager[dict[str, _Located]]:
        """Locate the OMOP tables, by lower-case name, for as long as the context is open."""

    def _check(self, located: Mapping[str, _Located]) -> None:
        for table in OMOP_TABLES:
            if table.name in located:
                found = located[table.name]
                table.check_columns(list(found.columns), origin=found.origin)
            elif table.required:
                hint = nearest(table.name, located) if located else "It has no OMOP table at all."
                msg = (
                    f"The source must have the table {table.name}; {self.description} has no such "
                    f"table. {hint}"
                )
                raise ContractError(msg)


def open_source(location: str, *, schema: str | None = None) -> SourceDatabase:
    """Open a source of OMOP CDM 5.4 tables by its location.

    Parameters
    ----------
    location : str
        A folder with files such as ``person.csv``, ``PERSON.csv.gz`` or ``person.parquet``; a
        ``.duckdb`` file; or ``postgresql://user@host/database`` with an optional
        ``?schema=...``.
    schema : str, optional
        Schema of the tables in a database. None looks for the one that has a person table.

    Raises
    ------
    SourceError
        If there is nothing of these kinds at ``location``.

    Examples
    --------
    >>> open_source("no/such/folder")
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.SourceError: The source must be a folder, a .duckdb file or a
    postgresql:// address; there is nothing at no/such/folder. Check the path.
    """
    if location.startswith(("postgresql://", "postgres://")):
        return PostgresSource(location, schema=schema)
    path = Path(location)
    if path.is_dir():
        return FolderSource(path)
    if path.is_file() and path.suffix.lower() in {".duckdb", ".db", ".ddb"}:
        return DuckdbSource(path, schema=schema)
    found = f"{path} is another kind of file" if path.exists() else f"there is nothing at {path}"
    advice = "Unpack or convert it." if path.exists() else "Check the path."
    msg = (
        f"The source must be a folder, a .duckdb file or a postgresql:// address; {found}. {advice}"
    )
    raise SourceError(msg)


class FolderSource(SourceDatabase):
    """A folder of CSV and Parquet files, one per table (or one subfolder of Parquet parts)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.description = f"the folder {folder}"

    @contextmanager
    def _open(
        self, engine: duckdb.DuckDBPyConnection, scratch: Path
    ) -> Iterator[dict[str, _Located]]:
        del scratch
        paths: dict[str, Path] = {}
        for path in sorted(self.folder.iterdir()):
            name = _table_name(path)
            if name is None:
                continue
            if name in paths:
                msg = (
                    f"A folder must hold each table once; {name} is in both {paths[name].name} "
                    f"and {path.name}. Remove one of them."
                )
                raise ContractError(msg)
            paths[name] = path
        if not paths:
            msg = (
                f"The folder must hold OMOP tables such as person.csv or person.parquet; "
                f"{self.folder} holds none. Check the path, and unpack archives first."
            )
            raise SourceError(msg)
        yield {name: _located_file(engine, path) for name, path in paths.items()}


class DuckdbSource(SourceDatabase):
    """A DuckDB file, opened read-only."""

    def __init__(self, path: Path, *, schema: str | None = None) -> None:
        self.path = path
        self.schema = schema
        self.description = f"the DuckDB file {path}"

    @contextmanager
    def _open(
        self, engine: duckdb.DuckDBPyConnection, scratch: Path
    ) -> Iterator[dict[str, _Located]]:
        del scratch
        try:
            engine.execute(f"ATTACH {quoted(self.path)} AS source_file (READ_ONLY)")
        except duckdb.Error as error:
            locked = "lock" in str(error).lower()
            found = "another process is writing to it" if locked else "it cannot be opened"
            advice = "Close that process" if locked else "Check that DuckDB wrote it"
            msg = f"{self.description} must be readable; {found}. {advice} and run again."
            raise SourceError(msg) from None
        rows = engine.execute(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = 'source_file' AND NOT internal ORDER BY ALL"
        ).fetchall()
        yield _located_in_schema(
            rows, schema=self.schema, description=self.description, prefix="source_file."
        )


class PostgresSource(SourceDatabase):
    """A PostgreSQL database, read over ADBC in one read-only transaction."""

    def __init__(self, location: str, *, schema: str | None = None) -> None:
        parts = urlsplit(location)
        options = dict(parse_qsl(parts.query))
        self.schema = schema or options.pop("schema", None)
        options.setdefault("connect_timeout", str(CONNECT_TIMEOUT_SECONDS))
        self._uri = urlunsplit(parts._replace(query=urlencode(options)))
        self._password = unquote(parts.password) if parts.password else None
        place = options.get("host") or parts.hostname or "localhost"
        port = f":{parts.port}" if parts.port else ""
        self.description = f"the PostgreSQL database {place}{port}/{parts.path.lstrip('/')}"

    @contextmanager
    def _open(
        self, engine: duckdb.DuckDBPyConnection, scratch: Path
    ) -> Iterator[dict[str, _Located]]:
        del engine
        from adbc_driver_postgresql import dbapi  # noqa: PLC0415  # loads a native driver

        try:
            with (
                closing(dbapi.connect(self._uri)) as connection,
                closing(connection.cursor()) as cursor,
            ):
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                yield self._locate(cursor, scratch)
        except adbc_driver_manager.Error as error:
            msg = (
                f"{self.description} must be reachable and readable; "
                f"{self._without_password(str(error).splitlines()[0])}. Check the server, the "
                "user's rights and the password."
            )
            raise SourceError(msg) from None

    def _locate(self, cursor: "Cursor", scratch: Path) -> dict[str, _Located]:
        cursor.execute(
            "SELECT table_schema::text, table_name::text, column_name::text, data_type::text "
            "FROM information_schema.columns "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') "
            "ORDER BY table_schema, table_name, ordinal_position"
        )
        located = _located_in_schema(
            cursor.fetchall(), schema=self.schema, description=self.description, prefix=""
        )
        return {
            name: _Located(
                found.origin,
                found.relation,
                {column: (named(column), "") for column in found.columns},
                fetch=_fetch(cursor, found, scratch / f"{name}.parquet"),
            )
            for name, found in located.items()
        }

    def _without_password(self, text: str) -> str:
        return text.replace(self._password, "***") if self._password else text


def _fetch(cursor: "Cursor", found: _Located, path: Path) -> Callable[[], str]:
    """Return a function that streams a PostgreSQL table to a Parquet file, batch by batch."""
    selected = ", ".join(
        f"{_plain_postgres(name, data_type)} AS {named(lower)}"
        for lower, (name, data_type) in found.columns.items()
    )

    def fetch() -> str:
        cursor.execute(f"SELECT {selected} FROM {found.relation}")  # noqa: S608  # quoted names
        with cursor.fetch_record_batch() as batches, pq.ParquetWriter(path, batches.schema) as file:
            for batch in batches:
                file.write_batch(batch)
        return f"read_parquet({quoted(path)})"

    return fetch


def _plain_postgres(name: str, data_type: str) -> str:
    if data_type == "numeric":
        return f"{name}::double precision"
    if data_type == "timestamp with time zone":
        return f"({name} AT TIME ZONE 'UTC')"
    plain = {"smallint", "integer", "bigint", "real", "double precision", "date"}
    if data_type in plain or data_type.startswith("timestamp"):
        return name
    return f"{name}::text"


def _located_in_schema(
    rows: list[tuple], *, schema: str | None, description: str, prefix: str
) -> dict[str, _Located]:
    """Choose the schema and arrange (schema, table, column, type) rows by table."""
    wanted = {table.name: {column.name for column in table.columns} for table in OMOP_TABLES}
    by_schema: dict[str, dict[str, str]] = {}
    for schema_name, table_name, *_ in rows:
        if table_name.lower() in wanted:
            tables = by_schema.setdefault(schema_name, {})
            if tables.setdefault(table_name.lower(), table_name) != table_name:
                msg = f"{schema_name} in {description} must hold {table_name.lower()} once."
                raise ContractError(msg)
    chosen = _choose_schema(by_schema, schema=schema, description=description)
    located = {}
    for lower, table_name in by_schema[chosen].items():
        columns: dict[str, tuple[str, str]] = {}
        for row_schema, row_table, column, data_type in rows:
            if (row_schema, row_table) != (chosen, table_name):
                continue
            if column.lower() in wanted[lower] and column.lower() in columns:
                _raise_column_twice(lower, column.lower(), origin=f"{chosen}.{table_name}")
            columns[column.lower()] = (named(column), data_type)
        relation = f"{prefix}{named(chosen)}.{named(table_name)}"
        located[lower] = _Located(f"{chosen}.{table_name}", relation, columns)
    return located


def _choose_schema(
    by_schema: Mapping[str, Mapping[str, str]], *, schema: str | None, description: str
) -> str:
    if schema is not None:
        if schema not in by_schema:
            hint = nearest(schema, by_schema) if by_schema else "No schema has OMOP tables."
            msg = f"The schema {schema!r} must hold OMOP tables; {description} has none. {hint}"
            raise SourceError(msg)
        return schema
    candidates = [name for name, tables in by_schema.items() if "person" in tables]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        msg = (
            f"One schema must be chosen; {description} has a person table in "
            f"{', '.join(sorted(candidates))}. Add ?schema=... or the schema setting."
        )
        raise SourceError(msg)
    msg = (
        f"The source must have the table person; {description} has no such table in any schema. "
        "Check the database name and the user's rights."
    )
    raise ContractError(msg)


def _table_name(path: Path) -> str | None:
    """Return the OMOP table that a file or folder holds, None when it holds none."""
    lower = path.name.lower()
    wanted = {table.name for table in OMOP_TABLES}
    if path.is_dir():
        return lower if lower in wanted and any(path.glob("*.parquet")) else None
    for ending in (*_CSV_ENDINGS, ".parquet"):
        if lower.endswith(ending) and lower.removesuffix(ending) in wanted:
            return lower.removesuffix(ending)
    return None


def _located_file(engine: duckdb.DuckDBPyConnection, path: Path) -> _Located:
    if path.name.lower().endswith(_CSV_ENDINGS):
        return _located_csv(path)
    pattern = path / "*.parquet" if path.is_dir() else path
    relation = f"read_parquet({quoted(pattern)}, union_by_name = true)"
    try:
        rows = engine.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()  # noqa: S608
    except duckdb.Error:
        msg = (
            f"{path.name} must be a readable Parquet file; it is damaged or of another kind. "
            "Export it again."
        )
        raise SourceError(msg) from None
    names = [name for name, *_ in rows]
    sql_names = [named(name) for name in names]
    return _Located(path.name, relation, _by_lower(path, names, sql_names, [r[1] for r in rows]))


def _located_csv(path: Path) -> _Located:
    """Read the header ourselves: a sniffer that guesses would skip lines it does not like."""
    header, delimiter = _csv_header(path)
    positions = [f"c{position}" for position in range(len(header))]
    declared = ", ".join(f"'{position}': 'VARCHAR'" for position in positions)
    relation = (
        f"read_csv({quoted(path)}, auto_detect = false, header = true, delim = "
        f"{quoted(delimiter)}, quote = '\"', escape = '\"', columns = {{{declared}}}, "
        "nullstr = ['', 'NULL', '\\N'])"
    )
    types = ["VARCHAR"] * len(header)
    return _Located(path.name, relation, _by_lower(path, header, positions, types))


def _csv_header(path: Path) -> tuple[list[str], str]:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            line = file.readline()
    except UnicodeDecodeError:
        _raise_not_utf8(path.name)
    except (gzip.BadGzipFile, EOFError):
        msg = f"{path.name} must be a readable gzip file; it is damaged. Export it again."
        raise SourceError(msg) from None
    if not line.strip():
        msg = f"{path.name} must start with a line of column names; it is empty. Export it again."
        raise SourceError(msg)
    parsed = {d: next(csv.reader([line], delimiter=d)) for d in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda d: len(parsed[d]))
    return [name.strip() for name in parsed[delimiter]], delimiter


def _by_lower(
    path: Path, names: list[str], sql_names: list[str], types: list[str]
) -> dict[str, tuple[str, str]]:
    table = next(table for table in OMOP_TABLES if table.name == _table_name(path))
    wanted = {column.name for column in table.columns}
    columns: dict[str, tuple[str, str]] = {}
    for name, sql_name, data_type in zip(names, sql_names, types, strict=True):
        lower = name.lower()
        if lower in columns and lower in wanted:
            _raise_column_twice(table.name, lower, origin=path.name)
        columns[lower] = (sql_name, data_type)
    return columns


def _copy(
    engine: duckdb.DuckDBPyConnection, table: OmopTable, located: _Located | None, work: Path
) -> SourceTable:
    path = work / f"{table.name}.parquet"
    missing: tuple[str, ...] = ()
    if located is None:
        nulls = ", ".join(_null(column) for column in table.columns)
        query = f"SELECT {nulls} WHERE false"  # names of our own contract
    else:
        located = _fetched(engine, located)
        missing = tuple(c.name for c in table.columns if c.name not in located.columns)
        selected = ", ".join(_selected(column, located) for column in table.columns)
        query = f"SELECT {selected} FROM {located.relation}"  # noqa: S608  # quoted names
    try:
        ((rows,),) = engine.execute(
            f"COPY ({query}) TO {quoted(path)} (FORMAT parquet, COMPRESSION zstd)"
        ).fetchall()
    except duckdb.Error as error:
        _raise_copy_error(engine, table, located, error)
    return SourceTable(table.name, rows, path.stat().st_size, located is not None, missing)


def _fetched(engine: duckdb.DuckDBPyConnection, located: _Located) -> _Located:
    if located.fetch is None:
        return located
    relation = located.fetch()
    rows = engine.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()  # noqa: S608
    return _Located(located.origin, relation, {row[0]: (named(row[0]), row[1]) for row in rows})


def _null(column: OmopColumn) -> str:
    return f"CAST(NULL AS {DUCKDB_TYPES[column.kind]}) AS {column.name}"


def _selected(column: OmopColumn, located: _Located) -> str:
    if column.name not in located.columns:
        return _null(column)
    raw, data_type = located.columns[column.name]
    typed = _typed(raw, data_type, column.kind)
    if column.kind == "text":
        return f"{typed} AS {column.name}"
    wrong = _is_wrong(raw, data_type, column.kind)
    return f"CASE WHEN {wrong} THEN error('wrong type') ELSE {typed} END AS {column.name}"


def _typed(raw: str, data_type: str, kind: Kind) -> str:
    """Return SQL that gives the value in its type, null where it cannot be."""
    sql_type = DUCKDB_TYPES[kind]
    text = f"trim(CAST({raw} AS VARCHAR))"
    if kind == "text":
        return f"nullif({text}, '')"
    if kind == "timestamp":
        plain = raw if data_type.startswith(("DATE", "TIMESTAMP")) else text
        return f"TRY_CAST({plain} AS TIMESTAMP)"
    if data_type in _INTEGER_TYPES:
        return f"TRY_CAST({raw} AS {sql_type})"
    if kind == "number":
        return f"CASE WHEN isfinite(TRY_CAST({text} AS DOUBLE)) THEN TRY_CAST({text} AS DOUBLE) END"
    return (
        f"CASE WHEN NOT contains({text}, '.') OR regexp_full_match({text}, '[-+]?[0-9]+[.]0*') "
        f"THEN TRY_CAST({text} AS BIGINT) END"
    )


def _is_wrong(raw: str, data_type: str, kind: Kind) -> str:
    return (
        f"{raw} IS NOT NULL AND ({_typed(raw, data_type, kind)}) IS NULL "
        f"AND trim(CAST({raw} AS VARCHAR)) NOT IN {_MISSING_WORDS}"
    )


def _raise_copy_error(
    engine: duckdb.DuckDBPyConnection,
    table: OmopTable,
    located: _Located | None,
    error: duckdb.Error,
) -> NoReturn:
    """Turn an error of the engine into ours; its own text may quote values of persons."""
    text = str(error).lower()
    if located is None or "no space" in text or "too large" in text or "could not write" in text:
        msg = (
            f"The snapshot of {table.name} must be written; the disk is full or not writable. "
            "Nothing was changed. Make room and run again."
        )
        raise SourceError(msg) from None
    if "wrong type" in text:
        _raise_wrong_type(engine, table, located)
    if "unicode" in text or "utf-8" in text or "utf8" in text:
        _raise_not_utf8(located.origin)
    line = text.partition("on line: ")[2].partition("\n")[0].strip()
    where = f" at line {line}" if line.isdigit() else ""
    msg = (
        f"{located.origin} must be a readable table; reading stopped{where} "
        f"({type(error).__name__}). Each row must have as many fields as there are column names; "
        "export it again."
    )
    raise SourceError(msg) from None


def _raise_wrong_type(
    engine: duckdb.DuckDBPyConnection, table: OmopTable, located: _Located
) -> NoReturn:
    typed = [c for c in table.columns if c.kind != "text" and c.name in located.columns]
    counts = ", ".join(
        f"count({located.columns[c.name][0]}), "
        f"count(*) FILTER (WHERE {_is_wrong(*located.columns[c.name], c.kind)})"
        for c in typed
    )
    (found,) = engine.execute(f"SELECT {counts} FROM {located.relation}").fetchall()  # noqa: S608
    complaints = [
        f"{table.name}.{column.name} must be {KIND_NAMES[column.kind]}; {found[2 * i + 1]:,} of "
        f"{found[2 * i]:,} values are not"
        for i, column in enumerate(typed)
        if found[2 * i + 1]
    ]
    msg = f"{'. '.join(complaints)}. Fix the export of {located.origin}, or empty those cells."
    raise ContractError(msg) from None


def _raise_not_utf8(origin: str) -> NoReturn:
    msg = f"{origin} must be UTF-8; it has bytes that are not. Export it again as UTF-8."
    raise SourceError(msg) from None


def _raise_column_twice(table_name: str, column: str, *, origin: str) -> NoReturn:
    msg = f"{table_name} must have the column {column} once; {origin} has it twice. Remove one."
    raise ContractError(msg) from None


def _remove_tree(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
