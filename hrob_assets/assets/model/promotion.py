"""The gate: who becomes champion, judged from stored evidence; asset checks only show it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    STAGED_POOL,
    model_group,
    staged_key,
    use_case_key,
)
from hrob_assets.assets.metadata import markdown_table, readable
from hrob_assets.assets.model.evaluation import required_model
from hrob_assets.assets.model.evidence import Evidence, examine, gather_evidence
from hrob_assets.resources.records.decision_records import DecisionRecords, operating_system_user
from hrob_assets.resources.records.model_registry import (
    CHALLENGER,
    CHAMPION,
    ModelRegistry,
    RegisteredModel,
)
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.risk.cohort import group_rows
from hrob_assets.risk.evaluation import Draw
from hrob_assets.risk.promotion import CRITERIA, SOUND, Decision, Verdict, judge, not_judged, unmet
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import UseCase

NOT_REFUSED = "challenger_meets_the_criteria"
"""The check that fails when, and only when, a challenger was refused."""
_TRAINING_STAGES = (
    "training_set",
    "feature_selection",
    "trained_model",
    "evaluation",
    "fairness",
    "champion_model",
)
_ASKED_BY = {
    "dagster/schedule_name": "schedule",
    "dagster/sensor_name": "sensor",
    "dagster/backfill": "backfill",
    "dagster/parent_run_id": "run before",
    "user": "user",
}
_WORDS = {True: "yes", False: "no", None: "does not apply"}


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
        pool=STAGED_POOL,  # one run at a time: of these, and of those that write the groups
        ins={
            "evaluation": dg.AssetIn(use_case_key(name, "evaluation")),
            "features": dg.AssetIn(ENCOUNTER_FEATURES),
            "labels": dg.AssetIn(use_case_key(name, "labels")),
            "cohort": dg.AssetIn(use_case_key(name, "cohort")),
            "persons": dg.AssetIn(staged_key("persons")),
            "coverage": dg.AssetIn(staged_key("coverage")),
            "load": dg.AssetIn(staged_key("load")),
        },
        description=(
            "The model that scores people. The gate judges the challenger from the stored rows of "
            "its evaluation, which must be signed and still hold: absolute criteria, and against "
            "a champion on the same rows a gain beyond chance, no group worse off, better than the "
            "comparator. Each decision is a signed record."
        ),
        check_specs=_check_specs(name),
    )
    def champion_model(
        context: dg.AssetExecutionContext,
        evaluation: pl.LazyFrame,
        features: pl.LazyFrame,
        labels: pl.LazyFrame,
        cohort: pl.LazyFrame,
        persons: pl.LazyFrame,
        coverage: pl.LazyFrame,
        load: pl.LazyFrame,
        model_registry: ModelRegistry,
        decision_records: DecisionRecords,
        feedback: Feedback,
    ) -> dg.MaterializeResult:
        records = decision_records.verified(name, model_registry)
        evidence = gather_evidence(
            evaluation.collect(),
            features=features,
            labels=labels,
            cohort=cohort,
            as_of=load.select("as_of").head(1).collect().item(),
            use_case=use_case,
            challenger=required_model(model_registry, name, CHALLENGER),
            champion=model_registry.load(name, CHAMPION),
            salt=feedback.salt(use_case.monitoring.silent_arm),
        )
        sound = examine(
            evidence, lineage=lineage, records=records, decision_records=decision_records
        )
        groups = group_rows(
            evidence.stored.select(ROW_KEY),
            groups=use_case.fairness.groups,
            persons=persons,
            coverage=coverage,
            features=features,
        ).drop(ROW_KEY)
        verdicts = (*sound, *_judged(evidence, sound, use_case, groups))
        decision = decide(
            evidence, verdicts, records=records, lineage=lineage, asked_by=asked_by(context)
        )
        record = _carry_out(decision, decision_records, model_registry)
        context.log.info("%s: %s", decision.kind, decision.reason)
        if decision.champion is None:
            raise dg.Failure(
                _refusal(verdicts), metadata=_metadata(record, None), allow_retries=False
            )
        scoring = required_model(model_registry, name, CHAMPION)
        return dg.MaterializeResult(
            metadata=_metadata(record, scoring), check_results=_checks(decision, verdicts)
        )

    return champion_model


def _judged(
    evidence: Evidence, sound: tuple[Verdict, ...], use_case: UseCase, groups: pl.DataFrame
) -> tuple[Verdict, ...]:
    if unmet(sound):
        return not_judged("the evidence is not sound, or there is nothing to compare")
    return judge(
        replace(
            evidence.frozen_rows(groups),
            needs_comparator=use_case.model.comparator is not None,
        ),
        use_case.acceptance,
        draw=Draw(use_case.fairness.replicates),
    )


def decide(
    evidence: Evidence,
    verdicts: tuple[Verdict, ...],
    *,
    records: Sequence[Mapping[str, Any]],
    lineage: Mapping[str, str],
    asked_by: Mapping[str, str],
) -> Decision:
    """The decision that follows from the verdicts; one that is not met, and nothing changes.

    The champion is not kept by rows that were edited: they could show one model for another.
    """
    challenger = evidence.challenger.version
    before = None if evidence.champion is None else evidence.champion.version
    failed = ", ".join(verdict.criterion for verdict in unmet(verdicts))
    kind, reason = "promoted", "all criteria are met"
    edited = SOUND[0] in {verdict.criterion for verdict in unmet(verdicts)}
    if evidence.is_of_one_model and not edited:
        kind, reason = "kept", "challenger and champion are the same model"
    elif failed:
        kind, reason = "refused", f"not met: {failed}"
    previous = records[-1]["previous_champion"] if records else None
    return Decision(
        use_case=evidence.challenger.name,
        kind=kind,
        decided_at=datetime.now(UTC),
        challenger=challenger,
        champion_before=before,
        champion=challenger if kind == "promoted" else before,
        previous_champion=before if kind == "promoted" else previous,
        reason=reason,
        criteria=tuple(asdict(verdict) for verdict in verdicts),
        evidence=evidence.described(),
        lineage=lineage,
        asked_by=asked_by,
    )


def asked_by(context: dg.AssetExecutionContext) -> dict[str, str]:
    """The run and what its tags say of who or what started it."""
    tags = context.run.tags
    found = {name: tags[tag] for tag, name in _ASKED_BY.items() if tag in tags}
    run = {"run": context.run.run_id, "job": context.run.job_name}
    return run | found | operating_system_user()


def _carry_out(
    decision: Decision, decision_records: DecisionRecords, model_registry: ModelRegistry
) -> Mapping[str, Any]:
    if decision.kind == "promoted":
        return decision_records.change_champion(decision, model_registry)
    return decision_records.append(decision, model_registry)


def _refusal(verdicts: tuple[Verdict, ...]) -> str:
    failed = "; ".join(f"{v.must_hold} (found {v.found})" for v in unmet(verdicts))
    return f"The challenger is refused and there is no champion yet. It must have: {failed}"


def _check_specs(name: str) -> list[dg.AssetCheckSpec]:
    asset = use_case_key(name, "champion_model")
    overall = "Fails when the challenger was refused; the other checks tell why."
    return [
        dg.AssetCheckSpec(NOT_REFUSED, asset=asset, description=overall),
        *(
            dg.AssetCheckSpec(check_name(each), asset=asset, description=f"The challenger {each}.")
            for each in CRITERIA
        ),
    ]


def check_name(criterion: str) -> str:
    """Name of the asset check that shows a criterion.

    Examples
    --------
    >>> check_name("ranks well enough")
    'ranks_well_enough'
    """
    return criterion.replace(" ", "_")


def _checks(decision: Decision, verdicts: tuple[Verdict, ...]) -> list[dg.AssetCheckResult]:
    overall = dg.AssetCheckResult(
        passed=decision.kind != "refused",
        check_name=NOT_REFUSED,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{decision.kind}: {decision.reason}",
        metadata={verdict.criterion: verdict.found for verdict in verdicts},
    )
    each = [
        dg.AssetCheckResult(
            passed=verdict.passed is not False,
            check_name=check_name(verdict.criterion),
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{verdict.must_hold}: {verdict.found}",
            metadata={"applies": verdict.passed is not None},
        )
        for verdict in verdicts
    ]
    return [overall, *each]


def _metadata(record: Mapping[str, Any], scoring: RegisteredModel | None) -> dict[str, Any]:
    criteria = record["criteria"]
    table = pl.DataFrame(
        {
            "criterion": [verdict["criterion"] for verdict in criteria],
            "must hold": [verdict["must_hold"] for verdict in criteria],
            "found": [verdict["found"] for verdict in criteria],
            "passed": [_WORDS[verdict["passed"]] for verdict in criteria],
        }
    )
    asked = ", ".join(f"{name} {value}" for name, value in sorted(record["asked_by"].items()))
    weeks = (record["evidence"].get(name, "not known") for name in ("first_week", "last_week"))
    figures = {
        "decision": record["kind"],
        "reason": record["reason"],
        "champion_version": record["champion"] or "none",
        "challenger_version": record["challenger"],
        "asked_by": asked,
        "evidence_from_week_to_week": " to ".join(weeks),
        "record_number": record["sequence"],
        "criteria": markdown_table(table),
    }
    if scoring is not None:
        figures["threshold"] = scoring.model.threshold
    return readable(figures)
