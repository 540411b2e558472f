"""A model card that fills itself: facts with their source; what is not known is a gap."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hrob_assets.risk.evaluation import EvaluationReport, Metric
from hrob_assets.risk.governance.standards import MI_CLAIM, ONC, TRIPOD_AI, Question
from hrob_assets.risk.promotion import BETTER_THAN_COMPARATOR
from hrob_assets.risk.training import JUDGED_SHARE
from hrob_assets.risk.use_case import Card, Criterion, UseCase

STANDARDS: Mapping[str, tuple[Question, ...]] = {
    "ONC source attributes": ONC,
    "MI-CLAIM": MI_CLAIM,
    "TRIPOD+AI": TRIPOD_AI,
}
_SENSITIVE = ("demographics", "social_determinants", "coverage")
_NO_RECORD = "no record of the gate"
_NO_SOURCE = "fill `source: in_words` in the environment"
_TRAIN = "materialise trained_model"


@dataclass(frozen=True)
class Fact:
    """One thing that is known of a model, or a gap.

    Parameters
    ----------
    text : str or None
        None where it is not known.
    source : str
        ``use case``, ``card``, ``evaluation``, ``registry``, ``environment`` or ``design`` (holds
        for every model of this project).
    fill : str
        What to fill or to do where it is not known.
    """

    text: str | None
    source: str
    fill: str = ""

    @property
    def shown(self) -> str:
        """The text, or what would fill the gap."""
        return f"Not given: {self.fill}" if self.text is None else self.text


@dataclass(frozen=True)
class CardEvidence:
    """What lineage knows of a model version; whatever is left out is a gap on the card.

    Parameters
    ----------
    report : EvaluationReport, optional
    version, registered_on : str, optional
        Version in the registry, and the day on which it was registered.
    tags : mapping of str to str
        Of the version: commit, configuration, training set.
    family : str, optional
    compared : tuple of str
        Other families that were judged on the same validation patients.
    trials : int, optional
        Of the search of its parameters; 0 where nothing was searched.
    parameters : mapping of str to float
        Those of the best trial.
    scaled : bool, optional
        Whether numbers are standardised before the classifier.
    exact_reasons : bool, optional
        Whether the terms of a row add up to its log-odds.
    threshold : float, optional
    training_rows, training_persons, training_events : int, optional
    features : mapping of str to int
        Number of columns that the model takes, by group.
    feature_families : mapping of str to tuple of str
        Families of these columns, by group.
    strongest : tuple of str
        Names of its strongest terms.
    strength : str
        By what they are the strongest, in words.
    variants : tuple of str
        Refits of the sensitivity analysis of this version.
    baseline_sentence : str, optional
    decision : mapping, optional
        The last record of the gate: ``kind``, ``reason``, ``decided_at``, ``criteria``.
    source : str, optional
        What the data are, in words.
    """

    report: EvaluationReport | None = None
    version: str | None = None
    registered_on: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    family: str | None = None
    compared: tuple[str, ...] = ()
    trials: int | None = None
    parameters: Mapping[str, float] = field(default_factory=dict[str, float])
    scaled: bool | None = None
    exact_reasons: bool | None = None
    threshold: float | None = None
    training_rows: int | None = None
    training_persons: int | None = None
    training_events: int | None = None
    features: Mapping[str, int] = field(default_factory=dict[str, int])
    feature_families: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )
    strongest: tuple[str, ...] = ()
    strength: str = ""
    variants: tuple[str, ...] = ()
    baseline_sentence: str | None = None
    decision: Mapping[str, Any] | None = None
    source: str | None = None


@dataclass(frozen=True)
class ModelCard:
    """Facts of one model version.

    Parameters
    ----------
    use_case : UseCase
    evidence : CardEvidence
    facts : mapping of str to Fact
    """

    use_case: UseCase
    evidence: CardEvidence
    facts: Mapping[str, Fact]

    def gaps(self, standard: str) -> int:
        """Questions of a standard that nothing answers."""
        return sum(self.facts[each.fact].text is None for each in STANDARDS[standard])


def model_card(use_case: UseCase, evidence: CardEvidence) -> ModelCard:
    """Fill a card from a use case and from what lineage knows."""
    return ModelCard(use_case, evidence, card_facts(use_case, evidence))


def card_facts(use_case: UseCase, evidence: CardEvidence) -> dict[str, Fact]:
    """All facts that a standard may ask for, by name."""
    return {
        **_of_card(use_case.card),
        **_of_use_case(use_case),
        **_of_data(use_case, evidence),
        **_of_evaluation(use_case, evidence),
        **_of_registry(use_case, evidence),
        **_of_model(use_case, evidence),
        **_of_monitoring(use_case),
        **_of_design(),
    }


_CARD_FIELDS = {
    "developer_contact": "developer_contact",
    "funding": "funding",
    "intended_use": "intended_use",
    "users": "users",
    "how_to_use": "how_to_use",
    "cautioned_uses": "cautioned_uses",
    "known_risks": "known_risks",
    "representativeness": "representativeness",
    "external_validation": "external_validation",
    "external_party": "external_validation",
    "external_representativeness": "external_validation",
    "external_process": "external_validation",
    "external_validity": "external_validation",
    "external_fairness": "external_validation",
    "outcome_impact": "outcome_impact",
    "irb_statement": "irb_statement",
    "stakeholders": "stakeholders",
    "availability": "availability",
    "regulatory_status": "regulatory_status",
    "publications": "publications",
    "patient_disclosure": "patient_disclosure",
    "data_sharing": "data_sharing",
    "clinical_risk_level": "clinical_risk_level",
    "developer": "developer",
    "interests": "interests",
    "protocol": "protocol",
    "registration": "registration",
    "setting": "setting",
    "inequalities": "inequalities",
    "treatment": "treatment",
}


def _of_card(card: Card) -> dict[str, Fact]:
    return {
        name: Fact(getattr(card, key), "card", f"fill `card: {key}` in defs.yaml")
        for name, key in _CARD_FIELDS.items()
    }


def _of_use_case(use_case: UseCase) -> dict[str, Fact]:
    outcome, card = use_case.outcome, use_case.card
    parts = ", ".join(part.name.replace("_", " ") for part in outcome.components)
    criteria = "; ".join(_criterion(each) for each in use_case.cohort.criteria)
    trained = {"all": "all encounters", "eligible": "eligible encounters only"}
    told = {
        "title": f"{use_case.title}: development and evaluation of a prediction model",
        "goal": use_case.goal.sentence,
        "question": use_case.question,
        "outcome": (
            f"{outcome.name} ({parts}) within {outcome.horizon_days} days after the prediction "
            f"time; read {outcome.runout_days} days later, when its records are in"
        ),
        "criteria": f"{criteria}. Training takes {trained[use_case.cohort.train_on]}.",
    }
    population = Fact(f"Persons who meet: {criteria}.", "use case")
    role = Fact(
        "It supports a clinician's own assessment; the decision is the clinician's.", "design"
    )
    return {
        **{name: Fact(text, "use case") for name, text in told.items()},
        "population": Fact(card.population, "card") if card.population else population,
        "decision_role": Fact(card.decision_role, "card") if card.decision_role else role,
        "bias_mitigation": _bias_mitigation(use_case),
    }


def _comparator(use_case: UseCase, evidence: CardEvidence) -> Fact:
    found = use_case.model.comparator
    if found is None:
        return Fact(None, "use case", "name `model: comparator` in defs.yaml")
    parts = [] if found.score is None else ["a published score"]
    if found.columns:
        parts.append(f"{len(found.columns)} plain columns ({', '.join(found.columns)})")
    what = f"{' and '.join(parts).capitalize()}, fitted on the same rows"
    return Fact(f"{what}; {_against_comparator(evidence.decision)}", "use case")


def _against_comparator(decision: Mapping[str, Any] | None) -> str:
    """What the gate found of a version against its comparator; it is not asked of each."""
    criteria: Iterable[Mapping[str, Any]] = () if decision is None else decision.get("criteria", ())
    judged = [each for each in criteria if each["criterion"] == BETTER_THAN_COMPARATOR]
    if not judged or judged[0]["passed"] is None:
        return (
            "the gate asks that a model is better before it takes a champion's place; of this "
            "version it was not asked."
        )
    found = "better" if judged[0]["passed"] else "not better, or not judged"
    return f"the gate found this version {found} ({judged[0]['found']})."


def _bias_mitigation(use_case: UseCase) -> Fact:
    """How the outcome is measured, as the use case declares it; a gap where it does not."""
    audit = use_case.fairness.label_audit
    if audit is None:
        return Fact(None, "use case", "fill `fairness: label_audit` in defs.yaml")
    kind = "a proxy" if audit.is_proxy else "not a proxy"
    return Fact(
        f"The outcome is {kind} for what is meant: {audit.statement.rstrip('.')}. Each group has "
        "its own verdict, and too few to tell is not fair; shares of each component and of "
        "missing values are shown by group.",
        "use case",
    )


def _criterion(each: Criterion) -> str:
    return each.name


def _of_data(use_case: UseCase, evidence: CardEvidence) -> dict[str, Fact]:
    inputs = "; ".join(_sensitive_input(evidence, group) for group in _SENSITIVE) + "."
    total = sum(evidence.features.values())
    groups = ", ".join(
        f"{name.replace('_', ' ')} {count}" for name, count in evidence.features.items()
    )
    dates = None
    if evidence.report is not None and evidence.report.subject.first_day is not None:
        subject = evidence.report.subject
        dates = (
            f"Test: {subject.first_day} to {subject.last_day}; {_TRAINED[version_kind(evidence)]}."
        )
    return {
        "data_source": Fact(evidence.source, "environment", _NO_SOURCE),
        "dates": Fact(dates, "evaluation", "materialise evaluation"),
        "sensitive_inputs": Fact(inputs if total else None, "registry", _TRAIN),
        "predictors": Fact(f"{total} columns: {groups}." if total else None, "registry", _TRAIN),
        "characteristics": Fact(
            evidence.baseline_sentence or None, "evaluation", "materialise baseline"
        ),
        "split_difference": Fact(
            "Standardised differences of all characteristics are in the baseline table."
            if evidence.baseline_sentence
            else None,
            "evaluation",
            "materialise baseline",
        ),
        "relevance": Fact(
            None
            if evidence.source is None
            else f"Trained, tested and used on records of one source: {evidence.source}. Another "
            "place trains its own.",
            "environment",
            _NO_SOURCE,
        ),
        "sites": Fact(
            None, "design", "sites are not told apart; `hrob evaluate --groups` can, with a column"
        ),
        "partition": Fact(
            _partition(use_case, version_kind(evidence)),
            "use case",
        ),
        "comparator": _comparator(use_case, evidence),
    }


_Kind = Literal["training", "refit", "recalibration"]
_TRAINED: Mapping[_Kind, str] = {
    "training": "training ends earlier",
    "refit": "the update is fitted up to the same day, on other persons",
    "recalibration": "the update is fitted on the same weeks, and judged by the fit on others",
}


def version_kind(evidence: CardEvidence) -> _Kind:
    """How a version was made; by this its rows are divided."""
    update = evidence.tags.get("update")
    if update is None:
        return "training"
    return "refit" if update == "refit" else "recalibration"


def _partition(use_case: UseCase, kind: _Kind) -> str:
    share = use_case.split.validation_share
    if kind == "training":
        return (
            f"By time and by patient: {share:.0%} of the patients set calibration and threshold; "
            f"the test period begins at least {use_case.outcome.horizon_days} days after training "
            "ends."
        )
    if kind == "refit":
        return (
            f"By patient, after a change: {share:.0%} of the patients set calibration and "
            f"threshold, {JUDGED_SHARE:.0%} of the others test. The rest train, with rows of "
            "everybody whose outcomes end before the change."
        )
    return (
        f"By patient, after a change: {share:.0%} of the patients set the threshold. The others "
        "are in two parts; the recalibration is fitted on both, and each part is tested by the fit "
        "on the other."
    )


def _sensitive_input(evidence: CardEvidence, group: str) -> str:
    families = evidence.feature_families.get(group, ())
    named = f" ({', '.join(name.replace('_', ' ') for name in families)})" if families else ""
    return f"{group.replace('_', ' ')} {evidence.features.get(group, 0)} columns{named}"


def _of_evaluation(use_case: UseCase, evidence: CardEvidence) -> dict[str, Fact]:
    report = evidence.report
    missing = "materialise evaluation"
    validity = None if report is None else _validity(report)
    fairness = None if report is None else _fairness(report)
    size = None
    if report is not None:
        counts = report.analysis("encounter").counts
        if counts.rows is not None and counts.persons is not None:
            size = f"Test: {counts.rows:,} encounters of {counts.persons:,} patients"
            size += "" if counts.events is None else f", {counts.events:,} with the outcome"
            if evidence.training_rows and evidence.training_persons:
                size += (
                    f". Training: {evidence.training_rows:,} encounters of "
                    f"{evidence.training_persons:,} patients"
                )
            size += "."
    margin = None if report is None or report.fairness is None else report.fairness.margin
    groups = ", ".join(name.replace("_", " ") for name in use_case.fairness.groups)
    process = (
        f"Calibration within groups ({groups}) decides"
        + ("" if margin is None else f", with a margin of {margin:g}")
        + "; error rates and help against need are shown beside."
    )
    return {
        "validity": Fact(validity, "evaluation", missing),
        "local_validity": Fact(validity, "evaluation", missing),
        "fairness": Fact(fairness, "evaluation", "materialise fairness"),
        "local_fairness": Fact(fairness, "evaluation", "materialise fairness"),
        "sample_size": Fact(size, "evaluation", missing),
        "fairness_process": Fact(process, "use case"),
        "independence": Fact(
            "Figures are given for all patients of the test rows and for those that training has "
            "not seen.",
            "design",
        ),
    }


def _validity(report: EvaluationReport) -> str | None:
    main = report.analysis("encounter")
    named = ("auroc", "calibration_factor", "positive_predictive_value")
    told: list[str] = []
    for name in named:
        found = main.metrics.get(name)
        if found is not None and found.value is not None:
            label = report.definitions[name].label if name in report.definitions else name
            told.append(f"{label} {_figure(found)}")
    return "; ".join(told) + "." if told else None


def _figure(metric: Metric) -> str:
    ends = (
        ""
        if metric.low is None or metric.high is None
        else f" ({metric.low:.3f} to {metric.high:.3f})"
    )
    return f"{metric.value:.3f}{ends}"


def _fairness(report: EvaluationReport) -> str | None:
    if report.fairness is None:
        return None
    told = ", ".join(f"{name} {count}" for name, count in report.fairness.verdicts.items())
    off = [g.analysis.name for g in report.fairness.groups if g.verdict == "not calibrated"]
    named = f" Not calibrated: {', '.join(off)}." if off else ""
    return f"Groups by verdict: {told}.{named}"


def _of_registry(use_case: UseCase, evidence: CardEvidence) -> dict[str, Fact]:
    decision = evidence.decision
    kept = [f"{name.replace('_', ' ')} {value}" for name, value in evidence.tags.items()]
    rule = None
    if evidence.threshold is not None:
        rule = (
            f"Estimated chance of the outcome within {use_case.outcome.horizon_days} days, 0 to 1; "
            f"on the list from {evidence.threshold:g} on (set for "
            f"{use_case.threshold.capacity_share:.0%} of encounters, frozen with the model)."
        )
    return {
        "output_value": Fact(rule, "registry", _TRAIN),
        "reproducibility": Fact("; ".join(kept) + "." if kept else None, "registry", _TRAIN),
        "specification": Fact(
            f"Version {evidence.version} in the model registry: the whole estimator, its "
            "calibration and its threshold."
            if evidence.version
            else None,
            "registry",
            _TRAIN,
        ),
        "update_results": Fact(
            None if decision is None else f"{decision['kind']}: {decision['reason']}",
            "registry",
            f"materialise champion_model ({_NO_RECORD})",
        ),
        "release_date": Fact(evidence.registered_on, "registry", _TRAIN),
    }


def _of_model(use_case: UseCase, evidence: CardEvidence) -> dict[str, Fact]:
    """What differs between families of models; gaps where no version is known."""
    told: dict[str, str | None] = dict.fromkeys(
        ("families", "importance", "tuning", "predictor_form", "reasons")
    )
    if evidence.family is not None:
        told["families"] = _families(evidence)
    if evidence.strongest:
        told["importance"] = f"{', '.join(evidence.strongest)} ({evidence.strength})."
    if evidence.trials is not None:
        told["tuning"] = _tuning(use_case, evidence, evidence.trials)
    if evidence.scaled is not None:
        told["predictor_form"] = "Counts enter as logarithms; " + (
            "numbers are standardised." if evidence.scaled else "trees need no scale."
        )
    if evidence.exact_reasons is not None:
        told["reasons"] = (
            "Each person on the list has the facts that raise the chance most, with their dates "
            "where they have one; "
            + ("they add up to the log-odds." if evidence.exact_reasons else "approximate.")
        )
    refits = f"Refits on the same patients: {', '.join(evidence.variants)}."
    analyse = f"run analyse_sensitivity_{use_case.name}"
    return {
        **{name: Fact(text, "registry", _TRAIN) for name, text in told.items()},
        "sensitivity": Fact(refits if evidence.variants else None, "registry", analyse),
    }


def _families(evidence: CardEvidence) -> str:
    beside = ", ".join(evidence.compared)
    told = f"beside it: {beside}" if beside else "no other was compared on this training set"
    return f"{evidence.family}; {told}."


def _tuning(use_case: UseCase, evidence: CardEvidence, trials: int) -> str:
    chosen = ", ".join(
        f"{name.replace('_', ' ')} {value:.4g}" for name, value in evidence.parameters.items()
    )
    return (
        f"{trials} trials, each by {use_case.model.tuning.folds} folds with whole patients and "
        f"log loss; chosen: {chosen or 'nothing'}."
    )


def _of_monitoring(use_case: UseCase) -> dict[str, Fact]:
    """What is watched, and which groups are judged but not watched."""
    plan = use_case.monitoring

    def named(groups: Iterable[str]) -> str:
        return ", ".join(group.replace("_", " ") for group in groups)

    unwatched = [name for name in use_case.fairness.groups if name not in plan.groups]
    told = {
        "monitoring": (
            "Each week, on outcomes that are ripe, over all rows and by group; false alarms of all "
            f"detectors together are at least {plan.alarm_weeks} weeks apart on average, as long "
            f"as log-odds are off by no more than {plan.tolerance:g}."
        ),
        "fairness_monitoring": (
            f"Each week, one detector for each level of: {named(plan.groups) or 'no group'}."
            + (f" Judged at each evaluation only: {named(unwatched)}." if unwatched else "")
        ),
    }
    return {name: Fact(text, "use case") for name, text in told.items()}


def _of_design() -> dict[str, Fact]:
    told = {
        "output_type": "Prediction: a probability, a place on a weekly list, and reasons.",
        "preparation": (
            "Records enter from the moment they are known; tables are validated, bad rows are put "
            "aside with their reason."
        ),
        "input_types": "Structured records: codes, measurements, dates, coverage. No free text.",
        "measures": (
            "Calibration first, then discrimination and what the list finds; intervals with whole "
            "patients drawn."
        ),
        "utility": "Net benefit over thresholds and at the threshold of the list.",
        "update_process": (
            "An alarm, or a person, asks for an update; the smallest change that suffices becomes "
            "challenger and must pass the gate."
        ),
        "correction_process": (
            "Recalibration or refit through the same gate; one command brings back the model "
            "before."
        ),
        "outcome_judge": "Nobody: the outcome is read from codes by a fixed rule.",
        "blinding": "The rule that reads the outcome does not see the features.",
        "predictor_judge": "Nobody: features are computed from records by fixed rules.",
        "predictor_choice": (
            "A catalogue with a rationale and a source for each family; columns are screened for "
            "quality before fitting, with a record of each decision."
        ),
        "missing_values": (
            "Filled as the imputation file says, with indicators where it asks; the share missing "
            "is in the data dictionary, also by group."
        ),
        "imbalance": (
            "No resampling and no weights, which would spoil the estimates; capacity sets the "
            "threshold."
        ),
        "flow": "Counts at each criterion are among the metadata of cohort and training_set.",
    }
    return {name: Fact(text, "design") for name, text in told.items()}
