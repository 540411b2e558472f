"""The question of a use case: its goal, its cohort, its outcome and its periods."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from hrob_assets.risk.use_case.constraints import STRICT, Days, Name, PositiveDays, Share


@dataclass(frozen=True, config=STRICT)
class Goal:
    """The goal sentence: if TEAM anticipates EVENT they will ACTION, which will BENEFIT.

    Examples
    --------
    >>> Goal("the team", "a visit", "call", "help").sentence
    'If the team anticipates a visit they will call, which will help.'
    """

    team: str
    event: str
    action: str
    benefit: str

    @property
    def sentence(self) -> str:
        """The goal as one sentence."""
        return (
            f"If {self.team} anticipates {self.event} they will {self.action}, "
            f"which will {self.benefit}."
        )


@dataclass(frozen=True, config=STRICT)
class Criterion:
    """One eligibility criterion: a bound on a feature as known at the prediction time.

    A null feature never meets a criterion.

    Examples
    --------
    >>> Criterion(name="adult", feature="age__years", at_least=18).at_least
    18.0
    """

    name: str
    feature: str
    at_least: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> "Criterion":
        if self.at_least is None and self.below is None:
            msg = f"criterion {self.name!r} must have at_least, below or both (found neither)"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, config=STRICT)
class Cohort:
    """Who is scored, and whether training sees everybody or only them."""

    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]
    train_on: Literal["all", "eligible"]


@dataclass(frozen=True, config=STRICT)
class OutcomeComponent:
    """One part of the outcome: an event of a code set in the follow-up.

    Parameters
    ----------
    name : str
    code_set : str
    same_encounter_code_set : str, optional
        Another code set of which an event must belong to the same encounter, whenever it
        happened; a fact without an encounter belongs to one within a day of it.
    of_index_encounter : bool
        Only events that carry the encounter of the row itself count.
    """

    name: Name
    code_set: Name
    same_encounter_code_set: Name | None = None
    of_index_encounter: bool = False


@dataclass(frozen=True, config=STRICT)
class Outcome:
    """What is predicted: any component within the horizon after the prediction time."""

    name: str
    horizon_days: PositiveDays
    runout_days: Days
    components: Annotated[tuple[OutcomeComponent, ...], Field(min_length=1)]
    requires_enrolment: bool


@dataclass(frozen=True, config=STRICT)
class Split:
    """Periods of training and test, and the patient-disjoint validation set between them.

    Either the four dates, or the two lengths counted back from the last mature outcome.
    Between training and test lies an embargo of one horizon. All bounds are [start, end).
    """

    validation_share: Share
    train_days: PositiveDays | None = None
    test_days: PositiveDays | None = None
    train_start: date | None = None
    train_end: date | None = None
    test_start: date | None = None
    test_end: date | None = None

    @model_validator(mode="after")
    def _one_way_of_saying_it(self) -> "Split":
        dates = (self.train_start, self.train_end, self.test_start, self.test_end)
        lengths = (self.train_days, self.test_days)
        dated, counted = all(d is not None for d in dates), all(n is not None for n in lengths)
        clean = (dated and not any(lengths)) or (counted and not any(dates))
        if not clean:
            msg = (
                "split must give either train_days and test_days, or all of train_start, "
                "train_end, test_start and test_end; found a mixture or a part"
            )
            raise ValueError(msg)
        return self


@dataclass(frozen=True, config=STRICT)
class Characteristic:
    """One row of the baseline table: a feature, or what a person is.

    Examples
    --------
    >>> Characteristic("Age", feature="age__years", unit="years").kind
    'number'
    >>> Characteristic("Race", person="race").kind
    'category'
    """

    name: str
    feature: str | None = None
    person: Literal["gender", "race", "ethnicity"] | None = None
    kind: Literal["number", "yes_no", "category"] | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        if (self.feature is None) == (self.person is None):
            msg = f"characteristic {self.name!r} must have either feature or person"
            raise ValueError(msg)
        if self.kind is None:
            object.__setattr__(self, "kind", "category" if self.person else "number")

    @property
    def column(self) -> str:
        """The column that holds it."""
        return str(self.person or self.feature)
