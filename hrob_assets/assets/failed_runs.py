"""Alerts to runs that failed, or that died and were not started again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, WILL_RETRY_TAG

from hrob_assets.assets.alerts import SEND_ALERT, TICK_SECONDS, request_alert, send_alert_job
from hrob_assets.assets.stage_context import sensor_status
from hrob_assets.resources.alerts import Alert, AlertKind
from hrob_assets.risk import errors
from hrob_assets.risk.errors import HrobError

_OURS = frozenset(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, HrobError)
)
_RETRY_GRACE = timedelta(minutes=10)
_RETRY_MEMORY = timedelta(days=7)
_GIVEN_UP = "Failed to retry run"  # what Dagster writes
_TITLES = {
    "failed_run": "A run failed",
    "data_contract": "Source data failed validation; the load was rejected",
    "refused_promotion": "The gate refused a challenger",
}


def failed_run_definitions(*, started: bool) -> dg.Definitions:
    """The job that sends alerts, and the sensors that look at all runs."""
    status = sensor_status(started)
    return dg.Definitions(jobs=[send_alert_job], sensors=[_failed_runs(status), _lost_runs(status)])


def _failed_runs(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="alert_failed_runs",
        request_jobs=[send_alert_job],
        default_status=status,
        minimum_interval_seconds=TICK_SECONDS,
        description="A run failed, a load was rejected, or a first champion was refused.",
    )
    def alert_failed_runs(
        context: dg.RunFailureSensorContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if context.dagster_run.job_name == SEND_ALERT:
            yield dg.SkipReason("an alert that was not delivered raises no other alert")
        elif _starts_again(context.dagster_run):
            yield dg.SkipReason("its process died, and Dagster starts it again by itself")
        else:
            yield request_alert(_failure(context))

    return alert_failed_runs


def _lost_runs(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="alert_lost_runs",
        job_name=SEND_ALERT,
        default_status=status,
        minimum_interval_seconds=TICK_SECONDS,
        description=(
            "A run died, Dagster said that it starts it again, and did not within ten minutes."
        ),
    )
    def alert_lost_runs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        found = lost_runs(context.instance, now=datetime.now(UTC))
        return dg.SensorResult(
            run_requests=[request_alert(_lost(run)) for run in found],
            skip_reason=None if found else "every run that died was started again",
        )

    return alert_lost_runs


def lost_runs(instance: dg.DagsterInstance, *, now: datetime) -> list[dg.DagsterRun]:
    """Runs of the last week that died, were to be started again, and were not.

    Dagster forgets a run whose failure it reads before the run's status is written, and gives up
    one that it cannot start again; `alert_failed_runs` sends an alert for neither.

    Parameters
    ----------
    now : datetime, with a zone
    """
    failed = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE],
        updated_after=now - _RETRY_MEMORY,
        updated_before=now - _RETRY_GRACE,
    )
    return [
        run
        for run in instance.get_runs(failed)
        if run.job_name != SEND_ALERT
        and run.remote_job_origin is not None
        and (_starts_again(run) or _was_given_up(instance, run))
        and not _was_started_again(instance, run)
    ]


def _was_given_up(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return any(entry.message == _GIVEN_UP for entry in events)


def _was_started_again(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run follows this one that came further than being written down."""
    children = instance.get_runs(dg.RunsFilter(tags={PARENT_RUN_ID_TAG: run.run_id}))
    return any(child.status != dg.DagsterRunStatus.NOT_STARTED for child in children)


def _lost(run: dg.DagsterRun) -> Alert:
    return Alert(
        key=f"lost run {run.run_id}",
        kind="failed_run",
        title=f"A run died and was not started again: {run.job_name}",
        facts={"job": run.job_name, "run": run.run_id, "reason": "the process ended"},
        action="Open the run and start it again.",
        path=f"/runs/{run.run_id}",
    )


def _starts_again(run: dg.DagsterRun) -> bool:
    """Whether the daemon starts a run again; it cannot where a command executed the run."""
    return run.tags.get(WILL_RETRY_TAG) == "true" and run.remote_job_origin is not None


def _failure(context: dg.RunFailureSensorContext) -> Alert:
    run = context.dagster_run
    broken = _broken_contracts(context.instance, run.run_id)
    steps = [event.step_key or "" for event in context.get_step_failure_events()]
    kind: AlertKind = "data_contract" if broken else "failed_run"
    if any(_is_refusal(event) for event in context.get_step_failure_events()):
        kind = "refused_promotion"
    reasons = [_reason(event) for event in context.get_step_failure_events()]
    facts = {
        "job": run.job_name,
        "run": run.run_id,
        "step": ", ".join(steps) or "none started",
        "reason": "; ".join(reasons) or "the process ended",
    }
    if broken:
        facts["checks"] = ", ".join(broken)
    return Alert(
        key=f"failed run {run.run_id}",
        kind=kind,
        title=f"{_TITLES[kind]}: {run.job_name}",
        facts=facts,
        action="Open the run, read the error, which says what to do, and start it again.",
        path=f"/runs/{run.run_id}",
    )


def _is_refusal(event: dg.DagsterEvent) -> bool:
    """Whether the gate refused; records that were tampered with, or anything else, do not."""
    error = event.step_failure_data.error
    while error is not None and error.cls_name != dg.Failure.__name__:
        error = error.cause
    return error is not None and (event.step_key or "").endswith("champion_model")


def _reason(event: dg.DagsterEvent) -> str:
    """Message of the first error in the chain that is ours; of others the class alone.

    Our messages hold no value of a person; those of libraries may.
    """
    error = event.step_failure_data.error
    name = "unknown"
    while error is not None:
        name = error.cls_name or name
        if name in _OURS or name == dg.Failure.__name__:
            return error.message.strip()
        error = error.cause
    return name


def _broken_contracts(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Names of the blocking checks that failed in a run."""
    logs = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found: list[str] = []
    for entry in logs:
        if entry.dagster_event is None:
            continue
        check = entry.dagster_event.asset_check_evaluation_data
        if check.blocking and not check.passed:
            found.append(f"{check.asset_key.to_user_string()}: {check.check_name}")
    return found
