"""Weeks as partitions: Monday to Monday, UTC."""

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg


def weekly_partitions(first_week: date) -> dg.WeeklyPartitionsDefinition:
    """Weeks from `first_week` (a Monday) on; a week becomes a partition when it has ended."""
    return dg.WeeklyPartitionsDefinition(
        start_date=first_week.isoformat(), day_offset=1, timezone="UTC", fmt="%Y-%m-%d"
    )


def mondays(partition_keys: Iterable[str]) -> list[date]:
    """Mondays of partition keys.

    Examples
    --------
    >>> mondays(["2024-03-04"])
    [datetime.date(2024, 3, 4)]
    """
    return [date.fromisoformat(key) for key in partition_keys]


def ended_weeks(weekly: dg.WeeklyPartitionsDefinition, *, now: datetime) -> list[str]:
    """Keys of the weeks that have ended, the first to the last; a week ends on Monday 00:00.

    Examples
    --------
    >>> from datetime import UTC
    >>> weekly = weekly_partitions(date(2024, 3, 4))
    >>> ended_weeks(weekly, now=datetime(2024, 3, 18, tzinfo=UTC))
    ['2024-03-04', '2024-03-11']
    """
    return list(weekly.get_partition_keys(current_time=now))


def schedule_status(*, started: bool) -> dg.DefaultScheduleStatus:
    """Whether a schedule runs until somebody switches it off, or not until it is switched on."""
    return dg.DefaultScheduleStatus.RUNNING if started else dg.DefaultScheduleStatus.STOPPED


def weekly_schedule(
    name: str,
    *,
    job: Any,
    cron: str,
    description: str,
    started: bool,
    request: Callable[[dg.ScheduleEvaluationContext], dg.RunRequest | dg.SkipReason],
) -> dg.ScheduleDefinition:
    """A schedule in UTC for what `define_asset_job` gives; `request` says what a tick runs."""

    @dg.schedule(
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        name=name,
        default_status=schedule_status(started=started),
        description=description,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return request(context)

    return schedule


def request_weeks_since(
    weekly: dg.WeeklyPartitionsDefinition, context: dg.ScheduleEvaluationContext, *, days: int
) -> dg.RunRequest | dg.SkipReason:
    """Ask for one run of all ended weeks from the one in which the tick minus `days` lies."""
    now = context.scheduled_execution_time
    weeks = ended_weeks(weekly, now=now)
    if not weeks:
        return dg.SkipReason("no week has ended yet")
    since = weekly.get_partition_key_for_timestamp((now - timedelta(days=days)).timestamp())
    first, last = max(weeks[0], since), weeks[-1]
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    return dg.RunRequest(run_key=f"{first}..{last}", tags=tags)


SINGLE_RUN = dg.BackfillPolicy.single_run()

LATE_DAYS = 5 * 7
"""How far back each Monday looks again: rows that came late, a late source, a missed Monday."""
