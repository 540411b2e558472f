"""The update of a champion after an alarm: the smallest that is enough, as a challenger."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.as_of import CHANGED_SINCE_TAG, UPDATE_OF_TAG, changed_since
from hrob_assets.assets.keys import model_group, use_case_key
from hrob_assets.assets.metadata import described, markdown_table, readable
from hrob_assets.assets.model.evaluation import decided_champion
from hrob_assets.assets.model.feature_selection import present_record, rows_of
from hrob_assets.assets.model.training import evidence_tags, log_trials, trial_folder
from hrob_assets.resources.environment import Spark
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import ModelRegistry, RegisteredModel
from hrob_assets.resources.spark.search_engine import search_engine
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.disclosure import shown_count
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.features import (
    FeatureSelection,
    ImputationRule,
    kept_columns,
    rules_of_record,
)
from hrob_assets.risk.models import Design
from hrob_assets.risk.training import TRAINING_COLUMNS, train_model, with_columns_of, with_list_size
from hrob_assets.risk.updating import ModelUpdate, recalibrate_fit, update_champion
from hrob_assets.risk.use_case import UseCase

_STAGES = ("training_set", "feature_selection", "update_decision", "updated_model", "evaluation")


def model_update_definitions(
    use_case: UseCase,
    *,
    group_of_column: Mapping[str, str],
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
    lineage: Mapping[str, str],
    comparator: Design | None = None,
    spark: Spark | None = None,
) -> dg.Definitions:
    """The decision, the updated model, and the job that takes it through the gate.

    Trials of a new fit run on Spark where it is given, else in the process of the run.
    """
    name = use_case.name
    update = _model_update(
        use_case,
        group_of_column=group_of_column,
        selection=selection,
        rules=rules,
        lineage=lineage,
        comparator=comparator,
        spark=spark,
    )
    job = dg.define_asset_job(
        f"update_{name}",
        selection=dg.AssetSelection.assets(
            *(use_case_key(name, stage) for stage in (*_STAGES, "champion_model"))
        ),
        description=(
            "After an alarm: none, another intercept, intercept and slope, or a new fit, as a "
            "challenger that must pass the gate. Needs the tag " + CHANGED_SINCE_TAG + "."
        ),
    )
    return dg.Definitions(assets=[update], jobs=[job])


def _model_update(
    use_case: UseCase,
    *,
    group_of_column: Mapping[str, str],
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
    lineage: Mapping[str, str],
    comparator: Design | None,
    spark: Spark | None,
) -> dg.AssetsDefinition:
    name = use_case.name

    @dg.multi_asset(
        name=f"{name}__model_update",
        outs={
            "update_decision": _out(
                use_case,
                "update_decision",
                "Which update the ripe outcomes since a change ask for, by a closed test from the "
                "smallest to a new fit (Vergouwe 2017), on one row per person and horizon. "
                "Not made where the version of the alarm is no longer the champion.",
                kinds={"polars", "parquet"},
            ),
            "updated_model": _out(
                use_case,
                "updated_model",
                "The champion with another intercept, or intercept and slope, or a new fit; "
                "registered as the challenger. Not made where no update is needed.",
                kinds={"scikitlearn", "mlflow"},
            ),
        },
        ins={
            "training_set": dg.AssetIn(use_case_key(name, "training_set")),
            "feature_selection": dg.AssetIn(use_case_key(name, "feature_selection")),
        },
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
        champion = decided_champion(name, model_registry, decision_records)
        asked = context.run.tags.get(UPDATE_OF_TAG, champion.version)
        if asked != champion.version:
            context.log.info(
                "nothing to do: version %s is asked for, and version %s is the champion",
                asked,
                champion.version,
            )
            return
        rows = training_set.select(*TRAINING_COLUMNS, *champion.model.columns).collect()
        update = update_champion(
            rows,
            champion.model,
            changed_since=since,
            horizon_days=use_case.outcome.horizon_days,
            group_of_column=group_of_column,
            threshold=use_case.threshold,
            sudden_weeks=use_case.monitoring.sudden_weeks,
            seed=use_case.model.seed,
        )
        yield dg.Output(
            update.choice.tests,
            output_name="update_decision",
            metadata=_decision_metadata(update, champion, since),
        )
        challenger = update.challenger
        if update.choice.update == "refit":
            record = present_record(
                feature_selection, rows=rows_of(training_set), selection=selection, rules=rules
            )
            columns = kept_columns(record)
            rows = training_set.select(*TRAINING_COLUMNS, *columns).collect()
            trials = trial_folder(storage, name)
            beside = () if comparator is None else comparator.columns
            fitted = train_model(
                with_columns_of(rows, training_set, beside),
                columns=columns,
                rules=rules_of_record(record, rules),
                model=use_case.model,
                threshold=use_case.threshold,
                comparator=comparator,
                log=trials,
                earlier=model_registry.earlier_parameters(name, use_case.model.family),
                engine=search_engine(context, trials, spark),
            )
            challenger = recalibrate_fit(
                fitted,
                rows,
                horizon_days=use_case.outcome.horizon_days,
                threshold=use_case.threshold,
            )
        if challenger is None:
            context.log.info("no update is needed: the champion stays")
            return
        challenger = with_list_size(challenger, rows, use_case)
        tags = {
            **lineage,
            **evidence_tags(
                rows,
                horizon_days=use_case.outcome.horizon_days,
                test_is_fitted=challenger.cross_fit is not None,
            ),
            "update": update.choice.update,
            "updated_from": champion.version,
            "family": challenger.family,
        }
        with model_registry.tracked_run(context, name) as run:
            run.log_params({"update": update.choice.update, "updated_from": champion.version})
            run.log_dict(update.choice.tests.to_dicts(), "closed_test.json")
            if update.choice.update == "refit":
                log_trials(run, challenger)
            version = model_registry.register(name, challenger, tags=tags)
        yield dg.Output(
            None,
            output_name="updated_model",
            metadata=readable(
                {
                    "model_version": version,
                    "update": update.choice.update,
                    "updated_from": champion.version,
                    "threshold": challenger.threshold,
                    "intercept": challenger.recalibration.intercept,
                    "slope": challenger.recalibration.slope,
                }
            ),
        )

    return model_update


def _out(use_case: UseCase, asset: str, description: str, *, kinds: set[str]) -> dg.AssetOut:
    return dg.AssetOut(
        key=use_case_key(use_case.name, asset),
        group_name=model_group(use_case.name),
        owners=[use_case.owner],
        kinds=kinds,
        description=description,
        is_required=False,  # where nothing is to be updated
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
