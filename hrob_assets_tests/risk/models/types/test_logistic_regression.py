import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.models.base import prepare
from hrob_assets.risk.models.design_matrix import build_preprocessor, design_matrix
from hrob_assets.risk.models.types.logistic_regression import (
    build_classifier,
    build_model,
    fit_classifier,
    prepared_names,
    row_contributions,
    row_probabilities,
)

COLUMNS = ("age__years", "ed__count_30d", "lab__last_value_90d")
RULES = {
    "age__years": ImputationRule("median"),
    "ed__count_30d": ImputationRule("constant", 0.0),
    "lab__last_value_90d": ImputationRule("median", indicator=True),
}


def contributions(model, matrix):
    return row_contributions(model.named_steps["model"], prepare(model, matrix))


def probabilities(model, matrix):
    return row_probabilities(model.named_steps["model"], prepare(model, matrix))


def features(*rows):
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.Float32), orient="row")


def objective(model, prepared, outcome):
    weights = model.coef_[0]
    log_odds = prepared.astype(np.float64) @ weights + model.intercept_[0]
    loss = np.logaddexp(0, log_odds) - outcome * log_odds
    return 0.5 * weights @ weights + model.C * loss.sum()


@pytest.fixture
def trained():
    rng = np.random.default_rng(2)
    rows = [
        (20 + 40 * rng.random(), int(rng.integers(0, 9)), None if n % 3 else rng.normal())
        for n in range(600)
    ]
    frame = features(*rows)
    visits = frame["ed__count_30d"].to_numpy()
    outcome = (rng.random(600) < 1 / (1 + np.exp(2 - 0.4 * visits))).astype(int)
    model = build_model(COLUMNS, RULES, inverse_penalty=1.0)
    return model.fit(design_matrix(frame, COLUMNS), outcome), frame, outcome


def test_counts_and_recencies_enter_as_logarithms_and_the_rest_as_it_is():
    columns = ("ed__count_30d", "ed__days_since_last_ever", "age__years", "ed__any_30d")
    frame = pl.DataFrame(dict(zip(columns, ([3.0], [99.0], [40.0], [1.0]), strict=True)))

    found = design_matrix(frame, columns)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[np.log(4), np.log(100), 40, 1]], rtol=1e-6)


def test_columns_come_in_the_order_of_the_model():
    frame = features((30, 0, 5), (40, 0, None))

    found = design_matrix(frame, ["lab__last_value_90d", "age__years"])

    np.testing.assert_array_equal(found, np.array([[5, 30], [np.nan, 40]], dtype=np.float32))


def test_a_missing_column_is_counted_and_named():
    with pytest.raises(ContractError, match=r"needs 1 columns .* first is 'bmi__mean_90d'"):
        design_matrix(features((30, 0, 5)), ["age__years", "bmi__mean_90d"])


def test_each_term_has_a_name_and_an_indicator_says_of_what(trained):
    model, _, _ = trained

    assert sorted(prepared_names(model[:-1], COLUMNS)) == [
        "age__years",
        "ed__count_30d",
        "lab__last_value_90d",
        "missing lab__last_value_90d",
    ]


def test_contributions_and_intercept_sum_to_the_log_odds(trained):
    model, frame, _ = trained
    matrix = design_matrix(frame, COLUMNS)

    log_odds = contributions(model, matrix).sum(axis=1) + model.named_steps["model"].intercept_

    np.testing.assert_allclose(log_odds, model.decision_function(matrix), atol=1e-5)


def test_contributions_average_to_zero_over_the_training_rows(trained):
    model, frame, _ = trained

    found = contributions(model, design_matrix(frame, COLUMNS)).mean(axis=0)

    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_the_mean_prediction_is_the_training_prevalence(trained):
    model, frame, outcome = trained

    predicted = model.predict_proba(design_matrix(frame, COLUMNS))[:, 1]

    assert predicted.mean() == pytest.approx(outcome.mean(), abs=1e-4)


def test_a_column_that_is_empty_in_training_does_no_harm():
    frame = features(*((30 + n % 7, n % 5, None) for n in range(60)))
    outcome = np.array([n % 2 for n in range(60)])

    model = build_model(COLUMNS, RULES, inverse_penalty=0.1).fit(
        design_matrix(frame, COLUMNS), outcome
    )

    assert np.isfinite(model.predict_proba(design_matrix(frame, COLUMNS))).all()


def test_the_optimum_is_that_of_another_solver(trained):
    model, frame, outcome = trained
    prepared = prepare(model, design_matrix(frame, COLUMNS))

    ours = fit_classifier(build_classifier({"inverse_penalty": 1.0}), prepared, outcome)

    other = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10, max_iter=500)
    other.fit(prepared.astype(np.float64), outcome)
    np.testing.assert_allclose(ours.coef_, other.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, other.intercept_, atol=1e-6)


@pytest.mark.parametrize("rows", [300, 45_000])
def test_a_hard_problem_ends_within_a_millionth_of_the_lowest_objective(rows):
    rng = np.random.default_rng(6)
    base = rng.normal(size=(rows, 12))
    near_copies = np.repeat(base, 3, axis=1) + 0.05 * rng.normal(size=(rows, 36))
    outcome = (rng.random(rows) < 1 / (1 + np.exp(3 - base[:, 0]))).astype(np.int8)
    prepared = near_copies.astype(np.float32)

    ours = fit_classifier(build_classifier({"inverse_penalty": 1.0}), prepared, outcome)

    best = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=500)
    best.fit(prepared.astype(np.float64), outcome)
    lowest = objective(best, prepared, outcome)
    assert objective(ours, prepared, outcome) <= lowest * (1 + 1e-9)


def test_probabilities_are_those_of_scikit_learn(trained):
    model, frame, _ = trained
    matrix = design_matrix(frame, COLUMNS)

    expected = model.predict_proba(matrix)[:, 1]

    np.testing.assert_allclose(probabilities(model, matrix), expected, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 101])
def test_a_probability_does_not_depend_on_the_other_rows(size):
    rng = np.random.default_rng(5)
    columns = [f"lab_{number}__last_value_ever" for number in range(300)]
    matrix = rng.normal(size=(1000, 300)).astype(np.float32)
    rules = dict.fromkeys(columns, ImputationRule("median"))
    model = build_model(columns, rules, inverse_penalty=0.1)
    model.fit(matrix, rng.random(1000) < 1 / (1 + np.exp(-matrix[:, 0])))

    alone = probabilities(model, matrix[500 : 500 + size])

    np.testing.assert_array_equal(alone, probabilities(model, matrix)[500 : 500 + size])


def test_a_filled_recency_equals_a_real_one():
    columns = ["ed_visit__days_since_last_ever"]
    rules = {columns[0]: ImputationRule("constant", 3650.0)}
    rows = pl.DataFrame({columns[0]: [None, 3650.0, 1.0]}, schema={columns[0]: pl.Float32})

    filled = build_preprocessor(columns, rules).fit_transform(design_matrix(rows, columns))

    assert filled[0, 0] == pytest.approx(filled[1, 0], rel=1e-6)
    assert filled[2, 0] == pytest.approx(0.6931, abs=1e-4)


def test_a_fit_that_does_not_reach_the_optimum_is_an_error():
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(500, 20))
    outcome = (rng.random(500) < 1 / (1 + np.exp(-matrix[:, 0]))).astype(np.int8)
    stopped = build_classifier({"inverse_penalty": 1.0}).set_params(max_iter=1)

    with pytest.raises(ContractError, match=r"gradient is at most 0.0001 \(found .* after 1 steps"):
        fit_classifier(stopped, matrix, outcome)
