"""What each group of features is worth to the challenger."""

from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.metadata import frame_schema, interval_plot, markdown_table, row_count
from hrob_assets.assets.model.evaluation import its_training_set, required_model
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.records.model_registry import CHALLENGER, ModelRegistry
from hrob_assets.risk.training import (
    analyse_sensitivity,
    sensitivity_table,
    shown_sensitivity,
    tellable,
    variants_of,
)


def sensitivity_definitions(stage: StageContext) -> dg.Definitions:
    """The sensitivity analysis and the job that makes it."""
    name, rules = stage.name, stage.rules

    @stage.model_asset(
        "sensitivity",
        kinds={"scikitlearn", "mlflow"},
        deps=[stage.key("trained_model")],
        ins=stage.inputs("training_set"),
        description=(
            "The challenger fitted again without each group of features, with each alone, and with "
            "or without race and ethnicity; hyperparameters stay. Evaluated on the validation "
            "patients with paired intervals; the test period is not looked at."
        ),
    )
    def sensitivity(
        context: dg.AssetExecutionContext, training_set: pl.LazyFrame, model_registry: ModelRegistry
    ) -> dg.Output[pl.DataFrame]:
        challenger = required_model(model_registry, name, CHALLENGER)
        its_training_set(challenger, training_set)
        variants = variants_of(challenger.model.columns, stage.catalogue.columns)
        refits = analyse_sensitivity(
            training_set,
            challenger.model,
            variants=variants,
            rules=rules,
            use_case=stage.use_case,
        )
        table = sensitivity_table(refits).with_columns(
            model_version=pl.lit(challenger.version),
            training_set=pl.lit(challenger.tags["training_set"]),
        )
        shown = tellable(training_set.select("person_id", "split", "label").collect())
        with model_registry.tracked_run(context, name) as run:
            run.set_tags({"comparison": "sensitivity", "model_version": challenger.version})
            if shown:
                run.log_text(table.write_csv(), "sensitivity.csv")
        return dg.Output(table, metadata=_metadata(table, challenger.version, shown=shown))

    job = dg.define_asset_job(
        f"analyse_sensitivity_{name}",
        selection=[sensitivity],
        description="What each group of features is worth, on the validation patients.",
    )
    return dg.Definitions(assets=[sensitivity], jobs=[job])


def _metadata(table: pl.DataFrame, version: str, *, shown: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {
        **row_count(table.height),
        "dagster/column_schema": frame_schema(table),
        "model version": version,
    }
    if not shown:
        return figures | {"variants": "too few validation patients for figures"}
    changed = table.select(
        "variant",
        value="log_loss_change",
        low="log_loss_change_low",
        high="log_loss_change_high",
    ).drop_nulls()
    return figures | {
        "variants": markdown_table(shown_sensitivity(table)),
        "changes": interval_plot(
            changed, title="Improvement of log loss on the model as trained, 95 %; right is better"
        ),
    }
