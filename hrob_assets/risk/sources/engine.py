"""An in-memory DuckDB engine with bounded memory and no downloads."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import duckdb


@contextmanager
def open_engine(
    *, temp_folder: Path, memory_limit: str = "3GB", threads: int | None = None
) -> Generator[duckdb.DuckDBPyConnection]:
    """Open an engine that spills to ``temp_folder`` when ``memory_limit`` is reached.

    Parameters
    ----------
    temp_folder : Path
        An existing folder for spilled blocks.
    memory_limit : str
        As DuckDB writes sizes, such as ``"3GB"``.
    threads : int, optional
        None means one per core.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_engine(temp_folder=Path(folder)) as engine:
    ...         engine.execute("SELECT current_setting('TimeZone')").fetchone()
    ('UTC',)
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(temp_folder),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    if threads is not None:
        settings["threads"] = threads
    engine = duckdb.connect(":memory:", config=settings)
    try:
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute("SET enable_progress_bar = false")
        yield engine
    finally:
        engine.close()


def quoted(text: object) -> str:
    """Return a SQL string literal.

    Examples
    --------
    >>> quoted("it's")
    "'it''s'"
    """
    return "'" + str(text).replace("'", "''") + "'"


def named(name: str) -> str:
    """Return a quoted SQL identifier.

    Examples
    --------
    >>> named('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'
