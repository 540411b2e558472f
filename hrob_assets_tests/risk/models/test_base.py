"""What holds for every family, and for each that is dropped into risk/models."""

import inspect

import numpy as np
import polars as pl
import pytest
from scipy.special import logit

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.models.base import Family, family_of
from hrob_assets.risk.models.design_matrix import Design
from hrob_assets.risk.models.points import PointRule
from hrob_assets.risk.models.types import family_names
from hrob_assets.risk.training.fit import fit_design
from hrob_assets.risk.training.predict import contributions, predict, term_names
from hrob_assets.risk.training.tuning.plan import Trial
from hrob_assets.risk.use_case import FamilySpec, Threshold

COLUMNS = ("age__years", "ed__count_30d", "lab__last_value_90d")
RULES = {
    "age__years": ImputationRule("median"),
    "ed__count_30d": ImputationRule("constant", 0.0),
    "lab__last_value_90d": ImputationRule("median", indicator=True),
}
POINTS = (PointRule("visits", ("ed__count_30d",), at_least=3, points=5),)
DESIGN = Design(COLUMNS, RULES, POINTS, ("age__years",))


def rows(count=1500, seed=3):
    rng = np.random.default_rng(seed)
    visits = rng.integers(0, 8, count)
    return pl.DataFrame(
        {
            "person_id": np.arange(count) // 2,
            "split": np.where(np.arange(count) // 2 % 4 == 0, "validation", "train"),
            "label": rng.random(count) < 1 / (1 + np.exp(3 - 0.6 * visits)),
            "age__years": rng.uniform(20, 80, count),
            "ed__count_30d": visits.astype(float),
            "lab__last_value_90d": [None if n % 3 else float(rng.normal()) for n in range(count)],
        }
    )


def middle(name):
    """Parameters in the middle of a family's space."""
    found = {}
    for key, limits in family_of(name).SPACE.items():
        centre = np.sqrt(limits.low * limits.high)
        found[key] = int(centre) if limits.kind == "integer" else float(centre)
    return found


def fitted(name, *, calibration="none"):
    trials = (Trial(middle(name), 0.3, ()),)
    return fit_design(
        rows(),
        DESIGN,
        family=FamilySpec(name, calibration),
        trials=trials,
        seed=5,
        threshold=Threshold(capacity_share=0.1),
    )


def test_the_four_families_are_there():
    assert set(family_names()) >= {
        "comorbidity_score",
        "hist_gradient_boosting",
        "logistic_regression",
        "random_forest",
    }


def test_an_unknown_family_is_named_with_the_nearest():
    with pytest.raises(ConfigurationError, match="Did you mean 'random_forest'"):
        family_of("random_forrest")


@pytest.mark.parametrize("name", family_names())
def test_a_family_has_all_that_the_protocol_asks(name):
    module = family_of(name)
    methods = [n for n, _ in inspect.getmembers(Family, inspect.isfunction) if n[0] != "_"]

    assert all(callable(getattr(module, method)) for method in methods)
    assert isinstance(module.REVIEWED_TYPES, frozenset)
    assert isinstance(module.EXACT_REASONS, bool)


@pytest.mark.parametrize("name", family_names())
def test_the_same_rows_and_seed_give_the_same_model(name):
    first, second = fitted(name), fitted(name)

    assert predict(first, rows()).tobytes() == predict(second, rows()).tobytes()
    assert first.threshold == second.threshold


@pytest.mark.parametrize("name", family_names())
@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_probability_does_not_depend_on_the_other_rows(name, size):
    model, frame = fitted(name), rows()

    alone = predict(model, frame[500 : 500 + size])

    assert alone.tobytes() == predict(model, frame)[500 : 500 + size].tobytes()


@pytest.mark.parametrize("name", family_names())
def test_every_family_finds_what_was_planted(name):
    few, many = predict(fitted(name), rows(60).sort("ed__count_30d")[[0, 59]])

    assert few < 0.3
    assert many > 0.4


@pytest.mark.parametrize("name", family_names())
def test_contributions_sum_to_log_odds_up_to_a_constant(name):
    model, frame = fitted(name), rows(200, seed=9)

    rest = logit(predict(model, frame)) - contributions(model, frame).sum(axis=1)

    np.testing.assert_allclose(rest, rest[0], atol=1e-4)
    assert contributions(model, frame).shape == (200, len(term_names(model)))


@pytest.mark.parametrize("name", family_names())
def test_the_planted_cause_contributes_most(name):
    model, frame = fitted(name), rows(200, seed=9)
    size = np.abs(contributions(model, frame)).mean(axis=0)

    assert term_names(model)[int(size.argmax())] in {"ed__count_30d", "comorbidity_score"}


def test_points_count_once_per_condition_and_a_missing_value_gives_none():
    points = (
        PointRule("visits", ("ed__count_30d", "lab__last_value_90d"), at_least=3, points=5),
        PointRule("old", ("age__years",), at_least=35, points=2),
    )
    design = Design(COLUMNS, RULES, points, ("age__years",))
    frame = pl.DataFrame(
        [(35.0, 3.0, 4.0), (34.0, 2.0, None), (60.0, 2.0, 3.0)], schema=COLUMNS, orient="row"
    )
    matrix = frame.with_columns(pl.col("ed__count_30d").log1p()).to_numpy().astype(np.float32)
    preparation = family_of("comorbidity_score").build_preparation(design)

    score = preparation.named_steps["points"].transform(matrix)

    assert score.tolist() == [[7.0, 35.0], [0.0, 34.0], [7.0, 60.0]]


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_calibration_brings_the_mean_prediction_to_the_observed_share(kind):
    model = fitted("random_forest", calibration=kind)
    validation = rows().filter(pl.col("split") == "validation")

    found = predict(model, validation).mean()

    assert found == pytest.approx(validation["label"].mean(), abs=1e-3)
