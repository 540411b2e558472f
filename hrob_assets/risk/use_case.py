"""The use case: one question, as data. Everything a risk model is, and nothing of where it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.dataclasses import dataclass

from hrob_assets.risk.errors import ConfigurationError, nearest

_STRICT = ConfigDict(extra="forbid")
Share = Annotated[float, Field(gt=0, lt=1)]
Days = Annotated[int, Field(ge=0)]
PositiveDays = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
COMPARATOR_FAMILY = "comorbidity_score"
"""Family of the free comparator, whose columns the use case names."""
GROUPS = ("race", "ethnicity", "gender", "age_band", "payer", "area_deprivation")
MetricName = Literal["log_loss", "auroc", "net_benefit", "brier"]
GroupName = Literal["race", "ethnicity", "gender", "age_band", "payer", "area_deprivation"]


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
class Cohort:
    """Who is scored, and whether training sees everybody or only them."""

    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]
    train_on: Literal["all", "eligible"]


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
class Outcome:
    """What is predicted: any component within the horizon after the prediction time."""

    name: str
    horizon_days: PositiveDays
    runout_days: Days
    components: Annotated[tuple[OutcomeComponent, ...], Field(min_length=1)]
    requires_enrolment: bool


@dataclass(frozen=True, config=_STRICT)
class Split:
    """Periods of training and test, and the patient-disjoint validation set between them.

    Either the four dates, or the two lengths counted back from the last ripe outcome.
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


@dataclass(frozen=True, config=_STRICT)
class Tuning:
    """The search for hyperparameters: trials, patient-grouped folds, size of the sample.

    With `patience` it ends early, after so many trials in a row without a better one.
    """

    trials: Annotated[int, Field(ge=1, le=1000)]
    folds: Annotated[int, Field(ge=2, le=20)]
    maximum_rows: Annotated[int, Field(ge=1000)]
    patience: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, config=_STRICT)
class FamilySpec:
    """A family of risk/models/types, its calibration on the validation patients, and its search.

    Trials and rows of the sample are those of `Tuning` where they are not said.
    """

    name: Name
    calibration: Literal["none", "logistic", "isotonic"] = "none"
    trials: Annotated[int, Field(ge=1, le=1000)] | None = None
    maximum_rows: Annotated[int, Field(ge=1000)] | None = None

    @model_validator(mode="after")
    def _is_a_family(self, info: ValidationInfo) -> "FamilySpec":
        _require_family(self.name, info)
        return self


@dataclass(frozen=True, config=_STRICT)
class Choice:
    """When another family takes the place of the default one.

    Parameters
    ----------
    metric : str
        Judged on the validation patients.
    margin : float, in the unit of the metric
        The lower bound of the paired 95 % interval of the improvement must lie above it.
    """

    metric: Literal["log_loss", "brier", "auroc", "auprc", "net_benefit"] = "log_loss"
    margin: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True, config=_STRICT)
class Comparator:
    """The free comparator: a published score from a CSV file, and columns beside it."""

    columns: tuple[str, ...]
    score: str | None = None

    @model_validator(mode="after")
    def _has_something(self) -> "Comparator":
        if not self.columns and self.score is None:
            msg = "a comparator must have columns, a score or both (found neither)"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, config=_STRICT)
class ModelSpec:
    """Which family is fitted, what it is compared with, and how little data is too little."""

    family: Name
    tuning: Tuning
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    minimum_rows: Annotated[int, Field(ge=1)] = 1000
    minimum_events: Annotated[int, Field(ge=1)] = 100
    calibration: Literal["none", "logistic", "isotonic"] = "none"
    alternatives: tuple[FamilySpec, ...] = ()
    choice: Choice = Choice()
    comparator: Comparator | None = None

    @model_validator(mode="after")
    def _names_families_once(self, info: ValidationInfo) -> "ModelSpec":
        _require_family(self.family, info)
        names = [self.family, *(each.name for each in self.alternatives)]
        if len(set(names)) < len(names):
            msg = f"alternatives must be other families, each once (found {', '.join(names)})"
            raise ValueError(msg)
        if COMPARATOR_FAMILY in names:
            msg = f"{COMPARATOR_FAMILY} has no columns of its own; write it under comparator"
            raise ValueError(msg)
        return self

    @property
    def families(self) -> tuple[FamilySpec, ...]:
        """The default family and the alternatives, in this order."""
        return (FamilySpec(self.family, self.calibration), *self.alternatives)

    def tuning_of(self, family: FamilySpec) -> Tuning:
        """The search of one family."""
        return replace(
            self.tuning,
            trials=family.trials or self.tuning.trials,
            maximum_rows=family.maximum_rows or self.tuning.maximum_rows,
        )


