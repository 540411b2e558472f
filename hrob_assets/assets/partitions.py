"""Weeks as partitions: Monday to Monday, UTC."""

from collections.abc import Iterable
from datetime import date

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


def request_last_week(
    weekly: dg.WeeklyPartitionsDefinition, context: dg.ScheduleEvaluationContext
) -> dg.RunRequest | dg.SkipReason:
    """Ask for one run of the week that had ended at the time of the tick."""
    week = weekly.get_last_partition_key(current_time=context.scheduled_execution_time)
    if week is None:
        return dg.SkipReason("no week has ended yet")
    return dg.RunRequest(run_key=week, partition_key=week)


SINGLE_RUN = dg.BackfillPolicy.single_run()
