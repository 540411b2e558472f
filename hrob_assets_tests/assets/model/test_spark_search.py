"""Training with ``search_engine: spark``: started by Dagster, told through Pipes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hrob_assets.resources.records.model_registry import CHALLENGER
from hrob_assets.resources.spark.job import PARENT
from hrob_assets.resources.spark.program import NOBODY_WAITS
from hrob_assets.resources.spark.search_engine import SparkSearch
from hrob_assets.resources.storage.trial_file import TrialFolder, trial_from
from hrob_assets_tests import spark
from hrob_assets_tests.assets.model.test_training import train
from hrob_assets_tests.assets.worlds import training_set

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

TRAINS = """
import sys
from pathlib import Path
from hrob_assets.resources.records.model_registry import ModelRegistry
from hrob_assets_tests.assets.model.test_training import train
from hrob_assets_tests.assets.worlds import training_set
from hrob_assets_tests.spark import SPARK

root, uri, artifacts = sys.argv[1:]
registry = ModelRegistry(tracking_uri=uri, artifact_root=artifacts)
train(Path(root), registry, "killed_on_spark", training_set(), spark=SPARK)
"""


def kept_trials(folder):
    """Lines of the trials that are kept; none before a search began."""
    paths = list(folder.glob("*.jsonl"))
    return paths[0].read_text().splitlines()[1:] if paths else []


def children_of(process):
    """Processes below one, by the list of the system."""
    told = subprocess.run(
        ["/bin/ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    parents = {int(pid): int(parent) for pid, parent in map(str.split, told.splitlines())}
    below, found = {process.pid}, set()
    while below:
        below = {pid for pid, parent in parents.items() if parent in below} - found
        found |= below
    return found


def test_a_training_that_was_killed_in_its_search_on_spark_goes_on(tmp_path, registry):
    spark.require()
    trials = tmp_path / "tuning" / "killed_on_spark"
    process = subprocess.Popen(  # noqa: S603 - our own program
        [
            *(sys.executable, "-W", "ignore", "-c", TRAINS),
            *(str(tmp_path), registry.tracking_uri, registry.artifact_root),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: kept_trials(trials) or process.poll() is not None, seconds=120)
    program = children_of(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert program  # it was at work
    wait_until(lambda: not any(alive(pid) for pid in program), seconds=30)
    kept = kept_trials(trials)
    assert 1 <= len(kept) < 3
    assert not list(trials.glob(".*.folds"))  # no rows of persons are left behind
    assert registry.version("killed_on_spark", CHALLENGER) is None

    train(tmp_path, registry, "killed_on_spark", training_set(), spark=spark.SPARK)

    found = registry.load("killed_on_spark", CHALLENGER).model.trials
    assert len(found) == 3
    assert [trial_from(json.loads(line)) for line in kept] == list(found[: len(kept)])
    assert kept_trials(trials)[: len(kept)] == kept  # with their seconds: they were not run again
    assert not list(trials.glob(".*.folds"))


def wait_until(holds, *, seconds):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def alive(pid):
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_nobody_waits_for_ends_before_it_does_anything():
    program = subprocess.run(
        [sys.executable, "-m", "hrob_assets.resources.spark.program"],
        env=os.environ | {PARENT: "1"},  # its run has died while it was starting
        check=False,
        capture_output=True,
        timeout=60,
    )

    assert program.returncode == NOBODY_WAITS


def test_folds_that_a_killed_run_left_are_removed_but_not_those_in_use(tmp_path):
    trials = TrialFolder(tmp_path)
    for tag in ("left", "in use"):
        (tmp_path / f".{tag}.folds").mkdir()
    engine = SparkSearch(None, trials, spark.SPARK)

    with trials.alone("in use"):
        engine._remove_left_folds()

    assert [path.name for path in tmp_path.glob(".*.folds")] == [".in use.folds"]
