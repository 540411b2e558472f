"""The model card as a CHAI applied model card (XML, schema version 0.2)."""

import json
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from hrob_assets.risk.evaluation import Analysis, EvaluationReport, Metric
from hrob_assets.risk.governance import ModelCard, version_kind

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
_DISCRIMINATION = ("auroc", "positive_predictive_value", "sensitivity", "lift", "net_benefit")
_SAFETY = ("calibration_factor", "observed_over_expected", "calibration_slope", "ici", "brier")


def chai_xml(card: ModelCard) -> str:
    """Write a card by the schema of the Coalition for Health AI.

    Parameters
    ----------
    card : ModelCard

    Returns
    -------
    str
        XML. A text that is not known says so; nothing is made up.
    """
    ET.register_namespace("", NAMESPACE)
    root = ET.Element(f"{{{NAMESPACE}}}AppliedModelCard")
    for build in (_basic, _release, _summary, _uses, _warnings, _trust, _metrics, _resources):
        build(root, card)
    _text(root, "Bibliography", "")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _element(parent: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(parent, f"{{{NAMESPACE}}}{name}")


def _text(parent: ET.Element, name: str, text: str) -> None:
    _element(parent, name).text = text


def _facts(parent: ET.Element, card: ModelCard, **names: str) -> None:
    """Elements in the order of the schema, each with the fact of a name."""
    for element, fact in names.items():
        _text(parent, element, card.facts[fact].shown)


def _basic(root: ET.Element, card: ModelCard) -> None:
    part = _element(root, "BasicInfo")
    _text(part, "ModelName", card.use_case.title)
    _facts(part, card, ModelDeveloper="developer", DeveloperContact="developer_contact")


def _release(root: ET.Element, card: ModelCard) -> None:
    part = _element(root, "ReleaseInfo")
    decision = card.evidence.decision
    _text(part, "ReleaseStage", "No decision yet" if decision is None else str(decision["kind"]))
    _text(part, "ReleaseDate", card.facts["release_date"].shown)
    _text(part, "ReleaseVersion", card.evidence.version or "Not given: materialise trained_model")
    _facts(part, card, GlobalAvailability="availability", RegulatoryApproval="regulatory_status")


def _summary(root: ET.Element, card: ModelCard) -> None:
    part = _element(root, "ModelSummary")
    _text(part, "Summary", f"{card.use_case.question} {card.use_case.goal.sentence}")
    words = _element(part, "Keywords")
    for each in card.use_case.card.keywords:
        _text(words, "Keyword", each)


def _uses(root: ET.Element, card: ModelCard) -> None:
    _facts(
        _element(root, "UsesAndDirections"),
        card,
        IntendedUseAndWorkflow="intended_use",
        PrimaryIntendedUsers="users",
        HowToUse="how_to_use",
        TargetedPatientPopulation="population",
        CautionedOutOfScopeSettings="cautioned_uses",
    )


def _warnings(root: ET.Element, card: ModelCard) -> None:
    _facts(
        _element(root, "Warnings"),
        card,
        KnownRisksAndLimitations="known_risks",
        KnownBiasesOrEthicalConsiderations="fairness",
        ClinicalRiskLevel="clinical_risk_level",
    )


def _trust(root: ET.Element, card: ModelCard) -> None:
    part = _element(root, "TrustIngredients")
    _facts(
        _element(part, "AISystemFacts"),
        card,
        OutcomesAndOutputs="outcome",
        ModelType="families",
        InputDataSource="data_source",
        OutputAndInputDataTypes="input_types",
        DevelopmentDataCharacterization="sample_size",
        BiasMitigationApproaches="bias_mitigation",
        OngoingMaintenance="monitoring",
        Transparency="reasons",
    )
    _facts(
        _element(part, "TransparencyInformation"),
        card,
        FundingSource="funding",
        StakeholdersConsulted="stakeholders",
    )


def _metrics(root: ET.Element, card: ModelCard) -> None:
    part = _element(root, "KeyMetrics")
    report = card.evidence.report
    main = None if report is None else report.analysis("encounter")
    _metric(
        part, "UsefulnessUsabilityEfficacy", card, _results(report, main, _DISCRIMINATION),
        goal="The list finds more outcomes than chance at the capacity for review.",
        interpretation="validity",
    )  # fmt: skip
    _metric(
        part, "FairnessEquity", card, _group_results(report),
        goal="The estimated chance is as true in each group: calibration factor within the margin.",
        interpretation="fairness",
    )  # fmt: skip
    _metric(
        part, "SafetyReliability", card, _results(report, main, _SAFETY),
        goal="The estimated chance is true: calibration factor 0, slope 1.",
        interpretation="measures",
    )  # fmt: skip


def _metric(
    parent: ET.Element,
    name: str,
    card: ModelCard,
    results: Sequence[tuple[str, str]],
    *,
    goal: str,
    interpretation: str,
) -> None:
    part = _element(parent, name)
    _text(part, "MetricGoal", goal)
    told = _element(part, "Results")
    for label, value in results or [("Not given: materialise evaluation", "null")]:
        result = _element(told, "MetricResult")
        _text(result, "Label", label)
        _text(result, "ValueJson", value)
    _text(part, "Interpretation", card.facts[interpretation].shown)
    trained = version_kind(card.evidence) == "training"
    _text(part, "TestType", "Internal, later period" if trained else "Internal, other persons")
    _facts(
        part, card, TestingDataDescription="dates", ValidationProcessAndJustification="partition"
    )


def _results(
    report: EvaluationReport | None, main: Analysis | None, names: Sequence[str]
) -> list[tuple[str, str]]:
    if report is None or main is None:
        return []
    found = [(name, main.metrics.get(name)) for name in names]
    return [
        (_label(report.definitions[name].label if name in report.definitions else name, metric),
         _value(metric))
        for name, metric in found
        if metric is not None and metric.value is not None
    ]  # fmt: skip


def _group_results(report: EvaluationReport | None) -> list[tuple[str, str]]:
    if report is None or report.fairness is None:
        return []
    found = [
        (f"Calibration factor, {group.analysis.name}, {group.verdict}",
         group.analysis.metrics.get("calibration_factor"))
        for group in report.fairness.groups
    ]  # fmt: skip
    return [
        (_label(name, metric), _value(metric))
        for name, metric in found
        if metric is not None and metric.value is not None
    ]


def _label(name: str, metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return name
    return f"{name} (95 % interval {metric.low:.4g} to {metric.high:.4g})"


def _value(metric: Metric) -> str:
    value = None if metric.value is None else float(f"{metric.value:.4g}")
    return json.dumps({"kind": "single", "value": value, "unit": ""})


def _resources(root: ET.Element, card: ModelCard) -> None:
    _facts(
        _element(root, "Resources"),
        card,
        EvaluationReferences="reproducibility",
        PeerReviewedPublications="publications",
        PatientConsentOrDisclosure="patient_disclosure",
    )
