from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.risk.monitoring.alarm import AlarmRule, compute_e_values
from hrob_assets.risk.monitoring.calibration import nowcast_weeks
from hrob_assets.risk.monitoring.ledger import OUTCOME_LEDGER, Ledger
from hrob_assets.risk.monitoring.shown_weeks import (
    shown_calibration,
    shown_counts,
    shown_evidence,
    shown_pending,
)
from hrob_assets.risk.monitoring.weekly_drift import expected_if_calibrated

MONDAY = date(2024, 1, 1)
EVER = 1000


def ripe(*, seed, weeks, a_week, chances=(0.75, 0.2, 0.05), risk=0.2, even=1.0):
    """Ripe rows of a site with about `a_week` rows a week, more or less evenly."""
    rng = np.random.default_rng(seed)
    sizes = rng.poisson(rng.gamma(even, a_week / even, weeks))
    size = int(sizes.sum())
    week = np.repeat(np.arange(weeks), sizes)
    return pl.DataFrame(
        {
            "person_id": rng.integers(0, max(size, 1), size),
            "ripe_week": [MONDAY + timedelta(weeks=int(w)) for w in week],
            "probability": rng.uniform(0.02, 0.5, size),
            "label": rng.random(size) < risk,
            "high_risk": rng.random(size) < 0.2,
            "race": rng.choice(["A", "B", "C"], size, p=chances),
        },
        schema_overrides={"ripe_week": pl.Date, "label": pl.Boolean, "race": pl.String},
    )


def told(rows, *, window, weeks, groups=("race",)):
    as_of = datetime(2024, 1, 1) + timedelta(weeks=weeks)
    return shown_calibration(rows, as_of=as_of, groups=groups, window_weeks=window)


def counts(row):
    """What a reader has of a row, those figures too that give the number of events away."""
    rows, events, expected = row["rows"], row["events"], row["expected"]
    again = round(expected - row["calibration_factor"] * rows)
    if expected:
        assert again == events == round(row["observed_expected"] * expected)
    return np.array([rows, events, rows - events])


def sums_and_rests(parts):
    """Of a week: each sum of told levels, and what it leaves of all rows."""
    levels = [level for level in parts if level != "all"]
    for some in (c for many in range(len(levels) + 1) for c in combinations(levels, many)):
        total = sum((parts[level] for level in some), np.zeros(3, int))
        yield ("of", some), total
        if "all" in parts:
            yield ("without", some), parts["all"] - total


def found_by_subtraction(editions):
    """Counts that differences give, of windows that reach back to the first week.

    Within a week, between weeks, and between editions.
    """
    found = {}
    for edition, frame in enumerate(editions):
        for (week,), rows in frame.partition_by("week", as_dict=True).items():
            parts = {row["level"]: counts(row) for row in rows.iter_rows(named=True)}
            found |= {(edition, week, *key): value for key, value in sums_and_rests(parts)}
    for one, value in found.items():
        yield one, value
        for other, before in found.items():
            if one[2:] == other[2:] and other[1] < one[1]:
                yield (one, other), value - before


@given(st.integers(0, 10_000), st.integers(1, 30), st.sampled_from([0.05, 0.3, 0.9]))
@settings(max_examples=20, deadline=None)
def test_no_small_count_is_found_by_subtraction(seed, a_week, risk):
    rows = ripe(seed=seed, weeks=30, a_week=a_week, risk=risk)
    editions = [told(rows, window=EVER, weeks=weeks) for weeks in (20, 29, 30)]

    for what, difference in found_by_subtraction(editions):
        assert not ((difference > 0) & (difference < 11)).any(), what
        assert (difference >= 0).all(), what


@given(st.integers(0, 10_000), st.integers(1, 30))
@settings(max_examples=15, deadline=None)
def test_each_stretch_and_what_its_levels_leave_is_none_or_eleven(seed, a_week):
    rows = ripe(seed=seed, weeks=30, a_week=a_week)
    found = told(rows, window=1, weeks=30)

    figures = found.select("rows", "events").with_columns(others=pl.col("rows") - pl.col("events"))
    assert not any(figures[name].is_between(1, 10).any() for name in figures.columns)


