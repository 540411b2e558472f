"""One request per alarm, whatever the daemon lives through; read from tables, never metadata."""

import json
from datetime import date, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest

from hrob_assets.assets.weekly.calibration_drift import calibration_drift_definitions
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.files.parquet import write_parquet
from hrob_assets.risk.monitoring.alarm import E_VALUES
from hrob_assets.risk.monitoring.update_requests import UPDATE_REQUESTS
from hrob_assets_tests.assets.worlds import stage_of
from hrob_assets_tests.example import example_use_case

TABLES = {"calibration_evidence": E_VALUES, "update_requests": UPDATE_REQUESTS}
DRIFT, ALERT = "calibration_drift_example", "alert_calibration_drift_example"


@pytest.fixture
def root(tmp_path):
    """A data root and its Dagster instance."""
    with dg.DagsterInstance.ephemeral() as made:
        yield SimpleNamespace(storage=Storage(data_root=str(tmp_path)), instance=made)


@pytest.fixture
def sensors():
    stage = calibration_drift_definitions(stage_of(example_use_case(), start_schedules=True))
    return {sensor.name: sensor for sensor in stage.sensors}


def alarm(week, *, group="all", level="all", version="1"):
    return {
        "model_version": version,
        "group": group,
        "level": level,
        "week": date.fromisoformat(week),
        "since": date.fromisoformat(week),
        "rows": 100,
        "expected": 10.0,
        "events": 30,
        "detectors": 3,
        "log_evidence": 7.0,
        "log_level": 6.7,
        "direction": "under-prediction",
        "crossed": True,
        "alarm": True,
    }


def asked(week, version="1"):
    monday = date.fromisoformat(week)
    return {
        "alarm": f"version {version}, everybody, week {week}",
        "model_version": version,
        "group": "all",
        "level": "all",
        "alarm_week": monday,
        "week": monday,
        "kind": "calibration_alarm",
        "reason": "under-prediction",
        "changed_since": date(2025, 1, 6),
        "events": 120,
        "requested_at": datetime.combine(monday + timedelta(weeks=1), datetime.min.time()),
    }


def make(root, week, *, alarms=(), request=None):
    """Make a week as a run of the weekly monitoring does: files first, then the records."""
    rows = {"calibration_evidence": alarms, "update_requests": [request] if request else []}
    for asset, table in TABLES.items():
        key = dg.AssetKey(["example", asset])
        frame = pl.DataFrame(list(rows[asset]), schema=table.schema, orient="row")
        write_parquet(frame, root.storage.asset_path(key) / f"{week}.parquet")
        root.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=week))


def tick(sensor, root, cursor=None, champion="1"):
    registry = SimpleNamespace(version=lambda *_: champion)
    with dg.build_sensor_context(
        instance=root.instance,
        cursor=cursor,
        resources={
            name: resource
            for name, resource in (("model_registry", registry), ("storage", root.storage))
            if name in sensor.required_resource_keys
        },
    ) as context:
        return sensor.evaluate_tick(context)


def test_a_request_runs_the_update_job_with_what_was_known_and_since_when(sensors, root):
    make(root, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))

    (request,) = tick(sensors[DRIFT], root).run_requests

    assert sensors[DRIFT].job_name == "update_example"
    assert request.run_key == "example: version 1, everybody, week 2025-06-02"
    assert request.tags["hrob/as_of"] == "2025-06-09T00:00:00"
    assert request.tags["hrob/changed_since"] == "2025-01-06"
    assert request.tags["hrob/update_of"] == "1"


def test_a_week_without_an_alarm_requests_nothing(sensors, root):
    make(root, "2025-06-02")

    found = tick(sensors[DRIFT], root)

    assert found.run_requests == []
    assert "no alarm" in found.skip_message


def test_several_weeks_at_once_lose_no_alarm(sensors, root):
    make(root, "2025-06-16")
    make(root, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))
    make(root, "2025-06-09", alarms=[alarm("2025-06-09", group="race", level="Black")])

    assert len(tick(sensors[DRIFT], root).run_requests) == 1
    keys = {request.run_key for request in tick(sensors[ALERT], root).run_requests}
    assert keys == {
        "calibration drift example version 1, everybody, week 2025-06-02",
        "calibration drift example version 1, race Black, week 2025-06-09",
    }


def test_the_same_alarm_has_the_same_key_when_its_week_is_made_again(sensors, root):
    make(root, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))
    first = tick(sensors[DRIFT], root)
    make(root, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))

    second = tick(sensors[DRIFT], root, first.cursor)

    assert [r.run_key for r in second.run_requests] == [r.run_key for r in first.run_requests]


