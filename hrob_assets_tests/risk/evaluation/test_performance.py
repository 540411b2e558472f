import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.evaluation.differences import paired_mean_difference
from hrob_assets.risk.evaluation.measures import Draw
from hrob_assets.risk.evaluation.performance import calibration_table, evaluate, safe_figures
from hrob_assets.risk.statistics import rank_rows, row_log_loss, seed_of


def predictions(rows=600, persons=200, seed=3, decimals=2):
    """Tied probabilities of persons who repeat, and outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    person = rng.integers(0, persons, rows)
    probability = rng.uniform(0.02, 0.9, rows).round(decimals)
    return person, probability, (rng.random(rows) < probability).astype(np.int8)


def repeated(copies, persons=120, seed=4):
    """Persons who have the same row again and again."""
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0.1, 0.6, persons)
    outcome = (rng.random(persons) < probability).astype(np.int8)
    return (
        np.repeat(np.arange(persons), copies),
        np.repeat(probability, copies),
        np.repeat(outcome, copies),
    )


def auroc(person, probability, outcome):
    return evaluate(person, probability, outcome, threshold=0.5).auroc


def calibration_factor(person, probability, outcome):
    return evaluate(person, probability, outcome, threshold=0.5).calibration_factor


def width(estimate):
    return estimate.high - estimate.low


@pytest.mark.parametrize("decimals", [1, 2, 9], ids=["many ties", "some ties", "no ties"])
def test_auroc_is_that_of_scikit_learn(decimals):
    person, probability, outcome = predictions(decimals=decimals)

    found = auroc(person, probability, outcome)

    assert found.value == pytest.approx(roc_auc_score(outcome, probability), abs=1e-12)
    assert found.low < found.value < found.high


def test_the_calibration_factor_is_predicted_minus_observed():
    person = np.arange(20)
    probability = np.array([0.25, 0.35] * 10)
    outcome = np.array([1, 0, 0, 0] * 5)

    found = calibration_factor(person, probability, outcome)

    assert found.value == pytest.approx(0.30 - 0.25)
    assert found.low < 0.05 < found.high


@pytest.mark.parametrize("measure", [auroc, calibration_factor])
def test_the_interval_is_wider_by_person_than_by_row_when_persons_repeat(measure):
    person, probability, outcome = repeated(copies=4)
    by_person = measure(person, probability, outcome)
    by_row = measure(np.arange(person.size), probability, outcome)

    assert by_person.value == by_row.value
    assert width(by_person) == pytest.approx(2 * width(by_row), rel=0.25)  # sqrt of 4 copies


@pytest.mark.parametrize("measure", [auroc, calibration_factor])
def test_repeating_every_row_adds_no_certainty(measure):
    once = measure(*repeated(copies=1))
    thrice = measure(*repeated(copies=3))

    assert thrice.value == pytest.approx(once.value)
    assert width(thrice) == pytest.approx(width(once), rel=0.1)  # each is of its own draws


def test_the_same_rows_give_the_same_interval_and_other_draws_another_one():
    given = predictions()

    first = evaluate(*given, threshold=0.5)

    assert evaluate(*given, threshold=0.5) == first
    other = evaluate(*given, threshold=0.5, draw=Draw(seed=2))
    assert other.auroc.value == first.auroc.value
    assert other.auroc.low != first.auroc.low


def test_the_draws_depend_on_neither_the_order_of_rows_nor_the_predictions():
    person, probability, outcome = predictions()
    order = np.random.default_rng(1).permutation(person.size)
    rows = rank_rows(person, probability, outcome)

    assert rank_rows(person[order], probability[order], outcome[order]).seed == rows.seed
    assert rank_rows(person, probability**2, outcome).seed == rows.seed
    assert rank_rows(person, probability, 1 - outcome).seed != rows.seed


@pytest.mark.parametrize("label", [0, 1])
def test_one_outcome_only_is_refused_with_the_counts(label):
    person, probability, _ = predictions(rows=50)

    with pytest.raises(TooSmallError, match=rf"found {50 * label} events in 50 rows"):
        evaluate(person, probability, np.full(50, label), threshold=0.5)


def test_too_few_persons_have_values_without_bounds():
    found = evaluate(
        np.array([1, 2, 3, 4]),
        np.array([0.1, 0.6, 0.4, 0.9]),
        np.array([0, 1, 0, 1]),
        threshold=0.5,
    )

    assert (found.auroc.low, found.calibration_factor.high) == (None, None)
    assert "auroc_low" not in found.figures()
    assert found.figures()["auroc"] == 1.0


def test_a_probability_at_the_threshold_is_high_risk():
    found = evaluate(
        np.arange(4), np.array([0.2, 0.5, 0.5, 0.8]), np.array([0, 0, 1, 1]), threshold=0.5
    )

    assert (found.alert_rate, found.sensitivity, found.specificity) == (0.75, 1.0, 0.5)
    assert found.positive_predictive_value == pytest.approx(2 / 3)
    assert found.negative_predictive_value == 1.0


def test_no_alerts_have_no_predictive_value():
    found = evaluate(*predictions(), threshold=0.99)

    assert np.isnan(found.positive_predictive_value)
    assert found.alert_rate == 0


def test_proper_scores_are_those_of_scikit_learn():
    person, probability, outcome = predictions()

    found = evaluate(person, probability, outcome, threshold=0.5)

    assert found.auprc == pytest.approx(average_precision_score(outcome, probability))
    assert found.brier == pytest.approx(brier_score_loss(outcome, probability))
    assert found.log_loss == pytest.approx(log_loss(outcome, probability))
    assert row_log_loss(probability, outcome).mean() == pytest.approx(found.log_loss)


def test_a_certain_and_wrong_prediction_has_a_finite_loss():
    assert row_log_loss(np.array([0.0, 1.0]), np.array([1, 0])) == pytest.approx(
        [-np.log(1e-6)] * 2
    )


def test_the_better_of_two_models_is_better_beyond_chance():
    person, probability, outcome = predictions(rows=3000, persons=800)
    flat = row_log_loss(np.full(3000, outcome.mean()), outcome)
    true = row_log_loss(probability, outcome)

    found = paired_mean_difference(person, outcome, flat, true)

    assert 0 < found.low < found.value < found.high


def test_equal_models_differ_by_nothing():
    person, probability, outcome = predictions()
    loss = row_log_loss(probability, outcome)

    found = paired_mean_difference(person, outcome, loss, loss)

    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_calibration_table_has_equal_parts_from_low_to_high():
    probability = np.linspace(0, 1, 100)

    found = calibration_table(probability, (probability > 0.5).astype(int))

    assert found["rows"].to_list() == [10] * 10
    assert found["observed"].to_list() == [0.0] * 5 + [1.0] * 5
    assert found["mean_predicted"].is_sorted()


def test_seeds_depend_on_every_name():
    assert len({seed_of("a", "b"), seed_of("a", "c"), seed_of("ab"), seed_of("a")}) == 4


# Small cells.


def evaluated(true_positives, false_positives, missed, others):
    probability = np.repeat([0.9, 0.9, 0.1, 0.1], [true_positives, false_positives, missed, others])
    outcome = np.repeat([1, 0, 1, 0], [true_positives, false_positives, missed, others])
    return evaluate(np.arange(outcome.size), probability, outcome, threshold=0.5)


def test_figures_of_large_cells_are_shown():
    found = evaluated(20, 30, 15, 100)

    assert safe_figures(found) == found.figures()


@pytest.mark.parametrize("cells", [(20, 30, 5, 100), (20, 5, 20, 100), (5, 30, 20, 100)])
def test_no_share_of_the_four_cells_is_shown_when_one_is_small(cells):
    found = safe_figures(evaluated(*cells))

    assert {key for key, value in found.items() if value == "suppressed"} == {
        "sensitivity",
        "specificity",
        "positive_predictive_value",
        "negative_predictive_value",
    }


@pytest.mark.parametrize("cells", [(5, 30, 5, 100), (60, 2, 60, 2)])
def test_with_few_events_or_few_without_one_only_row_counts_are_shown(cells):
    found = safe_figures(evaluated(*cells))

    shown = {key for key, value in found.items() if value not in {"suppressed", "<11"}}
    assert shown == {"rows", "persons"}


def test_a_part_does_not_tell_the_few_that_are_not_in_it():
    found = safe_figures(evaluated(20, 30, 15, 100), whole=evaluated(22, 30, 15, 100))

    assert {found["rows"], found["persons"], found["events"], found["auroc"]} == {"suppressed"}
