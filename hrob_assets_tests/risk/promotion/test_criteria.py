"""Each criterion of the gate, on rows of which the answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.evaluation.measures import measure, measure_performance
from hrob_assets.risk.evaluation.performance import evaluate
from hrob_assets.risk.promotion.criteria import (
    ABSOLUTE,
    AGAINST_CHAMPION,
    FrozenRows,
    judge,
    lower_bound,
    not_judged,
    unmet,
)
from hrob_assets.risk.statistics import rank_rows
from hrob_assets_tests.example import example_use_case

RULES = example_use_case().acceptance
PERSONS, VISITS = 400, 5


def expit(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def truth():
    """Five visits of each of 400 persons; a person's risk is her own, and the truth is known."""
    rng = np.random.default_rng(11)
    score = -1.5 + np.repeat(rng.normal(size=PERSONS), VISITS) + 0.3 * rng.normal(size=2000)
    return np.repeat(np.arange(PERSONS), VISITS), score, rng.random(2000) < expit(score)


def rows_of(truth, challenger, champion=None, **more: object):
    person, score, outcome = truth
    frozen = FrozenRows(person, outcome.astype(np.int8), challenger(score), threshold=0.3)
    return replace(frozen, champion=None if champion is None else champion(score), **more)


def performance(rows, probability):
    ranked = rank_rows(rows.person_id, probability, rows.outcome)
    return measure_performance(ranked, threshold=rows.threshold)


def right(score):
    return expit(score)


def timid(score):
    return expit(-1.35 + 0.55 * (score + 1.5))


def failed(rows, rules=RULES):
    return [verdict.criterion for verdict in unmet(judge(rows, rules))]


def test_metrics_agree_with_scikit_learn(truth):
    rows = rows_of(truth, right)
    p, y = rows.challenger, rows.outcome
    found = measure(rank_rows(rows.person_id, p, y), threshold=rows.threshold)

    assert found.value("auroc") == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert found.value("log_loss") == pytest.approx(
        -np.mean(np.where(y, np.log(p), np.log(1 - p))), abs=1e-12
    )
    assert found.value("brier") == pytest.approx(np.mean((p - y) ** 2), abs=1e-12)
    high = p >= 0.3
    true, false = np.mean(high & (y == 1)), np.mean(high & (y == 0))
    assert found.value("net_benefit") == pytest.approx(true - false * 0.3 / 0.7, abs=1e-12)
    assert found.value("observed_over_expected") == pytest.approx(y.sum() / p.sum(), abs=1e-12)
    fit = LogisticRegression(C=np.inf, tol=1e-10).fit(np.log(p / (1 - p))[:, None], y)
    assert found.value("calibration_slope") == pytest.approx(fit.coef_[0, 0], abs=1e-5)


def test_tied_predictions_count_half():
    y = np.tile([0, 1, 1, 0, 1], 8)
    p = np.tile([0.2, 0.2, 0.4, 0.4, 0.6], 8)
    rows = FrozenRows(np.arange(40), y, p, threshold=0.5)

    assert performance(rows, p).value("auroc") == pytest.approx(roc_auc_score(y, p), abs=1e-12)


def test_a_model_that_is_right_meets_every_absolute_criterion_and_no_other_applies(truth):
    verdicts = judge(rows_of(truth, right), RULES)

    assert [verdict.criterion for verdict in verdicts] == [*ABSOLUTE, *AGAINST_CHAMPION]
    assert [verdict.passed for verdict in verdicts] == [True] * 5 + [None] * 4


@pytest.mark.parametrize(
    ("model", "criterion"),
    [
        (lambda score: np.full(score.size, 0.233), "ranks well enough"),
        (lambda score: expit(score + 0.3), "is calibrated in the large"),
        (lambda score: expit(score - 0.3), "is calibrated in the large"),
        (lambda score: expit(score - 0.7), "expects as many events as occur"),
        (lambda score: expit(2.5 * score + 1), "is neither too extreme nor too timid"),
        (lambda score: expit(-1.2 + 0.3 * (score + 1.5)), "is neither too extreme nor too timid"),
    ],
)
def test_each_absolute_criterion_refuses_what_it_is_for(truth, model, criterion):
    assert criterion in failed(rows_of(truth, model))


