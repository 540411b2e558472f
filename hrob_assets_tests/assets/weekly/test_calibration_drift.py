"""One request per alarm, whatever the daemon lives through."""

import json
from types import SimpleNamespace

import dagster as dg
import pytest

from hrob_assets.assets.weekly.calibration_drift import calibration_drift_definitions
from hrob_assets_tests.example import example_use_case

CALIBRATION = dg.AssetKey(["example", "weekly_calibration"])


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def sensors():
    stage = calibration_drift_definitions(example_use_case(), started=True)
    return {sensor.name: sensor for sensor in stage.sensors}


def alarm(week, who="everybody", version="1"):
    return {
        "key": f"version {version}, {who}, week {week}",
        "who": who,
        "model version": version,
        "direction": "under-prediction",
        "evidence": "300 (alarm from 260)",
    }


def asked(week, version="1"):
    return {
        "key": f"version {version}, everybody, week {week}",
        "model_version": version,
        "week": week,
        "changed_since": "2025-01-06",
    }


def report(instance, week, *, alarms=(), request=None):
    metadata = {"alarms": dg.MetadataValue.json(list(alarms))}
    if request is not None:
        metadata["update request"] = dg.MetadataValue.json(request)
    instance.report_runless_asset_event(dg.AssetMaterialization(CALIBRATION, None, metadata, week))


def tick(sensor, instance, cursor=None, champion="1"):
    registry = SimpleNamespace(version=lambda *_: champion)
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"model_registry": registry}
    ) as context:
        return sensor.evaluate_tick(context)


DRIFT, ALERT = "calibration_drift_example", "alert_calibration_drift_example"


def test_an_alarm_asks_for_the_update_job_with_what_was_known_and_since_when(sensors, instance):
    report(instance, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))

    (request,) = tick(sensors[DRIFT], instance).run_requests

    assert sensors[DRIFT].job_name == "update_example"
    assert request.run_key == "example: version 1, everybody, week 2025-06-02"
    assert request.tags["hrob/as_of"] == "2025-06-09T00:00:00"
    assert request.tags["hrob/changed_since"] == "2025-01-06"
    assert request.tags["hrob/update_of"] == "1"


def test_a_week_without_an_alarm_asks_for_nothing(sensors, instance):
    report(instance, "2025-06-02")

    found = tick(sensors[DRIFT], instance)

    assert found.run_requests == []
    assert "no alarm" in found.skip_message


def test_several_weeks_at_once_lose_no_alarm(sensors, instance):
    report(instance, "2025-06-16")
    report(instance, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))
    report(instance, "2025-06-09", alarms=[alarm("2025-06-09", who="race: Black")])

    assert len(tick(sensors[DRIFT], instance).run_requests) == 1
    keys = {request.run_key for request in tick(sensors[ALERT], instance).run_requests}
    assert keys == {
        "calibration drift example version 1, everybody, week 2025-06-02",
        "calibration drift example version 1, race: Black, week 2025-06-09",
    }


def test_the_same_alarm_has_the_same_key_when_its_week_is_made_again(sensors, instance):
    report(instance, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))
    first = tick(sensors[DRIFT], instance)
    report(instance, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))

    second = tick(sensors[DRIFT], instance, first.cursor)

    assert [r.run_key for r in second.run_requests] == [r.run_key for r in first.run_requests]


def test_a_daemon_that_starts_again_goes_on_where_it_was(sensors, instance):
    report(instance, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))
    cursor = tick(sensors[DRIFT], instance).cursor

    assert tick(sensors[DRIFT], instance, cursor).run_requests == []
    assert json.loads(tick(sensors[DRIFT], instance, cursor).cursor) == json.loads(cursor)


def test_a_tick_that_is_repeated_with_its_cursor_asks_for_the_same_and_no_more(sensors, instance):
    """Such as after a daemon that died between asking and noting how far it had looked."""
    report(instance, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))
    before = tick(sensors[DRIFT], instance).cursor
    later = [alarm("2025-07-07"), alarm("2025-07-07", who="race: Black")]
    report(instance, "2025-07-07", alarms=later, request=asked("2025-07-07"))

    for sensor, asked_for in ((DRIFT, 1), (ALERT, 2)):
        first, second = (tick(sensors[sensor], instance, before) for _ in range(2))
        keys = [request.run_key for request in first.run_requests]
        assert keys == [request.run_key for request in second.run_requests]
        assert len(set(keys)) == len(keys) == asked_for
        assert first.cursor == second.cursor != before


def test_the_alert_of_an_alarm_is_asked_for_under_one_key_however_often_its_week_is_made(
    sensors, instance
):
    keys, cursor = set(), None
    for _ in range(3):
        report(instance, "2025-06-02", alarms=[alarm("2025-06-02")])
        found = tick(sensors[ALERT], instance, cursor)
        keys |= {request.run_key for request in found.run_requests}
        cursor = found.cursor

    assert keys == {"calibration drift example version 1, everybody, week 2025-06-02"}
    assert tick(sensors[ALERT], instance, cursor).run_requests == []


def test_an_alarm_about_a_version_that_is_no_longer_champion_asks_for_nothing(sensors, instance):
    report(instance, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))

    assert tick(sensors[DRIFT], instance, champion="2").run_requests == []


def test_of_a_backfill_the_latest_request_counts(sensors, instance):
    for week in ("2025-03-03", "2025-06-02", "2025-04-07"):
        report(instance, week, alarms=[alarm(week)], request=asked(week))

    (request,) = tick(sensors[DRIFT], instance).run_requests

    assert request.run_key.endswith("week 2025-06-02")