def _require_family(name: str, info: ValidationInfo) -> None:
    context: Mapping[str, Sequence[str] | None] = info.context or {}
    known = context.get("model_types")
    if known is not None and name not in known:
        msg = f"a family must be a file of risk/models/types. {nearest(name, known)}"
        raise ValueError(msg)


@dataclass(frozen=True, config=_STRICT)
class Threshold:
    """Capacity rule: the share of validation encounters that is called high risk."""

    capacity_share: Share
    decimals: Annotated[int, Field(ge=1, le=6)] = 2


@dataclass(frozen=True, config=_STRICT)
class Acceptance:
    """What a model must show on the frozen rows of its evaluation to score people.

    Parameters
    ----------
    minimum_auroc, maximum_auroc : float
    maximum_absolute_calibration_factor : float
        Of mean predicted minus mean observed risk.
    maximum_observed_over_expected : float
        Expected events are at most so many times those that occur, and at least one over it.
    minimum_slope, maximum_slope : float
        Of the outcome on the log-odds; below 1 the predictions are too extreme.
    metric : str
        In which a challenger must be better than the champion, on the same rows.
    margin : float
        By more than this.
    guard : str
        Metric in which it must not be worse.
    non_inferiority : float
        By more than this.
    false_promotion_rate : float
        How often, at most, a challenger that is only as good may be promoted: the one-sided level
        of both intervals.
    fairness_margin : float
        A group with a calibration factor beyond it vetoes, if it is further off than before.
    """

    minimum_auroc: Annotated[float, Field(ge=0.5, lt=1)]
    maximum_auroc: Annotated[float, Field(gt=0.5, le=1)]
    maximum_absolute_calibration_factor: Annotated[float, Field(gt=0, lt=1)]
    maximum_observed_over_expected: Annotated[float, Field(gt=1, le=10)]
    minimum_slope: Annotated[float, Field(gt=0, lt=1)]
    maximum_slope: Annotated[float, Field(gt=1, le=10)]
    metric: MetricName
    margin: Annotated[float, Field(ge=0, lt=1)]
    guard: MetricName
    non_inferiority: Annotated[float, Field(ge=0, lt=1)]
    false_promotion_rate: Annotated[float, Field(ge=0.001, le=0.25)]
    fairness_margin: Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, config=_STRICT)
class LabelStatement:
    """Whether the outcome that is measured stands for another one that is meant, and why not.

    Parameters
    ----------
    statement : str
        How the outcome is measured, for whom it may be missed, and what follows.
    is_proxy : bool
        Whether it is a stand-in, such as cost for need.
    """

    statement: str
    is_proxy: bool


@dataclass(frozen=True, config=_STRICT)
class Fairness:
    """Groups for which calibration is looked at, and how.

    Parameters
    ----------
    groups : tuple of str
    margin : float
        A calibration factor whose interval lies within it on both sides of 0 is calibrated.
    replicates : int
        Of the bootstrap of the report.
    era_event : date, optional
        Day of an event by which the test period is split, less the horizon; exploratory.
    label_audit : LabelStatement, optional
        Shown as a gap where it is not given.
    """

    groups: tuple[
        Literal["race", "ethnicity", "gender", "age_band", "payer", "area_deprivation"], ...
    ]
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    replicates: Annotated[int, Field(ge=100, le=100_000)] = 2000
    era_event: date | None = None
    label_audit: LabelStatement | None = None


