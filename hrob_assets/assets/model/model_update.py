"""The update of a champion after an alarm: the smallest that is enough, as a challenger."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.as_of import CHANGED_SINCE_TAG, UPDATE_OF_TAG, changed_since
from hrob_assets.assets.metadata import described, markdown_table, readable
from hrob_assets.assets.model.evaluation import decided_champion
from hrob_assets.assets.model.feature_selection import selected_rows
from hrob_assets.assets.model.training import evidence_tags, fit_selected, log_trials
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import ModelRegistry, RegisteredModel
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.disclosure import shown_count
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.training import TRAINING_COLUMNS, FittedModel, with_list_size
from hrob_assets.risk.updating import ModelUpdate, recalibrate_fit, update_champion

_STAGES = ("training_set", "feature_selection", "update_decision", "updated_model", "evaluation")


def model_update_definitions(stage: StageContext) -> dg.Definitions:
    """The decision, the updated model, and the job that takes it through the gate."""
    job = dg.define_asset_job(
        f"update_{stage.name}",
        selection=dg.AssetSelection.assets(
            *(stage.key(asset) for asset in (*_STAGES, "champion_model"))
        ),
        description=(
            "After an alarm: none, another intercept, intercept and slope, or a new fit, as a "
            "challenger that must pass the gate. Needs the tag " + CHANGED_SINCE_TAG + "."
        ),
    )
    return dg.Definitions(assets=[_model_update(stage)], jobs=[job])


def _model_update(stage: StageContext) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"{stage.name}__model_update",
        outs=_outs(stage),
        ins=stage.inputs("training_set", "feature_selection"),
    )
    def model_update(
        context: dg.AssetExecutionContext,
        training_set: pl.LazyFrame,
        feature_selection: pl.LazyFrame,
        model_registry: ModelRegistry,
        decision_records: DecisionRecords,
        storage: Storage,
    ) -> Iterator[dg.Output[Any]]:
        since = _required_change(context)
        champion = decided_champion(stage.name, model_registry, decision_records)
        if not _is_about(champion, context):
            return
        rows = training_set.select(*TRAINING_COLUMNS, *champion.model.columns).collect()
        update = _update(stage, rows, champion, since)
        yield dg.Output(
            update.choice.tests,
            output_name="update_decision",
            metadata=_decision_metadata(update, champion, since),
        )
        challenger = update.challenger
        if update.choice.update == "refit":
            selected = selected_rows(stage, training_set, feature_selection)
            rows = selected.frame
            fitted = fit_selected(stage, selected, context, model_registry, storage)
            challenger = _recalibrated(stage, fitted, rows)
        if challenger is None:
            context.log.info("no update is needed: the champion stays")
            return
        challenger = with_list_size(challenger, rows, stage.use_case)
        tags = _tags(stage, challenger, rows, champion, update)
        with model_registry.tracked_run(context, stage.name) as run:
            _log(run, update, challenger, champion)
            version = model_registry.register(stage.name, challenger, tags=tags)
        metadata = _challenger_metadata(challenger, version, tags)
        yield dg.Output(None, output_name="updated_model", metadata=metadata)

    return model_update


def _outs(stage: StageContext) -> dict[str, dg.AssetOut]:
    """What an update makes; neither is required where nothing is to be updated."""
    return {
        "update_decision": stage.model_out(
            "update_decision",
            "Which update the mature outcomes since a change call for, by a closed test from the "
            "smallest to a new fit (Vergouwe 2017), on one row per patient and horizon. "
            "Not made where the version of the alarm is no longer the champion.",
            kinds={"polars", "parquet"},
            is_required=False,
        ),
        "updated_model": stage.model_out(
            "updated_model",
            "The champion with another intercept, or intercept and slope, or a new fit; "
            "registered as the challenger. Not made where no update is needed.",
            kinds={"scikitlearn", "mlflow"},
            is_required=False,
        ),
    }


def _is_about(champion: RegisteredModel, context: dg.AssetExecutionContext) -> bool:
    """Whether the run is to update this champion, and not a version that it has replaced."""
    asked = context.run.tags.get(UPDATE_OF_TAG, champion.version)
    if asked != champion.version:
        context.log.info(
            "nothing to do: version %s is to be updated, and version %s is the champion",
            asked,
            champion.version,
        )
    return asked == champion.version


def _update(
    stage: StageContext, rows: pl.DataFrame, champion: RegisteredModel, since: datetime
) -> ModelUpdate:
    use_case = stage.use_case
    return update_champion(
        rows,
        champion.model,
        changed_since=since,
        horizon_days=use_case.outcome.horizon_days,
        group_of_column=stage.group_of_column,
        threshold=use_case.threshold,
        sudden_weeks=use_case.monitoring.sudden_weeks,
        seed=use_case.model.seed,
    )


def _recalibrated(stage: StageContext, fitted: FittedModel, rows: pl.DataFrame) -> FittedModel:
    use_case = stage.use_case
    return recalibrate_fit(
        fitted, rows, horizon_days=use_case.outcome.horizon_days, threshold=use_case.threshold
    )


def _tags(
    stage: StageContext,
    challenger: FittedModel,
    rows: pl.DataFrame,
    champion: RegisteredModel,
    update: ModelUpdate,
) -> dict[str, str]:
    """What is kept with the version: code, training rows, and what it updates."""
    trained_on = evidence_tags(
        rows,
        horizon_days=stage.use_case.outcome.horizon_days,
        test_is_fitted=challenger.cross_fit is not None,
    )
    return {
        **stage.lineage,
        **trained_on,
        "update": update.choice.update,
        "updated_from": champion.version,
        "family": challenger.family,
    }


def _log(run: Any, update: ModelUpdate, challenger: FittedModel, champion: RegisteredModel) -> None:
    run.log_params({"update": update.choice.update, "updated_from": champion.version})
    run.log_dict(update.choice.tests.to_dicts(), "closed_test.json")
    if update.choice.update == "refit":
        log_trials(run, challenger)


def _challenger_metadata(
    challenger: FittedModel, version: str, tags: Mapping[str, str]
) -> dict[str, Any]:
    return readable(
        {
            "model_version": version,
            "update": tags["update"],
            "updated_from": tags["updated_from"],
            "threshold": challenger.threshold,
            "intercept": challenger.recalibration.intercept,
            "slope": challenger.recalibration.slope,
        }
    )


def _required_change(context: Any) -> datetime:
    since = changed_since(context)
    if since is None:
        msg = (
            f"an update must have the run tag {CHANGED_SINCE_TAG}, the first day of the "
            "predictions that no longer fit (found none); add it, such as 2025-01-06, in the "
            "launchpad, or let the sensor ask"
        )
        raise ConfigurationError(msg)
    return since


def _decision_metadata(
    update: ModelUpdate, champion: RegisteredModel, since: datetime
) -> dict[str, Any]:
    choice, pace = update.choice, update.pace
    figures: dict[str, Any] = {
        "update": choice.update,
        "of_version": champion.version,
        "changed_since": since.date().isoformat(),
        "independent rows since": shown_count(choice.rows),
        "events since": shown_count(choice.events, whole=choice.rows),
        "closed_test": markdown_table(choice.tests),
        "significance": choice.significance,
    }
    if pace is not None:
        figures |= {
            "pace": f"{pace.kind}: complete within {pace.weeks} weeks from {pace.began}",
            "size in log-odds": pace.size,
            "pace leads the other by": pace.ahead,
        }
    return described(choice.tests, **figures)