def test_a_daemon_that_starts_again_goes_on_where_it_was(sensors, root):
    make(root, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))
    cursor = tick(sensors[DRIFT], root).cursor

    assert tick(sensors[DRIFT], root, cursor).run_requests == []
    assert json.loads(tick(sensors[DRIFT], root, cursor).cursor) == json.loads(cursor)


def test_a_tick_that_is_repeated_with_its_cursor_asks_for_the_same_and_no_more(sensors, root):
    """Such as after a daemon that died between asking and noting how far it had looked."""
    make(root, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))
    before = tick(sensors[DRIFT], root).cursor
    later = [alarm("2025-07-07"), alarm("2025-07-07", group="race", level="Black")]
    make(root, "2025-07-07", alarms=later, request=asked("2025-07-07"))

    for sensor, asked_for in ((DRIFT, 1), (ALERT, 2)):
        first, second = (tick(sensors[sensor], root, before) for _ in range(2))
        keys = [request.run_key for request in first.run_requests]
        assert keys == [request.run_key for request in second.run_requests]
        assert len(set(keys)) == len(keys) == asked_for
        assert first.cursor == second.cursor != before


def test_the_alert_of_an_alarm_is_asked_for_under_one_key_however_often_its_week_is_made(
    sensors, root
):
    keys, cursor = set(), None
    for _ in range(3):
        make(root, "2025-06-02", alarms=[alarm("2025-06-02")])
        found = tick(sensors[ALERT], root, cursor)
        keys |= {request.run_key for request in found.run_requests}
        cursor = found.cursor

    assert keys == {"calibration drift example version 1, everybody, week 2025-06-02"}
    assert tick(sensors[ALERT], root, cursor).run_requests == []


def test_an_alarm_about_a_version_that_is_no_longer_champion_requests_nothing(sensors, root):
    make(root, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))

    assert tick(sensors[DRIFT], root, champion="2").run_requests == []


def test_of_a_backfill_the_latest_request_counts(sensors, root):
    for week in ("2025-03-03", "2025-06-02", "2025-04-07"):
        make(root, week, alarms=[alarm(week)], request=asked(week))

    (request,) = tick(sensors[DRIFT], root).run_requests

    assert request.run_key.endswith("week 2025-06-02")


def test_a_data_root_of_before_there_were_requests_counts_as_one_without_any(sensors, root):
    key = dg.AssetKey(["example", "weekly_calibration"])
    told = {"update request": dg.MetadataValue.json({"model_version": "1", "week": "2025-06-02"})}
    root.instance.report_runless_asset_event(dg.AssetMaterialization(key, None, told, "2025-06-02"))

    found = tick(sensors[DRIFT], root, cursor=json.dumps({"example/weekly_calibration": 1}))

    assert found.run_requests == []
    assert "no alarm" in found.skip_message


def test_a_week_whose_file_is_gone_counts_as_one_without_requests(sensors, root):
    make(root, "2025-06-02", alarms=[alarm("2025-06-02")], request=asked("2025-06-02"))
    for asset in TABLES:
        (root.storage.asset_path(dg.AssetKey(["example", asset])) / "2025-06-02.parquet").unlink()

    assert tick(sensors[DRIFT], root).run_requests == []
    assert tick(sensors[ALERT], root).run_requests == []


def test_alerts_go_on_where_a_cursor_of_before_alarms_were_a_table_has_stopped(sensors, root):
    former = dg.AssetKey(["example", "weekly_calibration"])
    make(root, "2025-06-02", alarms=[alarm("2025-06-02")])
    root.instance.report_runless_asset_event(
        dg.AssetMaterialization(former, None, {}, "2025-06-02")
    )
    seen = root.instance.fetch_materializations(former, limit=1).records[0].storage_id
    make(root, "2025-06-09", alarms=[alarm("2025-06-09")])

    found = tick(sensors[ALERT], root, json.dumps({"example/weekly_calibration": seen}))

    (request,) = found.run_requests
    assert request.run_key.endswith("week 2025-06-09")
    assert tick(sensors[ALERT], root, found.cursor).run_requests == []


def test_an_alert_says_what_the_alarm_is_about(sensors, root):
    make(root, "2025-06-02", alarms=[alarm("2025-06-02", group="race", level="Black")])

    (request,) = tick(sensors[ALERT], root).run_requests

    assert request.run_config["ops"]["deliver"]["config"]["facts"] == {
        "who": "race: Black",
        "model version": "1",
        "week of mature outcomes": "2025-06-02",
        "began about": "2025-06-02",
        "direction": "under-prediction",
        "e-value": "1097 (alarm threshold 812)",
    }
