"""Figures that R packages have published, to the printed digit; no number here is our own.

Calibration: README of pmcalibration (Rhodes), which prints `pmcalibration::logistic_cal`,
`pmcalibration` (a restricted cubic spline of the logit with 5 knots, as `rms::rcs` has them) and
`rms::val.prob` on data that `sim_dat(1000, ...)` draws after `set.seed(2345)`.

Decision curves: `golden/dcurves_binary.csv` is three columns of `df_binary`, 750 made-up patients
that come with dcurves (MSKCC-Epi-Bio/dcurves, Apache License 2.0); the figures are what dcurves
for R says of them, as the tests of dcurves for Python keep them.
"""

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from hrob_assets.risk.evaluation.measures import Draw, measure
from hrob_assets.risk.statistics.distances import DISTANCES
from hrob_assets.risk.statistics.net_benefit import (
    interventions_avoided,
    net_benefit,
    net_benefit_of_all,
)
from hrob_assets.risk.statistics.ranked_rows import rank_rows
from hrob_assets_tests.paths import GOLDEN
from hrob_assets_tests.risk.evaluation.r_random import RRandom

BINARY = GOLDEN / "dcurves_binary.csv"


def simulated(*, intercept, interaction):
    """`sim_dat(1000, a1 = intercept, a3 = interaction)`, and a model that lacks the interaction."""
    r = RRandom(2345)
    x1, x2 = r.normal(1000), r.normal(1000)
    outcome = r.bernoulli(expit(intercept + x1 + x2 + interaction * x1 * x2)).astype(np.int8)
    return x1, x2, outcome, expit(intercept + x1 + x2)


def figures(probability, outcome):
    rows = rank_rows(np.arange(outcome.size), probability, outcome)
    found = measure(rows, threshold=0.5, draw=Draw(100, 1))
    return {name: each.value for name, each in found.estimates.items()}


def test_random_numbers_are_those_of_r():
    assert RRandom(1).uniform(2).round(7).tolist() == [0.2655087, 0.3721239]
    assert RRandom(1).normal(2).round(7).tolist() == [-0.6264538, 0.1836433]


def test_the_data_are_those_of_the_example():
    x1, x2, outcome, _ = simulated(intercept=-1, interaction=1.0)

    assert x1[:3].round(8).tolist() == [-1.19142464, 0.54930055, -0.06240514]
    assert x2[:3].round(7).tolist() == [-0.9245914, -1.0019698, 1.5438665]
    assert outcome[:6].tolist() == [0, 0, 1, 1, 0, 0]


def test_every_level_of_calibration_is_that_of_pmcalibration_and_rms():
    *_, outcome, probability = simulated(intercept=-1, interaction=1.0)

    found = figures(probability, outcome)

    assert round(found["auroc"], 3) == 0.813
    assert round(found["brier"], 3) == 0.148
    assert round(found["calibration_in_the_large"], 2) == -0.11
    assert round(found["calibration_slope"], 3) == 1.062
    assert [round(found[name], 3) for name in DISTANCES] == [0.054, 0.059, 0.083, 0.138]


def test_a_rare_outcome_has_the_figures_of_rms_to_nine_digits():
    *_, outcome, probability = simulated(intercept=-3, interaction=0.3)

    found = figures(probability, outcome)

    assert found["auroc"] == pytest.approx(0.862783323, abs=5e-10)
    assert found["brier"] == pytest.approx(0.057594793, abs=5e-10)
    assert found["calibration_slope"] == pytest.approx(1.336388397, abs=5e-10)
    assert round(found["calibration_in_the_large"], 3) == -0.044


R_MODEL = [
    (0.05, 0.128, 0.42666666666666664, 0.1055438596491228),
    (0.10, 0.116, 0.25733333333333336, 0.08740740740740742),
    (0.15, 0.10933333333333334, 0.17066666666666666, 0.07921568627450981),
    (0.20, 0.1, 0.13066666666666665, 0.06733333333333334),
    (0.25, 0.096, 0.096, 0.064),
    (0.30, 0.08266666666666668, 0.06533333333333333, 0.05466666666666668),
    (0.35, 0.076, 0.048, 0.050153846153846146),
    (0.40, 0.06266666666666668, 0.036, 0.038666666666666676),
    (0.45, 0.05333333333333334, 0.030666666666666665, 0.02824242424242425),
]
"""Of cancerpredmarker: threshold, true and false positives per patient, net benefit."""
R_ALL = {
    0.05: 0.09473684210526317, 0.10: 0.04444444444444445, 0.15: -0.011764705882352927,
    0.20: -0.075, 0.25: -0.1466666666666666, 0.30: -0.2285714285714286,
    0.35: -0.32307692307692315, 0.40: -0.43333333333333335, 0.45: -0.5636363636363636,
}  # fmt: skip
R_FAMILY_HISTORY = [
    (0.05, 0.025614035087719297, -131.33333333333337),
    (0.10, 0.018518518518518517, -23.333333333333353),
    (0.20, 0.0016666666666666635, 30.666666666666657),
    (0.30, -0.02, 48.666666666666664),
    (0.45, -0.06727272727272728, 60.666666666666664),
]
"""Threshold, net benefit, net interventions avoided per 100 patients."""


def test_the_decision_curve_of_a_model_is_that_of_dcurves():
    table = pl.read_csv(BINARY)
    rows = rank_rows(
        np.arange(750), table["cancerpredmarker"].to_numpy(), table["cancer"].to_numpy()
    )

    curve = measure(rows, threshold=0.2, draw=Draw(100, 1)).thresholds

    found = net_benefit(curve.true_positives, curve.false_positives, 750, curve.thresholds)
    at = {round(float(threshold), 2): n for n, threshold in enumerate(curve.thresholds)}
    for threshold, hits, false_alarms, benefit in R_MODEL:
        n = at[threshold]
        assert curve.true_positives[n] / 750 == pytest.approx(hits, abs=1e-12)
        assert curve.false_positives[n] / 750 == pytest.approx(false_alarms, abs=1e-12)
        assert found[n] == pytest.approx(benefit, abs=1e-12)
        assert curve.low[n] < found[n] < curve.high[n]


@pytest.mark.parametrize(("threshold", "benefit"), R_ALL.items())
def test_net_benefit_of_calling_everybody_is_that_of_dcurves(threshold, benefit):
    assert net_benefit_of_all(105 / 750, threshold) == pytest.approx(benefit, abs=1e-12)


@pytest.mark.parametrize(("threshold", "benefit", "avoided"), R_FAMILY_HISTORY)
def test_net_benefit_of_a_yes_or_no_and_interventions_avoided_are_those_of_dcurves(
    threshold, benefit, avoided
):
    cells = pl.read_csv(BINARY).filter(famhistory=1)["cancer"].value_counts().sort("cancer")
    false_alarms, hits = cells["count"].to_list()

    found = net_benefit(hits, false_alarms, 750, threshold)

    assert found == pytest.approx(benefit, abs=1e-12)
    of_all = net_benefit_of_all(0.14, threshold)
    assert interventions_avoided(found, of_all, threshold) == pytest.approx(avoided, abs=1e-9)
