from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.monitoring.reporting_delay import (
    MOST_RUNOUT_DAYS,
    completion_by_age,
    estimate_runouts,
    fixed_runout,
    maturity_times,
)

START = datetime(2023, 1, 1)
SETTINGS = {"share": 0.95, "least_days": 14, "first": START, "as_of": datetime(2024, 1, 1)}


def claims(*, per_day=3, days=365, mean_delay=10.0, later=0.0, from_day=10_000, seed=1):
    """Facts with exponential delays; from one day on, so many days longer."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(-100, days), per_day)
    delay = rng.exponential(mean_delay, day.size) + np.where(day >= from_day, later, 0.0)
    occurred = [START + timedelta(days=int(d)) for d in day]
    return pl.DataFrame(
        {
            "kind": "visit",
            "started_at": occurred,
            "known_at": [
                o + timedelta(days=float(d)) for o, d in zip(occurred, delay, strict=True)
            ],
        }
    )


def test_the_run_out_is_the_95_percent_point_of_the_delays():
    found = estimate_runouts(claims(per_day=20), **SETTINGS)

    assert found.height == 13
    truth = 10 * np.log(20)  # 29.96
    assert abs(found["estimated_days"].to_numpy() - truth).max() < 5


def test_the_slowest_kind_of_fact_decides():
    fast = claims(per_day=20, mean_delay=2.0).with_columns(kind=pl.lit("office"))

    both = estimate_runouts(pl.concat([fast, claims(per_day=5)]), **SETTINGS)

    alone = estimate_runouts(claims(per_day=5), **SETTINGS)
    assert both["runout_days"].to_list() == alone["runout_days"].to_list()


def test_a_longer_delay_is_seen_within_two_months():
    found = estimate_runouts(claims(per_day=20, later=30.0, from_day=120), **SETTINGS)

    days = dict(zip(found["from_at"].to_list(), found["runout_days"], strict=True))
    assert days[datetime(2023, 5, 1)] < 36
    assert days[datetime(2023, 7, 1)] > 45
    assert days[datetime(2023, 9, 1)] > 55


def test_few_facts_keep_the_run_out_of_the_month_before_and_a_first_load_is_bounded():
    stopped = claims(per_day=20).filter(pl.col("known_at") < datetime(2023, 4, 1))
    old = claims().with_columns(started_at=pl.col("started_at") - pl.duration(days=3000))

    few = estimate_runouts(stopped, **SETTINGS)
    loaded = estimate_runouts(old, **SETTINGS)

    assert few["runout_days"][-6:].n_unique() == 1
    assert few["estimated_days"][-1] is None
    assert loaded["runout_days"].max() == MOST_RUNOUT_DAYS


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 364), seed=st.integers(0, 100))
def test_what_becomes_known_later_changes_no_earlier_run_out(cut, seed):
    facts = claims(seed=seed)
    as_of = START + timedelta(days=cut)
    early = SETTINGS | {"as_of": as_of}
    rewritten = facts.with_columns(
        started_at=pl.when(pl.col("known_at") >= as_of)
        .then(pl.col("known_at") - pl.duration(days=90))
        .otherwise("started_at")
    )

    expected = estimate_runouts(facts, **early)

    assert estimate_runouts(rewritten, **early).equals(expected)
    whole = estimate_runouts(facts, **SETTINGS)
    assert whole.filter(pl.col("from_at") <= as_of).equals(expected)


@given(
    days=st.lists(st.integers(0, 60), min_size=1, max_size=6),
    end=st.integers(-50, 200),
)
def test_a_row_is_ripe_at_the_first_moment_at_which_the_run_out_in_force_has_passed(days, end):
    starts = [START + timedelta(days=31 * n) for n in range(len(days))]
    runouts = pl.DataFrame(
        {
            "from_at": [datetime(1, 1, 1), *starts[1:]],
            "runout_days": days,
            "estimated_days": days,
            "facts": 99,
        }
    )
    horizon_end = START + timedelta(days=end)

    found = maturity_times(pl.Series([horizon_end]), runouts)["runout_ends_at"][0]

    def passed(moment):
        in_force = [d for s, d in zip(runouts["from_at"], days, strict=True) if s <= moment][-1]
        return horizon_end + timedelta(days=in_force) <= moment

    steps = [horizon_end + timedelta(days=n) for n in range(400)]
    assert found == next(moment for moment in steps if passed(moment))


def test_a_fixed_run_out_is_the_same_for_all_time():
    found = maturity_times(pl.Series([START]), fixed_runout(30))

    assert found["runout_ends_at"].to_list() == [START + timedelta(days=30)]


def test_completion_by_age_is_the_share_that_is_known():
    mondays = [date(2023, 1, 2) + timedelta(weeks=n) for n in range(40)]
    rng = np.random.default_rng(3)
    week = np.repeat(np.arange(40), 300)
    delay = rng.exponential(2.0, week.size)  # weeks, from the Monday on
    known = [
        datetime(2023, 1, 2) + timedelta(weeks=float(w + d))
        for w, d in zip(week, delay, strict=True)
    ]
    facts = pl.DataFrame({"week": [mondays[w] for w in week], "known_at": known})

    found = completion_by_age(facts, weeks=mondays, as_of=datetime(2023, 10, 9))

    ages = np.arange(1, 13)
    np.testing.assert_allclose(found["completion"][:12], 1 - np.exp(-ages / 2.0), atol=0.02)


def test_months_must_not_end_before_they_begin():
    with pytest.raises(ContractError, match="must end after they begin"):
        estimate_runouts(
            claims(), share=0.95, least_days=1, first=START, as_of=datetime(2022, 1, 1)
        )
