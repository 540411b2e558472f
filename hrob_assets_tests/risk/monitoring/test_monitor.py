"""The same ledger by both ways into monitoring: a score file, and the assets of a use case."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.cohort.groups import group_rows
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.files.outcomes import OutcomeColumns, check_outcomes
from hrob_assets.risk.monitoring.ledger import ledger_as_of
from hrob_assets.risk.monitoring.monitor import (
    MonitoringInput,
    MonitoringSettings,
    monitor_ledger,
)
from hrob_assets.risk.reporting.monitoring_files import monitor_outcomes
from hrob_assets.risk.reporting.monitoring_summary import monitoring_summary, publish_monitoring
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import Monitoring

START = datetime(2022, 1, 3)  # a Monday
AS_OF = START + timedelta(weeks=76)
COLUMNS = OutcomeColumns("member", "scored", "p", "y", "known", groups=("race",))


def scored():
    """80 weeks of 120 rows; from week 40 on the odds are higher, most of all in one group."""
    rng = np.random.default_rng(7)
    size = 80 * 120
    day = np.sort(rng.integers(0, 7 * 80, size))
    odds = rng.normal(-2.3, 0.9, size)
    member = rng.integers(0, 5000, size)
    race = np.where(member % 5 < 2, "Black", "White")
    moved = np.where(day > 7 * 40, 0.4 + 0.5 * (race == "Black"), 0.0)
    y = rng.random(size) < 1 / (1 + np.exp(-(odds + moved)))
    at = [START + timedelta(days=int(d)) for d in day]
    frame = pl.DataFrame(
        {
            "member": member,
            "scored": at,
            "p": 1 / (1 + np.exp(-odds)),
            "y": y.astype(int),
            "known": [t + timedelta(days=75) for t in at],
            "race": race,
        }
    )
    return frame.unique(["member", "scored"], keep="first", maintain_order=True)


@pytest.fixture(scope="module")
def by_file():
    rows = check_outcomes(scored(), COLUMNS, threshold=0.2)
    settings = MonitoringSettings(groups=("race",), runout_days=14, histories=0)
    return monitor_outcomes(rows, settings, horizon_days=60, as_of=AS_OF)


@pytest.fixture(scope="module")
def by_assets(by_file):
    ledger = by_file.ledger
    race = check_outcomes(scored(), COLUMNS, threshold=0.2).select("person_id", "race").unique()
    monitoring = Monitoring(
        tolerance=0.1,
        alarm_weeks=260,
        groups=("race",),
        runout_share=0.95,
        cool_down_days=28,
        minimum_events=60,
        sudden_weeks=4,
    )
    columns = group_rows(
        ledger.rows.select(ROW_KEY), groups=["race"], persons=race.lazy(), coverage=pl.LazyFrame()
    )
    settings = MonitoringSettings.of_use_case(monitoring)
    return monitor_ledger(
        MonitoringInput(ledger, settings, columns, calibrate_from=date(2023, 3, 6))
    )


def raised(e_values):
    return [
        (level, week.isoformat(), since.isoformat(), round(log, 6))
        for level, week, since, log in e_values.filter("alarm")
        .select("level", "week", "since", "log_evidence")
        .rows()
    ]


@pytest.mark.parametrize("way", ["by_file", "by_assets"])
def test_both_ways_have_the_same_e_values_and_alarms(request, way):
    found = request.getfixturevalue(way).e_values

    assert raised(found) == [
        ("all", "2023-01-09", "2022-12-26", 6.837852),
        ("all", "2023-02-27", "2023-01-16", 11.368279),
        ("all", "2023-05-29", "2023-03-06", 7.078454),
        ("Black", "2023-02-13", "2022-12-26", 7.802486),
        ("Black", "2023-04-17", "2023-02-20", 7.141028),
        ("Black", "2023-05-22", "2023-04-24", 7.574109),
        ("White", "2023-03-06", "2022-12-26", 7.104277),
    ]
    assert found.select("rows", "events", "detectors").sum().row(0) == (13170, 1828, 594)
    sums = found.select("expected", "log_evidence").sum().row(0)
    assert sums == pytest.approx((1541.875681622, 446.303921834), rel=1e-9)


def test_weekly_calibration_of_a_window_of_13_weeks(by_assets):
    found = by_assets.calibration

    assert found.height == 45
    last = found.filter(pl.col("group") == "all").row(-1, named=True)
    words = {name: last.pop(name) for name in ("group", "level", "week")}
    assert words == {"group": "all", "level": "all", "week": date(2023, 6, 12)}
    assert last == pytest.approx(
        {
            "window_weeks": 13,
            "rows": 1548,
            "persons": 1345,
            "expected": 181.7716059822817,
            "events": 256,
            "calibration_factor": -0.047951158926174596,
            "calibration_factor_low": -0.06565847390459668,
            "calibration_factor_high": -0.030243843947752504,
            "observed_expected": 1.4083607756920726,
            "observed_expected_low": 1.2652159371286091,
            "observed_expected_high": 1.5677008297962627,
            "intercept": 0.4415272392647796,
            "intercept_low": 0.2980380990390611,
            "intercept_high": 0.5850163794904981,
            "slope": 0.9404704203249952,
            "slope_low": 0.7741773196619108,
            "slope_high": 1.1067635209880795,
            "positive_predictive_value": 0.3821138211382114,
            "positive_predictive_value_low": 0.32184460987328856,
            "positive_predictive_value_high": 0.44238303240313426,
            "brier": 0.12823322973791434,
            "brier_low": 0.11531340041703397,
            "brier_high": 0.14115305905879472,
        },
        rel=1e-7,
    )


def test_update_requests_are_a_cool_down_apart(by_assets):
    found = by_assets.update_requests.select("alarm", "week", "events", "changed_since")

    assert found.rows() == [
        ("version 1, everybody, week 2023-01-09", date(2023, 1, 9), 64, date(2022, 10, 13)),
        ("version 1, race Black, week 2023-02-13", date(2023, 2, 13), 150, date(2022, 10, 13)),
        ("version 1, everybody, week 2023-02-27", date(2023, 3, 13), 164, date(2022, 11, 3)),
        ("version 1, race Black, week 2023-04-17", date(2023, 4, 17), 156, date(2022, 12, 8)),
        ("version 1, race Black, week 2023-05-22", date(2023, 5, 22), 85, date(2023, 2, 9)),
    ]


def test_the_summary_says_where_each_detector_stands(by_file):
    told = monitoring_summary(publish_monitoring(by_file, source="scores"))

    same = {"alarm": True, "direction": "under-prediction", "began_about": "2022-12-26",
            "alarm_level": 780.0, "last_week": "2023-06-12"}  # fmt: skip
    assert told["overall"] == same | {
        "week": "2023-01-09", "alarms": 3, "evidence_at_alarm": 932.484, "evidence": 7.26247,
    }  # fmt: skip
    assert told["groups"]["race"] == {
        "Black": same | {
            "week": "2023-02-13", "alarms": 3, "evidence_at_alarm": 2446.68, "evidence": 2.39803,
        },
        "White": same | {
            "week": "2023-03-06", "alarms": 1, "evidence_at_alarm": 1217.16, "evidence": 18.4041,
        },
    }  # fmt: skip
    assert told["budget"] == {
        "alarm_weeks": 260,
        "detectors": 3,
        "weeks_with_ripe_outcomes": 66,
        "false_alarms_at_most": 66 / 260,
    }
    drift = [(row["column"], row["psi"], row["psi_by_chance"]) for row in told["drift"]]
    assert drift == [("probability", 0.00714133, 0.0197537), ("race", 5.2299e-06, 0.00421534)]


def test_stored_e_values_take_the_place_of_computed_ones(by_file):
    stored = by_file.e_values.sample(fraction=1.0, shuffle=True, seed=1)

    found = monitor_ledger(replace(by_file.given, stored_e_values=stored))

    assert found.e_values.equals(by_file.e_values)
    assert found.alarms.equals(by_file.alarms)


def test_stored_e_values_of_weeks_that_are_not_over_are_left_out(by_file):
    before = AS_OF - timedelta(weeks=2)
    earlier = monitor_ledger(replace(by_file.given, ledger=ledger_as_of(by_file.ledger, before)))

    found = monitor_ledger(replace(earlier.given, stored_e_values=by_file.e_values))

    assert found.e_values.equals(earlier.e_values)
    assert found.e_values.height < by_file.e_values.height


@pytest.mark.parametrize(
    "stored",
    [
        pl.col("week") != date(2023, 2, 27),
        (pl.col("week") != date(2023, 2, 27)) | (pl.col("group") != "all"),
    ],
)
def test_a_week_without_stored_e_values_is_refused_because_its_alarm_would_be_lost(by_file, stored):
    some = by_file.e_values.filter(stored)

    with pytest.raises(ContractError, match=r"found 1 weeks .* from 2023-02-27 to 2023-02-27"):
        monitor_ledger(replace(by_file.given, stored_e_values=some))


def test_a_person_who_moved_to_another_subgroup_leaves_stored_e_values_as_they_are(by_file):
    moved = by_file.given.columns.with_columns(
        race=pl.when(pl.col("person_id") % 50 == 0).then(pl.lit("Asian")).otherwise("race")
    )

    found = monitor_ledger(replace(by_file.given, columns=moved, stored_e_values=by_file.e_values))

    assert found.e_values.equals(by_file.e_values)
    told = monitoring_summary(publish_monitoring(found, source="scores"))
    assert told["groups"]["race"].keys() == {"Black", "White"}


def test_calibration_is_of_weeks_that_are_over(by_file):
    wednesday = AS_OF - timedelta(days=5)
    found = monitor_ledger(replace(by_file.given, ledger=ledger_as_of(by_file.ledger, wednesday)))

    last = (wednesday - timedelta(days=wednesday.weekday() + 7)).date()
    assert found.evaluable["ripe_week"].max() > last
    assert found.calibration["week"].max() == found.e_values["week"].max() == last
