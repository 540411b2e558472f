"""Who is told what, and that it is told once."""

import json
from datetime import UTC, date, datetime, timedelta

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

from hrob_assets.assets import alerts as module
from hrob_assets.assets.alerts import (
    SEND_ALERT,
    alert_definitions,
    list_alert_definitions,
    lost_runs,
    new_materializations,
    request_alert,
    send_alert_job,
    week_due,
)
from hrob_assets.assets.partitions import weekly_partitions
from hrob_assets.resources.alerts import Alert, Alerts
from hrob_assets.risk.errors import ContractError, RecordError
from hrob_assets_tests.example import example_use_case

USE_CASE = example_use_case()
WEEKLY = weekly_partitions(date(2024, 1, 1))
SCORES = dg.AssetKey(["example", "weekly_scores"])
CHAMPION = dg.AssetKey(["example", "champion_model"])


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def sensors():
    stages = (
        alert_definitions(started=True),
        list_alert_definitions(USE_CASE, weekly=WEEKLY, started=True),
    )
    return {sensor.name: sensor for stage in stages for sensor in stage.sensors}


def report(instance, key, partition=None, **metadata: object):
    metadata = {name.replace("_", " "): value for name, value in metadata.items()}
    instance.report_runless_asset_event(dg.AssetMaterialization(key, None, metadata, partition))


def tick(sensor, instance, cursor=None):
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        return sensor.evaluate_tick(context)


def told(tick_result):
    configs = [r.run_config["ops"]["deliver"]["config"] for r in tick_result.run_requests]
    return [(config["kind"], config["facts"]) for config in configs]


WATCH = "alert_list_and_champion_example"


def test_of_a_backfill_only_the_latest_week_is_told(sensors, instance):
    for week in ("2024-03-04", "2024-03-18", "2024-03-11"):
        report(instance, SCORES, week, people_on_the_list=70, overflow=20)

    found = tick(sensors[WATCH], instance)

    assert [r.run_key for r in found.run_requests] == ["list overflow example 2024-03-18"]
    assert told(found) == [
        (
            "list_overflow",
            {
                "week": "2024-03-18",
                "people on the list": "70",
                "beyond the reviews of the week": "20",
                "reviews per week": "2",
            },
        )
    ]


@pytest.mark.parametrize(("overflow", "alerts"), [(0, 0), ("<11", 1), (11, 1)])
def test_an_overflow_is_told_also_where_its_number_is_not(sensors, instance, overflow, alerts):
    report(instance, SCORES, "2024-03-04", people_on_the_list=40, overflow=overflow)

    assert len(tick(sensors[WATCH], instance).run_requests) == alerts


def test_an_alias_that_was_moved_by_hand_is_told_once_a_week(sensors, instance):
    found = {"model_version": "4", "moved_alias": "run hrob rollback example --restore"}
    report(instance, SCORES, "2024-03-04", people_on_the_list=7, overflow=0, **found)

    told_of = tick(sensors[WATCH], instance)

    assert [r.run_key for r in told_of.run_requests] == ["moved alias example 2024-03-04"]
    ((kind, facts),) = told(told_of)
    assert (kind, facts["scored by"]) == ("moved_alias", "version 4")
    assert "--restore" in facts["found"]


def test_what_was_seen_is_not_seen_again(sensors, instance):
    report(instance, SCORES, "2024-03-04", people_on_the_list=70, overflow=20)
    first = tick(sensors[WATCH], instance)

    second = tick(sensors[WATCH], instance, first.cursor)

    assert second.run_requests == []
    assert json.loads(second.cursor) == json.loads(first.cursor)


def test_a_challenger_that_stays_a_challenger_is_told(sensors, instance):
    report(instance, CHAMPION, champion_version="4", challenger_version="4")
    report(instance, CHAMPION, champion_version="4", challenger_version="5")
    edited = {"champion_version": "6", "challenger_version": "6", "decision": "refused"}
    report(instance, CHAMPION, **edited)

    found = tick(sensors[WATCH], instance)

    assert told(found) == [
        ("refused_promotion", {"challenger": "version 5", "champion": "version 4"}),
        ("refused_promotion", {"challenger": "version 6", "champion": "version 6"}),
    ]


def test_no_record_is_lost_when_there_are_more_than_one_reading_takes(instance, monkeypatch):
    monkeypatch.setattr(module, "_RECORDS_PER_TICK", 2)
    for number in range(5):
        report(instance, SCORES, f"2024-01-{number + 1:02d}")

    found, cursor = new_materializations(instance, SCORES, {})

    assert len(found) == 5
    assert new_materializations(instance, SCORES, cursor) == ([], cursor)


@pytest.mark.parametrize(
    ("now", "week"),
    [
        (datetime(2024, 3, 11, 16, 59, tzinfo=UTC), date(2024, 2, 26)),
        (datetime(2024, 3, 11, 17, 0, tzinfo=UTC), date(2024, 3, 4)),
        (datetime(2024, 3, 17, 23, 0, tzinfo=UTC), date(2024, 3, 4)),
        (datetime(2024, 1, 8, 10, 0, tzinfo=UTC), None),
    ],
)
def test_a_list_is_due_six_hours_after_its_schedule(now, week):
    assert week_due(USE_CASE, WEEKLY, now=now) == week


def test_a_list_that_is_not_there_is_told_once_a_week(sensors, instance):
    late = sensors["alert_late_list_example"]

    first, second = tick(late, instance), tick(late, instance)

    assert [kind for kind, _ in told(first)] == ["late_list"]
    assert first.run_requests[0].run_key == second.run_requests[0].run_key


def test_a_list_that_is_there_is_not_told(sensors, instance):
    week = week_due(USE_CASE, WEEKLY, now=datetime.now(UTC))
    report(instance, SCORES, week.isoformat())

    found = tick(sensors["alert_late_list_example"], instance)

    assert found.run_requests == []
    assert "is there" in found.skip_message


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

    assert told(first) == [
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


def test_the_run_of_an_alert_writes_it_to_the_dagster_log(instance):
    request = request_alert(Alert("k", "late_list", "No list", {"week": "2024-03-04"}, "Run it."))

    run = send_alert_job.execute_in_process(
        instance=instance, run_config=request.run_config, resources={"alerts": Alerts()}
    )

    assert request.job_name == SEND_ALERT
    messages = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert any(text.startswith("ALERT No list\nweek: 2024-03-04") for text in messages)
