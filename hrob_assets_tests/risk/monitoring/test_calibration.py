from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hrob_assets.risk.monitoring.calibration import (
    WEEKLY_CALIBRATION,
    LabelledPredictions,
    censoring_sensitivity,
    estimate_calibration,
    estimate_weekly_calibration,
    nowcast_weeks,
)
from hrob_assets.risk.monitoring.ledger import ledger_of_known_outcomes
from hrob_assets.risk.monitoring.reporting_delay import fixed_runout

MONDAY = date(2024, 1, 1)


def expit(x):
    return 1 / (1 + np.exp(-x))


def drawn(seed=1, *, persons=400, per_person=3, shift=0.0):
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(persons), per_person)
    odds = rng.normal(-1.5, 1, person.size)
    true = expit(odds + shift + np.repeat(rng.normal(0, 0.8, persons), per_person))
    y = (rng.random(person.size) < true).astype(float)
    p = expit(odds)
    return LabelledPredictions(person, p, y, p > 0.3, np.ones(person.size))


@pytest.mark.parametrize("figure", ["intercept", "slope"])
def test_regressions_agree_with_a_glm_with_cluster_robust_errors(figure):
    rows = drawn(shift=0.3)
    odds = np.log(rows.probability / (1 - rows.probability))
    design = np.ones((odds.size, 1)) if figure == "intercept" else sm.add_constant(odds)
    offset = odds if figure == "intercept" else None
    glm = sm.GLM(rows.outcome, design, family=sm.families.Binomial(), offset=offset).fit(
        cov_type="cluster", cov_kwds={"groups": rows.person, "use_correction": False}
    )
    clusters = rows.persons / (rows.persons - 1)

    found = estimate_calibration(rows)

    assert found[figure] == pytest.approx(glm.params[-1], abs=1e-8)
    error = (found[f"{figure}_high"] - found[f"{figure}_low"]) / 2 / 1.959963984540054
    assert error == pytest.approx(glm.bse[-1] * np.sqrt(clusters), rel=1e-6)


def test_means_and_ratio_agree_with_a_plain_bootstrap_of_persons():
    rows = drawn(shift=0.2)
    rng = np.random.default_rng(9)
    where = [np.flatnonzero(rows.person == person) for person in range(400)]
    draws = {"calibration_factor": [], "observed_expected": [], "brier": []}
    draws["positive_predictive_value"] = []
    for _ in range(1500):
        take = np.concatenate([where[i] for i in rng.integers(0, 400, 400)])
        p, y, high = rows.probability[take], rows.outcome[take], rows.high_risk[take]
        draws["calibration_factor"].append(np.mean(p - y))
        draws["observed_expected"].append(y.sum() / p.sum())
        draws["brier"].append(np.mean((p - y) ** 2))
        draws["positive_predictive_value"].append(y[high].mean())

    found = estimate_calibration(rows)

    for name, values in draws.items():
        low, high = np.quantile(values, [0.025, 0.975])
        assert found[f"{name}_low"] == pytest.approx(low, abs=0.25 * (high - low)), name
        assert found[f"{name}_high"] == pytest.approx(high, abs=0.25 * (high - low)), name


def test_few_events_have_a_value_but_no_interval():
    p = np.full(60, 0.1)
    y = np.zeros(60)
    y[:3] = 1

    found = estimate_calibration(LabelledPredictions(np.arange(60), p, y, p > 0.05, np.ones(60)))

    assert found["calibration_factor"] == pytest.approx(0.05)
    assert found["calibration_factor_low"] is None
    none = estimate_calibration(
        LabelledPredictions(np.arange(60), p, np.zeros(60), p > 0.05, np.ones(60))
    )
    assert none["observed_expected"] == 0.0
    assert none["intercept"] is None


def test_outcomes_that_the_odds_separate_have_no_slope():
    p = np.append(np.linspace(0.45, 0.55, 59), 1e-6)
    y = (p > 0.5).astype(float)

    found = estimate_calibration(LabelledPredictions(np.arange(60), p, y, p > 0.5, np.ones(60)))

    assert found["slope"] is None
    assert found["intercept"] is not None


@pytest.mark.parametrize(("events", "others"), [(0, 60), (9, 60), (60, 0), (60, 9), (30, 30)])
def test_the_predictive_value_has_an_interval_where_the_high_risk_rows_carry_one(events, others):
    y = np.concatenate([np.ones(events), np.zeros(others), np.tile([1.0, 0.0], 100)])
    high = np.arange(y.size) < events + others

    found = estimate_calibration(
        LabelledPredictions(np.arange(y.size), np.full(y.size, 0.4), y, high, np.ones(y.size))
    )

    assert found["positive_predictive_value"] == events / (events + others)
    assert found["brier_low"] is not None
    assert (found["positive_predictive_value_low"] is None) == (min(events, others) < 10)


