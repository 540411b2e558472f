"""`hrob dev` as people use it: the UI on loopback, a backfill through GraphQL, and a clean stop."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl
import pytest

from hrob_assets.resources.score_table import ScoreTable
from hrob_assets.risk.scoring import WEEKLY_SCORES

PROGRAM = str(Path(sys.executable).with_name("hrob"))
USE_CASE = "oncology_ed_visit"
SCORES = {"path": [USE_CASE, "weekly_scores"]}
COHORT = {"path": [USE_CASE, "cohort"]}
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
CHECKS = """
query ($asset: AssetKeyInput!) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode { assetChecksOrError { ... on AssetChecks { checks { name blocking } } } }
  }
}
"""
WEEKS_MADE = """
query ($asset: AssetKeyInput!, $weeks: [String!]) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode { latestMaterializationByPartition(partitions: $weeks) { partition runId } }
  }
}
"""


class DagsterUI:
    """A `hrob dev` process and what its GraphQL says."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, data_root: Path) -> None:
        self.process, self.port, self.data_root = process, port, data_root

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

    def backfill(self, *weeks: str) -> str:
        """Launch a backfill of cohort and scores; return its id."""
        backfill = {"assetSelection": [COHORT, SCORES], "partitionNames": weeks}
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
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"must come true within {seconds} s"
        time.sleep(1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def dagster_ui(data_root: Path) -> Iterator[DagsterUI]:
    port = free_port()
    arguments = ["dev", "--data-root", data_root.name, "--port", str(port)]
    with (data_root / "dev.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [PROGRAM, *arguments], cwd=data_root.parent, stdout=log, stderr=log
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


def weeks_with_features(data_root: Path) -> list[str]:
    folder = data_root / "assets" / "feature_store" / "encounter_features"
    return sorted(path.stem for path in folder.glob("*.parquet"))


@pytest.mark.xdist_group("pipeline")
def test_ui_shows_the_definitions_backfills_eight_weeks_in_one_run_and_stops(demo, tmp_path):
    data_root = tmp_path / "root"
    shutil.copytree(demo.environment.data_root, data_root)
    weeks = weeks_with_features(data_root)[-40:-32]

    with dagster_ui(data_root) as ui:
        eight_weeks = ui.backfill(*weeks)
        same_week_at_once = ui.backfill(weeks[-1])
        schedules = ui.ask(SCHEDULES)["repositoriesOrError"]["nodes"][0]["schedules"]
        checks = ui.ask(CHECKS, asset={"path": ["staged", "events"]})["assetNodeOrError"]
        runs = ui.runs_when_done(eight_weeks)
        ui.runs_when_done(same_week_at_once)
        made = ui.ask(WEEKS_MADE, asset=SCORES, weeks=weeks)["assetNodeOrError"]
        processes = ui.processes()
        ui.process.send_signal(signal.SIGINT)
        exit_code = ui.process.wait(timeout=90)
        wait_until(lambda: not ui.processes(), 90)

    assert {
        f"monitor_{USE_CASE}_weekly",
        "refresh_weekly",
        f"ripen_{USE_CASE}_weekly",
        f"score_{USE_CASE}_weekly",
        f"watch_inputs_{USE_CASE}_weekly",
    } == {schedule["name"] for schedule in schedules}
    names = {check["name"] for check in checks["assetChecksOrError"]["checks"] if check["blocking"]}
    assert {"nulls_in_required_columns", "repeated_keys", "columns_missing"} <= names
    assert len(runs) == 1
    made_by = {
        found["partition"]: found["runId"] for found in made["latestMaterializationByPartition"]
    }
    assert sorted(made_by) == weeks
    assert {made_by[week] for week in weeks[:-1]} == set(runs)  # the last was made twice
    assert len(processes) >= 4  # dev, code server, webserver, daemon: all gone above
    assert exit_code == 0
    scores = ScoreTable(data_root=str(data_root)).read(USE_CASE)
    in_weeks = scores.filter(pl.col("week").cast(pl.String).is_in(weeks))
    assert in_weeks.height > 0
    assert in_weeks.height == in_weeks.unique(WEEKLY_SCORES.key).height
