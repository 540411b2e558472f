import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from hrob_assets.risk.statistics.bootstrap import replicate
from hrob_assets.risk.statistics.calibration import (
    ALL_ALIKE,
    NO_MAXIMUM,
    ONE_OUTCOME,
    calibrate,
    fit_in_the_large,
    fit_line,
)
from hrob_assets.risk.statistics.calibration_replicates import (
    calibrate_replicates,
    expected_distances,
    in_bins,
    logit_bins,
)
from hrob_assets.risk.statistics.distances import DISTANCES
from hrob_assets.risk.statistics.logistic import logit
from hrob_assets.risk.statistics.ranked_rows import rank_rows
from hrob_assets.risk.statistics.spline import Spline, spline_for


def in_the_large(probability, outcome, *, weight=None):
    events = outcome if weight is None else weight * outcome
    return fit_in_the_large(probability, events, rows=weight).coefficients[0]


def line_of(probability, outcome, *, weight=None):
    events = outcome if weight is None else weight * outcome
    return tuple(fit_line(probability, events, rows=weight).coefficients)


def predictions(rows=3000, seed=3, shift=0.3, slope=0.8, decimals=9):
    rng = np.random.default_rng(seed)
    score = rng.normal(-1.5, 1.0, rows)
    outcome = (rng.random(rows) < expit(shift + slope * score)).astype(np.int8)
    return expit(score).round(decimals), outcome


def glm(columns, outcome, *, offset=None, freq_weights=None):
    family = sm.families.Binomial()
    model = sm.GLM(outcome, columns, family=family, offset=offset, freq_weights=freq_weights)
    return model.fit(tol=1e-12).params


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_the_large_is_a_glm_with_a_true_offset(seed):
    probability, outcome = predictions(seed=seed)

    found = in_the_large(probability, outcome)

    expected = glm(np.ones(outcome.size), outcome, offset=logit(probability))
    assert found == pytest.approx(expected[0], abs=1e-8)


def test_in_the_large_is_not_the_intercept_beside_a_slope():
    probability, outcome = predictions()

    intercept, _ = line_of(probability, outcome)

    assert abs(in_the_large(probability, outcome) - intercept) > 0.1


def test_weights_count_rows():
    probability, outcome = predictions(rows=400)
    weight = np.random.default_rng(1).integers(0, 4, 400)
    options = {"freq_weights": weight}

    large = glm(np.ones(400), outcome, offset=logit(probability), **options)
    line = glm(sm.add_constant(logit(probability)), outcome, **options)
    assert in_the_large(probability, outcome, weight=weight) == (pytest.approx(large[0], abs=1e-8))
    assert line_of(probability, outcome, weight=weight) == pytest.approx(line, abs=1e-8)


@pytest.mark.parametrize("decimals", [2, 9], ids=["ties", "no ties"])
def test_every_level_is_that_of_statsmodels(decimals):
    probability, outcome = predictions(decimals=decimals)
    rows = rank_rows(np.arange(outcome.size), probability, outcome)
    found = calibrate(rows)

    score = logit(probability)
    line = glm(sm.add_constant(score), outcome)
    basis = found.curve.spline.basis(score)
    curve = expit(basis @ glm(basis, outcome))
    distance = np.abs(curve - probability)
    assert found.in_the_large == pytest.approx(
        glm(np.ones(outcome.size), outcome, offset=score)[0], abs=1e-6
    )
    assert found.line == pytest.approx(line, abs=1e-6)
    assert found.curve.distances[0] == pytest.approx(distance.mean(), abs=1e-6)
    assert found.curve.distances[1:3] == pytest.approx(
        np.quantile(distance, [0.5, 0.9], method="inverted_cdf"), abs=1e-6
    )
    assert found.curve.distances[3] == pytest.approx(distance.max(), abs=1e-6)


def test_the_curve_without_a_penalty_is_that_of_scikit_learn():
    probability, outcome = predictions()
    found = calibrate(rank_rows(np.arange(outcome.size), probability, outcome))

    basis = found.curve.spline.basis(logit(probability))[:, 1:]
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(basis, outcome)

    grid = found.curve.spline.basis(logit(found.curve.grid))[:, 1:]
    assert found.curve.values == pytest.approx(fitted.predict_proba(grid)[:, 1], abs=1e-4)


