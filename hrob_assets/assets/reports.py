"""The reports of a model version: pages, figures and model card, in one folder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    model_group,
    staged_key,
    use_case_key,
)
from hrob_assets.assets.metadata import readable
from hrob_assets.resources.decision_records import DecisionRecords
from hrob_assets.resources.model_registry import ModelRegistry, RegisteredModel
from hrob_assets.resources.storage import Storage
from hrob_assets.risk.acceptance import Verdict
from hrob_assets.risk.baseline import baseline_summary
from hrob_assets.risk.evaluation import ReportOptions, evaluate_scores, seed_of
from hrob_assets.risk.evaluation_report import EvaluationReport, Subject, to_json
from hrob_assets.risk.features.catalogue import Catalogue
from hrob_assets.risk.groups import group_rows
from hrob_assets.risk.model_card import CardEvidence, ModelCard, model_card
from hrob_assets.risk.reporting.chai import chai_xml
from hrob_assets.risk.reporting.model_card import model_card_page
from hrob_assets.risk.reporting.parts import ReportContext
from hrob_assets.risk.reporting.reports import index_page, render_evaluation_reports
from hrob_assets.risk.sources.whole_folder import whole_folder
from hrob_assets.risk.use_case import UseCase

_KEY_FIGURES = (
    "auroc",
    "calibration_factor",
    "positive_predictive_value",
    "negative_predictive_value",
    "prevalence",
    "alert_rate",
    "odds_ratio",
    "ici",
)
_MOST_TERMS = 30


def report_definitions(use_case: UseCase, *, catalogue: Catalogue) -> dg.Definitions:
    """The reports of the version that was evaluated last, and the job that makes them.

    Parameters
    ----------
    use_case : UseCase
    catalogue : Catalogue
        Tells the group of each column of the model.
    """
    job = dg.define_asset_job(
        f"report_{use_case.name}",
        selection=dg.AssetSelection.assets(
            use_case_key(use_case.name, "baseline"), use_case_key(use_case.name, "reports")
        ),
        description="Baseline table, and all reports of the version that was evaluated last.",
    )
    return dg.Definitions(assets=[_reports(use_case, catalogue)], jobs=[job])


def _reports(use_case: UseCase, catalogue: Catalogue) -> dg.AssetsDefinition:
    name = use_case.name

    @dg.asset(
        key=use_case_key(name, "reports"),
        group_name=model_group(name),
        owners=[use_case.owner],
        kinds={"html", "json", "mlflow"},
        deps=[use_case_key(name, stage) for stage in ("champion_model", "model_comparison")],
        ins={
            "evaluation": dg.AssetIn(use_case_key(name, "evaluation")),
            "baseline": dg.AssetIn(use_case_key(name, "baseline")),
            "features": dg.AssetIn(ENCOUNTER_FEATURES),
            "persons": dg.AssetIn(staged_key("persons")),
            "coverage": dg.AssetIn(staged_key("coverage")),
        },
        description=(
            "Evaluation, fairness, one-page summary and model card of the version that was "
            "evaluated last, as pages that open offline; the same figures as JSON with a "
            "versioned schema, and as Parquet. Also kept with the version's run in MLflow."
        ),
    )
    def reports(
        context: dg.AssetExecutionContext,
        evaluation: pl.LazyFrame,
        baseline: pl.LazyFrame,
        features: pl.LazyFrame,
        persons: pl.LazyFrame,
        coverage: pl.LazyFrame,
        model_registry: ModelRegistry,
        decision_records: DecisionRecords,
        storage: Storage,
    ) -> dg.MaterializeResult:
        predictions = evaluation.collect()
        version = str(predictions["model_version"].first())
        model = model_registry.load_version(name, version)
        groups = use_case.fairness.groups
        scores = group_rows(
            predictions, groups=groups, persons=persons, coverage=coverage, features=features
        )
        report = evaluate_scores(
            scores,
            subject=_subject(use_case, model, predictions),
            options=_options(use_case, model),
        )
        table = baseline.collect()
        record = _record_of(version, decision_records.verified(name, model_registry))
        known = report_context(use_case, model, baseline=table, record=record)
        known = replace(known, **present_comparison(storage, name, model))
        card = model_card(
            use_case, _card_evidence(use_case, model, report, known, record, catalogue)
        )
        folder = storage.root / "reports" / name / version
        write_reports(folder, report, context=known, card=card)
        model_registry.attach(model.run_id, folder, name="reports")
        context.log.info("wrote the reports of version %s", version)
        return dg.MaterializeResult(metadata=_metadata(report, card, folder, version))

    return reports


def present_comparison(storage: Storage, name: str, model: RegisteredModel) -> dict[str, Any]:
    """The comparison of families and its choice, if it was made of what the model was made of."""
    path = storage.asset_path(use_case_key(name, "model_comparison")).with_suffix(".parquet")
    if not path.exists():
        return {}
    table = pl.read_parquet(path)
    if table["training_set"].unique().to_list() != [model.tags.get("training_set")]:
        return {}
    shown = table.drop("chosen", "reason", "training_set")
    return {
        "comparison": {"Families on the validation patients": shown},
        "choice": table["reason"].first(),
    }


def write_reports(
    folder: Path, report: EvaluationReport, *, context: ReportContext, card: ModelCard
) -> None:
    """Write all reports into a folder that appears whole or not at all."""
    texts = {
        **render_evaluation_reports(
            report, context=context, beside={"model_card.html": model_card_page(card)}
        ),
        "model_card.xml": chai_xml(card),
        "evaluation.json": to_json(report),
    }
    files = dict(texts) | ({} if context.baseline is None else {"baseline.parquet": ""})
    texts["index.html"] = index_page(report, context, files=files)
    with whole_folder(folder) as work:
        for name, text in texts.items():
            (work / name).write_text(text, encoding="utf-8")
        if context.baseline is not None:
            context.baseline.write_parquet(work / "baseline.parquet")


def report_context(
    use_case: UseCase,
    model: RegisteredModel,
    *,
    baseline: pl.DataFrame,
    record: Mapping[str, Any] | None,
) -> ReportContext:
    """What is known of a version beside its evaluation."""
    return ReportContext(
        goal=use_case.goal.sentence,
        question=use_case.question,
        criteria=None if record is None else [_verdict(each) for each in record["criteria"]],
        decision=None if record is None else f"{record['kind'].capitalize()}: {record['reason']}",
        baseline=baseline,
        baseline_sentence=baseline_summary(baseline, part="test"),
        coefficients=_terms(model),
        lineage={**model.tags, "run": model.run_id},
        sign_offs=[
            f"{each.name}, {each.role}, {each.signed_on} ({each.step})"
            for each in use_case.card.sign_offs
        ],
        notes=use_case.notes,
    )


def _subject(use_case: UseCase, model: RegisteredModel, predictions: pl.DataFrame) -> Subject:
    days = predictions.select(
        pl.col("prediction_time").dt.date().min().alias("first"),
        pl.col("prediction_time").dt.date().max().alias("last"),
    ).row(0)
    return Subject(
        name=use_case.name,
        title=use_case.title,
        outcome=f"{use_case.outcome.name} within {use_case.outcome.horizon_days} days",
        model_version=model.version,
        source="the test period",
        first_day=days[0],
        last_day=days[1],
        threshold=model.model.threshold,
        threshold_origin="model",
        capacity_share=use_case.threshold.capacity_share,
    )


def _options(use_case: UseCase, model: RegisteredModel) -> ReportOptions:
    return ReportOptions(
        groups=tuple(use_case.fairness.groups),
        margin=use_case.acceptance.fairness_margin,
        seed=seed_of(use_case.name, model.version, "reports"),
    )


def _record_of(version: str, records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The last decision that judged a version; None when there is none."""
    judged = [record for record in records if record["challenger"] == version]
    return judged[-1] if judged else None


