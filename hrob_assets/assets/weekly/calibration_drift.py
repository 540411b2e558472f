"""What follows an alarm: people are told, and the smallest sufficient update is asked for."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from hrob_assets.assets.alerts import (
    SEND_ALERT,
    new_materializations,
    read_cursor,
    request_alert,
    sensor_status,
)
from hrob_assets.assets.as_of import CHANGED_SINCE_TAG, UPDATE_OF_TAG, end_of_week, knowledge_tags
from hrob_assets.assets.keys import use_case_key
from hrob_assets.assets.weekly.monitoring import ALARMS, UPDATE_REQUEST
from hrob_assets.resources.alerts import Alert
from hrob_assets.resources.records.model_registry import CHAMPION, ModelRegistry
from hrob_assets.risk.use_case import UseCase


def calibration_drift_definitions(use_case: UseCase, *, started: bool) -> dg.Definitions:
    """The sensor that asks for the update, and the one that tells people."""
    status = sensor_status(started)
    return dg.Definitions(
        sensors=[_calibration_drift(use_case, status), _alert_calibration_drift(use_case, status)]
    )


def _calibration_drift(use_case: UseCase, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    name = use_case.name
    calibration = use_case_key(name, "weekly_calibration")

    @dg.sensor(
        name=f"calibration_drift_{name}",
        job_name=f"update_{name}",
        default_status=status,
        minimum_interval_seconds=60,
        description=(
            "The alarm of weekly_calibration asks for the smallest update that is enough: once "
            f"per alarm, {use_case.monitoring.cool_down_days} days apart at least, with "
            f"{use_case.monitoring.minimum_events} ripe events or more."
        ),
    )
    def calibration_drift(
        context: dg.SensorEvaluationContext, model_registry: ModelRegistry
    ) -> dg.SensorResult:
        new, cursor = new_materializations(
            context.instance, calibration, read_cursor(context.cursor)
        )
        champion = model_registry.version(name, CHAMPION)
        request = latest_request(new, champion)
        return dg.SensorResult(
            run_requests=[] if request is None else [_update_run(use_case, request)],
            skip_reason=None if request else "no alarm of the present champion asks for an update",
            cursor=json.dumps(cursor),
        )

    return calibration_drift


def latest_request(
    weeks: Sequence[dg.AssetMaterialization], champion: str | None
) -> dict[str, str] | None:
    """The latest request of new weeks that is about the present champion.

    Of a backfill only the last counts: an earlier one would have been answered by it.
    """
    requests: list[Any] = [
        week.metadata[UPDATE_REQUEST].value for week in weeks if UPDATE_REQUEST in week.metadata
    ]
    present = [request for request in requests if request["model_version"] == champion]
    return max(present, key=lambda request: request["week"], default=None)


def _update_run(use_case: UseCase, request: Mapping[str, str]) -> dg.RunRequest:
    week = date.fromisoformat(request["week"])
    return dg.RunRequest(
        run_key=f"{use_case.name}: {request['key']}",
        tags={
            **knowledge_tags(end_of_week(week)),
            CHANGED_SINCE_TAG: request["changed_since"],
            UPDATE_OF_TAG: request["model_version"],
        },
    )


def _alert_calibration_drift(
    use_case: UseCase, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    name = use_case.name
    calibration = use_case_key(name, "weekly_calibration")

    @dg.sensor(
        name=f"alert_calibration_drift_{name}",
        job_name=SEND_ALERT,
        default_status=status,
        minimum_interval_seconds=60,
        description="People are told of each alarm, also where it asks for no update.",
    )
    def alert_calibration_drift(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        new, cursor = new_materializations(
            context.instance, calibration, read_cursor(context.cursor)
        )
        alerts = [request_alert(_drift_alert(use_case, alarm)) for alarm in latest_alarms(new)]
        return dg.SensorResult(
            run_requests=alerts,
            skip_reason=None if alerts else "no alarm in the weeks that are new",
            cursor=json.dumps(cursor),
        )

    return alert_calibration_drift


def latest_alarms(weeks: Sequence[dg.AssetMaterialization]) -> list[dict[str, str]]:
    """Alarms of new weeks; of a detector that raised several, as in a backfill, the latest."""
    alarms: dict[tuple[str, str], dict[str, str]] = {}
    for week in sorted(weeks, key=lambda made: made.partition or ""):
        found: Any = week.metadata[ALARMS].value if ALARMS in week.metadata else []
        alarms |= {(alarm["model version"], alarm["who"]): alarm for alarm in found}
    return list(alarms.values())


def _drift_alert(use_case: UseCase, alarm: Mapping[str, str]) -> Alert:
    facts = {name: value for name, value in alarm.items() if name != "key"}
    return Alert(
        key=f"calibration drift {use_case.name} {alarm['key']}",
        kind="calibration_drift",
        title=f"Predictions of {use_case.name} are off by more than is harmless",
        facts=facts,
        action=(
            "The smallest sufficient update is asked for where enough outcomes are ripe; read "
            "update_decision and the gate's decision. Until then read the list with care."
        ),
        path=f"/assets/{use_case.name}/weekly_calibration",
    )