@dataclass(frozen=True, config=_STRICT)
class Scoring:
    """The weekly list: when it is made, how many people can be reviewed, how many reasons.

    Parameters
    ----------
    cron : str
        In UTC.
    reviews_per_week : int
    reasons : int
    late_after_hours : int, hours
        People are told when the list is not there so long after its schedule.
    """

    cron: str
    reviews_per_week: Annotated[int, Field(ge=1)]
    reasons: Annotated[int, Field(ge=1, le=10)]
    late_after_hours: Annotated[int, Field(ge=1, le=24 * 6)] = 6


@dataclass(frozen=True, config=_STRICT)
class SilentArm:
    """The share of persons whose high risk is not shown, so that calibration can be seen.

    Needs the name of whoever answers for it; 0 shows everybody to the nurses.
    """

    share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    signed_off_by: str | None = None

    @model_validator(mode="after")
    def _is_signed(self) -> "SilentArm":
        if self.share > 0 and not (self.signed_off_by or "").strip():
            msg = (
                f"a silent arm must be signed off (share {self.share} without a name); "
                "give signed_off_by, or set share to 0"
            )
            raise ValueError(msg)
        return self


@dataclass(frozen=True, config=_STRICT)
class Monitoring:
    """When outcomes are ripe, what counts as drift, and how often an alarm may be false.

    Parameters
    ----------
    tolerance : float, log odds
        A shift of the intercept that is harmless, up or down.
    alarm_weeks : int
        Mean weeks between false alarms, of all detectors together, at least.
    groups : tuple of str
        Groups with a detector for each of their levels, beside the one of all rows.
    runout_share : float
        Share of outcome facts that are known when the run-out, estimated anew each month, ends;
        the run-out of the outcome is its lower bound.
    cool_down_days : int, days
        No second update is asked for within these.
    minimum_events : int
        Ripe events before an update is asked for.
    sudden_weeks : int
        A change that is complete within these is sudden.
    cron : str
        When ledger, calibration and alarm are made, in UTC: after the list.
    silent_arm : SilentArm
    """

    tolerance: Annotated[float, Field(ge=0, lt=1)]
    alarm_weeks: Annotated[int, Field(ge=4)]
    groups: tuple[GroupName, ...]
    runout_share: Annotated[float, Field(ge=0.9, le=0.95)]
    cool_down_days: Days
    minimum_events: Annotated[int, Field(ge=1)]
    sudden_weeks: Annotated[int, Field(ge=1)]
    cron: str = "0 13 * * 1"
    silent_arm: SilentArm = SilentArm()


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
class SignOff:
    """Who signed a step of the framework, as what, and when."""

    step: Literal["goal", "tool", "retrospective", "bias", "prospective", "monitoring"]
    name: str
    role: str
    signed_on: date


@dataclass(frozen=True, config=_STRICT)
class Card:
    """What only people can say of a model; whatever is not given is shown as a gap."""

    developer: str | None = None
    developer_contact: str | None = None
    funding: str | None = None
    intended_use: str | None = None
    decision_role: str | None = None
    population: str | None = None
    users: str | None = None
    how_to_use: str | None = None
    cautioned_uses: str | None = None
    known_risks: str | None = None
    clinical_risk_level: str | None = None
    representativeness: str | None = None
    external_validation: str | None = None
    outcome_impact: str | None = None
    irb_statement: str | None = None
    stakeholders: str | None = None
    availability: str | None = None
    regulatory_status: str | None = None
    publications: str | None = None
    patient_disclosure: str | None = None
    data_sharing: str | None = None
    interests: str | None = None
    protocol: str | None = None
    registration: str | None = None
    setting: str | None = None
    inequalities: str | None = None
    treatment: str | None = None
    keywords: tuple[str, ...] = ()
    sign_offs: tuple[SignOff, ...] = ()


