"""A `hrob dev` process of a test, what its GraphQL says, and its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

PROGRAM = str(Path(sys.executable).with_name("hrob"))
LAUNCH = """
mutation ($backfill: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfill) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
BACKFILL = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status runs(limit: 20) { id status } error { message } }
  }
}
"""
SCHEDULES = """
{ repositoriesOrError { ... on RepositoryConnection { nodes { schedules { name } } } } }
"""
RUNS = """
query ($job: String!) {
  runsOrError(filter: {pipelineName: $job}) {
    ... on Runs { results { id status tags { key value } } }
    ... on PythonError { message }
  }
}
"""
UNFINISHED = """
{
  runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED]}) {
    ... on Runs { results { jobName } }
    ... on PythonError { message }
  }
}
"""
SENSORS = """
query ($since: Float!) {
  repositoriesOrError { ... on RepositoryConnection { nodes {
    sensors { name sensorState { status ticks(afterTimestamp: $since) { status } } }
  } } }
}
"""


class DagsterUI:
    """A `hrob dev` process and what its GraphQL says."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, data_root: Path) -> None:
        self.process, self.port, self.data_root = process, port, data_root
        self.began = time.time()

    def ask(self, query: str, **variables: object) -> dict[str, object]:
        """What GraphQL answers; an error in it fails the test."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            found = json.load(answer)
        assert "errors" not in found, found
        return found["data"]

    def is_up(self) -> bool:
        """Whether the definitions are loaded."""
        assert self.process.poll() is None, "hrob dev must keep running"
        try:
            nodes = self.ask(SCHEDULES)["repositoriesOrError"]["nodes"]
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False
        return bool(nodes)

    def backfill(self, *assets: str, weeks: Sequence[str]) -> str:
        """Launch a backfill of assets, each named as in the UI; return its id."""
        selection = [{"path": asset.split("/")} for asset in assets]
        backfill = {"assetSelection": selection, "partitionNames": list(weeks)}
        launched = self.ask(LAUNCH, backfill=backfill)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return launched["backfillId"]

    def state(self, backfill: str) -> dict[str, object]:
        """Status and runs of a backfill."""
        return self.ask(BACKFILL, id=backfill)["partitionBackfillOrError"]

    def runs_when_done(self, backfill: str) -> list[str]:
        """Ids of the runs of a backfill, once it has succeeded."""
        wait_until(lambda: self.state(backfill)["status"] not in {"REQUESTED", "STARTED"}, 400)
        state = self.state(backfill)
        assert state["status"] == "COMPLETED_SUCCESS", state
        return [run["id"] for run in state["runs"]]

    def unfinished_runs(self) -> list[str]:
        """Jobs of the runs that wait or run."""
        found = self.ask(UNFINISHED)["runsOrError"]["results"]
        return [run["jobName"] for run in found]

    def runs(self, job: str) -> list[dict[str, object]]:
        """Runs of a job, the latest first: id, status and tags."""
        found = self.ask(RUNS, job=job)["runsOrError"]["results"]
        return [run | {"tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def ticks(self, sensor: str) -> int:
        """How often a sensor has looked, to the end, since this process began."""
        nodes = self.ask(SENSORS, since=self.began)["repositoriesOrError"]["nodes"]
        (state,) = [each["sensorState"] for each in nodes[0]["sensors"] if each["name"] == sensor]
        assert state["status"] == "RUNNING", (sensor, state)
        statuses = [tick["status"] for tick in state["ticks"]]
        assert "FAILURE" not in statuses, (sensor, statuses)
        return sum(status in {"SKIPPED", "SUCCESS"} for status in statuses)

    def worker_of(self, job: str) -> int | None:
        """Id of the process that executes the latest run of a job; it holds the run's lock."""
        for run in self.runs(job)[:1]:
            lock = self.data_root / "dagster_home" / "running" / run["id"]
            for number in self.processes():
                with suppress(OSError):  # it has just ended
                    files = Path(f"/proc/{number}/fd").iterdir()
                    if any(file.readlink() == lock for file in files):
                        return number
        return None

    def processes(self) -> list[int]:
        """Ids of all living processes that work on this data root; only this test has it."""
        mark = f"HROB_DATA_ROOT={self.data_root}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
            except OSError:  # it has just ended
                continue
            if mark in variables:
                found.append(int(folder.name))
        return found


def wait_until(is_true: Callable[[], bool], seconds: float) -> None:
    """Ask every second; the test fails when it takes too long."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"must come true within {seconds} s"
        time.sleep(1)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def dagster_ui(
    data_root: Path, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[DagsterUI]:
    """Start `hrob dev`, wait until it is up; whatever still runs at the end is killed."""
    port = free_port()
    arguments = ["dev", "--data-root", data_root.name, "--port", str(port)]
    with (data_root / "dev.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [PROGRAM, *arguments],
            cwd=data_root.parent,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
        )
    ui = DagsterUI(process, port, data_root)
    try:
        wait_until(ui.is_up, 400)
        yield ui
    finally:
        for number in ui.processes():  # none after a clean stop
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.wait(timeout=60)
