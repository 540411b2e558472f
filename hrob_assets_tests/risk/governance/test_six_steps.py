from datetime import date

import pytest

from hrob_assets.risk.governance.six_steps import UseCaseStanding, framework_steps

GOAL = "If the team anticipates a visit they will call, which will help."
WHOLE = {
    "goal": GOAL,
    "champion": "3",
    "judged": True,
    "fairness": {"calibrated": 4, "undetermined": 1},
    "prospective": "PPV 22 % on 600 patients.",
    "watched": date(2025, 6, 2),
    "due": date(2025, 6, 2),
}


def states(**changes: object):
    return [step.state for step in framework_steps(UseCaseStanding(**(WHOLE | changes)))]


def test_a_use_case_that_has_been_through_all_steps_is_done():
    assert states() == ["done"] * 6


@pytest.mark.parametrize(
    ("changes", "number", "state", "words"),
    [
        ({"champion": None}, 2, "open", "no champion"),
        ({"judged": False}, 3, "open", "No decision"),
        ({"unmet": ["ranks well enough"]}, 3, "look", "does not meet: ranks well enough"),
        ({"fairness": {}}, 4, "open", "Nobody has looked"),
        ({"fairness": {"not calibrated": 1}}, 4, "look", "1 not calibrated"),
        ({"prospective": None}, 5, "open", "No prospective evaluation"),
        ({"watched": None}, 6, "open", "No week"),
        ({"alarms": ["everybody: under-prediction"]}, 6, "look", "everybody: under-prediction"),
        ({"due": date(2025, 6, 16)}, 6, "look", "last week looked at is that of 2025-06-02"),
    ],
)
def test_what_is_missing_or_asks_for_a_look_is_said(changes, number, state, words):
    step = framework_steps(UseCaseStanding(**(WHOLE | changes)))[number - 1]

    assert step.number == number
    assert step.state == state
    assert words in step.finding


def test_a_week_that_is_one_behind_is_not_late():
    assert states(due=date(2025, 6, 9))[5] == "done"
