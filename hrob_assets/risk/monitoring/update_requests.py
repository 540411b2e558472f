"""Decide which alarms trigger a model update: at most one update per alarm, with a cool-down."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.monitoring.alarm import ALL_ROWS
from hrob_assets.risk.monitoring.ledger import Ledger
from hrob_assets.risk.tables import TIMESTAMP, Column, Table

CALIBRATION_ALARM = "calibration_alarm"
UPDATE_REQUESTS = Table(
    "update_requests",
    "One row per requested model update; at most one per week.",
    ("week",),
    (
        Column("alarm", pl.String, "Identity of the alarm, the same whenever it is computed."),
        Column("model_version", pl.String, "Version that the alarm is about."),
        Column("group", pl.String, "Group of the detector; all for the detector of all rows."),
        Column("level", pl.String, "Subgroup of the detector; all for that of all rows."),
        Column("alarm_week", pl.Date, "Monday of the week in which the alarm was raised."),
        Column("week", pl.Date, "Monday of the week at whose end the update is requested."),
        Column("kind", pl.String, f"What requests it: {CALIBRATION_ALARM}."),
        Column("reason", pl.String, "What the alarm found, as text."),
        Column("changed_since", pl.Date, "First day of the predictions that no longer fit."),
        Column("events", pl.Int64, "Events among independent rows since the change."),
        Column("requested_at", TIMESTAMP, "First moment after the week; later data play no part."),
    ),
)
_WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Alarm:
    """A detector that reached its threshold while its version was in use.

    Parameters
    ----------
    model_version, group, level : str
        Version and detector; group and level (the subgroup) are ``all`` for all rows.
    week : date
        Monday of the week in which the deciding outcomes became mature.
    since : date
        Monday of the week from which on the e-value grew: an estimate.
    direction : str
        ``under-prediction`` or ``over-prediction``.
    log_evidence, log_level : float
        Natural logarithms of the e-value and of the alarm threshold.
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
    def detector(self) -> str:
        """Whom the alarm is about: everybody, or a subgroup."""
        return "everybody" if self.group == ALL_ROWS else f"{self.group}: {self.level}"

    @property
    def key(self) -> str:
        """Identity: the same alarm has the same key whenever it is computed.

        Examples
        --------
        >>> day = date(2024, 3, 4)
        >>> Alarm("3", "race", "White", day, day, "over-prediction", 6.0, 5.5).key
        'version 3, race White, week 2024-03-04'
        """
        who = self.detector.replace(": ", " ", 1)
        return f"version {self.model_version}, {who}, week {self.week}"

    def facts(self) -> dict[str, str]:
        """The alarm as text by name, for people; no count of patients is in it.

        Examples
        --------
        >>> day = date(2024, 3, 4)
        >>> alarm = Alarm("3", "all", "all", day, day, "under-prediction", 7.0, 5.5)
        >>> alarm.facts()["e-value"]
        '1097 (alarm threshold 245)'
        """
        reached, threshold = np.exp([self.log_evidence, self.log_level])
        return {
            "who": self.detector,
            "model version": self.model_version,
            "week of mature outcomes": self.week.isoformat(),
            "began about": self.since.isoformat(),
            "direction": self.direction,
            "e-value": f"{reached:.0f} (alarm threshold {threshold:.0f})",
        }


@dataclass(frozen=True)
class UpdatePolicy:
    """When an alarm may request an update.

    Parameters
    ----------
    cool_down_days : int, days
        Least time between two requests.
    minimum_events : int
        Events since the change that an update needs.
    """

    cool_down_days: int
    minimum_events: int


def raised_alarms(e_values: pl.DataFrame) -> list[Alarm]:
    """All alarms in the order of their weeks; in a week, that of all rows first.

    Parameters
    ----------
    e_values : DataFrame
        `E_VALUES`.
    """
    raised = e_values.filter("alarm").sort("week", pl.col("group") != ALL_ROWS, "group", "level")
    names = [
        *("model_version", "group", "level", "week", "since", "direction"),
        *("log_evidence", "log_level"),
    ]
    return [Alarm(**row) for row in raised.select(names).iter_rows(named=True)]


