from datetime import date, timedelta

import polars as pl
import pytest

from hrob_assets.risk.monitoring.alarm import EVIDENCE
from hrob_assets.risk.monitoring.update_requests import alarms_of, update_requests
from hrob_assets.risk.use_case import Monitoring

START = date(2024, 1, 1)


def week(number):
    return START + timedelta(weeks=number)


def monitoring(**changes: int):
    values = {"cool_down_days": 28, "minimum_events": 10, **changes}
    return Monitoring(
        tolerance=0.1,
        alarm_weeks=260,
        groups=("race",),
        runout_share=0.95,
        sudden_weeks=4,
        **values,
    )


def evidence(*alarms):
    """Alarms as (version, group, level, week, since)."""
    rows = [
        {
            "model_version": version,
            "group": group,
            "level": level,
            "week": week(at),
            "since": week(since),
            "direction": "under-prediction",
            "rows": 100,
            "expected": 10.0,
            "events": 12,
            "detectors": 1,
            "log_evidence": 6.0,
            "log_level": 5.5,
            "crossed": True,
            "alarm": True,
        }
        for version, group, level, at, since in alarms
    ]
    return pl.DataFrame(rows, schema=EVIDENCE.schema)


def ripe_rows(*, weeks, events, version="1", replaced=None):
    """So many events in each week; the version is in use until it is replaced."""
    return pl.DataFrame(
        [
            (version, week(number), True, replaced is None or number < replaced)
            for number in range(weeks)
            for _ in range(events)
        ],
        schema={
            "model_version": pl.String,
            "week": pl.Date,
            "label": pl.Boolean,
            "in_use": pl.Boolean,
        },
        orient="row",
    )


def asked(found):
    return [((request.week - START).days // 7, request.alarm.key) for request in found]


def test_an_alarm_asks_in_its_own_week_when_there_are_enough_events():
    found = update_requests(
        evidence(("1", "all", "all", 6, 4)), ripe_rows(weeks=20, events=5), monitoring()
    )

    assert asked(found) == [(6, "version 1, everybody, week 2024-02-12")]
    assert found[0].events == 15


def test_an_alarm_waits_until_there_are_enough_events_since_the_change():
    found = update_requests(
        evidence(("1", "all", "all", 6, 6)), ripe_rows(weeks=20, events=4), monitoring()
    )

    assert [number for number, _ in asked(found)] == [8]


def test_no_request_follows_another_within_the_cool_down():
    alarms = evidence(("1", "all", "all", 6, 3), ("1", "race", "Black", 8, 3))

    found = update_requests(alarms, ripe_rows(weeks=20, events=5), monitoring())

    assert [number for number, _ in asked(found)] == [6, 10]


def test_alarms_that_wait_together_are_one_request():
    alarms = evidence(("1", "race", "Black", 6, 3), ("1", "all", "all", 6, 3))

    found = update_requests(alarms, ripe_rows(weeks=20, events=5), monitoring())

    assert asked(found) == [(6, "version 1, everybody, week 2024-02-12")]


def test_an_alarm_whose_version_was_replaced_while_it_waited_asks_for_nothing():
    found = update_requests(
        evidence(("1", "all", "all", 6, 6)),
        ripe_rows(weeks=20, events=1, replaced=9),
        monitoring(),
    )

    assert found == []


@pytest.mark.parametrize("weeks", [7, 12, 20])
def test_more_weeks_do_not_change_earlier_requests(weeks):
    alarms = evidence(("1", "all", "all", 3, 1), ("1", "all", "all", 15, 12))
    both = update_requests(alarms, ripe_rows(weeks=20, events=5), monitoring())

    seen = alarms.filter(pl.col("week") < week(weeks))
    found = update_requests(seen, ripe_rows(weeks=weeks, events=5), monitoring())

    assert found == [request for request in both if request.week < week(weeks)]


def test_nothing_is_asked_without_an_alarm():
    assert update_requests(EVIDENCE.empty(), ripe_rows(weeks=3, events=5), monitoring()) == []
    assert alarms_of(EVIDENCE.empty()) == []
