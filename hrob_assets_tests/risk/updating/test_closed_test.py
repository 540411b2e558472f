from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2

from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.updating.closed_test import choose_update, pace_of_change


def expit(x):
    return 1 / (1 + np.exp(-x))


COEFFICIENTS = np.array([0.8, -0.6, 0.5, 0.4])


def world(seed, *, rows=6000, intercept=0.0, slope=1.0, coefficients=COEFFICIENTS):
    """Features, what a model with the old coefficients predicts, and outcomes of the new world."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    odds = -2.2 + x @ COEFFICIENTS
    true = intercept + slope * (-2.2 + x @ coefficients)
    return expit(odds), rng.random(rows) < expit(true), x


def independent_log_likelihood(design, y):
    """Maximum by a general optimiser, not by Newton's method."""

    def loss(beta):
        score = design @ beta
        return float(np.logaddexp(0, score).sum() - y @ score)

    def slope(beta):
        return design.T @ (expit(design @ beta) - y)

    return -minimize(loss, np.zeros(design.shape[1]), jac=slope, method="BFGS").fun


def test_the_tests_are_likelihood_ratio_tests_against_a_new_fit():
    p, y, x = world(1, intercept=0.4)

    found = choose_update(p, y, x)

    one = np.ones((y.size, 1))
    refit = independent_log_likelihood(np.column_stack([one, x]), y)
    assert found.log_likelihood["refit"] == pytest.approx(refit, abs=1e-4)
    original = float(np.sum(np.log(np.where(y, p, 1 - p))))
    assert found.log_likelihood["none"] == pytest.approx(original, abs=1e-6)
    first = found.tests.row(0, named=True)
    assert first["degrees_of_freedom"] == 5
    assert first["p_value"] == pytest.approx(chi2.sf(2 * (refit - original), 5), rel=1e-3)
    assert found.tests["degrees_of_freedom"].to_list() == [5, 4]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "none"),
        ({"intercept": 0.4}, "intercept"),
        ({"slope": 0.6, "intercept": -0.6}, "intercept and slope"),
        ({"coefficients": np.array([0.1, -0.6, 1.1, 0.4])}, "refit"),
    ],
)
def test_the_smallest_sufficient_update_is_chosen(change, expected):
    chosen = [choose_update(*world(seed, **change)).update for seed in range(20)]

    assert chosen.count(expected) >= 17  # 5 % of choices are wrong by design


def test_recalibration_brings_back_the_planted_change():
    shift = choose_update(*world(3, rows=40_000, intercept=0.4)).recalibration
    both = choose_update(*world(3, rows=40_000, intercept=-0.6, slope=0.6)).recalibration

    assert shift.intercept == pytest.approx(0.4, abs=0.06)
    assert shift.slope == 1.0
    assert both.slope == pytest.approx(0.6, abs=0.06)


def test_components_that_repeat_each_other_change_nothing():
    p, y, x = world(4)

    found = choose_update(p, y, np.column_stack([x, x[:, 0] + x[:, 1], np.ones(len(y))]))

    assert found.tests.equals(choose_update(p, y, x).tests)


def test_too_few_outcomes_are_told_without_their_number():
    p, y, x = world(5, rows=60)

    with pytest.raises(TooSmallError, match="needs 50 rows with and without"):
        choose_update(p, y, x)


def weekly(size, *, began, weeks, total=120, seed=1):
    rng = np.random.default_rng(seed)
    grown = size * np.clip((np.arange(total) - began + 1) / weeks, 0, 1)
    p = 0.1
    rows = 300
    events = rng.binomial(rows, expit(np.log(p / (1 - p)) + grown))
    return pl.DataFrame(
        {
            "week": [date(2023, 1, 2) + timedelta(weeks=n) for n in range(total)],
            "expected": rows * p,
            "information": rows * p * (1 - p),
            "events": events,
        }
    )


def test_a_pandemic_is_told_from_a_slow_drift():
    sudden = [
        pace_of_change(weekly(0.6, began=60, weeks=1, seed=s), sudden_weeks=4) for s in range(20)
    ]
    slow = [
        pace_of_change(weekly(0.6, began=40, weeks=52, seed=s), sudden_weeks=4) for s in range(20)
    ]

    assert [pace.kind for pace in sudden].count("sudden") >= 18
    assert [pace.kind for pace in slow].count("slow") >= 18
    assert abs(sudden[0].began - date(2024, 2, 26)) <= timedelta(weeks=3)
    assert sudden[0].size == pytest.approx(0.6, abs=0.25)  # one step of Newton's method


def test_the_pace_of_a_few_weeks_is_not_told():
    with pytest.raises(TooSmallError, match="needs 4 weeks"):
        pace_of_change(weekly(0.5, began=1, weeks=1, total=3), sudden_weeks=4)
