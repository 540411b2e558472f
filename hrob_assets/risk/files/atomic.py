"""A folder of files appears whole or not at all, also when the writer is killed."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from hrob_assets.risk.errors import ConfigurationError


@contextmanager
def whole_folder(folder: Path) -> Generator[Path]:
    """Give a working folder that takes the place of ``folder`` when the block ends well.

    Parameters
    ----------
    folder : Path
        What is to appear. An earlier version stays readable until the new one is complete and
        is then removed.

    Yields
    ------
    Path
        An empty folder beside ``folder``. After an error it is removed and ``folder`` is as it
        was. What a killed process left behind is removed by the next writer.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with whole_folder(Path(parent) / "snapshot") as work:
    ...         _ = (work / "person.parquet").write_text("rows")
    ...     sorted(path.name for path in Path(parent).rglob("*"))
    ['person.parquet', 'snapshot']
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(folder)
    work = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    work.mkdir()
    try:
        yield work
        _put_in_place(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def require_free(folder: Path, *, mark: str, overwrite: bool) -> None:
    """Refuse a folder that has something in it, unless it is an earlier result to replace.

    Parameters
    ----------
    folder : Path
    mark : str
        Name of a file by which an earlier result is known.
    overwrite : bool

    Raises
    ------
    ConfigurationError
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    earlier = (folder / mark).is_file()
    if overwrite and earlier:
        return
    then = "give --overwrite to replace that one" if earlier else "choose another folder"
    msg = f"--out must be a new or empty folder (found content in {folder}); {then}"
    raise ConfigurationError(msg)


def _put_in_place(work: Path, folder: Path) -> None:
    if not folder.exists():
        work.rename(folder)
        return
    earlier = folder.with_name(f".{folder.name}.earlier-{os.getpid()}")
    folder.rename(earlier)
    work.rename(folder)
    shutil.rmtree(earlier)


def _remove_left_behind(folder: Path) -> None:
    for earlier in sorted(folder.parent.glob(f".{folder.name}.earlier-*")):
        if not _is_running(earlier) and not folder.exists():
            earlier.rename(folder)  # killed between the two renames: the old version is whole
    for kind in ("partial", "earlier"):
        for left in folder.parent.glob(f".{folder.name}.{kind}-*"):
            if not _is_running(left):
                shutil.rmtree(left)


def _is_running(left: Path) -> bool:
    process = int(left.name.rpartition("-")[2])
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
