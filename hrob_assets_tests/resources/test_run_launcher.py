"""A run whose process was killed does not count as running for ever."""

import logging
import multiprocessing
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
import yaml
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG, WILL_RETRY_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from hrob_assets.pipeline import PROJECT
from hrob_assets.resources import run_launcher
from hrob_assets.resources.run_launcher import RunLauncher, alive, execute_here, has_died

FORK = multiprocessing.get_context("fork")  # a fresh interpreter would import Dagster first


def execute(home, run_id, pipe):
    with alive(home, run_id):
        pipe.send("begun")
        pipe.recv()


@contextmanager
def process_of(home, run_id):
    """A process that executes a run until it is told to end, or killed."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=execute, args=(home, run_id, theirs))
    process.start()
    assert ours.recv() == "begun"
    try:
        yield process
    finally:
        ours.send("end")
        process.join()
        process.close()


def test_a_killed_process_is_seen_and_one_that_ends_is_not(tmp_path):
    with process_of(tmp_path, "killed") as killed, process_of(tmp_path, "ends"):
        assert not has_died(tmp_path, "killed")
        killed.kill()

    assert has_died(tmp_path, "killed")
    assert has_died(tmp_path, "killed")  # looking changes nothing
    assert not has_died(tmp_path, "ends")
    assert not has_died(tmp_path, "never begun")


def test_a_run_that_fails_leaves_no_lock_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), alive(tmp_path, "fails"):
        raise ZeroDivisionError

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_run_that_a_command_executes_is_seen_to_live_as_long_as_it_does(tmp_path):
    seen = []

    @dg.op
    def look(context):
        home = Path(context.instance.root_directory)
        seen.append((home / "running" / context.run_id).exists())

    @dg.job
    def looks():
        look()

    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        result = execute_here(looks, instance, tags={"asked": "by hand"})
        home = Path(instance.root_directory)

        assert seen == [True]
        assert instance.get_run_by_id(result.run_id).tags["asked"] == "by hand"
        assert list((home / "running").iterdir()) == []


def test_nothing_is_said_of_a_run_of_another_machine(tmp_path, monkeypatch):
    with process_of(tmp_path, "killed") as killed:
        killed.kill()
    monkeypatch.setattr(run_launcher.socket, "gethostname", lambda: "another")

    assert not has_died(tmp_path, "killed")


def test_the_daemon_fails_the_killed_run_for_a_retry_and_leaves_the_living(tmp_path):
    settings = yaml.safe_load((PROJECT / "dagster.yaml").read_text())
    del settings["run_coordinator"], settings["concurrency"]  # nothing is launched here
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=settings) as instance:
        assert isinstance(instance.run_launcher, RunLauncher)
        dead, living, unknown = (
            create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED).run_id
            for _ in range(3)
        )
        home = Path(instance.root_directory)
        with process_of(home, dead) as killed:
            killed.kill()
        with process_of(home, living):
            daemon = SimpleNamespace(instance=instance, create_request_context=lambda: None)
            errors = list(execute_run_monitoring_iteration(daemon, logging.getLogger()))
            first = instance.get_run_by_id(dead).status
            errors += execute_run_monitoring_iteration(daemon, logging.getLogger())
        runs = {run_id: instance.get_run_by_id(run_id) for run_id in (dead, living, unknown)}

    assert errors == [None] * 6
    assert first is dg.DagsterRunStatus.STARTED  # not while the daemon's other parts start
    assert runs[dead].status is dg.DagsterRunStatus.FAILURE
    assert runs[dead].tags[WILL_RETRY_TAG] == "true"
    assert runs[dead].tags.get(RUN_FAILURE_REASON_TAG) != "STEP_FAILURE"
    assert runs[living].status is runs[unknown].status is dg.DagsterRunStatus.STARTED
