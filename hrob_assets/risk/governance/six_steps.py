"""Where a use case stands in the six steps from a goal to a model that is watched.

References
----------
The framework of the Huntsman / Flatiron study: define the goal, build or acquire the tool,
evaluate it on past data, assess bias, evaluate it prospectively, embed and monitor it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

StepState = Literal["done", "look", "open"]
NAMES = (
    "Define the goal",
    "Build or acquire the model",
    "Evaluate on past data",
    "Assess bias",
    "Evaluate prospectively",
    "Embed and monitor",
)
_LATE_WEEKS = 1


@dataclass(frozen=True)
class UseCaseStanding:
    """What is known of a use case.

    Parameters
    ----------
    goal : str
        The goal sentence.
    champion : str, optional
        Version that scores people.
    unmet : sequence of str
        Criteria that the champion did not meet when it was judged; empty when all were met.
    judged : bool
        Whether there is a decision on the champion.
    fairness : mapping of str to int
        Groups by verdict; empty where nobody looked.
    prospective : str, optional
        What a prospective evaluation found, or why it is waived; None without one.
    watched : date, optional
        Last week whose calibration was looked at.
    due : date, optional
        Last week that has ended.
    alarms : sequence of str
        Alarms of the champion that no update has answered.
    """

    goal: str
    champion: str | None = None
    unmet: Sequence[str] = ()
    judged: bool = False
    fairness: Mapping[str, int] = field(default_factory=dict[str, int])
    prospective: str | None = None
    watched: date | None = None
    due: date | None = None
    alarms: Sequence[str] = ()


@dataclass(frozen=True)
class FrameworkStep:
    """One step: done, open, or something to look at.

    Parameters
    ----------
    number : int
    name : str
    state : str
        ``done``, ``look`` (something asks for attention) or ``open`` (not done).
    finding : str
        Why, in a sentence.
    asset : str
        Last part of the key of the asset that tells more.
    """

    number: int
    name: str
    state: StepState
    finding: str
    asset: str


def framework_steps(standing: UseCaseStanding) -> tuple[FrameworkStep, ...]:
    """The six steps of a use case.

    Examples
    --------
    >>> steps = framework_steps(UseCaseStanding("If the team ... they will call.", champion="3"))
    >>> [step.state for step in steps]
    ['done', 'done', 'open', 'open', 'open', 'open']
    """
    rules: tuple[tuple[StepState, str, str], ...] = (
        ("done", standing.goal, "cohort"),
        (*_built(standing), "trained_model"),
        (*_evaluated(standing), "evaluation"),
        (*_fair(standing), "fairness"),
        (*_prospective(standing), "evaluation"),
        (*_monitored(standing), "weekly_calibration"),
    )
    return tuple(
        FrameworkStep(number, name, state, finding, asset)
        for number, (name, (state, finding, asset)) in enumerate(
            zip(NAMES, rules, strict=True), start=1
        )
    )


_Found = tuple[StepState, str]


def _built(standing: UseCaseStanding) -> _Found:
    if standing.champion is None:
        return "open", "There is no champion."
    return "done", f"Version {standing.champion} scores people."


def _evaluated(standing: UseCaseStanding) -> _Found:
    if standing.champion is None or not standing.judged:
        return "open", "No decision of the gate is on record."
    if standing.unmet:
        return "look", f"The champion does not meet: {', '.join(standing.unmet)}."
    return "done", "The champion met all criteria on past data."


def _fair(standing: UseCaseStanding) -> _Found:
    if not standing.fairness:
        return "open", "Nobody has looked at calibration by group."
    told = ", ".join(f"{count} {verdict}" for verdict, count in standing.fairness.items() if count)
    if standing.fairness.get("not calibrated"):
        return "look", f"Groups: {told}."
    return "done", f"Groups: {told}."


def _prospective(standing: UseCaseStanding) -> _Found:
    if standing.prospective is None:
        return "open", "No prospective evaluation is on record."
    return "done", standing.prospective


def _monitored(standing: UseCaseStanding) -> _Found:
    if standing.watched is None:
        return "open", "No week has been looked at."
    if standing.alarms:
        return "look", f"Alarm: {'; '.join(standing.alarms)}."
    if standing.due is not None and (standing.due - standing.watched).days > 7 * _LATE_WEEKS:
        return "look", f"The last week looked at is that of {standing.watched}."
    return "done", f"No alarm up to the week of {standing.watched}."
