"""Weeks as partitions: Monday to Monday, UTC."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import dagster as dg


@dataclass(frozen=True)
class Weeks:
    """A range of weekly partitions, both ends included; keys are Mondays."""

    first: date
    last: date

    @property
    def tags(self) -> dict[str, str]:
        """Tags of a single Dagster run over the range."""
        return {
            "dagster/asset_partition_range_start": self.first.isoformat(),
            "dagster/asset_partition_range_end": self.last.isoformat(),
        }

    @property
    def count(self) -> int:
        """How many weeks it holds."""
        return (self.last - self.first).days // 7 + 1

    @property
    def mondays(self) -> list[date]:
        """All of them."""
        return [self.first + timedelta(weeks=number) for number in range(self.count)]

    def latest(self, count: int) -> "Weeks":
        """The last `count` weeks of the range.

        Examples
        --------
        >>> Weeks(date(2024, 1, 1), date(2024, 3, 4)).latest(2).first
        datetime.date(2024, 2, 26)
        """
        return Weeks(max(self.first, self.last - timedelta(weeks=count - 1)), self.last)


def week_ranges(weeks: Iterable[date], *, most: int) -> list[Weeks]:
    """Cover weeks by ranges of neighbours; the smallest gaps are filled to keep them few.

    Parameters
    ----------
    weeks : iterable of date
        Mondays, in any order.
    most : int
        At most so many ranges.

    Examples
    --------
    >>> found = week_ranges([date(2024, 1, 1), date(2024, 1, 8), date(2024, 3, 4)], most=2)
    >>> [each.count for each in found]
    [2, 1]
    """
    mondays = sorted(set(weeks))
    if not mondays:
        return []
    gaps = [(later - earlier, number) for number, (earlier, later) in enumerate(pairwise(mondays))]
    wide = sorted((gap for gap in gaps if gap[0] > timedelta(weeks=1)), reverse=True)[: most - 1]
    cuts = sorted(number + 1 for _, number in wide)
    edges = pairwise([0, *cuts, len(mondays)])
    return [Weeks(mondays[first], mondays[end - 1]) for first, end in edges]


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
    first, last = mondays([max(weeks[0], since), weeks[-1]])
    return dg.RunRequest(run_key=f"{first}..{last}", tags=Weeks(first, last).tags)


SINGLE_RUN = dg.BackfillPolicy.single_run()

LATE_DAYS = 5 * 7
"""How far back each Monday looks again: rows that came late, a late source, a missed Monday."""
