import json
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.models.recalibration import (
    Recalibration,
    Steps,
    calibration_from,
    fit_calibration,
)
from hrob_assets.risk.training.predict import comparator_probability, predict
from hrob_assets_tests.example import fitted

ROWS = pl.DataFrame({"x": [-1.0, 0.0, 2.0]})


def log_odds(probability):
    return np.log(probability / (1 - probability))


def test_without_a_change_probabilities_stay_the_same_to_the_bit():
    probability = np.array([0.0, 1e-9, 0.3, 1.0])

    assert Recalibration().applied(probability) is probability


def test_a_model_that_was_updated_shifts_and_stretches_its_log_odds():
    before = predict(fitted(["x"], [1.0]), ROWS)

    after = predict(fitted(["x"], [1.0], recalibration=Recalibration(-0.5, 0.8)), ROWS)

    assert log_odds(after).tolist() == pytest.approx((-0.5 + 0.8 * log_odds(before)).tolist())


def test_certain_predictions_become_uncertain_ones():
    found = Recalibration(slope=0.5).applied(np.array([0.0, 1.0]))

    assert found.tolist() == pytest.approx([0.001, 0.999], rel=1e-3)


def test_the_comparator_predicts_from_columns_of_its_own():
    model = fitted(["y"], [1.0], comparator=fitted(["x"], [1.0]))

    found = comparator_probability(model, ROWS)

    assert found.name == "comparator_probability"
    assert found.to_list() == pytest.approx([0.2689, 0.5, 0.8808], abs=1e-4)


def test_a_model_without_a_comparator_has_no_probability_of_one():
    found = comparator_probability(fitted(["x"], [1.0]), ROWS)

    assert found.dtype == pl.Float64
    assert found.to_list() == [None, None, None]


def test_logistic_calibration_is_that_of_scikit_learn_without_a_penalty():
    rng = np.random.default_rng(1)
    probability = rng.uniform(0.05, 0.9, 2000)
    outcome = (rng.random(2000) < probability**2).astype(np.int8)

    found = fit_calibration("logistic", probability, outcome)

    other = LogisticRegression(C=np.inf, tol=1e-10).fit(log_odds(probability)[:, None], outcome)
    assert found.slope == pytest.approx(other.coef_[0, 0], abs=1e-5)
    assert found.intercept == pytest.approx(other.intercept_[0], abs=1e-5)


@pytest.mark.parametrize("kind", ["none", "logistic", "isotonic"])
def test_a_calibration_comes_back_from_what_is_stored_of_it(kind):
    probability, outcome = np.linspace(0.05, 0.9, 400), np.arange(400) % 3 == 0

    found = fit_calibration(kind, probability, outcome.astype(np.int8))

    assert calibration_from(json.loads(json.dumps(asdict(found)))) == found


def test_isotonic_calibration_never_gives_certainty():
    found = fit_calibration("isotonic", np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]))

    assert isinstance(found, Steps)
    assert found.applied(np.array([0.0, 1.0])).tolist() == [1e-6, 1 - 1e-6]


def test_outcomes_that_probabilities_part_have_no_best_slope():
    with pytest.raises(ContractError, match="must have a best value"):
        fit_calibration("logistic", np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]))
