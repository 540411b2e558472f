import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.recalibration import Recalibration
from hrob_assets.risk.training import comparator_probability, predict
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
