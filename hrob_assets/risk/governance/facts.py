"""Facts of a model card, from the use case, the registry and the evaluation.

The texts are in ``model_card.yaml``; here are the values that they need and the conditions under
which a fact is known.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from hrob_assets.risk.evaluation import EvaluationReport, Metric
from hrob_assets.risk.governance.card_evidence import CardEvidence, CardFact, version_kind
from hrob_assets.risk.governance.card_texts import card_texts, known_or_gap, sentence
from hrob_assets.risk.promotion import BETTER_THAN_COMPARATOR
from hrob_assets.risk.training import JUDGED_SHARE
from hrob_assets.risk.use_case import Card, UseCase

_SENSITIVE = ("demographics", "social_determinants", "coverage")
_VALIDITY = ("auroc", "calibration_factor", "positive_predictive_value")


def card_facts(use_case: UseCase, evidence: CardEvidence) -> dict[str, CardFact]:
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


def _of_card(card: Card) -> dict[str, CardFact]:
    return {
        name: known_or_gap(getattr(card, key), "card", "card", key=key)
        for name, key in card_texts().from_card.items()
    }


def _of_use_case(use_case: UseCase) -> dict[str, CardFact]:
    outcome, card = use_case.outcome, use_case.card
    criteria = "; ".join(each.name for each in use_case.cohort.criteria)
    found = {
        "title": sentence("title", title=use_case.title),
        "goal": use_case.goal.sentence,
        "question": use_case.question,
        "outcome": sentence(
            "outcome",
            outcome=outcome.name,
            components=", ".join(_words(part.name) for part in outcome.components),
            horizon_days=outcome.horizon_days,
            runout_days=outcome.runout_days,
        ),
        "criteria": sentence(
            "criteria",
            criteria=criteria,
            trained_on=sentence(f"trained_on_{use_case.cohort.train_on}"),
        ),
    }
    population = CardFact(sentence("population", criteria=criteria), "use case")
    role = CardFact(sentence("decision_role"), "design")
    return {
        **{name: CardFact(text, "use case") for name, text in found.items()},
        "population": CardFact(card.population, "card") if card.population else population,
        "decision_role": CardFact(card.decision_role, "card") if card.decision_role else role,
        "bias_mitigation": _bias_mitigation(use_case),
    }


def _bias_mitigation(use_case: UseCase) -> CardFact:
    """How the outcome is measured, as the use case declares it; a gap where it does not."""
    audit = use_case.fairness.label_audit
    text = None
    if audit is not None:
        kind = sentence("proxy" if audit.is_proxy else "not_a_proxy")
        text = sentence("bias_mitigation", kind=kind, statement=audit.statement.rstrip("."))
    return known_or_gap(text, "use case", "label_audit")


def _comparator(use_case: UseCase, evidence: CardEvidence) -> CardFact:
    found = use_case.model.comparator
    if found is None:
        return known_or_gap(None, "use case", "comparator")
    parts = [] if found.score is None else [sentence("comparator_score")]
    if found.columns:
        names = ", ".join(found.columns)
        parts.append(sentence("comparator_columns", count=len(found.columns), names=names))
    text = sentence(
        "comparator",
        baseline=" and ".join(parts).capitalize(),
        finding=_against_comparator(evidence.decision),
    )
    return known_or_gap(text, "use case", "comparator")


def _against_comparator(decision: Mapping[str, Any] | None) -> str:
    """What the gate found of a version against the comparator; not every version is asked."""
    criteria: Iterable[Mapping[str, Any]] = () if decision is None else decision.get("criteria", ())
    compared = [each for each in criteria if each["criterion"] == BETTER_THAN_COMPARATOR]
    if not compared or compared[0]["passed"] is None:
        return sentence("comparator_not_asked")
    name = "comparator_better" if compared[0]["passed"] else "comparator_not_better"
    return sentence(name, found=compared[0]["found"])


def _of_data(use_case: UseCase, evidence: CardEvidence) -> dict[str, CardFact]:
    source, baseline = evidence.source, evidence.baseline_sentence or None
    difference = sentence("split_difference") if baseline else None
    relevance = None if source is None else sentence("relevance", source=source)
    return {
        "data_source": known_or_gap(source, "environment", "source"),
        "dates": known_or_gap(_dates(evidence), "evaluation", "evaluate"),
        "sensitive_inputs": known_or_gap(_sensitive_inputs(evidence), "registry", "train"),
        "predictors": known_or_gap(_predictors(evidence), "registry", "train"),
        "characteristics": known_or_gap(baseline, "evaluation", "describe"),
        "split_difference": known_or_gap(difference, "evaluation", "describe"),
        "relevance": known_or_gap(relevance, "environment", "source"),
        "sites": known_or_gap(None, "design", "sites"),
        "partition": CardFact(_partition(use_case, evidence), "use case"),
        "comparator": _comparator(use_case, evidence),
    }


def _dates(evidence: CardEvidence) -> str | None:
    if evidence.report is None or evidence.report.subject.first_day is None:
        return None
    subject = evidence.report.subject
    trained = sentence(f"trained_{version_kind(evidence)}")
    return sentence("dates", first=subject.first_day, last=subject.last_day, trained=trained)


def _partition(use_case: UseCase, evidence: CardEvidence) -> str:
    return sentence(
        f"partition_{version_kind(evidence)}",
        share=use_case.split.validation_share,
        tested=JUDGED_SHARE,
        horizon_days=use_case.outcome.horizon_days,
    )


def _predictors(evidence: CardEvidence) -> str | None:
    if not (total := sum(evidence.features.values())):
        return None
    groups = ", ".join(f"{_words(name)} {count}" for name, count in evidence.features.items())
    return sentence("predictors", total=total, groups=groups)


def _sensitive_inputs(evidence: CardEvidence) -> str | None:
    if not sum(evidence.features.values()):
        return None
    return "; ".join(_sensitive_input(evidence, group) for group in _SENSITIVE) + "."


def _sensitive_input(evidence: CardEvidence, group: str) -> str:
    families = evidence.feature_families.get(group, ())
    named = f" ({', '.join(map(_words, families))})" if families else ""
    count = evidence.features.get(group, 0)
    return sentence("sensitive_input", group=_words(group), count=count, families=named)


def _of_evaluation(use_case: UseCase, evidence: CardEvidence) -> dict[str, CardFact]:
    report = evidence.report
    validity = None if report is None else _validity(report)
    fairness = None if report is None else _fairness(report)
    size = None if report is None else _sample_size(report, evidence)
    return {
        "validity": known_or_gap(validity, "evaluation", "evaluate"),
        "local_validity": known_or_gap(validity, "evaluation", "evaluate"),
        "fairness": known_or_gap(fairness, "evaluation", "assess_fairness"),
        "local_fairness": known_or_gap(fairness, "evaluation", "assess_fairness"),
        "sample_size": known_or_gap(size, "evaluation", "evaluate"),
        "fairness_process": CardFact(_fairness_process(use_case, report), "use case"),
        "independence": CardFact(sentence("independence"), "design"),
    }


def _validity(report: EvaluationReport) -> str | None:
    main = report.analysis("encounter")
    found: list[str] = []
    for name in _VALIDITY:
        metric = main.metrics.get(name)
        if metric is not None and metric.value is not None:
            label = report.definitions[name].label if name in report.definitions else name
            found.append(f"{label} {_figure(metric)}")
    return "; ".join(found) + "." if found else None


def _figure(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"


def _fairness(report: EvaluationReport) -> str | None:
    if report.fairness is None:
        return None
    verdicts = ", ".join(f"{name} {count}" for name, count in report.fairness.verdicts.items())
    text = sentence("fairness", verdicts=verdicts)
    off = [g.analysis.name for g in report.fairness.groups if g.verdict == "not calibrated"]
    return text + (sentence("fairness_not_calibrated", groups=", ".join(off)) if off else "")


def _sample_size(report: EvaluationReport, evidence: CardEvidence) -> str | None:
    counts = report.analysis("encounter").counts
    if counts.rows is None or counts.persons is None:
        return None
    text = sentence("sample_size", rows=counts.rows, persons=counts.persons)
    if counts.events is not None:
        text += sentence("sample_size_events", events=counts.events)
    rows, persons = evidence.training_rows, evidence.training_persons
    if rows and persons:
        text += sentence("sample_size_training", rows=rows, persons=persons)
    return text + "."


def _fairness_process(use_case: UseCase, report: EvaluationReport | None) -> str:
    margin = ""
    if report is not None and report.fairness is not None:
        margin = sentence("fairness_margin", margin=report.fairness.margin)
    groups = ", ".join(map(_words, use_case.fairness.groups))
    return sentence("fairness_process", groups=groups, margin=margin)


def _of_registry(use_case: UseCase, evidence: CardEvidence) -> dict[str, CardFact]:
    kept = [f"{_words(name)} {value}" for name, value in evidence.tags.items()]
    rule = specification = results = None
    if evidence.threshold is not None:
        rule = sentence(
            "output_value",
            horizon_days=use_case.outcome.horizon_days,
            threshold=evidence.threshold,
            share=use_case.threshold.capacity_share,
        )
    if evidence.version:
        specification = sentence("specification", version=evidence.version)
    if evidence.decision is not None:
        kind, reason = evidence.decision["kind"], evidence.decision["reason"]
        results = sentence("update_results", kind=kind, reason=reason)
    return {
        "output_value": known_or_gap(rule, "registry", "train"),
        "reproducibility": known_or_gap(
            "; ".join(kept) + "." if kept else None, "registry", "train"
        ),
        "specification": known_or_gap(specification, "registry", "train"),
        "update_results": known_or_gap(results, "registry", "decide"),
        "release_date": known_or_gap(evidence.registered_on, "registry", "train"),
    }


def _of_model(use_case: UseCase, evidence: CardEvidence) -> dict[str, CardFact]:
    """What differs between model types; gaps where no version is known."""
    found: dict[str, str | None] = dict.fromkeys(
        ("families", "importance", "tuning", "predictor_form", "reasons")
    )
    if evidence.family is not None:
        found["families"] = _families(evidence.family, evidence.compared)
    if evidence.strongest:
        terms = ", ".join(evidence.strongest)
        found["importance"] = sentence("importance", terms=terms, measure=evidence.strength)
    if evidence.trials is not None:
        found["tuning"] = _tuning(use_case, evidence, evidence.trials)
    if evidence.scaled is not None:
        form = "scaled" if evidence.scaled else "unscaled"
        found["predictor_form"] = sentence(f"predictor_form_{form}")
    if evidence.exact_reasons is not None:
        reasons = "exact" if evidence.exact_reasons else "approximate"
        found["reasons"] = sentence(f"reasons_{reasons}")
    refits = None
    if evidence.variants:
        refits = sentence("sensitivity", variants=", ".join(evidence.variants))
    return {
        **{name: known_or_gap(text, "registry", "train") for name, text in found.items()},
        "sensitivity": known_or_gap(refits, "registry", "analyse", use_case=use_case.name),
    }


def _families(family: str, compared: tuple[str, ...]) -> str:
    if not compared:
        return sentence("families_alone", family=family)
    return sentence("families_compared", family=family, others=", ".join(compared))


def _tuning(use_case: UseCase, evidence: CardEvidence, trials: int) -> str:
    chosen = ", ".join(f"{_words(name)} {value:.4g}" for name, value in evidence.parameters.items())
    folds = use_case.model.tuning.folds
    return sentence("tuning", trials=trials, folds=folds, chosen=chosen or "nothing")


def _of_monitoring(use_case: UseCase) -> dict[str, CardFact]:
    """What is monitored, and which groups are assessed at evaluations only."""
    plan = use_case.monitoring
    groups = ", ".join(map(_words, plan.groups)) or sentence("no_group")
    fairness = sentence("fairness_monitoring", groups=groups)
    others = [name for name in use_case.fairness.groups if name not in plan.groups]
    if others:
        fairness += sentence("fairness_unmonitored", groups=", ".join(map(_words, others)))
    monitoring = sentence("monitoring", alarm_weeks=plan.alarm_weeks, tolerance=plan.tolerance)
    return {
        "monitoring": CardFact(monitoring, "use case"),
        "fairness_monitoring": CardFact(fairness, "use case"),
    }


def _of_design() -> dict[str, CardFact]:
    return {name: CardFact(text, "design") for name, text in card_texts().by_design.items()}


def _words(name: str) -> str:
    return name.replace("_", " ")
