"""Which code and which configuration made something."""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.executor.in_process import InProcessExecutor
from dagster._core.executor.init import InitExecutorContext

from hrob_assets.resources.run_launcher import alive
from hrob_assets.risk.errors import ConfigurationError

COMMIT_VARIABLE = "HROB_GIT_COMMIT"
"""Holds the commit where there is no checkout; the container file sets it."""
_PACKAGE = Path(__file__).resolve().parents[2]


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
        ``git_commit`` (``+changes`` appended when the working tree differs from the commit;
        outside a checkout what HROB_GIT_COMMIT says, or ``unknown``) and ``configuration`` (16
        hexadecimal digits).
    """
    return {"git_commit": _commit(folder), "configuration": _configuration(folder, *shared)}


@cache
def code_lineage() -> dict[str, str]:
    """Commit and configuration of this process: all use cases, code sets and environments."""
    return lineage_of(_PACKAGE / "defs", _PACKAGE / "resources" / "environments")


def run_tags(environment_name: str) -> dict[str, str]:
    """What every Dagster run and every MLflow run tells of its code.

    Raises
    ------
    ConfigurationError
        If production would run code that no commit holds.
    """
    lineage = code_lineage()
    if environment_name == "prod" and not re.fullmatch(r"[0-9a-f]{40}", lineage["git_commit"]):
        msg = (
            f"production must run the code of a commit (found {lineage['git_commit']}); deploy a "
            f"clean checkout, or an image that was built with {COMMIT_VARIABLE}"
        )
        raise ConfigurationError(msg)
    return {f"hrob/{name}": value for name, value in lineage.items()} | {
        "hrob/environment": environment_name
    }


class _TellsItsCode(InProcessExecutor):
    """Runs steps in this process, after it has written on the run which code this process has.

    A run that starts from a schedule, a sensor, a backfill or a button has passed through
    processes that may hold other code; only the process that executes knows.
    """

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Tag the run, then execute it, visibly alive."""
        instance, run_id = plan_context.instance, plan_context.run_id
        instance.add_run_tags(run_id, run_tags(os.environ.get("HROB_ENV", "dev")))
        with alive(Path(instance.root_directory), run_id):
            yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema.as_field())
def in_process_with_lineage(context: InitExecutorContext) -> InProcessExecutor:
    """The in-process executor of Dagster, with commit and configuration as tags of the run."""
    plain = dg.in_process_executor.executor_creation_fn
    assert plain is not None  # noqa: S101 - Dagster's own executor has one
    created: Any = plain(context)
    return _TellsItsCode(
        retries=created.retries, step_dependency_config=created.step_dependency_config
    )


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
        return os.environ.get(COMMIT_VARIABLE) or "unknown"
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