@given(st.integers(0, 10_000), st.integers(1, 30), st.sampled_from([1, 4, 13]))
@settings(max_examples=15, deadline=None)
def test_a_window_is_of_the_rows_from_its_first_week_to_its_last(seed, a_week, window):
    rows = ripe(seed=seed, weeks=40, a_week=a_week)

    for row in told(rows, window=window, weeks=40).iter_rows(named=True):
        inside = rows.filter(pl.col("ripe_week").is_between(row["first_week"], row["week"]))
        of_level = inside if row["level"] == "all" else inside.filter(race=row["level"])
        assert of_level.height == row["rows"]
        assert of_level["label"].sum() == row["events"]


def test_windows_tell_no_persons_for_two_would_tell_how_many_are_new():
    found = told(ripe(seed=1, weeks=30, a_week=60), window=13, weeks=30)

    assert not {"persons", "window_weeks"} & set(found.columns)


def test_a_busy_site_has_every_week_and_all_levels():
    rows = ripe(seed=1, weeks=20, a_week=3000, chances=(0.5, 0.3, 0.2), even=9.0)
    found = told(rows, window=13, weeks=20)

    assert found.group_by("level").len().sort("level").rows() == [
        ("A", 20), ("B", 20), ("C", 20), ("all", 20)
    ]  # fmt: skip
    assert found.filter(level="all")["rows"][12] == rows.filter(
        pl.col("ripe_week") < MONDAY + timedelta(weeks=13)
    ).height  # fmt: skip


def test_weeks_are_taken_together_until_none_of_their_counts_is_small():
    """Of 10, 1, 40 and 20 rows, each fourth with the outcome: 51 rows, then too few events."""
    sizes = (10, 1, 40, 20)
    rows = pl.DataFrame(
        {
            "person_id": range(71),
            "ripe_week": [
                MONDAY + timedelta(weeks=week)
                for week, size in enumerate(sizes)
                for _ in range(size)
            ],
            "probability": [0.25] * 71,
            "label": [number % 4 == 0 for number in range(71)],
            "high_risk": [False] * 71,
        }
    )

    found = told(rows, window=13, weeks=4, groups=())

    assert found.select("week", "rows", "events").rows() == [(date(2024, 1, 15), 51, 13)]


@pytest.mark.parametrize(("with_outcome", "without", "value"), [
    (10, 30, None), (30, 10, None), (11, 22, 0.33), (0, 20, 0.0), (2, 1, None)
])  # fmt: skip
def test_a_share_of_few_high_risk_rows_is_not_told(with_outcome, without, value):
    high = [True] * (with_outcome + without) + [False] * 200
    label = [True] * with_outcome + [False] * without + [True, False] * 100
    rows = pl.DataFrame({"label": label, "high_risk": high}).with_columns(
        person_id=pl.int_range(pl.len()),
        ripe_week=pl.lit(MONDAY),
        probability=0.3,
        race=pl.lit("A"),
    )

    found = told(rows, window=13, weeks=1)

    assert found["level"].to_list() == ["all", "A"]
    assert found["positive_predictive_value"].to_list() == [value, value]
    assert found["brier"].null_count() == 0


def test_weeks_from_one_on_are_the_last_of_all():
    rows = ripe(seed=2, weeks=30, a_week=60)
    as_of, since = datetime(2024, 1, 1) + timedelta(weeks=30), MONDAY + timedelta(weeks=20)

    found = shown_calibration(rows, as_of=as_of, groups=("race",), since=since)

    every = shown_calibration(rows, as_of=as_of, groups=("race",))
    assert 0 < found.height < every.height
    assert found.equals(every.filter(pl.col("week") >= since))