def test_a_natural_spline_is_straight_outside_its_knots_and_smooth_at_them():
    spline = Spline((-2.0, -1.0, 0.5, 1.0, 2.0))
    coefficients = np.array([0.3, 1.0, -2.0, 4.0, 1.0])

    outside = spline.basis(np.array([-9.0, -6.0, -3.0, 3.0, 6.0, 9.0])) @ coefficients
    assert outside[0] - 2 * outside[1] + outside[2] == pytest.approx(0, abs=1e-9)
    assert outside[3] - 2 * outside[4] + outside[5] == pytest.approx(0, abs=1e-9)
    step = 1e-3
    for knot in spline.knots:
        around = spline.basis(knot + step * np.array([-2, -1, 0, 1, 2.0])) @ coefficients
        before, after = (around[i] - 2 * around[i + 1] + around[i + 2] for i in (0, 2))
        assert before == pytest.approx(after, abs=1e-6)  # the second derivative does not jump


def test_few_rows_of_an_outcome_have_fewer_knots():
    x = np.random.default_rng(1).normal(size=500)

    assert [len(spline_for(x, rarer).knots) for rarer in (500, 39, 25, 5)] == [5, 4, 3, 0]
    assert spline_for(np.repeat([0.0, 1.0], 50), 50).knots == ()


def test_predictions_that_are_right_have_no_distance_beyond_chance():
    rng = np.random.default_rng(5)
    probability = rng.uniform(0.02, 0.6, 20_000)
    outcome = (rng.random(20_000) < probability).astype(np.int8)
    rows = rank_rows(np.arange(20_000), probability, outcome)
    found = calibrate(rows)

    expected = expected_distances(found.curve, logit_bins(rows), seed=1)

    assert (abs(found.in_the_large), abs(found.line[1] - 1)) < (0.05, 0.05)
    assert found.curve.distances[0] < 2 * expected[0]


def test_the_expected_distance_is_that_of_drawing_outcomes_row_by_row():
    probability, outcome = predictions(rows=800, shift=0, slope=1)
    rows = rank_rows(np.arange(800), probability, outcome)
    found = calibrate(rows)
    mine = expected_distances(found.curve, logit_bins(rows), seed=1)

    rng = np.random.default_rng(7)
    basis = found.curve.spline.basis(logit(rows.probability))
    plain = []
    for _ in range(150):
        drawn = (rng.random(800) < rows.probability).astype(int)
        curve = expit(basis @ glm(basis, drawn))
        plain.append(np.mean(np.abs(curve - rows.probability)))

    error = np.std(plain) * np.sqrt(1 / 150 + 1 / 200)
    assert mine[0] == pytest.approx(np.mean(plain), abs=4 * error)


