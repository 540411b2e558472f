"""How the challenger does on the test period: frozen predictions and figures."""

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from hrob_assets.assets.metadata import (
    calibration_plot,
    described,
    markdown_table,
    safe_calibration,
)
from hrob_assets.assets.model.evidence import sign_evidence
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import (
    CHALLENGER,
    CHAMPION,
    ModelRegistry,
    RegisteredModel,
)
from hrob_assets.risk.disclosure import in_words
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.evaluation import (
    Draw,
    Evaluation,
    calibration_table,
    evaluate,
    safe_figures,
)
from hrob_assets.risk.training import (
    TRAINING_COLUMNS,
    comparator_probability,
    judged_probability,
    judged_rows,
    training_set_tag,
)

_PREDICTION_COLUMNS = ("person_id", "encounter_id", "prediction_time", "week", "person_seen")


def evaluation_definitions(stage: StageContext) -> dg.Definitions:
    """The frozen test predictions of the challenger, signed, with their metrics as metadata."""
    draw = Draw(stage.use_case.fairness.replicates)

    @stage.model_asset(
        "evaluation",
        kinds={"polars", "parquet", "mlflow"},
        deps=[stage.key("trained_model"), stage.key("updated_model")],
        ins=stage.inputs("training_set"),
        description=(
            "Frozen predictions of the challenger on the test period, with discrimination, "
            "calibration and capacity figures; intervals by patient-cluster bootstrap. Also for "
            "patients that training has not seen. A recalibration is evaluated on all patients "
            "since the change but those of its threshold, each by the fit on others."
        ),
    )
    def evaluation(
        context: dg.AssetExecutionContext,
        training_set: pl.LazyFrame,
        model_registry: ModelRegistry,
        decision_records: DecisionRecords,
    ) -> dg.Output[pl.DataFrame]:
        challenger = required_model(model_registry, stage.name, CHALLENGER)
        rows = its_training_set(challenger, training_set)
        test = judged_rows(challenger.model, rows)
        probability = judged_probability(challenger.model, test)
        predictions = test.select(
            *_PREDICTION_COLUMNS,
            pl.col("label").alias("outcome"),
            pl.Series("probability", probability),
            comparator_probability(challenger.model, test),
            pl.lit(challenger.version).alias("model_version"),
        )
        sign_evidence(
            predictions,
            challenger,
            lineage=stage.lineage,
            model_registry=model_registry,
            decision_records=decision_records,
        )
        context.log.info(
            "evaluated version %s on %s rows", challenger.version, in_words(test.height)
        )
        return dg.Output(predictions, metadata=_metadata(predictions, challenger, draw))

    return dg.Definitions(assets=[evaluation])


def required_model(registry: ModelRegistry, name: str, alias: str) -> RegisteredModel:
    """The model behind an alias, or an error that says how to get one."""
    found = registry.load(name, alias)
    if found is None:
        raise _no_model(name, alias)
    return found


def decided_champion(
    name: str, registry: ModelRegistry, decision_records: DecisionRecords
) -> RegisteredModel:
    """The champion by the last decision, also where an alias was moved by hand.

    What scores or watches people takes it from here, so that no list waits for somebody to put an
    alias back, and none is made by a version that did not pass the gate.

    Raises
    ------
    ContractError
        If no decision made a champion.
    RecordError
        If a record was changed or removed, or there is a champion without any record.
    """
    version = decision_records.champion(name, registry)
    if version is None:
        raise _no_model(name, CHAMPION)
    return registry.load_version(name, version)


def moved_alias(champion: RegisteredModel, registry: ModelRegistry) -> str | None:
    """What to do about an alias that was moved by hand; None where it is as decided."""
    alias = registry.version(champion.name, CHAMPION)
    if alias == champion.version:
        return None
    return (
        f"the alias {CHAMPION} must name version {champion.version}, which was decided on and is "
        f"used (found {f'version {alias}' if alias else 'no alias'}: it was moved by hand); run "
        f"hrob rollback {champion.name} --restore, and find out who moved it"
    )


def _no_model(name: str, alias: str) -> ContractError:
    return ContractError(
        f"{name} must have a model with the alias {alias} (found none); "
        f"run the job train_{name} first"
    )


def its_training_set(challenger: RegisteredModel, training_set: pl.LazyFrame) -> pl.DataFrame:
    """The columns of a challenger and its comparator, if it was trained on these rows.

    Raises
    ------
    ContractError
        If the training set is another by now, such as that of an update.
    """
    columns = (*TRAINING_COLUMNS, *challenger.model.columns)
    comparator = challenger.model.comparator
    needed = dict.fromkeys([*columns, *(comparator.columns if comparator else ())])
    rows = None
    if set(needed) <= set(training_set.collect_schema()):
        rows = training_set.select(*needed).collect()
    found = (
        "that lacks some of its columns" if rows is None else training_set_tag(rows.select(columns))
    )
    trained_on = challenger.tags.get("training_set")
    if rows is None or trained_on != found:
        msg = (
            f"the challenger, version {challenger.version}, must have been trained on the present "
            f"training set {found} (found {trained_on}); materialise trained_model again"
        )
        raise ContractError(msg)
    return rows


def evaluated(predictions: pl.DataFrame, *, threshold: float, draw: Draw) -> Evaluation:
    """Evaluate stored predictions of one model version."""
    return evaluate(
        predictions["person_id"].to_numpy(),
        predictions["probability"].to_numpy(),
        predictions["outcome"].to_numpy().astype(np.int8),
        threshold=threshold,
        draw=draw,
    )


def _metadata(predictions: pl.DataFrame, challenger: RegisteredModel, draw: Draw) -> dict[str, Any]:
    threshold = challenger.model.threshold
    overall = evaluated(predictions, threshold=threshold, draw=draw)
    unseen = predictions.filter(~pl.col("person_seen"))
    figures: dict[str, Any] = safe_figures(overall)
    if 0 < unseen["outcome"].sum() < unseen.height:
        new = safe_figures(evaluated(unseen, threshold=threshold, draw=draw), whole=overall)
        figures |= {f"unseen patients: {key}": value for key, value in new.items() if key in _SHORT}
    table = safe_calibration(
        calibration_table(
            predictions["probability"].to_numpy(), predictions["outcome"].to_numpy().astype(np.int8)
        )
    )
    plot = calibration_plot(table, title=f"Calibration, version {challenger.version}, test period")
    return described(
        predictions,
        model_version=challenger.version,
        threshold=threshold,
        calibration=plot,
        calibration_table=markdown_table(table),
        **figures,
    )


_SHORT = ("rows", "persons", "events", "auroc", "auroc_low", "auroc_high", "calibration_factor")
