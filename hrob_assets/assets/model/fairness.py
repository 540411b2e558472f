"""Whether a probability means the same for every group: the full report, with verdicts."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from hrob_assets.assets.keys import model_group, staged_key, use_case_key
from hrob_assets.assets.metadata import described, interval_plot, markdown_table
from hrob_assets.assets.model.evaluation import required_model
from hrob_assets.resources.records.model_registry import CHALLENGER, ModelRegistry, RegisteredModel
from hrob_assets.resources.storage.io_manager import Storage, write_text
from hrob_assets.risk.cohort import AREA_DEPRIVATION, group_rows
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.evaluation import (
    EvaluationReport,
    GroupFairness,
    GroupShare,
    LabelAudit,
    ReportOptions,
    Subject,
    era_boundary,
    evaluate_scores,
    evaluation_tables,
    shares_by_group,
    to_json,
)
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import OutcomeComponent, UseCase
from hrob_assets.risk.vocabulary import CodeSet

_MOST_COLUMNS = 15


def fairness_definitions(use_case: UseCase, *, code_sets: Mapping[str, CodeSet]) -> dg.Definitions:
    """The whole evaluation with fairness by group, from the frozen predictions."""
    key = use_case_key(use_case.name, "fairness")

    @dg.asset(
        key=key,
        group_name=model_group(use_case.name),
        owners=[use_case.owner],
        kinds={"polars", "parquet"},
        ins={
            "evaluation": dg.AssetIn(use_case_key(use_case.name, "evaluation")),
            "training_set": dg.AssetIn(use_case_key(use_case.name, "training_set")),
            "labels": dg.AssetIn(use_case_key(use_case.name, "labels")),
            "persons": dg.AssetIn(staged_key("persons")),
            "coverage": dg.AssetIn(staged_key("coverage")),
        },
        check_specs=[
            dg.AssetCheckSpec(
                _CHECK,
                asset=key,
                description="No group has a calibration factor that is off beyond the margin.",
            )
        ],
        description=(
            "Calibration of each group with a three-valued verdict, classification parity, "
            "allocation, missing values and the label audit, on the frozen predictions of "
            "evaluation; evaluation.json beside it has every figure of both."
        ),
    )
    def fairness(
        context: dg.AssetExecutionContext,
        evaluation: pl.LazyFrame,
        training_set: pl.LazyFrame,
        labels: pl.LazyFrame,
        persons: pl.LazyFrame,
        coverage: pl.LazyFrame,
        model_registry: ModelRegistry,
        storage: Storage,
    ) -> Iterator[dg.Output[pl.DataFrame] | dg.AssetCheckResult]:
        challenger = required_model(model_registry, use_case.name, CHALLENGER)
        predictions = _of_challenger(evaluation, challenger)
        test = _test_rows(training_set, challenger)
        names = use_case.fairness.groups
        rows = group_rows(
            predictions,
            groups=names,
            persons=persons,
            coverage=coverage,
            features=test.lazy(),
        )
        levels = {name: rows[name].to_numpy() for name in names}
        report = evaluate_scores(
            rows,
            subject=_subject(use_case, predictions, challenger),
            options=_options(use_case),
            missing=_missing(predictions, test, challenger, levels),
            label_audit=_label_audit(use_case, code_sets, predictions, labels, levels),
        )
        page = storage.asset_path(key).with_name("evaluation.json")
        write_text(to_json(report), page)
        table = evaluation_tables(report)["verdicts"]
        context.log.info("judged %s groups of version %s", table.height, challenger.version)
        yield dg.Output(table, metadata=_metadata(report, table, str(page), challenger))
        yield _check(report)

    return dg.Definitions(assets=[fairness])


_CHECK = "no_group_is_miscalibrated"


def _of_challenger(evaluation: pl.LazyFrame, challenger: RegisteredModel) -> pl.DataFrame:
    predictions = evaluation.collect()
    versions = predictions["model_version"].unique().to_list()
    if versions != [challenger.version]:
        msg = (
            f"fairness must be of the challenger, version {challenger.version} (the evaluation is "
            f"of {versions}); materialise evaluation again"
        )
        raise ContractError(msg)
    return predictions


def _test_rows(training_set: pl.LazyFrame, challenger: RegisteredModel) -> pl.DataFrame:
    """Columns of the model on the test rows, and the area of the person."""
    there = training_set.collect_schema().names()
    wanted = [name for name in (*challenger.model.columns, AREA_DEPRIVATION) if name in there]
    columns = list(dict.fromkeys((*ROW_KEY, *wanted)))
    return training_set.filter(pl.col("split") == "test").select(columns).collect()


def _subject(use_case: UseCase, predictions: pl.DataFrame, challenger: RegisteredModel) -> Subject:
    days = predictions["prediction_time"].dt.date()
    return Subject(
        name=use_case.name,
        title=use_case.title,
        outcome=f"{use_case.outcome.name} within {use_case.outcome.horizon_days} days",
        model_version=str(challenger.version),
        source="the test period",
        first_day=days.min(),  # pyright: ignore[reportArgumentType] - of dates
        last_day=days.max(),  # pyright: ignore[reportArgumentType]
        threshold=challenger.model.threshold,
        threshold_origin="model",
        capacity_share=use_case.threshold.capacity_share,
    )


def _options(use_case: UseCase) -> ReportOptions:
    return ReportOptions(
        groups=tuple(use_case.fairness.groups),
        margin=use_case.fairness.margin,
        replicates=use_case.fairness.replicates,
        era_boundary=era_boundary(
            use_case.fairness.era_event, horizon_days=use_case.outcome.horizon_days
        ),
    )


def _missing(
    predictions: pl.DataFrame,
    test: pl.DataFrame,
    challenger: RegisteredModel,
    levels: Mapping[str, np.ndarray],
) -> list[GroupShare]:
    """Share of null by group, of the columns of the model that lack most values."""
    columns = [name for name in challenger.model.columns if test[name].null_count()]
    columns.sort(key=lambda name: (-test[name].null_count(), name))
    aligned = predictions.join(test, on=ROW_KEY, how="left", maintain_order="left")
    return [
        share
        for name in columns[:_MOST_COLUMNS]
        for share in shares_by_group(name, aligned[name].is_null().to_numpy(), levels)
    ]


def _label_audit(
    use_case: UseCase,
    code_sets: Mapping[str, CodeSet],
    predictions: pl.DataFrame,
    labels: pl.LazyFrame,
    levels: Mapping[str, np.ndarray],
) -> LabelAudit:
    components = {part.name: f"outcome__{part.name}" for part in use_case.outcome.components}
    aligned = predictions.select(ROW_KEY).join(
        labels.select(*ROW_KEY, *components.values()).collect(),
        on=ROW_KEY, how="left", maintain_order="left",
    )  # fmt: skip
    declared = use_case.fairness.label_audit
    return LabelAudit(
        statement=None if declared is None else declared.statement,
        is_proxy=None if declared is None else declared.is_proxy,
        sources={part.name: _read_from(part, code_sets) for part in use_case.outcome.components},
        components=tuple(
            share
            for name, column in components.items()
            for share in shares_by_group(
                name, aligned[column].fill_null(value=False).to_numpy(), levels
            )
        ),
    )


def _read_from(part: OutcomeComponent, code_sets: Mapping[str, CodeSet]) -> str:
    """The kinds of code of a component, and what must be beside it."""
    kinds = ", ".join(code_sets[part.code_set].vocabularies)
    beside = part.same_encounter_code_set
    if beside is None:
        return kinds
    name = beside.replace("_", " ")
    return f"{kinds}; with {name} ({', '.join(code_sets[beside].vocabularies)}) beside it"


def _metadata(
    report: EvaluationReport, table: pl.DataFrame, page: str, challenger: RegisteredModel
) -> dict[str, Any]:
    fairness = report.fairness
    groups = () if fairness is None else fairness.groups
    verdicts = {} if fairness is None else {f"groups {k}": v for k, v in fairness.verdicts.items()}
    shown = forest(groups)
    plots = {} if shown.is_empty() else {"forest": interval_plot(shown, title=_TITLE)}
    factors = {
        f"calibration factor, {row['group']}": row["value"] for row in shown.iter_rows(named=True)
    }
    return described(
        table,
        model_version=challenger.version,
        evaluation_json=dg.MetadataValue.path(page),
        **plots,
        verdicts=markdown_table(_verdict_table(groups)),
        **verdicts,
        **factors,
    )


_TITLE = "Calibration factor by group, 95 % by patient-cluster bootstrap"


def forest(groups: tuple[GroupFairness, ...]) -> pl.DataFrame:
    """Calibration factors that may be shown, with their intervals.

    Returns
    -------
    DataFrame
        ``group``, ``value``, ``low`` and ``high``.
    """
    rows = []
    for group in groups:
        factor = group.analysis.metrics["calibration_factor"]
        if factor.low is not None:
            rows.append((group.analysis.name, factor.value, factor.low, factor.high))
    schema = {"group": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _verdict_table(groups: tuple[GroupFairness, ...]) -> pl.DataFrame:
    def interval(group: GroupFairness) -> str | None:
        factor = group.analysis.metrics["calibration_factor"]
        if factor.value is None:
            return None
        if factor.low is None or factor.high is None:
            return f"{factor.value:+.4f}"
        return f"{factor.value:+.4f} ({factor.low:+.4f} to {factor.high:+.4f})"

    return pl.DataFrame(
        {
            "group": [group.analysis.name for group in groups],
            "rows": [group.analysis.counts.rows for group in groups],
            "persons": [group.analysis.counts.persons for group in groups],
            "calibration factor": [interval(group) for group in groups],
            "verdict": [group.verdict for group in groups],
            "patients still needed": [group.patients_still_needed for group in groups],
        },
        schema_overrides={"rows": pl.Int64, "persons": pl.Int64},
    )


def _check(report: EvaluationReport) -> dg.AssetCheckResult:
    verdicts = {} if report.fairness is None else report.fairness.verdicts
    off = verdicts.get("not calibrated", 0)
    return dg.AssetCheckResult(
        passed=off == 0,
        check_name=_CHECK,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={str(name): count for name, count in verdicts.items()},
    )
