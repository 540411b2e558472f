"""Alerts as Dagster runs: one run per alert, and the sensors that ask for them.

A sensor asks for a run of `send_alert` with the alert's key as run key. So an alert that was asked
for twice is sent once, one that could not be delivered stands in the UI as a failed run, and
nothing is lost when the daemon starts again.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._utils.schedules import cron_string_iterator  # its version is pinned

from hrob_assets.assets.keys import use_case_key
from hrob_assets.assets.partitions import ended_weeks
from hrob_assets.assets.weekly.scoring import MOVED_ALIAS
from hrob_assets.resources.alerts import Alert, AlertKind, Alerts
from hrob_assets.risk import errors
from hrob_assets.risk.errors import HrobError
from hrob_assets.risk.use_case import UseCase

SEND_ALERT = "send_alert"
_STEP = "deliver"  # a step may not have the name of its job
_OURS = frozenset(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, HrobError)
)
_RECORDS_PER_TICK = 1000
_TICK_SECONDS = 60
_RETRY_GRACE = timedelta(minutes=10)
_RETRY_MEMORY = timedelta(days=7)


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
    """Ask for the run that sends an alert; the same key is sent once."""
    return dg.RunRequest(
        run_key=alert.key,
        job_name=SEND_ALERT,
        run_config={"ops": {_STEP: {"config": asdict(alert)}}},
        tags={"hrob/alert": alert.kind},
    )


def alert_definitions(*, started: bool) -> dg.Definitions:
    """The job that sends alerts, and the sensors that watch all runs."""
    status = sensor_status(started)
    return dg.Definitions(jobs=[send_alert_job], sensors=[_failed_runs(status), _lost_runs(status)])


def list_alert_definitions(
    use_case: UseCase, *, weekly: dg.WeeklyPartitionsDefinition, started: bool
) -> dg.Definitions:
    """The sensors that watch the list and the champion of one use case."""
    status = sensor_status(started)
    return dg.Definitions(
        sensors=[_late_list(use_case, weekly, status), _list_and_champion(use_case, status)]
    )


def sensor_status(started: bool) -> dg.DefaultSensorStatus:  # noqa: FBT001 - one word says it
    """Whether a sensor runs until somebody switches it off, or not until it is switched on."""
    return dg.DefaultSensorStatus.RUNNING if started else dg.DefaultSensorStatus.STOPPED


def _failed_runs(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="alert_failed_runs",
        request_jobs=[send_alert_job],
        default_status=status,
        minimum_interval_seconds=_TICK_SECONDS,
        description="A run failed, a load broke its contract, or a first champion was refused.",
    )
    def alert_failed_runs(
        context: dg.RunFailureSensorContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if context.dagster_run.job_name == SEND_ALERT:
            yield dg.SkipReason("an alert that was not delivered asks for no other alert")
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
        minimum_interval_seconds=_TICK_SECONDS,
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
    one that it cannot start again; `alert_failed_runs` told of neither.

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


_GIVEN_UP = "Failed to retry run"  # what Dagster writes
_TITLES = {
    "failed_run": "A run failed",
    "data_contract": "A load broke its contract and is read by nobody",
    "refused_promotion": "The gate refused a challenger",
}


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


def _late_list(
    use_case: UseCase, weekly: dg.WeeklyPartitionsDefinition, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    name = use_case.name

    @dg.sensor(
        name=f"alert_late_list_{name}",
        job_name=SEND_ALERT,
        default_status=status,
        minimum_interval_seconds=_TICK_SECONDS,
        description=(
            f"The list of the week that ended is not there {use_case.scoring.late_after_hours} "
            "hours after its schedule."
        ),
    )
    def alert_late_list(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        week = week_due(use_case, weekly, now=datetime.now(UTC))
        if week is None:
            return dg.SkipReason("no list is due yet")
        if _is_made(context.instance, use_case_key(name, "weekly_scores"), week):
            return dg.SkipReason(f"the list of {week} is there")
        return request_alert(_late(use_case, week))

    return alert_late_list


def week_due(
    use_case: UseCase, weekly: dg.WeeklyPartitionsDefinition, *, now: datetime
) -> date | None:
    """The last week whose list must be there: its schedule and the grace after it have passed.

    Parameters
    ----------
    now : datetime, with a zone

    Returns
    -------
    date or None
        Its Monday; None where no week is due.
    """
    grace = timedelta(hours=use_case.scoring.late_after_hours)
    for key in reversed(ended_weeks(weekly, now=now)):
        week = date.fromisoformat(key)
        ended = datetime.combine(week + timedelta(weeks=1), time(), tzinfo=UTC)
        tick = next(cron_string_iterator(ended.timestamp(), use_case.scoring.cron, "UTC"))
        if tick + grace <= now:
            return week
    return None


def _is_made(instance: dg.DagsterInstance, key: dg.AssetKey, week: date) -> bool:
    records = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[week.isoformat()])
    return bool(instance.fetch_materializations(records, limit=1).records)


def _late(use_case: UseCase, week: date) -> Alert:
    return Alert(
        key=f"late list {use_case.name} {week}",
        kind="late_list",
        title=f"The list of {use_case.name} is late",
        facts={"week": week.isoformat(), "schedule": f"{use_case.scoring.cron} (UTC)"},
        action=f"Look for a failed or waiting run; start score_{use_case.name} for this week.",
        path=f"/assets/{use_case.name}/weekly_scores",
    )


def _list_and_champion(use_case: UseCase, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    scores, champion = (use_case_key(use_case.name, n) for n in ("weekly_scores", "champion_model"))

    @dg.sensor(
        name=f"alert_list_and_champion_{use_case.name}",
        job_name=SEND_ALERT,
        default_status=status,
        minimum_interval_seconds=_TICK_SECONDS,
        description=(
            "More people are on a list than can be reviewed, the champion's alias was moved by "
            "hand, or a challenger did not take the place of the champion."
        ),
    )
    def alert_list_and_champion(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        cursor = read_cursor(context.cursor)
        lists, cursor = new_materializations(context.instance, scores, cursor)
        decisions, cursor = new_materializations(context.instance, champion, cursor)
        alerts = [
            *_overflows(use_case, lists),
            *_moved_aliases(use_case, lists),
            *_refusals(use_case, decisions),
        ]
        return dg.SensorResult(
            run_requests=[request_alert(alert) for alert in alerts],
            skip_reason=None if alerts else "no list overflows, nothing moved or refused",
            cursor=json.dumps(cursor),
        )

    return alert_list_and_champion


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


def _overflows(use_case: UseCase, lists: Sequence[dg.AssetMaterialization]) -> Iterator[Alert]:
    """One alert for the latest of the weeks that are new; a backfill of years is no emergency."""
    if not lists:
        return
    latest = max(lists, key=lambda made: made.partition or "")
    figures = {name: value.value for name, value in latest.metadata.items()}
    if figures.get("overflow", 0) == 0:
        return
    yield Alert(
        key=f"list overflow {use_case.name} {latest.partition}",
        kind="list_overflow",
        title=f"More people on the list of {use_case.name} than can be reviewed",
        facts={
            "week": latest.partition or "unknown",
            "people on the list": str(figures.get("people on the list")),
            "beyond the reviews of the week": str(figures["overflow"]),
            "reviews per week": str(use_case.scoring.reviews_per_week),
        },
        action="Find more reviewers for the week, or change the capacity with the next model.",
        path=f"/assets/{use_case.name}/weekly_scores",
    )


def _moved_aliases(use_case: UseCase, lists: Sequence[dg.AssetMaterialization]) -> Iterator[Alert]:
    """One alert for the latest of the weeks that are new, if the alias was found moved."""
    latest = max(lists, key=lambda made: made.partition or "", default=None)
    if latest is None or MOVED_ALIAS not in latest.metadata:
        return
    version = latest.metadata["model version"].value
    yield Alert(
        key=f"moved alias {use_case.name} {latest.partition}",
        kind="moved_alias",
        title=f"The alias of the champion of {use_case.name} was moved by hand",
        facts={
            "week": latest.partition or "unknown",
            "scored by": f"version {version}",
            "found": str(latest.metadata[MOVED_ALIAS].value),
        },
        action="The list is by the version that was decided on. Put the alias back as it says.",
        path=f"/assets/{use_case.name}/weekly_scores",
    )


def _refusals(use_case: UseCase, decisions: Sequence[dg.AssetMaterialization]) -> Iterator[Alert]:
    for decision in decisions:
        figures = {name: value.value for name, value in decision.metadata.items()}
        challenger, champion = figures.get("challenger version"), figures.get("champion version")
        by_version = "kept" if challenger == champion else "refused"
        if figures.get("decision", by_version) != "refused":
            continue
        yield Alert(
            key=f"refused promotion {use_case.name} {challenger} against {champion}",
            kind="refused_promotion",
            title=f"{_TITLES['refused_promotion']} of {use_case.name}",
            facts={"challenger": f"version {challenger}", "champion": f"version {champion}"},
            action="Read the criteria of champion_model; the champion goes on scoring.",
            path=f"/assets/{use_case.name}/champion_model",
        )