def _verdict(criterion: Mapping[str, Any]) -> Verdict:
    return Verdict(
        **{name: criterion[name] for name in ("criterion", "must_hold", "found", "passed")}
    )


def _terms(model: RegisteredModel) -> list[tuple[str, float]]:
    """Terms of a linear model, the strongest first; none of another family."""
    from hrob_assets.risk.training import term_names  # noqa: PLC0415 - slow

    steps = getattr(model.model.estimator, "named_steps", {})
    coefficients = getattr(steps.get("model"), "coef_", None)
    if coefficients is None or "impute" not in steps:
        return []
    names = term_names(model.model)
    terms = zip(names, (float(value) for value in coefficients[0]), strict=True)
    return sorted(terms, key=lambda term: -abs(term[1]))[:_MOST_TERMS]


def _card_evidence(
    use_case: UseCase,
    model: RegisteredModel,
    report: EvaluationReport,
    known: ReportContext,
    record: Mapping[str, Any] | None,
    catalogue: Catalogue,
) -> CardEvidence:
    group_of = {
        column.name: family.group for family in catalogue.families for column in family.columns
    }
    used: dict[str, int] = {}
    for column in model.model.columns:
        group = group_of.get(column, "other")
        used[group] = used.get(group, 0) + 1
    return CardEvidence(
        report=report,
        version=model.version,
        trained_on=model.tags.get("trained_at"),
        tags=model.tags,
        family=use_case.model.family.replace("_", " "),
        threshold=model.model.threshold,
        training_rows=model.model.training_rows,
        training_persons=model.model.training_persons,
        training_events=model.model.training_events,
        features=used,
        strongest=tuple(name for name, _ in known.coefficients[:10]),
        baseline_sentence=known.baseline_sentence,
        decision=record,
    )


def _metadata(
    report: EvaluationReport, card: ModelCard, folder: Path, version: str
) -> dict[str, Any]:
    main = report.analysis("encounter")
    figures: dict[str, Any] = {
        report.definitions[name].label: metric.value
        for name in _KEY_FIGURES
        if (metric := main.metrics.get(name)) is not None and metric.value is not None
    }
    links = {
        name.removesuffix(".html").replace("_", " "): dg.MetadataValue.url(
            (folder / name).absolute().as_uri()
        )
        for name in ("index.html", "summary.html", "evaluation.html", "fairness.html",
                     "model_card.html")
        if (folder / name).exists()
    }  # fmt: skip
    verdicts = {} if report.fairness is None else dict(report.fairness.verdicts)
    return {
        "folder": dg.MetadataValue.path(folder.absolute()),
        **links,
        "model version": version,
        **{f"groups {name}": count for name, count in verdicts.items()},
        "gaps of TRIPOD+AI": card.gaps("TRIPOD+AI"),
        **readable(figures),
    }