def test_a_week_that_is_not_over_is_not_told():
    rows = ripe(seed=1, weeks=3, a_week=3000, even=9.0)
    as_of = datetime(2024, 1, 1) + timedelta(days=20)

    assert shown_calibration(rows, as_of=as_of)["week"].to_list() == [MONDAY, date(2024, 1, 8)]


def test_a_small_level_takes_the_next_larger_one_with_it_and_others_stay():
    """One row of level C each week, every other one with the outcome: never 11 in 13 weeks."""
    rows = ripe(seed=5, weeks=26, a_week=400, chances=(0.6, 0.4, 0.0), even=9.0)
    first = pl.int_range(pl.len()).over("ripe_week") == 0
    odd = (pl.col("ripe_week") - MONDAY).dt.total_days() // 7 % 2 == 1
    rows = rows.with_columns(
        race=pl.when(first).then(pl.lit("C")).otherwise("race"),
        label=pl.when(first).then(odd).otherwise("label"),
    )
    found = told(rows, window=13, weeks=26)

    assert set(found["level"]) == {"all", "A"}


@pytest.mark.parametrize("a_week", [4, 25, 200])
def test_evidence_is_told_of_weeks_with_eleven_new_persons(a_week):
    rows = ripe(seed=3, weeks=40, a_week=a_week).with_columns(
        pl.col("ripe_week").alias("week"), model_version=pl.lit("1"), in_use=True
    )
    e_values = compute_e_values(rows, AlarmRule(0.1, 260), groups=("race",))

    found = shown_evidence(e_values, rows, groups=("race",))

    assert not {"rows", "expected", "events"} & set(found.columns)
    for (level,), part in found.partition_by("level", as_dict=True).items():
        of_level = rows if level == "all" else rows.filter(race=level)
        weeks = part["week"].to_list()
        for first, last in zip([date(2000, 1, 1), *weeks[:-1]], weeks, strict=True):
            new = of_level.filter(pl.col("week") > first, pl.col("week") <= last)
            assert new["person_id"].n_unique() >= 11
    crossed = e_values.group_by("level").agg(pl.col("crossed").any()).sort("level")
    if a_week == 200:
        assert found.group_by("level").agg(pl.col("crossed").any()).sort("level").equals(crossed)


def pending_ledger(by_week):
    """Scored rows as (pending, high risk among them, ripe) of each week."""
    rows = []
    for week, (pending, high, ripe_rows) in enumerate(by_week):
        monday = MONDAY + timedelta(weeks=week)
        for number in range(pending + ripe_rows):
            waits = number < pending
            time = datetime(monday.year, monday.month, monday.day, 12)
            rows.append(
                {
                    "person_id": len(rows), "encounter_id": len(rows), "prediction_time": time,
                    "week": monday, "model_version": "1", "probability": 0.25,
                    "high_risk": number < high, "status": "pending" if waits else "mature",
                    "label": None if waits else False, "ripe_at": None, "ripe_week": None,
                    "outcome_at": None, "known_at": None, "label_now": None,
                }
            )  # fmt: skip
    runouts = pl.DataFrame({"from_at": [datetime(1, 1, 1)], "runout_days": [30]})
    as_of = datetime(2024, 1, 1) + timedelta(weeks=len(by_week))
    return Ledger(pl.DataFrame(rows, schema=OUTCOME_LEDGER.schema), runouts, 60, as_of)


def test_weeks_that_wait_are_rounded_and_few_persons_are_not_told():
    ledger = pending_ledger([(44, 12, 0), (5, 0, 0), (36, 15, 0), (52, 3, 0), (13, 0, 0)])
    unripe = expected_if_calibrated(ledger.rows.filter(status="pending"))

    nowcast, later = shown_pending(ledger, nowcast_weeks(ledger), unripe)

    assert later["rows"].to_list() == [40, None, 40, 50, None]
    assert later["events"].to_list() == [11.0, None, 9.0, 13.0, 3.0]
    assert later["sensitivity"].to_list() == [0.27, None, 0.42, None, 0.0]
    assert nowcast["rows"].to_list() == [40, None, 40, 50, None]
    assert nowcast["expected"].to_list() == [11.0, None, 9.0, 13.0, 3.0]


