"""The one logistic regression, against statsmodels, and its one rule of failure."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.risk.statistics.logistic import (
    cluster_robust_covariance,
    expit,
    fit_logistic,
    logit,
)


def world(rows=2000, columns=3, seed=1):
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(rows), rng.normal(size=(rows, columns))])
    beta = rng.normal(scale=0.7, size=columns + 1)
    offset = rng.normal(scale=0.3, size=rows)
    return design, (rng.random(rows) < expit(design @ beta + offset)).astype(float), offset


def glm(design, outcome, **options: object):
    model = sm.GLM(outcome, design, family=sm.families.Binomial(), **options)
    return model.fit(tol=1e-14, tol_criterion="params")


@pytest.mark.parametrize("seed", range(5))
def test_a_fit_with_an_offset_is_that_of_statsmodels(seed):
    design, outcome, offset = world(seed=seed)

    found, expected = (
        fit_logistic(design, outcome, offset=offset),
        glm(design, outcome, offset=offset),
    )

    assert found.coefficients == pytest.approx(expected.params, abs=1e-9)
    assert found.log_likelihood == pytest.approx(expected.llf, abs=1e-7)
    assert found.covariance == pytest.approx(expected.cov_params(), rel=1e-6, abs=1e-12)


def test_weights_count_rows():
    design, outcome, _ = world(rows=400)
    weight = np.random.default_rng(1).integers(0, 4, 400).astype(float)

    found = fit_logistic(design, weight * outcome, rows=weight)

    assert found.coefficients == pytest.approx(
        glm(design, outcome, freq_weights=weight).params, abs=1e-9
    )


def test_the_units_of_a_column_change_its_coefficient_only():
    design, outcome, _ = world()
    scale = np.array([1.0, 1e-7, 1.0, 1e9])

    found, plain = fit_logistic(design * scale, outcome), fit_logistic(design, outcome)

    assert found.coefficients * scale == pytest.approx(plain.coefficients, abs=1e-8)


def test_the_cluster_robust_covariance_is_that_of_statsmodels():
    design, outcome, _ = world()
    cluster = np.arange(2000) // 5
    fit = fit_logistic(design, outcome)

    found = cluster_robust_covariance(fit, design, outcome, cluster)

    expected = glm(design, outcome)
    robust = sm.GLM(outcome, design, family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False}
    )
    assert found == pytest.approx(robust.cov_params() * 400 / 399, rel=1e-5)
    assert not np.allclose(found, expected.cov_params(), rtol=1e-3)


@pytest.mark.parametrize(
    ("design", "outcome"),
    [
        (np.ones((10, 1)), np.ones(10)),
        (np.ones((10, 1)), np.zeros(10)),
        (sm.add_constant(np.arange(10.0)), np.arange(10) > 4),
        (sm.add_constant(np.repeat([0.0, 1, 2], 10)), np.repeat([0, 1, 1], 10)),
        (np.ones((10, 2)), np.arange(10) % 2),
        (sm.add_constant(np.zeros(10)), np.arange(10) % 2),
    ],
    ids=["all", "none", "separated", "quasi-separated", "collinear", "empty column"],
)
def test_there_is_no_fit_where_the_likelihood_has_no_finite_maximum(design, outcome):
    assert fit_logistic(design, np.asarray(outcome, float)) is None


def test_a_step_that_overshoots_is_halved():
    """Newton's method alone diverges from the identity line on certain predictions."""
    rng = np.random.default_rng(3)
    probability = np.where(rng.random(3000) < 0.5, rng.integers(0, 2, 3000), 0.1).astype(float)
    outcome = (rng.random(3000) < 0.1).astype(float)
    design = sm.add_constant(logit(probability))

    found = fit_logistic(design, outcome, start=np.array([0.0, 1.0]))

    assert found.coefficients == pytest.approx(glm(design, outcome).params, abs=1e-8)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-20, 20), st.booleans()), min_size=4, max_size=60),
)
def test_a_fit_is_a_maximum_or_none(rows):
    x = np.array([row[0] for row in rows])
    y = np.array([float(row[1]) for row in rows])
    design = sm.add_constant(x, has_constant="add")
    found = fit_logistic(design, y)

    if found is not None:
        gradient = design.T @ (y - expit(design @ found.coefficients))
        assert np.abs(gradient).max() < 1e-5 * max(1.0, np.abs(design).max() * y.size)


def test_log_odds_and_probabilities_do_not_overflow():
    assert expit(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]
    assert logit(np.array([0.0, 1.0])) == pytest.approx([-13.8155, 13.8155], abs=1e-4)
