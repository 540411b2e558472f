"""Which alarms ask for an update of the model, and when: once each, and not one upon the other."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from hrob_assets.risk.use_case import Monitoring

_WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Alarm:
    """A detector that reached its level while its version was in use.

    Parameters
    ----------
    model_version, group, level : str
        Whose predictions, and of whom; ``all`` for everybody.
    week : date
        Monday of the week in which the outcomes that decided became ripe.
    since : date
        Monday of the week of ripening from which the evidence is strongest: a guess.
    direction : str
        ``under-prediction`` or ``over-prediction``.
    evidence, level_of_alarm : float
        Evidence reached, and needed.
    """

    model_version: str
    group: str
    level: str
    week: date
    since: date
    direction: str
    log_evidence: float
    log_level: float

    @property
    def key(self) -> str:
        """Identity: the same alarm has the same key whenever it is worked out.

        Examples
        --------
        >>> day = date(2024, 3, 4)
        >>> Alarm("3", "race", "White", day, day, "over-prediction", 6.0, 5.5).key
        'version 3, race White, week 2024-03-04'
        """
        who = "everybody" if self.group == self.level else f"{self.group} {self.level}"
        return f"version {self.model_version}, {who}, week {self.week}"


@dataclass(frozen=True)
class UpdateRequest:
    """An alarm that is answered by an update.

    Parameters
    ----------
    alarm : Alarm
    week : date
        Monday of the week at whose end the update is asked for.
    events : int
        Ripe events, of independent rows of the version, since the change.
    """

    alarm: Alarm
    week: date
    events: int


def alarms_of(evidence: pl.DataFrame) -> list[Alarm]:
    """All alarms in the order of their weeks; in a week, that of everybody first.

    Parameters
    ----------
    evidence : DataFrame
        `hrob_assets.risk.monitoring.alarm.EVIDENCE`.
    """
    raised = evidence.filter("alarm").sort("week", pl.col("group") != "all", "group", "level")
    names = [
        *("model_version", "group", "level", "week", "since", "direction"),
        *("log_evidence", "log_level"),
    ]
    return [Alarm(**row) for row in raised.select(names).iter_rows(named=True)]


def update_requests(
    evidence: pl.DataFrame, rows: pl.DataFrame, monitoring: Monitoring
) -> list[UpdateRequest]:
    """Walk through the weeks and say which alarms ask for an update, and in which week.

    An alarm asks in its own week, or in the first later one in which there are
    ``minimum_events`` ripe events since the change and ``cool_down_days`` have passed since
    the last request, as long as its version is in use. It is a function of the evidence alone:
    worked out again, or for more weeks, it gives the same requests.

    Parameters
    ----------
    evidence : DataFrame
        `hrob_assets.risk.monitoring.alarm.EVIDENCE`.
    rows : DataFrame
        `hrob_assets.risk.monitoring.ledger.evidence_rows`: ``model_version``, ``week``, ``label``,
        ``in_use``.
    monitoring : Monitoring

    Returns
    -------
    list of UpdateRequest
        In the order of their weeks; at most one per week. Alarms of one version that wait together
        are answered by one request, of the first of them.
    """
    used = rows.filter("in_use")
    waiting: list[Alarm] = []
    requests: list[UpdateRequest] = []
    alarms = alarms_of(evidence)
    for week in sorted({*used["week"].to_list(), *(alarm.week for alarm in alarms)}):
        versions = set(used.filter(pl.col("week") == week)["model_version"])
        waiting += [alarm for alarm in alarms if alarm.week == week]
        waiting = [alarm for alarm in waiting if alarm.model_version in versions]
        if not waiting or _cools_down(requests, week, monitoring):
            continue
        events = _events_since(used, waiting[0], week)
        if events >= monitoring.minimum_events:
            requests.append(UpdateRequest(waiting[0], week, events))
            waiting = []
    return requests


def _cools_down(requests: list[UpdateRequest], week: date, monitoring: Monitoring) -> bool:
    days = timedelta(days=monitoring.cool_down_days)
    return bool(requests) and week - requests[-1].week < days


def _events_since(rows: pl.DataFrame, alarm: Alarm, week: date) -> int:
    of_version = pl.col("model_version") == alarm.model_version
    since = rows.filter(of_version, pl.col("week") >= alarm.since, pl.col("week") <= week)
    return int(since["label"].sum())


def told_alarm(alarm: Alarm) -> dict[str, Any]:
    """What people are told of an alarm; no count of persons is in it.

    Examples
    --------
    >>> day = date(2024, 3, 4)
    >>> told_alarm(Alarm("3", "all", "all", day, day, "under-prediction", 7.0, 5.5))["evidence"]
    '1097 (alarm from 245)'
    """
    who = "everybody" if alarm.group == alarm.level else f"{alarm.group}: {alarm.level}"
    reached, needed = (pl.Series([x]).exp().item() for x in (alarm.log_evidence, alarm.log_level))
    return {
        "who": who,
        "model version": alarm.model_version,
        "week of ripe outcomes": alarm.week.isoformat(),
        "strongest since": alarm.since.isoformat(),
        "direction": alarm.direction,
        "evidence": f"{reached:.0f} (alarm from {needed:.0f})",
    }
