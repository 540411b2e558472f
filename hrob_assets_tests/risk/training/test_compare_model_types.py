from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from hrob_assets.risk.evaluation.differences import COMPARED
from hrob_assets.risk.models.recalibration import fit_calibration
from hrob_assets.risk.training.compare_model_types import (
    choose_family,
    compare_families,
    family_table,
    shown_families,
)
from hrob_assets.risk.training.predict import predict
from hrob_assets.risk.use_case import Choice
from hrob_assets_tests.example import fitted

X = ("x__last_value_ever",)


def rows(count=3000, seed=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=count)
    return pl.DataFrame(
        {
            "person_id": np.arange(count) // 3,
            "split": np.where(np.arange(count) % 2 == 0, "validation", "test"),
            "label": rng.random(count) < 1 / (1 + np.exp(1 - x)),
            "x__last_value_ever": x,
        }
    )


GOOD = fitted(X, [1.0], intercept=-1.0, threshold=0.4)
BAD = fitted(X, [-0.5], intercept=-1.0, threshold=0.4)


def test_figures_are_those_of_scikit_learn_on_the_validation_rows():
    found = compare_families({"good": GOOD}, rows())[0].figures

    validation = rows().filter(pl.col("split") == "validation")
    p, y = predict(GOOD, validation), validation["label"].to_numpy()
    high = p >= 0.4
    benefit = (high & y).mean() - (high & ~y).mean() * 0.4 / 0.6
    assert found["log_loss"] == pytest.approx(log_loss(y, p))
    assert found["auroc"] == pytest.approx(roc_auc_score(y, p))
    assert found["auprc"] == pytest.approx(average_precision_score(y, p))
    assert found["net_benefit"] == pytest.approx(benefit)
    assert found["brier"] == pytest.approx(((p - y) ** 2).mean())


def test_a_better_family_is_better_in_every_metric_with_an_interval_above_zero():
    _, better = compare_families({"bad": BAD, "good": GOOD}, rows())

    assert set(better.improvements) == set(COMPARED)
    assert all(found.low > 0 for found in better.improvements.values())


def test_a_copy_of_the_default_is_neither_better_nor_worse():
    _, copy = compare_families({"one": GOOD, "two": GOOD}, rows())

    found = [(each.value, each.low, each.high) for each in copy.improvements.values()]
    assert found == [(0.0, 0.0, 0.0)] * len(COMPARED)


def test_outcomes_of_the_test_period_change_nothing():
    frame = rows()
    flipped = pl.col("label") ^ (pl.col("split") == "test")

    first = compare_families({"bad": BAD, "good": GOOD}, frame)
    second = compare_families({"bad": BAD, "good": GOOD}, frame.with_columns(label=flipped))

    assert first == second


def test_a_family_that_was_calibrated_is_not_judged_by_its_own_patients():
    frame = rows(300)
    own = frame.filter(pl.col("split") == "validation")
    outcome = own["label"].to_numpy().astype(np.int8)
    steps = fit_calibration("isotonic", predict(BAD, own), outcome)
    calibrated = replace(BAD, calibration_kind="isotonic", calibration=steps)

    _, found = compare_families({"good": GOOD, "bad": calibrated}, frame)

    assert found.figures["log_loss"] > log_loss(outcome, predict(calibrated, own)) + 0.005


def test_the_default_stays_where_the_margin_is_not_reached():
    compared = compare_families({"bad": BAD, "good": GOOD}, rows())

    lenient = choose_family(compared, Choice("log_loss", 0.001), candidates=["good"])
    strict = choose_family(compared, Choice("log_loss", 10.0), candidates=["good"])
    comparator_only = choose_family(compared, Choice("log_loss", 0.0), candidates=[])

    assert (lenient.name, strict.name, comparator_only.name) == ("good", "bad", "bad")
    assert "above the margin of 10" in strict.reason


def test_the_table_says_who_was_chosen_and_why():
    compared = compare_families({"bad": BAD, "good": GOOD}, rows())
    chosen = choose_family(compared, Choice(), candidates=["good"])

    table = family_table(compared, chosen)

    assert table["chosen"].to_list() == [False, True]
    assert table["reason"].unique().to_list() == [chosen.reason]
    assert shown_families(table)["family"].to_list() == ["bad", "good (chosen)"]
    assert shown_families(table)["better in log loss"][0] == "-"