def test_a_model_that_is_too_good_to_be_true_is_refused(truth):
    _, _, outcome = truth

    assert "is not too good to be true" in failed(
        rows_of(truth, lambda _: np.where(outcome, 0.9, 0.1))
    )


def test_absolute_criteria_hold_on_their_bounds(truth):
    rows = rows_of(truth, right)
    found = performance(rows, rows.challenger)
    exact = replace(
        RULES,
        minimum_auroc=found.value("auroc"),
        maximum_auroc=found.value("auroc"),
        maximum_absolute_calibration_factor=abs(found.value("calibration_factor")),
    )

    assert failed(rows, exact) == []
    assert failed(rows, replace(exact, minimum_auroc=exact.minimum_auroc + 1e-9)) == [ABSOLUTE[0]]


def test_a_better_challenger_is_accepted_and_the_worse_way_round_is_not(truth):
    assert failed(rows_of(truth, right, timid)) == []
    assert "is better than the champion" in failed(rows_of(truth, timid, right))


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_a_gain_must_exceed_the_margin_beyond_chance(truth, metric):
    rows = rows_of(truth, right, timid)
    models = [performance(rows, p) for p in (rows.challenger, rows.champion)]
    low = lower_bound(*models, metric, alpha=0.025)

    assert low > 0
    assert failed(rows, replace(RULES, metric=metric, margin=low * 0.99)) == []
    assert failed(rows, replace(RULES, metric=metric, margin=low)) == [
        "is better than the champion"
    ]


@pytest.mark.parametrize("metric", ["auroc", "net_benefit"])
def test_a_gain_in_ranks_or_net_benefit_can_be_asked_for(truth, metric):
    noise = np.random.default_rng(3).normal(size=2000)
    rows = rows_of(truth, right, lambda score: expit(-1.4 + 0.5 * (score + 1.5) + 0.9 * noise))

    assert failed(rows, replace(RULES, metric=metric, margin=0.0)) == []
    assert failed(rows, replace(RULES, metric=metric, margin=0.5)) == [
        "is better than the champion"
    ]


def test_a_challenger_that_loses_in_the_guard_is_refused(truth):
    noise = np.random.default_rng(3).normal(size=2000)
    rows = rows_of(
        truth, lambda score: expit(score + 0.4 * noise), lambda score: expit(score * 0.3)
    )

    assert "is not worse than the champion" in failed(rows)
    assert "is not worse than the champion" not in failed(rows, replace(RULES, non_inferiority=0.2))


def test_differences_are_paired(truth):
    rows = rows_of(truth, right, lambda score: expit(score) * 0.9999)
    one, other = (performance(rows, p) for p in (rows.challenger, rows.champion))

    difference = one.draws["log_loss"] - other.draws["log_loss"]

    assert difference.std() < one.draws["log_loss"].std() / 100


def test_whole_patients_are_drawn(truth):
    """Rows of one patient that say the same carry no more than one row of each would."""
    person, score, _ = truth
    outcome = np.repeat(np.random.default_rng(5).random(PERSONS) < 0.3, VISITS).astype(np.int8)
    rows = FrozenRows(person, outcome, np.repeat(expit(score[::VISITS]), VISITS), threshold=0.3)
    first = FrozenRows(
        person[::VISITS], outcome[::VISITS], rows.challenger[::VISITS], threshold=0.3
    )

    many, one = (performance(each, each.challenger) for each in (rows, first))

    for metric in ("log_loss", "auroc"):
        assert many.value(metric) == pytest.approx(one.value(metric), abs=1e-12)
        assert many.draws[metric].std() == pytest.approx(one.draws[metric].std(), rel=0.06)


