"""Bands of staging pass what is right, and fail on a leak, a broken label or a broken feature."""

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from hrob_assets.pipeline import STAGING_BANDS
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.evaluation.golden_bands import (
    Band,
    bands_from,
    feature_figures,
    judge_bands,
    model_figures,
)
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.training.fit import train_model
from hrob_assets.risk.training.predict import predict
from hrob_assets.risk.use_case import ModelSpec, Threshold, Tuning

GOLDEN = bands_from(
    yaml.safe_load(STAGING_BANDS.read_text())["oncology_ed_visit"], place="staging_bands.yaml"
)
OF_THE_MODEL = tuple(
    band for band in GOLDEN if not band.figure.startswith("mean of ") and "lists" not in band.figure
)


def predictions(seed, *, leak=0.0):
    """Predictions as the staging world gives them: right on average, AUROC near 0.71."""
    rng = np.random.default_rng(seed)
    logit = -2.27 + 0.78 * rng.normal(size=8765)
    probability = 1 / (1 + np.exp(-logit))
    # the same share has the outcome in each draw: the staging world has one seed
    outcome = rng.random(8765) < probability
    shown = 1 / (1 + np.exp(-(logit + leak * (outcome - 0.11))))
    persons = np.arange(8765) % 758
    return pl.DataFrame({"person_id": persons, "outcome": outcome, "probability": shown})


def out_of_band(frame):
    judged = judge_bands(model_figures(frame), OF_THE_MODEL)
    return set(judged.filter(~pl.col("within"))["figure"])


SEEDS = range(40)


def test_bands_of_discrimination_and_calibration_hold_over_chance():
    found = [out_of_band(predictions(seed)) - {"prevalence"} for seed in SEEDS]

    assert found == [set()] * len(SEEDS)


def test_a_leaked_outcome_leaves_the_band():
    assert all("auroc" in out_of_band(predictions(seed, leak=1.0)) for seed in SEEDS)


def test_a_label_that_misses_half_of_the_outcomes_leaves_the_bands():
    for seed in SEEDS:
        frame = predictions(seed)
        half = pl.Series(np.random.default_rng(seed).random(frame.height) < 0.5)
        broken = frame.with_columns((pl.col("outcome") & half).alias("outcome"))

        assert out_of_band(broken) >= {"prevalence", "calibration factor"}


def test_labels_that_belong_to_other_rows_leave_the_band():
    for seed in SEEDS:
        frame = predictions(seed)
        shuffled = frame.with_columns(pl.col("outcome").shuffle(seed=seed))

        assert "auroc" in out_of_band(shuffled)


def trained_on(frame):
    columns = ("visits__count_30d", "age__years")
    fitted = train_model(
        frame,
        columns=columns,
        rules=dict.fromkeys(columns, ImputationRule("constant", 0.0)),
        model=ModelSpec(
            "logistic_regression",
            Tuning(trials=2, folds=2, maximum_rows=10_000),
            seed=1,
            minimum_rows=50,
            minimum_events=10,
        ),
        threshold=Threshold(capacity_share=0.1),
    )
    test = frame.filter(pl.col("split") == "test")
    probability = predict(fitted, test)
    return test.select(
        "person_id", pl.col("label").alias("outcome"), pl.Series("probability", probability)
    )


def test_a_model_that_was_trained_on_a_leaked_feature_leaves_the_band_and_the_honest_one_does_not():
    rng = np.random.default_rng(3)
    rows = 13_000
    visits = rng.poisson(1.0, rows).astype(float)
    label = rng.random(rows) < 1 / (1 + np.exp(-(-3.5 + 1.7 * np.log1p(visits))))
    honest = pl.DataFrame(
        {
            "person_id": np.arange(rows) // 2,
            "split": np.array(["train", "validation", "test"])[np.arange(rows) // 2 % 3],
            "label": label,
            "visits__count_30d": visits,
            "age__years": rng.uniform(20, 80, rows),
        }
    )
    # the count also sees the visits of the follow-up: what a wrong cut in time does
    leaked = honest.with_columns(pl.col("visits__count_30d") + 3.0 * pl.col("label"))
    band = (Band("auroc", 0.66, 0.77),)

    assert judge_bands(model_figures(trained_on(honest)), band)["within"].all()
    assert not judge_bands(model_figures(trained_on(leaked)), band)["within"].any()


def test_a_feature_that_lost_its_facts_leaves_its_band():
    band = next(band for band in GOLDEN if band.figure == "mean of ed_visit__count_365d")
    right = pl.LazyFrame({"ed_visit__count_365d": [0.0, 1.0, 1.0, 1.3]})
    doubled = right.select(pl.col("ed_visit__count_365d") * 2)
    renamed = right.rename({"ed_visit__count_365d": "ed_visits__count_365d"})

    within = [
        judge_bands(feature_figures(frame, (band,)), (band,))["within"].item()
        for frame in (right, doubled, right.select(pl.all() * 0), renamed)
    ]

    assert within == [True, False, False, False]


def test_the_figures_agree_with_scikit_learn_on_ties():
    rng = np.random.default_rng(5)
    frame = pl.DataFrame(
        {
            "person_id": np.arange(500),
            "outcome": rng.random(500) < 0.2,
            "probability": rng.integers(0, 9, 500) / 10,
        }
    )

    assert model_figures(frame)["auroc"] == pytest.approx(
        roc_auc_score(frame["outcome"], frame["probability"]), abs=1e-12
    )


def test_a_figure_that_is_not_there_or_not_a_number_is_not_within():
    bands = (Band("auroc", 0, 1), Band("prevalence", 0, 1))

    judged = judge_bands({"prevalence": float("nan")}, bands)

    assert judged["within"].to_list() == [False, False]
    assert judged["found"].to_list()[0] is None


@pytest.mark.parametrize(
    "limits", [[0.8, 0.6], [0.6], 0.7, ["a", "b"], [0.5, float("inf")], [0.5, float("nan")]]
)
def test_a_band_that_means_nothing_is_refused(limits):
    with pytest.raises(ConfigurationError, match=r"'auroc' in bands.yaml must be \[at least, at"):
        bands_from({"auroc": limits}, place="bands.yaml")


def test_a_use_case_without_bands_is_refused():
    with pytest.raises(ConfigurationError, match="must have a band for each figure"):
        bands_from({}, place="bands.yaml, cardiology")
