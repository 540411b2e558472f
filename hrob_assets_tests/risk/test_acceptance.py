from dataclasses import replace

import numpy as np
import pytest

from hrob_assets.risk.acceptance import judge
from hrob_assets.risk.evaluation import Estimate, evaluate
from hrob_assets.risk.use_case import Acceptance

RULES = Acceptance(minimum_auroc=0.65, maximum_auroc=0.85, maximum_absolute_calibration_factor=0.02)
GOOD = replace(
    evaluate(
        np.arange(44),
        np.tile([0.1, 0.9, 0.2, 0.8], 11),
        np.tile([0, 1, 1, 0], 11),
        threshold=0.5,
        seed=1,
    ),
    auroc=Estimate(0.75, 0.7, 0.8),
    calibration_factor=Estimate(0.0, -0.01, 0.01),
)


def unmet(evaluation, improvement=None):
    verdicts = judge(evaluation, RULES, improvement=improvement)
    return [verdict.criterion for verdict in verdicts if not verdict.passed]


@pytest.mark.parametrize(
    ("auroc", "expected"),
    [
        (0.6499, ["ranks well enough"]),
        (0.65, []),
        (0.85, []),
        (0.8501, ["is not too good to be true"]),
    ],
)
def test_discrimination_must_lie_within_its_bounds(auroc, expected):
    assert unmet(replace(GOOD, auroc=Estimate(auroc, None, None))) == expected


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(0.02, []), (-0.02, []), (0.0201, ["is calibrated in the large"]), (-0.03, 1)],
)
def test_calibration_in_the_large_must_lie_within_its_bound_on_both_sides(factor, expected):
    found = unmet(replace(GOOD, calibration_factor=Estimate(factor, None, None)))

    assert found == (["is calibrated in the large"] if expected else [])


@pytest.mark.parametrize(
    ("improvement", "accepted"),
    [
        (None, True),
        (Estimate(0.01, 0.0001, 0.02), True),
        (Estimate(0.01, 0.0, 0.02), False),
        (Estimate(0.01, -0.005, 0.02), False),
        (Estimate(0.01, None, None), False),
    ],
)
def test_a_champion_is_replaced_only_by_one_that_is_better_beyond_chance(improvement, accepted):
    assert unmet(GOOD, improvement) == ([] if accepted else ["is better than the champion"])


def test_absolute_criteria_hold_also_against_a_champion():
    found = unmet(replace(GOOD, auroc=Estimate(0.9, None, None)), Estimate(0.1, 0.05, 0.15))

    assert found == ["is not too good to be true"]


def test_a_verdict_says_what_must_hold_and_what_was_found():
    verdict = judge(GOOD, RULES, improvement=None)[0]

    assert (verdict.must_hold, verdict.found) == ("AUROC at least 0.65", "0.750")


def test_a_verdict_on_ten_events_does_not_say_what_was_found():
    found = judge(replace(GOOD, events=10), RULES, improvement=None)

    assert [verdict.found for verdict in found] == ["suppressed"] * 3
