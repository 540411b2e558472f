from datetime import date, datetime, time, timedelta

import polars as pl
import pytest

from hrob_assets.risk.monitoring.alarm import E_VALUES
from hrob_assets.risk.monitoring.ledger import Ledger
from hrob_assets.risk.monitoring.reporting_delay import fixed_runout
from hrob_assets.risk.monitoring.update_requests import (
    UPDATE_REQUESTS,
    UpdatePolicy,
    find_update_requests,
    latest_open_request,
    raised_alarms,
)

START = date(2024, 1, 1)


def week(number):
    return START + timedelta(weeks=number)


def requests(alarms, rows, *, cool_down_days=28, minimum_events=10, runouts=None):
    in_force = fixed_runout(30) if runouts is None else runouts
    ledger = Ledger(pl.DataFrame(), in_force, 60, datetime(2026, 1, 1))
    return find_update_requests(alarms, rows, UpdatePolicy(cool_down_days, minimum_events), ledger)


def in_weeks(found):
    """Requests as (number of the week, alarm)."""
    return [((day - START).days // 7, key) for day, key in found.select("week", "alarm").rows()]


def e_values(*alarms):
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
    return pl.DataFrame(rows, schema=E_VALUES.schema)


def mature_rows(*, weeks, events, version="1", replaced=None):
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


def test_an_alarm_requests_an_update_in_its_own_week_when_there_are_enough_events():
    found = requests(e_values(("1", "race", "Black", 6, 4)), mature_rows(weeks=20, events=5))

    UPDATE_REQUESTS.check(found)
    assert found.row(0, named=True) == {
        "alarm": "version 1, race Black, week 2024-02-12",
        "model_version": "1",
        "group": "race",
        "level": "Black",
        "alarm_week": date(2024, 2, 12),
        "week": date(2024, 2, 12),
        "kind": "calibration_alarm",
        "reason": "under-prediction of race: Black, e-value 403 (alarm threshold 245) in the week "
        "of 2024-02-12",
        "changed_since": date(2024, 1, 29) - timedelta(days=90),
        "events": 15,
        "requested_at": datetime(2024, 2, 19),
    }


def test_an_alarm_waits_until_there_are_enough_events_since_the_change():
    found = requests(e_values(("1", "all", "all", 6, 6)), mature_rows(weeks=20, events=4))

    assert in_weeks(found) == [(8, "version 1, everybody, week 2024-02-12")]
    assert found["alarm_week"].to_list() == [week(6)]


def test_no_request_follows_another_within_the_cool_down():
    alarms = e_values(("1", "all", "all", 6, 3), ("1", "race", "Black", 8, 3))

    found = requests(alarms, mature_rows(weeks=20, events=5))

    assert [number for number, _ in in_weeks(found)] == [6, 10]


def test_alarms_that_wait_together_are_one_request():
    alarms = e_values(("1", "race", "Black", 6, 3), ("1", "all", "all", 6, 3))

    found = requests(alarms, mature_rows(weeks=20, events=5))

    assert in_weeks(found) == [(6, "version 1, everybody, week 2024-02-12")]


def test_an_alarm_whose_version_was_replaced_while_it_waited_requests_nothing():
    rows = mature_rows(weeks=20, events=1, replaced=9)

    assert requests(e_values(("1", "all", "all", 6, 6)), rows).is_empty()


@pytest.mark.parametrize("weeks", [7, 12, 20])
def test_more_weeks_do_not_change_earlier_requests(weeks):
    alarms = e_values(("1", "all", "all", 3, 1), ("1", "all", "all", 15, 12))
    longer = pl.concat(
        [fixed_runout(30), fixed_runout(60).with_columns(from_at=pl.lit(datetime(2024, 4, 1)))]
    )
    both = requests(alarms, mature_rows(weeks=20, events=5), runouts=longer)

    seen = alarms.filter(pl.col("week") < week(weeks))
    known = longer.filter(pl.col("from_at") <= datetime.combine(week(weeks), time()))
    found = requests(seen, mature_rows(weeks=weeks, events=5), runouts=known)

    assert found.equals(both.filter(pl.col("week") < week(weeks)))


def test_the_change_is_dated_by_the_run_out_in_force_when_the_update_was_requested():
    longer = pl.concat(
        [fixed_runout(30), fixed_runout(60).with_columns(from_at=pl.lit(datetime(2024, 4, 1)))]
    )
    alarms = e_values(("1", "all", "all", 6, 4), ("1", "all", "all", 15, 14))

    found = requests(alarms, mature_rows(weeks=20, events=5), runouts=longer)

    assert found["changed_since"].to_list() == [
        week(4) - timedelta(days=60 + 30),
        week(14) - timedelta(days=60 + 60),
    ]


def test_nothing_is_requested_without_an_alarm():
    assert requests(E_VALUES.empty(), mature_rows(weeks=3, events=5)).is_empty()
    assert raised_alarms(E_VALUES.empty()) == []


def test_the_latest_request_about_the_champion_is_open():
    every = ("all", "all")
    alarms = e_values(("1", *every, 3, 1), ("1", *every, 9, 7), ("2", *every, 15, 12))
    first, second = mature_rows(weeks=12, events=5), mature_rows(weeks=20, events=5, version="2")
    found = requests(alarms, pl.concat([first, second]))

    assert latest_open_request(found, "1")["week"] == week(9)
    assert latest_open_request(found, "2")["week"] == week(15)
    assert latest_open_request(found, "3") is None
    assert latest_open_request(found, None) is None
    assert latest_open_request(UPDATE_REQUESTS.empty(), "1") is None
