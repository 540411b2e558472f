"""The reports of a model version: pages, figures and model card, in one folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import use_case_key
from hrob_assets.assets.metadata import readable
from hrob_assets.assets.model.evidence import EVIDENCE
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import ModelRegistry, RegisteredModel
from hrob_assets.resources.sources.current_source import RawSource
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.cohort import baseline_summary
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.evaluation import (
    COMPARED,
    EvaluationReport,
    from_json,
    to_json,
    write_evaluation_tables,
)
from hrob_assets.risk.features import Catalogue
from hrob_assets.risk.files import whole_folder
from hrob_assets.risk.governance import CardEvidence, ModelCard, model_card
from hrob_assets.risk.promotion import Verdict
from hrob_assets.risk.reporting import chai_xml, index_page, render_evaluation_reports
from hrob_assets.risk.reporting.pages import ModelTerms, ReportContext, model_card_page
from hrob_assets.risk.training import (
    TRAINING_COLUMNS,
    anti_classification,
    slope_of,
    strongest_terms,
    tellable,
    term_names,
    training_set_tag,
)
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
_STRONGEST = 10
_JUDGES = ("person_id", "split", "label")
_MADE_BEFORE = ("fairness", "champion_model", "model_comparison", "sensitivity")


def report_definitions(stage: StageContext) -> dg.Definitions:
    """The reports of the version that was evaluated last, and the job that makes them."""
    job = dg.define_asset_job(
        f"report_{stage.name}",
        selection=dg.AssetSelection.assets(
            *(stage.key(asset) for asset in ("baseline", "fairness", "reports"))
        ),
        description=(
            "Baseline table, fairness, and all reports of the version that was evaluated last."
        ),
    )
    return dg.Definitions(assets=[_reports(stage)], jobs=[job])


def _reports(stage: StageContext) -> dg.AssetsDefinition:
    name, use_case = stage.name, stage.use_case

    @stage.model_asset(
        "reports",
        kinds={"html", "json", "mlflow"},
        deps=[stage.key(asset) for asset in _MADE_BEFORE],
        ins=stage.inputs("evaluation", "baseline", "training_set"),
        description=(
            "Evaluation, fairness, one-page summary and model card of the version that was "
            "evaluated last, drawn from the figures of fairness as pages that open offline; the "
            "same figures as JSON and Parquet with a versioned schema. Also kept with the "
            "version's run in MLflow."
        ),
    )
    def reports(
        context: dg.AssetExecutionContext,
        evaluation: pl.LazyFrame,
        baseline: pl.LazyFrame,
        training_set: pl.LazyFrame,
        model_registry: ModelRegistry,
        decision_records: DecisionRecords,
        raw_source: RawSource,
        storage: Storage,
    ) -> dg.MaterializeResult:
        version = str(evaluation.select(pl.col("model_version").first()).collect().item())
        model = model_registry.load_version(name, version)
        beside = _beside(storage, model, training_set)
        report = _report(storage, model, beside.sensitivity)
        record = _record_of(version, decision_records.verified(name, model_registry))
        known = report_context(use_case, model, baseline=baseline.collect(), record=record)
        known = replace(known, terms=terms_of(model, training_set), **beside.comparison())
        evidence = _card_evidence(model, report, known, record, stage.catalogue)
        evidence = replace(evidence, source=raw_source.in_words, **beside.evidence(model))
        card = model_card(use_case, evidence)
        folder = storage.root / "reports" / name / version
        write_reports(folder, report, context=known, card=card)
        model_registry.attach(model.run_id, folder, name="reports")
        context.log.info("wrote the reports of version %s", version)
        return dg.MaterializeResult(metadata=_metadata(report, card, folder, version))

    return reports


@dataclass(frozen=True)
class Beside:
    """What was made of the same training set, and may be published.

    Parameters
    ----------
    families, sensitivity : DataFrame, optional
        Comparison of families; refits of the version with other columns.
    """

    families: pl.DataFrame | None = None
    sensitivity: pl.DataFrame | None = None

    def comparison(self) -> dict[str, Any]:
        """The tables by title, and the choice of the family."""
        tables: dict[str, pl.DataFrame] = {}
        choice = None
        if self.families is not None:
            tables[_FAMILIES] = self.families.drop("chosen", "reason", "training_set")
            choice = self.families["reason"].first()
        if self.sensitivity is not None:
            changes = [f"{name}_change{end}" for name in COMPARED for end in ("", "_low", "_high")]
            tables[_REFITS] = self.sensitivity.select("variant", "columns", *changes)
        return {"comparison": tables, "choice": choice}

    def evidence(self, model: RegisteredModel) -> dict[str, Any]:
        """What the model card tells of them."""
        families = [] if self.families is None else self.families["family"].to_list()
        others = [name.replace("_", " ") for name in families if name != model.model.family]
        variants = [] if self.sensitivity is None else self.sensitivity["variant"].to_list()
        return {"compared": tuple(others), "variants": tuple(variants[1:])}


_FAMILIES = "Families on the validation patients"
_REFITS = "Refits with other columns, validation patients; above 0 the refit is better"


def _beside(storage: Storage, model: RegisteredModel, training_set: pl.LazyFrame) -> Beside:
    """Comparison and sensitivity, where they are of this version and not of too few patients."""
    if not tellable(training_set.select(_JUDGES).collect()):
        return Beside()
    same = {"training_set": _tag(model)}
    of_version = same | {"model_version": model.version}
    return Beside(
        families=_made_of(storage, model, "model_comparison", same),
        sensitivity=_made_of(storage, model, "sensitivity", of_version),
    )


def _made_of(
    storage: Storage, model: RegisteredModel, stage: str, of: Mapping[str, str | None]
) -> pl.DataFrame | None:
    path = storage.asset_path(use_case_key(model.name, stage)).with_suffix(".parquet")
    if not path.exists():
        return None
    table = pl.read_parquet(path)
    same = all(
        name in table.columns and table[name].unique().to_list() == [value]
        for name, value in of.items()
    )
    return table if same else None


def _lineage(model: RegisteredModel) -> dict[str, str]:
    """Tags of a version for readers; the signed statement of its evaluation is for the gate."""
    return {name: text for name, text in model.tags.items() if name != EVIDENCE}


def _tag(model: RegisteredModel) -> str | None:
    return model.tags.get("training_set")


def _report(
    storage: Storage, model: RegisteredModel, sensitivity: pl.DataFrame | None
) -> EvaluationReport:
    """The figures of fairness, with what race and ethnicity change where that was tried."""
    path = storage.asset_path(use_case_key(model.name, "fairness")).with_name("evaluation.json")
    report = from_json(path.read_text(encoding="utf-8")) if path.exists() else None
    found = "none" if report is None else f"version {report.subject.model_version}"
    if report is None or report.subject.model_version != model.version:
        msg = (
            f"reports are drawn from the figures of fairness of version {model.version}, which "
            f"was evaluated last (found {found}); materialise fairness first"
        )
        raise ContractError(msg)
    if report.fairness is None or sensitivity is None:
        return report
    anti = anti_classification(sensitivity)
    return replace(report, fairness=replace(report.fairness, anti_classification=anti))


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
    with whole_folder(folder) as work:
        files = dict(texts) | dict.fromkeys(write_evaluation_tables(report, work), "")
        if context.baseline is not None:
            context.baseline.write_parquet(work / "baseline.parquet")
            files["baseline.parquet"] = ""
        texts["index.html"] = index_page(report, context, files=files)
        for name, text in texts.items():
            (work / name).write_text(text, encoding="utf-8")


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
        lineage={**_lineage(model), "run": model.run_id},
        sign_offs=[
            f"{each.name}, {each.role}, {each.signed_on} ({each.step})"
            for each in use_case.card.sign_offs
        ],
        notes=use_case.notes,
    )


def _record_of(version: str, records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The last decision about a version; None when there is none."""
    about = [record for record in records if record["challenger"] == version]
    return about[-1] if about else None


