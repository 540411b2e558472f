"""What follows an alarm: people are alerted, and the smallest sufficient update is requested."""

import json
from datetime import date
from typing import Any

import dagster as dg

from hrob_assets.assets.alerts import (
    SEND_ALERT,
    new_materializations,
    read_cursor,
    request_alert,
)
from hrob_assets.assets.as_of import CHANGED_SINCE_TAG, UPDATE_OF_TAG, end_of_week, knowledge_tags
from hrob_assets.assets.keys import use_case_key
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.assets.weekly.stored_monitoring import stored_alarms, stored_requests
from hrob_assets.resources.alerts import Alert
from hrob_assets.resources.records.model_registry import CHAMPION, ModelRegistry
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.monitoring import Alarm, latest_open_request


def calibration_drift_definitions(stage: StageContext) -> dg.Definitions:
    """The sensor that requests the update, and the one that alerts people."""
    return dg.Definitions(sensors=[_calibration_drift(stage), _alert_calibration_drift(stage)])


def _calibration_drift(stage: StageContext) -> dg.SensorDefinition:
    name, monitoring = stage.name, stage.use_case.monitoring

    @dg.sensor(
        name=f"calibration_drift_{name}",
        job_name=f"update_{name}",
        default_status=stage.sensor_status,
        minimum_interval_seconds=60,
        description=(
            "Runs the smallest sufficient update that an alarm requests: once per alarm, "
            f"{monitoring.cool_down_days} days apart at least, with {monitoring.minimum_events} "
            "mature events or more."
        ),
    )
    def calibration_drift(
        context: dg.SensorEvaluationContext, model_registry: ModelRegistry, storage: Storage
    ) -> dg.SensorResult:
        cursor = read_cursor(context.cursor)
        weeks, cursor = _new_weeks(context, stage.key("update_requests"), cursor)
        requests = stored_requests(storage, name, weeks)
        request = latest_open_request(requests, model_registry.version(name, CHAMPION))
        return dg.SensorResult(
            run_requests=[] if request is None else [_update_run(name, request)],
            skip_reason=None if request else "no alarm of the present champion requests an update",
            cursor=json.dumps(cursor),
        )

    return calibration_drift


def _new_weeks(
    context: dg.SensorEvaluationContext, key: dg.AssetKey, cursor: dict[str, int]
) -> tuple[list[date], dict[str, int]]:
    """Weeks of an asset that were made since the cursor, and the cursor after them."""
    new, after = new_materializations(context.instance, key, cursor)
    return [date.fromisoformat(made.partition) for made in new if made.partition], after


def _update_run(use_case_name: str, request: dict[str, Any]) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{use_case_name}: {request['alarm']}",
        tags={
            **knowledge_tags(end_of_week(request["week"])),
            CHANGED_SINCE_TAG: request["changed_since"].isoformat(),
            UPDATE_OF_TAG: request["model_version"],
        },
    )


def _alert_calibration_drift(stage: StageContext) -> dg.SensorDefinition:
    name, e_values = stage.name, stage.key("calibration_evidence")

    @dg.sensor(
        name=f"alert_calibration_drift_{name}",
        job_name=SEND_ALERT,
        default_status=stage.sensor_status,
        minimum_interval_seconds=60,
        description="Alerts people to each alarm, also where it requests no update.",
    )
    def alert_calibration_drift(
        context: dg.SensorEvaluationContext, storage: Storage
    ) -> dg.SensorResult:
        cursor = _carried_over(read_cursor(context.cursor), e_values)
        weeks, cursor = _new_weeks(context, e_values, cursor)
        alarms = stored_alarms(storage, name, weeks)
        # Of a detector with several alarms, as after a backfill, only the latest is news.
        latest = {(alarm.model_version, alarm.detector): alarm for alarm in alarms}
        alerts = [request_alert(_drift_alert(name, alarm)) for alarm in latest.values()]
        return dg.SensorResult(
            run_requests=alerts,
            skip_reason=None if alerts else "no alarm in the weeks that are new",
            cursor=json.dumps(cursor),
        )

    return alert_calibration_drift


def _carried_over(cursor: dict[str, int], key: dg.AssetKey) -> dict[str, int]:
    """A cursor of before alarms were read from their table, which followed weekly_calibration.

    Storage ids count all records of an instance, so the place in one asset's records is one in
    the other's: the sensor goes on where it was and does not alert to years of past alarms.
    """
    name, former = key.to_user_string(), use_case_key(key.path[0], "weekly_calibration")
    seen = cursor.get(former.to_user_string())
    return cursor if name in cursor or seen is None else {name: seen}


def _drift_alert(use_case_name: str, alarm: Alarm) -> Alert:
    return Alert(
        key=f"calibration drift {use_case_name} {alarm.key}",
        kind="calibration_drift",
        title=f"Predictions of {use_case_name} are off by more than is harmless",
        facts=alarm.facts(),
        action=(
            "The smallest sufficient update is requested once enough outcomes are mature; read "
            "update_decision and the gate's decision. Until then read the worklist with care."
        ),
        path=f"/assets/{use_case_name}/weekly_calibration",
    )