def test_a_week_of_which_a_row_is_ripe_is_not_among_those_that_wait():
    ledger = pending_ledger([(40, 12, 3), (50, 20, 0)])
    unripe = expected_if_calibrated(ledger.rows.filter(status="pending"))

    nowcast, later = shown_pending(ledger, nowcast_weeks(ledger), unripe)

    assert later["week"].to_list() == [date(2024, 1, 8)]
    assert nowcast["rows"].to_list() == [40, 50]


def test_a_week_that_is_not_over_is_not_among_those_that_wait():
    ledger = replace(pending_ledger([(40, 12, 0), (50, 20, 0)]), as_of=datetime(2024, 1, 12))
    unripe = expected_if_calibrated(ledger.rows)

    nowcast, later = shown_pending(ledger, nowcast_weeks(ledger), unripe)

    assert later["week"].to_list() == nowcast["week"].to_list() == [MONDAY]


@pytest.mark.parametrize(
    ("events", "told"), [(0, 0), (7, None), (12, None), (13, 15), (17, 15), (35, None), (40, 40)]
)
def test_outcomes_known_so_far_are_told_in_fives(events, told):
    """Neither few of them, nor few rows without."""
    ledger = pending_ledger([(40, 12, 0)])
    known = pl.when(pl.int_range(pl.len()) < events).then(datetime(2024, 1, 3))
    ledger = replace(ledger, rows=ledger.rows.with_columns(known_at=known))

    nowcast, _ = shown_pending(ledger, nowcast_weeks(ledger), expected_if_calibrated(ledger.rows))

    assert nowcast["events_so_far"].to_list() == [told]


@pytest.mark.parametrize("arm", [False, True])
@given(
    seed=st.integers(0, 10_000), a_week=st.integers(1, 40), risk=st.sampled_from([0.05, 0.3, 0.9])
)
@settings(max_examples=15, deadline=None)
def test_counts_of_reports_differ_by_none_or_eleven(seed, a_week, risk, *, arm):
    """And so do all rows from those that can be read, and these from those of the alarm."""
    rows = ripe(seed=seed, weeks=30, a_week=a_week, risk=risk)
    number = pl.int_range(pl.len())
    rows = rows.with_columns(
        label=pl.when(number % 17 > 0).then("label"),
        status=pl.when(number % 17 > 0).then(pl.lit("mature")).otherwise(pl.lit("censored")),
        encounter_id=number,
        prediction_time=pl.col("ripe_week").cast(pl.Datetime("us")) - pl.duration(days=75),
    )
    read = rows.filter(~pl.col("high_risk")) if arm else rows
    independent = read.filter(pl.col("label").is_not_null(), pl.col("encounter_id") % 5 > 0)
    runouts = pl.DataFrame({"from_at": [datetime(1, 1, 1)], "runout_days": [15]})

    editions = []
    for weeks in range(10, 31, 2):
        as_of = datetime(2024, 1, 1) + timedelta(weeks=weeks)
        known = (f.filter(pl.col("ripe_week") < as_of.date()) for f in (rows, read, independent))
        whole, readable, chosen = known
        found = shown_counts(Ledger(whole, runouts, 60, as_of), readable, chosen)
        numbers = {n: found[n] for n in found if n not in {"mature_until", "persons"}}
        told = {n: value if isinstance(value, int) else 0 for n, value in numbers.items()}
        until = pl.col("ripe_week") <= (found["mature_until"] or date.min)
        all_of, of_read = (f.filter(until).drop_nulls("label").height for f in (whole, readable))
        assert told["mature"] == all_of
        assert not 0 < all_of - of_read < 11
        told["without"] = told["independent_ripe_rows"] - told["independent_ripe_events"]
        editions.append(told)

    for one, other in combinations(editions, 2):
        for name, value in one.items():
            assert not 0 < value < 11, name
            assert not 0 < other[name] - value < 11, name
            assert other[name] >= value, name
