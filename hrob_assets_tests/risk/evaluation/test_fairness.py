import numpy as np
import pytest

from hrob_assets.risk.evaluation.analysis import Verdict
from hrob_assets.risk.evaluation.fairness import fairness_report
from hrob_assets.risk.evaluation.measures import Draw
from hrob_assets.risk.evaluation.performance import evaluate
from hrob_assets.risk.evaluation.verdicts import (
    judge_factor,
    patients_for_margin,
    patients_needed,
    simultaneous_bounds,
    studentise,
)
from hrob_assets.risk.statistics.bootstrap import Estimate
from hrob_assets.risk.statistics.ranked_rows import rank_rows


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        ((0.005, -0.006, 0.014), "calibrated"),  # White in the study
        ((0.015, 0.011, 0.019), "calibrated"),  # off, but by less than matters
        ((0.03, 0.01, 0.05), "not calibrated"),
        ((-0.03, -0.05, -0.01), "not calibrated"),
        ((0.0, -0.1, 0.1), "undetermined"),  # a wide interval around 0 is no proof
        ((0.03, -0.01, 0.07), "undetermined"),
        ((0.015, 0.005, 0.025), "undetermined"),
        ((0.2, None, None), "too few"),
    ],
)
def test_a_verdict_needs_proof_either_way(factor, verdict: Verdict):
    assert judge_factor(Estimate(*factor), margin=0.02) == verdict


def test_patients_for_a_margin_of_two_points_are_about_820():
    assert patients_for_margin(0.085, design_effect=1, half_width=0.02) == 817
    assert patients_for_margin(0.085, design_effect=7, half_width=0.02) == pytest.approx(
        7 * 817, abs=7
    )


def rows_of(persons):
    rng = np.random.default_rng(1)
    probability = rng.uniform(0.05, 0.2, persons)
    return rank_rows(np.arange(persons), probability, rng.random(persons) < probability)


def test_four_times_the_patients_halve_an_interval():
    wide = Estimate(0.0, -0.04, 0.04)

    for_margin, still = patients_needed(rows_of(500), wide, margin=0.02)

    assert (for_margin, still) == (2000, 1500)


def test_no_number_of_patients_helps_at_the_edge_of_the_margin():
    edge = Estimate(0.0199, -0.01, 0.05)

    assert patients_needed(rows_of(500), edge, margin=0.02)[1] is None


def test_a_verdict_needs_no_further_patients():
    assert patients_needed(rows_of(500), Estimate(0.0, -0.01, 0.01), margin=0.02)[1] == 0


def test_simultaneous_intervals_hold_for_all_groups_at_once_also_with_few_events():
    groups, worlds = 30, 100
    held = pointwise = 0
    for world in range(worlds):
        rng = np.random.default_rng(world)
        found = []
        for number in range(groups):
            probability = rng.uniform(0.05, 0.3, 150)
            rows = rank_rows(np.arange(150), probability, rng.random(150) < probability)
            found.append(studentise(rows, Draw(200, world * groups + number)))
        held += all(low <= 0 <= high for low, high in simultaneous_bounds(found))
        pointwise += all(abs(each.value) <= 1.96 * each.error for each in found)

    assert held / worlds >= 0.88  # 95 % less three standard errors of 100 worlds
    assert pointwise / worlds < 0.4  # one by one, 0.95 ** 30


def test_the_standard_error_is_that_of_patients_as_clusters():
    rng = np.random.default_rng(4)
    person = np.repeat(np.arange(300), 4)
    probability = np.repeat(rng.uniform(0.1, 0.4, 300), 4)
    outcome = np.repeat(rng.random(300) < probability[::4], 4)  # four copies of each row
    rows = rank_rows(person, probability, outcome)

    found = studentise(rows, Draw(2000, 1))

    factor = evaluate(person, probability, outcome, threshold=0.5).calibration_factor
    once = (probability - outcome)[::4]
    assert found.value == pytest.approx(factor.value)
    assert found.error == pytest.approx(once.std() / np.sqrt(300))
    assert (factor.high - factor.low) / (2 * 1.96) == pytest.approx(found.error, rel=0.06)


def test_a_group_without_an_interval_has_no_simultaneous_one():
    rows = rank_rows(np.arange(200), np.full(200, 0.25), np.tile([1, 0, 0, 0], 50))

    bounds = simultaneous_bounds([studentise(rows, Draw(100, 1)), None])

    assert bounds[0] is not None
    assert bounds[1] is None
    assert simultaneous_bounds([None]) == [None]


def test_two_way_groups_are_judged_all_at_once():
    rng = np.random.default_rng(8)
    size = 12_000
    probability = rng.uniform(0.05, 0.3, size)
    outcome = rng.random(size) < probability
    groups = {
        "a": rng.integers(0, 4, size).astype(str),
        "b": rng.integers(0, 4, size).astype(str),
    }
    report = fairness_report(
        rank_rows(np.arange(size), probability, outcome),
        groups,
        threshold=0.2,
        margin=0.02,
        draw=Draw(400, 1),
    )

    beyond = [each for each in report.two_way if each.zero_in_interval is False]
    assert beyond  # chance alone makes some, one by one
    assert [each.verdict for each in report.two_way if each.verdict == "not calibrated"] == []


def test_a_group_with_more_need_than_list_is_seen():
    rng = np.random.default_rng(2)
    size = 8000
    group = rng.choice(["x", "y"], size)
    risk = rng.uniform(0.05, 0.4, size)
    predicted = np.where(group == "y", risk / 2, risk)  # y is predicted half of its risk
    report = fairness_report(
        rank_rows(np.arange(size), predicted, rng.random(size) < risk),
        {"group": group},
        threshold=0.2,
        margin=0.02,
        draw=Draw(300, 1),
    )

    shares = {each.level: each for each in report.allocation}
    assert shares["y"].share_of_list < 0.1
    assert shares["y"].share_of_need == pytest.approx(0.5, abs=0.03)
    assert shares["y"].list_over_need.high < 0.3
    assert {each.analysis.level: each.verdict for each in report.groups}["y"] == "not calibrated"
    gap = next(each for each in report.parity if each.metric == "sensitivity")
    assert (gap.highest, gap.lowest) == ("x", "y")
    assert gap.difference.low > 0.5