@dataclass(frozen=True, config=_STRICT)
class UseCase:
    """A risk model, complete and without a place."""

    name: Name
    title: str
    question: str
    owner: str
    goal: Goal
    cohort: Cohort
    outcome: Outcome
    split: Split
    model: ModelSpec
    threshold: Threshold
    acceptance: Acceptance
    fairness: Fairness
    scoring: Scoring
    monitoring: Monitoring
    notes: tuple[str, ...] = ()
    baseline: tuple[Characteristic, ...] = ()
    card: Card = field(default_factory=Card)


_ADAPTER = TypeAdapter(UseCase)


@dataclass(frozen=True)
class UseCaseProblem:
    """One thing that is wrong: where in the YAML, and what."""

    path: tuple[str | int, ...]
    what: str

    def __str__(self) -> str:
        return f"{'.'.join(str(part) for part in self.path) or 'use_case'}: {self.what}"


def use_case_from(values: Mapping[str, Any]) -> UseCase:
    """Build a use case from parsed YAML.

    Raises
    ------
    ConfigurationError
        Naming each key that is unknown, missing or out of bounds, and the nearest valid one.

    Examples
    --------
    >>> use_case_from({"nam": "x"})
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ConfigurationError: ...nam: unknown key. Did you mean 'name'?...
    """
    if problems := find_problems(values):
        lines = "\n".join(f"  {problem}" for problem in problems)
        msg = f"the use case must be complete and have known keys only:\n{lines}"
        raise ConfigurationError(msg)
    return _ADAPTER.validate_python(dict(values))


def find_problems(
    values: Mapping[str, Any], *, model_types: Sequence[str] | None = None
) -> tuple[UseCaseProblem, ...]:
    """Everything that is wrong with parsed YAML, each with its path; empty when nothing is.

    Parameters
    ----------
    values : mapping
        Parsed YAML.
    model_types : sequence of str, optional
        Names of the model types that exist; without them, any name is accepted.

    Examples
    --------
    >>> str(find_problems({"nam": "x"})[-1])
    "nam: unknown key. Did you mean 'name'?"
    """
    try:
        _ADAPTER.validate_python(dict(values), context={"model_types": model_types})
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False)
        return tuple(UseCaseProblem(tuple(item["loc"]), _what(item)) for item in items)
    return ()


def _what(item: Any) -> str:
    if item["type"] == "unexpected_keyword_argument":
        return f"unknown key. {nearest(str(item['loc'][-1]), _keys_at(item['loc'][:-1]))}"
    return str(item["msg"])


def _keys_at(path: tuple[Any, ...]) -> list[str]:
    current: Any = UseCase
    for part in path:
        if isinstance(part, int):
            continue
        annotation = current.__pydantic_fields__[part].annotation
        current = _dataclass_in(annotation)
    return list(current.__pydantic_fields__)


def _dataclass_in(annotation: Any) -> Any:
    if hasattr(annotation, "__pydantic_fields__"):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _dataclass_in(inner)
        if found is not None:
            return found
    return None


@dataclass(frozen=True, config=ConfigDict(arbitrary_types_allowed=True))
class UseCaseFiles:
    """Where the files beside a use case's `defs.yaml` are."""

    folder: Path
    shared_code_sets: Path

    @property
    def code_set_folders(self) -> tuple[Path, ...]:
        """Folders of code sets; a use case's own, where it has one, comes last and wins."""
        own = self.folder / "code_sets"
        return (self.shared_code_sets, own) if own.is_dir() else (self.shared_code_sets,)

    @property
    def feature_mappings(self) -> Path:
        """Groups, families, aggregations and windows."""
        return self.folder / "feature_mappings.yml"

    @property
    def feature_selection(self) -> Path:
        """Which groups and features the model keeps."""
        return self.folder / "feature_selection_config.yml"

    @property
    def feature_selection_variants(self) -> tuple[Path, ...]:
        """Other selections that may be compared with it, by name."""
        return tuple(sorted((self.folder / "feature_selections").glob("*.yml")))

    @property
    def imputation(self) -> Path:
        """How missing values are filled."""
        return self.folder / "imputation_config.yml"
