"""Alerts to a worklist that is late or too long, and to decisions about the champion."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg
from dagster._utils.schedules import cron_string_iterator  # its version is pinned

from hrob_assets.assets.alerts import (
    SEND_ALERT,
    TICK_SECONDS,
    new_materializations,
    read_cursor,
    request_alert,
)
from hrob_assets.assets.partitions import ended_weeks
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.assets.weekly.scoring import MOVED_ALIAS
from hrob_assets.resources.alerts import Alert
from hrob_assets.risk.use_case import UseCase


def list_alert_definitions(stage: StageContext) -> dg.Definitions:
    """The sensors that look at the worklist and the champion of one use case."""
    return dg.Definitions(sensors=[_late_list(stage), _list_and_champion(stage)])


def _late_list(stage: StageContext) -> dg.SensorDefinition:
    name, use_case = stage.name, stage.use_case

    @dg.sensor(
        name=f"alert_late_list_{name}",
        job_name=SEND_ALERT,
        default_status=stage.sensor_status,
        minimum_interval_seconds=TICK_SECONDS,
        description=(
            f"The list of the week that ended is not there {use_case.scoring.late_after_hours} "
            "hours after its schedule."
        ),
    )
    def alert_late_list(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        week = week_due(use_case, stage.weekly, now=datetime.now(UTC))
        if week is None:
            return dg.SkipReason("no list is due yet")
        if _is_made(context.instance, stage.key("weekly_scores"), week):
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


def _list_and_champion(stage: StageContext) -> dg.SensorDefinition:
    use_case = stage.use_case
    scores, champion = stage.key("weekly_scores"), stage.key("champion_model")

    @dg.sensor(
        name=f"alert_list_and_champion_{use_case.name}",
        job_name=SEND_ALERT,
        default_status=stage.sensor_status,
        minimum_interval_seconds=TICK_SECONDS,
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
            title=f"The gate refused a challenger of {use_case.name}",
            facts={"challenger": f"version {challenger}", "champion": f"version {champion}"},
            action="Read the criteria of champion_model; the champion goes on scoring.",
            path=f"/assets/{use_case.name}/champion_model",
        )
