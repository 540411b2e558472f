"""Which code and which configuration made something."""

import hashlib
import subprocess
from pathlib import Path


def lineage_of(folder: Path, *shared: Path) -> dict[str, str]:
    """Git commit and a hash of all configuration files of a use case.

    Parameters
    ----------
    folder : Path
        The use case's folder.
    *shared : Path
        Folders of what it shares with other use cases, such as code sets.

    Returns
    -------
    dict
        ``git_commit`` (``unknown`` outside a checkout, ``+changes`` appended when the working
        tree differs from the commit) and ``configuration`` (16 hexadecimal digits).
    """
    return {"git_commit": _commit(folder), "configuration": _configuration(folder, *shared)}


def _configuration(*folders: Path) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix in {".yaml", ".yml", ".csv"}:
                digest.update(path.relative_to(folder).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _commit(folder: Path) -> str:
    found = _git(folder, "rev-parse", "HEAD")
    if found is None:
        return "unknown"
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{found}+changes" if changed else found


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed program and arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - as the user's PATH has it
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
