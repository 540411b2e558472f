"""The gate: who becomes champion, judged from stored evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from hrob_assets.assets.evaluation import evaluated, required_model
from hrob_assets.assets.keys import ENCOUNTER_FEATURES, model_group, use_case_key
from hrob_assets.assets.metadata import markdown_table, readable
from hrob_assets.resources.decision_records import DecisionRecords, operating_system_user
from hrob_assets.resources.model_registry import (
    CHALLENGER,
    CHAMPION,
    ModelRegistry,
    RegisteredModel,
)
from hrob_assets.risk.acceptance import Verdict, judge
from hrob_assets.risk.decision import Decision
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.evaluation import Estimate, paired_difference, row_log_loss, seed_of
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.training import predict
from hrob_assets.risk.use_case import UseCase


def promotion_definitions(use_case: UseCase, *, lineage: Mapping[str, str]) -> dg.Definitions:
    """The champion, the criteria as checks, and the training job.

    Parameters
    ----------
    use_case : UseCase
    lineage : mapping of str to str
        Code and configuration as they are now, from `lineage_of`.
    """
    name = use_case.name
    job = dg.define_asset_job(
        f"train_{name}",
        selection=dg.AssetSelection.assets(
            *(use_case_key(name, stage) for stage in _TRAINING_STAGES)
        ),
        description="Training set, selection, challenger, evaluation, and the gate to champion.",
    )
    return dg.Definitions(assets=[_champion_model(use_case, lineage)], jobs=[job])


def _champion_model(use_case: UseCase, lineage: Mapping[str, str]) -> dg.AssetsDefinition:
    name = use_case.name

    @dg.asset(
        key=use_case_key(name, "champion_model"),
        group_name=model_group(name),
        owners=[use_case.owner],
        kinds={"mlflow"},
        ins={
            "evaluation": dg.AssetIn(use_case_key(name, "evaluation")),
            "features": dg.AssetIn(ENCOUNTER_FEATURES),
        },
        description=(
            "The model that scores people. A challenger takes its place only when it meets the "
            "acceptance criteria and, where there is a champion, has a lower log loss on the same "
            "rows with a patient-cluster interval above zero."
        ),
        check_specs=[_check_spec(name)],
    )
    def champion_model(
        context: dg.AssetExecutionContext,
        evaluation: pl.LazyFrame,
        features: pl.LazyFrame,
        model_registry: ModelRegistry,
        decision_records: DecisionRecords,
    ) -> dg.MaterializeResult:
        records = decision_records.verified(name, model_registry)
        challenger = required_model(model_registry, name, CHALLENGER)
        champion = model_registry.load(name, CHAMPION)
        predictions = evaluation.collect()
        _require_evidence_of(predictions, challenger)
        improvement = _improvement(predictions, features, champion, challenger)
        found = evaluated(predictions, threshold=challenger.model.threshold, name=name)
        verdicts = judge(found, use_case.acceptance, improvement=improvement)
        accepted = all(verdict.passed for verdict in verdicts)
        decision = _decision(
            challenger, champion, records, verdicts, lineage, asked_by=_asked_by(context)
        )
        if decision.kind == "promoted":
            decision_records.change_champion(decision, model_registry)
        else:
            decision_records.append(decision, model_registry)
        if not accepted and champion is None:
            raise dg.Failure(_refusal(verdicts), allow_retries=False)
        scoring = challenger if accepted or champion is None else champion
        context.log.info("champion of %s is version %s", name, scoring.version)
        return dg.MaterializeResult(
            metadata=_metadata(verdicts, challenger, scoring),
            check_results=[_check(verdicts, accepted)],
        )

    return champion_model


def _check_spec(name: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        _CHECK,
        asset=use_case_key(name, "champion_model"),
        description="All acceptance criteria, judged from the stored test predictions.",
    )


_CHECK = "challenger_meets_the_criteria"
_TRAINING_STAGES = (
    "training_set",
    "feature_selection",
    "trained_model",
    "evaluation",
    "champion_model",
)


def _require_evidence_of(predictions: pl.DataFrame, challenger: RegisteredModel) -> None:
    versions = predictions["model_version"].unique().to_list()
    if versions != [challenger.version]:
        msg = (
            f"the evaluation must be of the challenger, version {challenger.version} (found "
            f"{versions}); materialise evaluation again"
        )
        raise ContractError(msg)


def _improvement(
    predictions: pl.DataFrame,
    features: pl.LazyFrame,
    champion: RegisteredModel | None,
    challenger: RegisteredModel,
) -> Estimate | None:
    """Log loss of champion minus challenger on the test rows; None without another champion.

    The champion sees the features that it was trained on, whatever is selected now.
    """
    if champion is None or champion.version == challenger.version:
        return None
    columns = champion.model.columns
    rows = predictions.select(*ROW_KEY, "outcome", "probability").lazy()
    test = rows.join(features.select(*ROW_KEY, *columns), on=list(ROW_KEY)).collect()
    if test.height != predictions.height:
        msg = (
            "champion and challenger must be compared on the same rows (the feature store no "
            "longer has all rows of the evaluation); materialise training_set, trained_model "
            "and evaluation again"
        )
        raise ContractError(msg)
    outcome = test["outcome"].to_numpy().astype(np.int8)
    return paired_difference(
        test["person_id"].to_numpy(),
        {
            "champion": row_log_loss(predict(champion.model, test), outcome),
            "challenger": row_log_loss(test["probability"].to_numpy(), outcome),
        },
        seed=seed_of(challenger.name, champion.version, challenger.version),
    )


def _decision(
    challenger: RegisteredModel,
    champion: RegisteredModel | None,
    records: Sequence[Mapping[str, Any]],
    verdicts: tuple[Verdict, ...],
    lineage: Mapping[str, str],
    *,
    asked_by: Mapping[str, str],
) -> Decision:
    before = None if champion is None else champion.version
    unmet = ", ".join(verdict.criterion for verdict in verdicts if verdict.passed is False)
    kind = "refused" if unmet else "promoted"
    if before == challenger.version:
        kind = "kept"
    return Decision(
        use_case=challenger.name,
        kind=kind,
        decided_at=datetime.now(UTC),
        challenger=challenger.version,
        champion_before=before,
        champion=challenger.version if kind == "promoted" else before,
        previous_champion=before if kind == "promoted" else _previous(records),
        reason=f"not met: {unmet}" if unmet else "all criteria are met",
        criteria=tuple(asdict(verdict) for verdict in verdicts),
        lineage=lineage,
        asked_by=asked_by,
    )


def _previous(records: Sequence[Mapping[str, Any]]) -> str | None:
    return records[-1]["previous_champion"] if records else None


def _asked_by(context: dg.AssetExecutionContext) -> dict[str, str]:
    """The run and what its tags say of who or what started it."""
    tags = context.run.tags
    found = {name: tags[tag] for tag, name in _ASKED_BY.items() if tag in tags}
    run = {"run": context.run.run_id, "job": context.run.job_name}
    return run | found | operating_system_user()


_ASKED_BY = {
    "dagster/schedule_name": "schedule",
    "dagster/sensor_name": "sensor",
    "dagster/backfill": "backfill",
    "dagster/parent_run_id": "run before",
    "user": "user",
}


def _refusal(verdicts: tuple[Verdict, ...]) -> str:
    unmet = "; ".join(f"{v.must_hold} (found {v.found})" for v in verdicts if not v.passed)
    return f"The challenger is refused and there is no champion yet. It must have: {unmet}"


def _check(verdicts: tuple[Verdict, ...], accepted: bool) -> dg.AssetCheckResult:  # noqa: FBT001
    return dg.AssetCheckResult(
        passed=accepted,
        check_name=_CHECK,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={verdict.criterion: verdict.found for verdict in verdicts},
    )


def _metadata(
    verdicts: tuple[Verdict, ...], challenger: RegisteredModel, scoring: RegisteredModel
) -> dict[str, Any]:
    table = pl.DataFrame(
        {
            "criterion": [verdict.criterion for verdict in verdicts],
            "must hold": [verdict.must_hold for verdict in verdicts],
            "found": [verdict.found for verdict in verdicts],
            "passed": ["yes" if verdict.passed else "no" for verdict in verdicts],
        }
    )
    figures = {
        "champion_version": scoring.version,
        "challenger_version": challenger.version,
        "decision": "promoted" if scoring.version == challenger.version else "kept the champion",
        "threshold": scoring.model.threshold,
        "criteria": markdown_table(table),
    }
    return readable(figures)