def test_refits_on_bins_are_refits_on_rows():
    probability, outcome = predictions(rows=4000)
    rows = rank_rows(np.arange(4000) // 3, probability, outcome)
    found, bins = calibrate(rows), logit_bins(rows)
    columns = np.eye(1, dtype=float).repeat(4000, axis=0)
    drawn = replicate(rows, columns=columns, cuts=bins.cuts, replicates=16, seed=2)
    refitted = calibrate_replicates(found, bins, *in_bins(drawn, np.arange(bins.cuts.size)))

    weights = replicate(
        rows, columns=columns, cuts=np.arange(4001), replicates=16, seed=2
    ).rows_above  # without ties between cuts, the steps are the weights
    score = logit(rows.probability)
    basis = found.curve.spline.basis(score)
    for b in range(4):
        weight = np.diff(weights[b])
        options = {"freq_weights": weight}
        large = glm(np.ones(4000), rows.outcome, offset=score, **options)
        line = glm(sm.add_constant(score), rows.outcome, **options)
        distance = np.abs(expit(basis @ glm(basis, rows.outcome, **options)) - rows.probability)
        assert refitted.in_the_large[b] == pytest.approx(large[0], abs=5e-4)
        assert refitted.slope[b] == pytest.approx(line[1], abs=5e-4)
        assert refitted.distances[b, 0] == pytest.approx(
            np.average(distance, weights=weight), abs=2e-4
        )


def test_bins_hold_every_row_once_and_cut_no_prediction_apart():
    probability, outcome = predictions(decimals=2)
    rows = rank_rows(np.arange(outcome.size), probability, outcome)
    cuts = logit_bins(rows).cuts

    assert (cuts[0], cuts[-1]) == (0, rows.rows)
    inner = cuts[1:-1]
    assert np.all(rows.probability[inner] < rows.probability[inner - 1])


def ranked(probability, outcome):
    return rank_rows(np.arange(len(outcome)), np.asarray(probability), np.asarray(outcome))


def test_one_outcome_only_has_no_calibration_and_says_why():
    found = calibrate(ranked(np.linspace(0.1, 0.5, 20), np.zeros(20)))

    assert (found.in_the_large, found.line, found.curve) == (None, None, None)
    assert found.absent == dict.fromkeys(["in_the_large", "line", "curve"], ONE_OUTCOME)


def test_predictions_that_separate_the_outcomes_keep_calibration_in_the_large():
    found = calibrate(ranked([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]))

    assert found.in_the_large == pytest.approx(0.0, abs=1e-9)
    assert found.absent == {"line": NO_MAXIMUM, "curve": NO_MAXIMUM}


def test_predictions_that_are_all_the_same_keep_calibration_in_the_large():
    found = calibrate(ranked(np.full(100, 0.2), np.arange(100) < 40))

    assert found.in_the_large == pytest.approx(np.log(40 / 60) - np.log(0.2 / 0.8))
    assert found.absent == {"line": ALL_ALIKE, "curve": ALL_ALIKE}


def test_certain_predictions_are_clipped_and_counted():
    """A forest says 0 or 1 of a tenth of the rows; a GLM on clipped log-odds is the reference."""
    rng = np.random.default_rng(33)
    probability, outcome = predictions(rows=5000, seed=7)
    certain = rng.random(5000) < 0.1
    probability = np.where(certain, rng.random(5000) < 0.2, probability).astype(float)
    found = calibrate(ranked(probability, outcome))

    reference = glm(sm.add_constant(logit(probability)), outcome)
    assert found.clipped == certain.sum()
    assert found.line == pytest.approx(reference, abs=1e-8)
    assert found.line[1] < 0.3
    assert found.curve is not None


def test_few_events_among_many_rows_have_every_level():
    rng = np.random.default_rng(1)
    score = rng.normal(-5.9, 0.8, 50_000)
    outcome = (rng.random(50_000) < expit(-0.15 + 0.85 * score)).astype(np.int8)
    found = calibrate(ranked(expit(score), outcome))

    assert 100 < outcome.sum() < 400
    assert found.absent == {}
    assert found.line == pytest.approx(glm(sm.add_constant(score), outcome), abs=1e-6)


def test_the_standard_error_in_the_large_is_that_of_the_bootstrap():
    probability, outcome = predictions(rows=5000, shift=0, slope=1)
    rows = rank_rows(np.arange(5000), probability, outcome)
    found, bins = calibrate(rows), logit_bins(rows)
    drawn = replicate(rows, columns=np.ones((5000, 1)), cuts=bins.cuts, replicates=2000, seed=2)
    refitted = calibrate_replicates(found, bins, *in_bins(drawn, np.arange(bins.cuts.size)))

    fitted = sm.GLM(
        outcome, np.ones(5000), family=sm.families.Binomial(), offset=logit(probability)
    ).fit(cov_type="HC0")
    low, high = np.quantile(refitted.in_the_large, [0.025, 0.975])
    assert (high - low) / 2 == pytest.approx(norm.ppf(0.975) * fitted.bse[0], rel=0.06)


def test_distances_have_names():
    assert DISTANCES == ("ici", "e50", "e90", "emax")