def find_update_requests(
    e_values: pl.DataFrame, rows: pl.DataFrame, policy: UpdatePolicy, ledger: Ledger
) -> pl.DataFrame:
    """Go through the weeks and find which alarms request an update, and in which week.

    An alarm requests an update in its own week, or in the first later week in which
    ``minimum_events`` events since the change are mature and ``cool_down_days`` have passed since
    the last request, as long as its version is in use. The result follows from the arguments
    alone: computed again, or for more weeks, it has the same requests.

    Parameters
    ----------
    e_values : DataFrame
        `E_VALUES`.
    rows : DataFrame
        `alarm_rows`: ``model_version``, ``week``, ``label``, ``in_use``.
    policy : UpdatePolicy
    ledger : Ledger
        Its run-outs tell how long before its mature outcome a prediction was made.

    Returns
    -------
    DataFrame
        `UPDATE_REQUESTS` by week. Alarms of one version that wait at the same time are answered
        by one request, of the first of them. No state is stored: a request is open while its
        version is the champion (`latest_open_request`), and a run with its key has answered it.
    """
    used = rows.filter("in_use")
    waiting: list[Alarm] = []
    requests: list[tuple[Alarm, date, int]] = []
    alarms = raised_alarms(e_values)
    for week in sorted({*used["week"].to_list(), *(alarm.week for alarm in alarms)}):
        versions = set(used.filter(pl.col("week") == week)["model_version"])
        waiting += [alarm for alarm in alarms if alarm.week == week]
        waiting = [alarm for alarm in waiting if alarm.model_version in versions]
        last = requests[-1][1] if requests else None
        if not waiting or (last and week - last < timedelta(days=policy.cool_down_days)):
            continue
        events = _events_since(used, waiting[0], week)
        if events >= policy.minimum_events:
            requests.append((waiting[0], week, events))
            waiting = []
    found = [_request(*each, ledger) for each in requests]
    return pl.DataFrame(found, schema=UPDATE_REQUESTS.schema)


def _events_since(rows: pl.DataFrame, alarm: Alarm, week: date) -> int:
    of_version = pl.col("model_version") == alarm.model_version
    since = rows.filter(of_version, pl.col("week") >= alarm.since, pl.col("week") <= week)
    return int(since["label"].sum())


def _request(alarm: Alarm, week: date, events: int, ledger: Ledger) -> dict[str, object]:
    requested_at = datetime.combine(week + _WEEK, time())
    # By the run-out in force at the time: a backfill must find the date that was found live.
    days = ledger.mature_after_days(requested_at)
    return {
        "alarm": alarm.key,
        "model_version": alarm.model_version,
        "group": alarm.group,
        "level": alarm.level,
        "alarm_week": alarm.week,
        "week": week,
        "kind": CALIBRATION_ALARM,
        "reason": (
            f"{alarm.direction} of {alarm.detector}, e-value {alarm.facts()['e-value']} in the "
            f"week of {alarm.week}"
        ),
        "changed_since": alarm.since - timedelta(days=days),
        "events": events,
        "requested_at": requested_at,
    }


def latest_open_request(requests: pl.DataFrame, champion: str | None) -> dict[str, object] | None:
    """The latest request that is about the champion; None without one.

    Of several, as after a backfill, only the latest counts: an update that answers it answers
    the earlier ones too. A request about a version that is no longer the champion is void.

    Parameters
    ----------
    requests : DataFrame
        `UPDATE_REQUESTS`.
    champion : str, optional
        Version that scores now.
    """
    of_champion = requests.filter(pl.col("model_version") == pl.lit(champion)).sort("week")
    return of_champion.row(-1, named=True) if of_champion.height else None
