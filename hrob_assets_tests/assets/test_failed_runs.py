import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    PARENT_RUN_ID_TAG,
    WILL_RETRY_TAG,
)

from hrob_assets.assets import failed_runs as module
from hrob_assets.assets.alerts import SEND_ALERT, request_alert, send_alert_job
from hrob_assets.assets.failed_runs import failed_run_definitions, lost_runs
from hrob_assets.resources.alerts import Alert, Alerts
from hrob_assets.risk.errors import ContractError, RecordError
from hrob_assets_tests.assets.alert_sensors import alerts_of, tick


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def sensors():
    return {sensor.name: sensor for sensor in failed_run_definitions(started=True).sensors}


def failure_event(run):
    return next(event for event in run.all_events if event.is_job_failure)


LAUNCHED = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__"), "nightly"
)


def failed(sensors, instance, error, *, tags=None, origin=None, name="step"):
    """What is told of a run whose only step raises the error."""

    @dg.op(name=name)
    def step():
        raise error

    @dg.job
    def nightly():
        step()

    result = nightly.execute_in_process(instance=instance, raise_on_error=False)
    context = dg.build_run_status_sensor_context(
        sensor_name="alert_failed_runs",
        dagster_instance=instance,
        dagster_run=result.dagster_run.with_tags(tags or {}).with_job_origin(origin),
        dagster_event=failure_event(result),
    ).for_run_failure()
    return list(sensors["alert_failed_runs"](context))


def test_a_failed_run_is_told_with_what_our_error_says(sensors, instance):
    (request,) = failed(sensors, instance, ContractError("must hold, was found, to do"))

    alert = request.run_config["ops"]["deliver"]["config"]
    assert alert["kind"] == "failed_run"
    assert alert["facts"]["job"] == "nightly"
    assert "must hold, was found, to do" in alert["facts"]["reason"]


def test_a_message_of_a_library_is_not_told_because_it_may_hold_a_person(sensors, instance):
    (request,) = failed(sensors, instance, ValueError("person 4711 has no date of birth"))

    assert "4711" not in json.dumps(request.run_config)
    assert request.run_config["ops"]["deliver"]["config"]["facts"]["reason"] == "ValueError"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (dg.Failure("It must have: AUROC at least 0.65", allow_retries=False), "refused_promotion"),
        (RecordError("record 2: its signature does not fit"), "failed_run"),
        (ContractError("run the job train_example first"), "failed_run"),
    ],
)
def test_only_a_refusal_of_the_gate_is_told_as_one(sensors, instance, error, kind):
    (request,) = failed(sensors, instance, error, name="example__champion_model")

    alert = request.run_config["ops"]["deliver"]["config"]
    assert alert["kind"] == kind
    assert ("refused" in alert["title"]) == (kind == "refused_promotion")


@pytest.mark.parametrize(
    ("tags", "origin", "told_of"),
    [
        ({WILL_RETRY_TAG: "true"}, LAUNCHED, 0),
        ({WILL_RETRY_TAG: "true"}, None, 1),  # a command executed it: nobody starts it again
        ({WILL_RETRY_TAG: "false"}, LAUNCHED, 1),
    ],
)
def test_a_run_that_dagster_starts_again_by_itself_is_told_when_it_fails_again(
    sensors, instance, tags, origin, told_of
):
    (answer,) = failed(sensors, instance, ContractError("x"), tags=tags, origin=origin)

    assert isinstance(answer, dg.RunRequest) == bool(told_of)
    assert isinstance(answer, dg.SkipReason) == (not told_of)


def died(instance, *, origin=LAUNCHED, will_retry="true", job="nightly"):
    """A run that died; returns its id."""
    run = dg.DagsterRun(
        job,
        status=dg.DagsterRunStatus.FAILURE,
        tags={WILL_RETRY_TAG: will_retry},
        remote_job_origin=origin,
    )
    instance.add_run(run)
    return run.run_id


def followed(instance, run, status):
    """A run that follows one that died, as Dagster writes both down."""
    child = dg.DagsterRun("nightly", status=status, tags={PARENT_RUN_ID_TAG: run})
    instance.add_run(child)
    instance.add_run_tags(run, {AUTO_RETRY_RUN_ID_TAG: child.run_id})


def lost(instance, *, after):
    return [run.run_id for run in lost_runs(instance, now=datetime.now(UTC) + after)]


MINUTES = timedelta(minutes=1)


def test_a_run_that_died_and_was_not_started_again_is_told_after_ten_minutes(instance):
    run = died(instance)
    died(instance, will_retry="false")  # told when it failed
    died(instance, origin=None)  # told when it failed: a command executed it
    died(instance, job=SEND_ALERT)  # an alert that was not delivered asks for no other
    followed(instance, died(instance), dg.DagsterRunStatus.STARTED)

    assert lost(instance, after=9 * MINUTES) == []
    assert lost(instance, after=11 * MINUTES) == [run]
    assert lost(instance, after=timedelta(days=8)) == []


@pytest.mark.parametrize("written_down", [False, True])
def test_a_run_whose_second_start_failed_is_lost(instance, written_down):
    run = died(instance, will_retry="false")
    if written_down:
        followed(instance, run, dg.DagsterRunStatus.NOT_STARTED)
    instance.report_engine_event("Failed to retry run", instance.get_run_by_id(run))

    assert lost(instance, after=11 * MINUTES) == [run]


def test_a_lost_run_is_told_once(sensors, instance, monkeypatch):
    run = died(instance)
    monkeypatch.setattr(module, "_RETRY_GRACE", -MINUTES)

    first, second = (tick(sensors["alert_lost_runs"], instance) for _ in range(2))

    assert alerts_of(first) == [
        ("failed_run", {"job": "nightly", "run": run, "reason": "the process ended"})
    ]
    assert first.run_requests[0].run_key == second.run_requests[0].run_key


def test_an_alert_that_was_not_delivered_asks_for_no_other(sensors, instance):
    settings = '{"webhook": {"url_variable": "HROB_NOT_SET"}}'
    alert = request_alert(Alert("k", "late_list", "t", {}, "do"))
    run = send_alert_job.execute_in_process(
        instance=instance,
        run_config=alert.run_config,
        resources={"alerts": Alerts(settings=settings)},
        raise_on_error=False,
    )
    context = dg.build_run_status_sensor_context(
        sensor_name="alert_failed_runs",
        dagster_instance=instance,
        dagster_run=run.dagster_run,
        dagster_event=failure_event(run),
    ).for_run_failure()

    (answer,) = sensors["alert_failed_runs"](context)

    assert not run.success
    assert isinstance(answer, dg.SkipReason)
