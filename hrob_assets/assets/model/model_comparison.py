"""The families of a use case side by side, before the challenger is fitted."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.metadata import frame_schema, interval_plot, markdown_table, row_count
from hrob_assets.assets.model.feature_selection import SelectedRows, selected_rows
from hrob_assets.assets.model.training import log_trials, trial_folder
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.records.model_registry import ModelRegistry
from hrob_assets.resources.spark.search_engine import search_engine
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.evaluation import COMPARED
from hrob_assets.risk.features import (
    rules_of_record,
)
from hrob_assets.risk.training import (
    FittedModel,
    choose_family,
    compare_families,
    family_table,
    fit_comparator,
    fit_model,
    require_enough,
    shown_families,
    tellable,
    training_set_tag,
)

_COMPARATOR = "comparator"


def model_comparison_definitions(stage: StageContext) -> dg.Definitions:
    """The comparison of the default model type, its alternatives and the baseline model."""

    @stage.model_asset(
        "model_comparison",
        kinds={"scikitlearn", "mlflow", "hyperopt"},
        ins=stage.inputs("training_set", "feature_selection"),
        description=(
            "All model types of the use case and the baseline model, tuned and fitted on the same "
            "training rows and evaluated on the validation patients, never on the test period, "
            "with paired patient-cluster intervals; which type the rule of the use case takes, "
            "and why. The challenger has the type that defs.yaml names."
        ),
    )
    def model_comparison(
        context: dg.AssetExecutionContext,
        training_set: pl.LazyFrame,
        feature_selection: pl.LazyFrame,
        model_registry: ModelRegistry,
        storage: Storage,
    ) -> dg.Output[pl.DataFrame]:
        model = stage.use_case.model
        selected = selected_rows(stage, training_set, feature_selection)
        rows = selected.with_comparator
        require_enough(rows, model)
        models = _fitted(stage, selected, context, model_registry, storage)
        compared = compare_families(models, rows)
        candidates = [family.name for family in model.families]
        chosen = choose_family(compared, model.choice, candidates=candidates)
        table = family_table(compared, chosen).with_columns(
            pl.lit(training_set_tag(selected.frame)).alias("training_set")
        )
        shown = tellable(rows)
        with model_registry.tracked_run(context, stage.name) as run:
            run.set_tags({"comparison": "families", "chosen_family": chosen.name})
            _log(run, models, table, shown=shown)
        return dg.Output(table, metadata=_metadata(table, shown=shown))

    job = dg.define_asset_job(
        f"compare_families_{stage.name}",
        selection=[model_comparison],
        description="Model types side by side, on the validation patients.",
    )
    return dg.Definitions(assets=[model_comparison], jobs=[job])


def _fitted(
    stage: StageContext,
    selected: SelectedRows,
    context: dg.AssetExecutionContext,
    model_registry: ModelRegistry,
    storage: Storage,
) -> dict[str, FittedModel]:
    """A model of each type, and the baseline model where the use case has one."""
    use_case, trials = stage.use_case, trial_folder(storage, stage.name)
    models: dict[str, FittedModel] = {}
    for family in use_case.model.families:
        models[family.name] = fit_model(
            selected.with_comparator,
            columns=selected.columns,
            rules=rules_of_record(selected.record, stage.rules),
            model=use_case.model,
            threshold=use_case.threshold,
            family=family,
            log=trials,
            earlier=model_registry.earlier_parameters(stage.name, family.name),
            engine=search_engine(context, trials, stage.spark),
        )
    if stage.comparator is not None:
        models[_COMPARATOR] = fit_comparator(
            selected.with_comparator,
            stage.comparator,
            model=use_case.model,
            threshold=use_case.threshold,
        )
    return models


def _log(run: Any, models: Mapping[str, FittedModel], table: pl.DataFrame, *, shown: bool) -> None:
    """One nested run per model type with its trials; metrics where they may be published."""
    for row in table.iter_rows(named=True):
        family = row["family"]
        with run.start_run(run_name=f"family {family}", nested=True):
            log_trials(run, models[family])
            if shown:
                run.log_metrics({metric: row[metric] for metric in COMPARED})
    if shown:
        run.log_text(table.write_csv(), "model_comparison.csv")


def _metadata(table: pl.DataFrame, *, shown: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {
        **row_count(table.height),
        "dagster/column_schema": frame_schema(table),
        "chosen family": table.filter("chosen")["family"].first(),
        "reason": table["reason"].first(),
    }
    if not shown:
        return figures | {"families": "too few validation patients for figures"}
    others = table.drop_nulls("log_loss_improvement_low")
    return figures | {
        "families": markdown_table(shown_families(table)),
        "improvements": interval_plot(
            others.select(
                "family",
                value="log_loss_improvement",
                low="log_loss_improvement_low",
                high="log_loss_improvement_high",
            ),
            title="Improvement of log loss on the default, 95 %; right of 0 is better",
        ),
    }
