"""A model card that fills itself: facts with their source; what is not known is a gap."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hrob_assets.risk.evaluation_report import EvaluationReport, Metric
from hrob_assets.risk.standards import MI_CLAIM, ONC, TRIPOD_AI, Question
from hrob_assets.risk.use_case import Card, Criterion, UseCase

STANDARDS: Mapping[str, tuple[Question, ...]] = {
    "ONC source attributes": ONC,
    "MI-CLAIM": MI_CLAIM,
    "TRIPOD+AI": TRIPOD_AI,
}
_SENSITIVE = ("demographics", "social_determinants", "coverage")
_NO_RECORD = "no record of the gate"


@dataclass(frozen=True)
class Fact:
    """One thing that is known of a model, or a gap.

    Parameters
    ----------
    text : str or None
        None where it is not known.
    source : str
        ``use case``, ``card``, ``evaluation``, ``registry`` or ``design`` (holds for every model
        of this project).
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
    version, trained_on : str, optional
        Version in the registry; day of its training data or of its registration.
    tags : mapping of str to str
        Of the version: commit, configuration, training set.
    family : str, optional
    threshold : float, optional
    training_rows, training_persons, training_events : int, optional
    features : mapping of str to int
        Number of columns that the model takes, by group.
    strongest : tuple of str
        Names of its strongest terms.
    baseline_sentence : str, optional
    decision : mapping, optional
        The last record of the gate: ``kind``, ``reason``, ``decided_at``.
    source : str, optional
        What the data are, in words.
    """

    report: EvaluationReport | None = None
    version: str | None = None
    trained_on: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    family: str | None = None
    threshold: float | None = None
    training_rows: int | None = None
    training_persons: int | None = None
    training_events: int | None = None
    features: Mapping[str, int] = field(default_factory=dict[str, int])
    strongest: tuple[str, ...] = ()
    baseline_sentence: str | None = None
    decision: Mapping[str, object] | None = None
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
        **_of_design(use_case),
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
        "population": card.population or f"Persons who meet: {criteria}.",
        "decision_role": card.decision_role
        or "It supports a clinician's own assessment; the decision is the clinician's.",
    }
    return {name: Fact(text, "use case") for name, text in told.items()}


def _criterion(each: Criterion) -> str:
    return each.name


def _of_data(use_case: UseCase, evidence: CardEvidence) -> dict[str, Fact]:
    split = use_case.split
    used = {name: evidence.features.get(name, 0) for name in _SENSITIVE}
    inputs = ", ".join(f"{name.replace('_', ' ')} {count} columns" for name, count in used.items())
    total = sum(evidence.features.values())
    groups = ", ".join(
        f"{name.replace('_', ' ')} {count}" for name, count in evidence.features.items()
    )
    dates = None
    if evidence.report is not None and evidence.report.subject.first_day is not None:
        subject = evidence.report.subject
        dates = f"Test: {subject.first_day} to {subject.last_day}; training ends earlier."
    train = "materialise trained_model"
    return {
        "data_source": Fact(evidence.source, "registry", "name the source in the environment"),
        "dates": Fact(dates, "evaluation", "materialise evaluation"),
        "sensitive_inputs": Fact(inputs if total else None, "registry", train),
        "predictors": Fact(f"{total} columns: {groups}." if total else None, "registry", train),
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
            "Trained on records of the place where it is used; another place trains its own.",
            "design",
        ),
        "partition": Fact(
            f"By time and by patient: {split.validation_share:.0%} of the patients set calibration "
            f"and threshold; the test period begins {use_case.outcome.horizon_days} days after "
            "training ends.",
            "use case",
        ),
    }


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
            "Figures are given for all patients of the test period and for those that training "
            "has not seen.",
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
    train = "materialise trained_model"
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
        "output_value": Fact(rule, "registry", train),
        "families": Fact(evidence.family, "registry", train),
        "importance": Fact(
            ", ".join(evidence.strongest) + "." if evidence.strongest else None, "registry", train
        ),
        "reproducibility": Fact("; ".join(kept) + "." if kept else None, "registry", train),
        "specification": Fact(
            f"Version {evidence.version} in the model registry, with all coefficients."
            if evidence.version
            else None,
            "registry",
            train,
        ),
        "update_results": Fact(
            None if decision is None else f"{decision['kind']}: {decision['reason']}",
            "registry",
            f"materialise champion_model ({_NO_RECORD})",
        ),
        "release_date": Fact(evidence.trained_on, "registry", train),
    }


def _of_design(use_case: UseCase) -> dict[str, Fact]:
    tuning = use_case.model.tuning
    told = {
        "output_type": "Prediction: a probability, a place on a weekly list, and dated reasons.",
        "bias_mitigation": (
            "The outcome is read from records of the event itself, not from cost; each group has "
            "its own verdict, and too few to tell is not fair; what may be under-recorded is shown "
            "by group."
        ),
        "comparator": "A published comorbidity score or a simpler model on the same rows.",
        "preparation": (
            "Records enter from the moment they are known; tables are validated, bad rows are put "
            "aside with their reason."
        ),
        "tuning": (
            f"{tuning.trials} trials, {tuning.folds} folds with whole patients, log loss; the "
            "penalty of a logistic regression among them."
        ),
        "input_types": "Structured records: codes, measurements, dates, coverage. No free text.",
        "measures": (
            "Calibration first, then discrimination and what the list finds; intervals with whole "
            "patients drawn."
        ),
        "utility": "Net benefit over thresholds and at the threshold of the list.",
        "sensitivity": "Refits without one group of features each are compared where made.",
        "reasons": "Each person on the list has dated facts that raise the chance most.",
        "monitoring": (
            "Each week, on outcomes that are ripe, overall and by group, with a declared rate of "
            "false alarms."
        ),
        "fairness_monitoring": "Each week with the same detector for each group.",
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
        "predictor_form": "Counts as logarithms, numbers standardised, as the files say.",
        "missing_values": (
            "Filled as the imputation file says, with indicators where it asks; the share missing "
            "is in the data dictionary, also by group."
        ),
        "clusters": "Patients are the clusters of every interval; eras are compared.",
        "imbalance": "No resampling: it would spoil the estimates. Capacity sets the threshold.",
        "flow": "Counts at each criterion are among the metadata of cohort and training_set.",
    }
    return {name: Fact(text, "design") for name, text in told.items()}