def _verdict(criterion: Mapping[str, Any]) -> Verdict:
    return Verdict(
        **{name: criterion[name] for name in ("criterion", "must_hold", "found", "passed")}
    )


def terms_of(model: RegisteredModel, training_set: pl.LazyFrame) -> ModelTerms:
    """Coefficients of a linear model as it scores; of another family what its columns do."""
    steps = model.model.estimator.named_steps
    coefficients = getattr(steps["model"], "coef_", None)
    if coefficients is not None and "scale" in steps:
        used = map(float, coefficients[0] * slope_of(model.model))
        pairs = zip(term_names(model.model), used, strict=True)
        found = sorted(pairs, key=lambda term: -abs(term[1]))[:_MOST_TERMS]
        return ModelTerms(found, "log-odds per standard deviation of the feature")
    rows = _rows_of(model, training_set)
    if rows is None:
        return ModelTerms((), "", "the training set is not that of this version any more")
    if not tellable(rows):
        return ModelTerms((), "", "there are too few validation patients")
    kind = "exact" if model.model.reasons_are_exact else "approximate"
    measure = f"mean absolute log-odds on the validation patients, {kind}"
    return ModelTerms(strongest_terms(model.model, rows)[:_MOST_TERMS], measure)


def _rows_of(model: RegisteredModel, training_set: pl.LazyFrame) -> pl.DataFrame | None:
    """The rows that a version was trained on; None if the training set is another by now."""
    columns = (*TRAINING_COLUMNS, *model.model.columns)
    if set(columns) - set(training_set.collect_schema()):
        return None
    rows = training_set.select(columns).collect()
    return rows if training_set_tag(rows) == _tag(model) else None


def _card_evidence(
    model: RegisteredModel,
    report: EvaluationReport,
    known: ReportContext,
    record: Mapping[str, Any] | None,
    catalogue: Catalogue,
) -> CardEvidence:
    fitted = model.model
    day = model.registered_on
    return CardEvidence(
        **_features(model, catalogue),
        report=report,
        version=model.version,
        registered_on=None if day is None else day.isoformat(),
        tags=_lineage(model),
        family=fitted.family.replace("_", " "),
        trials=len(fitted.trials),
        parameters=fitted.parameters,
        scaled="scale" in fitted.estimator.named_steps,
        exact_reasons=fitted.reasons_are_exact,
        threshold=fitted.threshold,
        training_rows=fitted.training_rows,
        training_persons=fitted.training_persons,
        training_events=fitted.training_events,
        strongest=tuple(name for name, _ in known.terms.terms[:_STRONGEST]),
        strength=known.terms.measure,
        baseline_sentence=known.baseline_sentence,
        decision=record,
    )


def _features(model: RegisteredModel, catalogue: Catalogue) -> dict[str, Any]:
    """Columns of a version by group: how many, and of which families."""
    family_of = {column.name: each for each in catalogue.families for column in each.columns}
    used: dict[str, int] = {}
    families: dict[str, dict[str, None]] = {}
    for column in model.model.columns:
        found = family_of.get(column)
        group = "other" if found is None else found.group
        used[group] = used.get(group, 0) + 1
        families.setdefault(group, {})["other" if found is None else found.name] = None
    names = {group: tuple(found) for group, found in families.items()}
    return {"features": used, "feature_families": names}


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