def ripened(seed=1, weeks=20, per_week=40):
    rng = np.random.default_rng(seed)
    size = weeks * per_week
    p = rng.uniform(0.05, 0.5, size)
    return pl.DataFrame(
        {
            "person_id": rng.integers(0, 300, size),
            "ripe_week": [
                MONDAY + timedelta(weeks=int(w)) for w in np.repeat(np.arange(weeks), per_week)
            ],
            "probability": p,
            "label": rng.random(size) < p,
            "high_risk": p > 0.4,
            "race": rng.choice(["Black", "White", None], size),
        }
    )


@settings(max_examples=10, deadline=None)
@given(cut=st.integers(1, 19), order=st.randoms(use_true_random=False))
def test_weeks_do_not_depend_on_later_weeks_or_on_the_order_of_rows(cut, order):
    rows = ripened()
    places = list(range(rows.height))
    order.shuffle(places)
    until = MONDAY + timedelta(weeks=cut)

    whole = estimate_weekly_calibration(rows[places], groups=["race"], window_weeks=4)
    early = estimate_weekly_calibration(
        rows.filter(pl.col("ripe_week") < until), groups=["race"], window_weeks=4
    )

    WEEKLY_CALIBRATION.check(whole)
    key = ["group", "level", "week"]
    for name in ("rows", "events", "calibration_factor", "slope", "brier_low"):
        one = early.sort(key)[name].to_numpy()
        other = whole.filter(pl.col("week") < until).sort(key)[name].to_numpy()
        np.testing.assert_allclose(one, other, rtol=1e-8)


def test_the_weeks_since_one_are_those_of_all_weeks():
    rows, since = ripened(), MONDAY + timedelta(weeks=9)

    whole = estimate_weekly_calibration(rows, groups=["race"], window_weeks=4)
    told = estimate_weekly_calibration(rows, groups=["race"], window_weeks=4, since=since)

    assert told.height > 0
    assert_frame_equal(told, whole.filter(pl.col("week") >= since))


def test_a_window_holds_the_weeks_that_end_with_its_own():
    rows = ripened()

    found = estimate_weekly_calibration(rows, window_weeks=4).filter(
        pl.col("week") == MONDAY + timedelta(weeks=9)
    )

    window = rows.filter(
        pl.col("ripe_week").is_between(MONDAY + timedelta(weeks=6), MONDAY + timedelta(weeks=9))
    )
    assert found["rows"].item() == window.height == 160
    assert found["events"].item() == window["label"].sum()
    levels = (
        estimate_weekly_calibration(rows, groups=["race"], window_weeks=4)["level"].unique().sort()
    )
    assert levels.to_list() == ["Black", "Unknown", "White", "all"]


def scored_world(*, as_of, seed=1, leaving=0.0):
    """A risk of 20 %, outcomes evenly over the horizon, known about ten days later."""
    rng = np.random.default_rng(seed)
    size = 8000
    day = np.sort(rng.integers(0, 7 * 52, size))
    start = datetime(2024, 1, 1)
    outcome = rng.random(size) < 0.2
    at = rng.uniform(0, 60, size)
    leaves = rng.exponential(1 / leaving, size) if leaving else np.full(size, 1e4)
    seen = outcome & (at < leaves)
    known = np.where(seen, at + rng.exponential(10, size), 75.0)
    moments = [start + timedelta(days=int(d)) for d in day]
    frame = pl.DataFrame(
        {
            "person_id": np.arange(size),
            "encounter_id": np.arange(size),
            "prediction_time": moments,
            "model_version": "1",
            "probability": 0.2,
            "high_risk": False,
            "outcome": seen,
            "known_at": [m + timedelta(days=float(k)) for m, k in zip(moments, known, strict=True)],
            "outcome_at": [
                m + timedelta(days=float(a)) if s else None
                for m, a, s in zip(moments, at, seen, strict=True)
            ],
            "censored_at": [
                m + timedelta(days=float(v)) if v < 60 else None
                for m, v in zip(moments, leaves, strict=True)
            ],
        },
        schema_overrides={"prediction_time": pl.Datetime("us"), "known_at": pl.Datetime("us"),
                          "outcome_at": pl.Datetime("us"), "censored_at": pl.Datetime("us")},
    )  # fmt: skip
    return ledger_of_known_outcomes(frame, horizon_days=60, runouts=fixed_runout(30), as_of=as_of)


def test_a_nowcast_comes_near_what_the_weeks_will_come_to():
    found = nowcast_weeks(scored_world(as_of=datetime(2024, 10, 7)))

    old_enough = found.filter(pl.col("completion") > 0.2)
    assert old_enough.height >= 8
    assert old_enough["events_so_far"].sum() < 0.75 * old_enough["expected"].sum()
    ratio = old_enough["events_nowcast"].sum() / old_enough["expected"].sum()
    assert 0.85 < ratio < 1.15


def test_weights_for_censoring_take_the_bias_away():
    found = censoring_sensitivity(scored_world(as_of=datetime(2025, 12, 1), leaving=1 / 120))

    without, with_weights = found["observed_expected"]
    assert found["censored"][0] > 2000
    assert without > 1.1  # who has the outcome early is kept, who leaves before it is not
    assert with_weights == pytest.approx(1.0, abs=0.06)
