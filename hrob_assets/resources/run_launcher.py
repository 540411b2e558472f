"""Runs whose process was killed are found, so that Dagster fails them and starts them again.

Dagster's own launcher does not look. After a loss of power, or when a container was replaced, such
a run would count as running for ever, and keep its place in the queue and in its pools.
"""

import fcntl
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus  # its version is pinned

_FOLDER = "running"


class RunLauncher(dg.DefaultRunLauncher):
    """Dagster's launcher, with an answer to whether the process of a run still lives.

    A run is told dead when it is found dead for the second time. When a daemon starts, all its
    parts start at once, and Dagster forgets to start a run again whose failure it reads before the
    run's status is written.
    """

    _found_dead: frozenset[str] = frozenset()

    @property
    def supports_check_run_worker_health(self) -> bool:
        """The daemon asks."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Not found, if the process of a run has died; running, if it lives or nobody knows."""
        if not has_died(Path(self._instance.root_directory), run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if run.run_id in self._found_dead:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "its process has been killed")
        self._found_dead |= {run.run_id}
        return CheckRunHealthResult(WorkerStatus.RUNNING)


@contextmanager
def alive(home: Path, run_id: str) -> Iterator[None]:
    """Hold the lock of a run; the system releases it when this process dies, however it dies.

    Parameters
    ----------
    home : Path
        Folder that all processes of Dagster share.
    run_id : str
    """
    path = home / _FOLDER / run_id
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{run_id}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(socket.gethostname())
        file.flush()
        temporary.replace(path)  # nobody sees it without its lock
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def execute_here(
    job: dg.JobDefinition, instance: dg.DagsterInstance, **options: Any
) -> dg.ExecuteInProcessResult:
    """Execute a job in this process, visibly alive, with the options of `execute_in_process`."""
    run_id = str(uuid.uuid4())
    with alive(Path(instance.root_directory), run_id):
        return job.execute_in_process(instance=instance, run_id=run_id, **options)


def has_died(home: Path, run_id: str) -> bool:
    """Whether the process that executed a run has ended without saying so.

    Of a run of another machine nothing is known, for not every shared folder has locks that hold
    between machines; Dagster's ``max_runtime_seconds`` ends it one day.
    """
    try:
        with (home / _FOLDER / run_id).open("r+", encoding="utf-8") as file:
            if file.read() != socket.gethostname():
                return False
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:  # has not begun, has just ended, or is of an earlier version
        return False
    except BlockingIOError:
        return False
    return True