def test_a_group_that_is_further_off_than_before_vetoes(truth):
    group = np.where(np.arange(2000) // VISITS % 3 == 0, "Asian", "White")
    off = np.where(group == "Asian", -0.5, 0.15)
    unfair = rows_of(truth, lambda score: expit(score + off), timid, groups={"race": group})

    assert "is not less fair than the champion" in failed(unfair)
    verdict = next(v for v in judge(unfair, RULES) if "fair" in v.criterion)
    assert verdict.found.startswith("race Asian -0.0")


def test_a_group_that_was_further_off_under_the_champion_does_not_veto(truth):
    group = np.where(np.arange(2000) // VISITS % 3 == 0, "Asian", "White")
    off = np.where(group == "Asian", -0.5, 0.15)
    worse = rows_of(
        truth,
        lambda score: expit(score + off),
        lambda score: expit(score + 2 * off),
        groups={"race": group},
    )

    assert "is not less fair than the champion" not in failed(worse)


def test_a_group_of_too_few_does_not_veto_and_tells_no_figure(truth):
    group = np.where(np.arange(2000) < 8 * VISITS, "Asian", "White")
    off = np.where(group == "Asian", 3.0, 0.0)
    rows = rows_of(truth, lambda score: expit(score + off), timid, groups={"race": group})
    verdict = next(v for v in judge(rows, RULES) if "fair" in v.criterion)

    assert verdict.passed


@pytest.mark.parametrize(("better", "expected"), [(timid, []), (right, [AGAINST_CHAMPION[3]])])
def test_the_comparator_must_be_beaten(truth, better, expected):
    _, score, _ = truth
    rows = rows_of(truth, right, timid, comparator=better(score))

    assert failed(rows) == expected


def test_a_challenger_that_was_not_compared_with_the_comparator_is_refused(truth):
    rows = rows_of(truth, right, timid)

    assert failed(rows) == []
    assert failed(replace(rows, needs_comparator=True)) == [AGAINST_CHAMPION[3]]


def test_figures_of_few_events_are_not_told():
    y = np.zeros(200, dtype=np.int8)
    y[:10] = 1
    rows = FrozenRows(np.arange(200), y, np.linspace(0.2, 0.01, 200), threshold=0.5)

    assert {verdict.found for verdict in judge(rows, RULES)} == {"suppressed"}


def test_rows_that_cannot_carry_an_interval_are_told_without_a_small_count():
    y = np.zeros(60, dtype=np.int8)
    y[0] = 1
    rows = FrozenRows(np.arange(60), y, np.full(60, 0.1), threshold=0.5)

    with pytest.raises(TooSmallError, match="found fewer than 11 events in 60 rows"):
        judge(rows, RULES)


def test_nothing_is_met_where_nothing_was_judged():
    verdicts = not_judged("the evidence is not sound")

    assert [verdict.criterion for verdict in verdicts] == [*ABSOLUTE, *AGAINST_CHAMPION]
    assert unmet(verdicts) == verdicts


def test_a_slope_that_is_not_defined_fails():
    y = np.tile([0, 1], 50)
    for probability in (np.where(y, 0.9, 0.1), np.full(100, 0.5)):
        rows = FrozenRows(np.arange(100), y, probability, threshold=0.5)
        slope = next(v for v in judge(rows, RULES) if v.criterion == ABSOLUTE[4])

        assert (slope.found, slope.passed) == ("not defined", False)


def test_the_gate_shows_the_intervals_of_the_evaluation(truth):
    rows = rows_of(truth, right)
    found = evaluate(rows.person_id, rows.challenger, rows.outcome, threshold=rows.threshold)
    factor = next(v for v in judge(rows, RULES) if v.criterion == ABSOLUTE[2])

    estimate = found.calibration_factor
    shown = f"{estimate.value:+.4f} ({estimate.low:+.4f} to {estimate.high:+.4f})"
    assert factor.found == shown


def test_the_same_rows_have_the_same_verdicts(truth):
    rows = rows_of(truth, right, timid)

    assert judge(rows, RULES) == judge(rows, RULES)
