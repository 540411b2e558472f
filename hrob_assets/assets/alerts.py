"""Alerts as Dagster runs: one run per alert.

A sensor requests a run of `send_alert` with the alert's key as run key. So an alert that is
requested twice is sent once, one that could not be delivered stands in the UI as a failed run, and
nothing is lost when the daemon restarts.
"""

import json
from dataclasses import asdict

import dagster as dg

from hrob_assets.resources.alerts import Alert, Alerts

SEND_ALERT = "send_alert"
TICK_SECONDS = 60
"""Least seconds between two looks of a sensor."""
_STEP = "deliver"  # a step may not have the name of its job
_RECORDS_PER_TICK = 1000


class AlertConfig(dg.Config):
    """The alert to send, as `Alert`."""

    key: str
    kind: str
    title: str
    facts: dict[str, str]
    action: str
    path: str | None = None


@dg.op(name=_STEP, description="Sends one alert through every channel, and to the log.")
def deliver(context: dg.OpExecutionContext, config: AlertConfig, alerts: Alerts) -> None:
    """Send it; the step fails when a channel did not take it."""
    taken = alerts.send(Alert(**config.model_dump()), log=context.log)
    context.log.info("sent through %s", ", ".join(taken) or "the log only")


@dg.job(name=SEND_ALERT, description="One alert; started by sensors, never by hand.")
def send_alert_job() -> None:
    """One step."""
    deliver()


def request_alert(alert: Alert) -> dg.RunRequest:
    """Request the run that sends an alert; the same key is sent once."""
    return dg.RunRequest(
        run_key=alert.key,
        job_name=SEND_ALERT,
        run_config={"ops": {_STEP: {"config": asdict(alert)}}},
        tags={"hrob/alert": alert.kind},
    )


def read_cursor(cursor: str | None) -> dict[str, int]:
    """Storage id of the last record that was seen, by asset; empty at first."""
    return json.loads(cursor) if cursor else {}


def new_materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, cursor: dict[str, int]
) -> tuple[list[dg.AssetMaterialization], dict[str, int]]:
    """All materialisations of an asset since the cursor, and the cursor after them.

    Records are read in the order in which they were stored, so that several partitions that were
    made at once, or while nobody looked, are all seen.
    """
    name = key.to_user_string()
    found: list[dg.AssetMaterialization] = []
    seen = cursor.get(name)
    while True:
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, after_storage_id=seen),
            limit=_RECORDS_PER_TICK,
            ascending=True,
        ).records
        found.extend(r.asset_materialization for r in records if r.asset_materialization)
        if not records:
            return found, cursor if seen is None else cursor | {name: seen}
        seen = records[-1].storage_id
