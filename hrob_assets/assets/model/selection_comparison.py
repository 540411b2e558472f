"""Feature selections side by side, before one of them is chosen."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from hrob_assets.assets.metadata import frame_schema, interval_plot, markdown_table, row_count
from hrob_assets.assets.model.training import log_selection
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.records.model_registry import ModelRegistry
from hrob_assets.risk.features import (
    read_feature_selection,
)
from hrob_assets.risk.training import (
    ComparedSelection,
    best_trial,
    caution,
    compare_selections,
    comparison_table,
    figures_of,
    named_selections,
    shown_comparison,
)


class SelectionFiles(dg.Config):
    """Which selections to compare with the one in use; none means all of the use case's folder."""

    paths: list[str] = Field(default_factory=list)


def selection_comparison_definitions(stage: StageContext) -> dg.Definitions:
    """The comparison and the job that makes it; a mistake in a variant is an error here."""
    catalogue, selection = stage.catalogue, stage.selection
    shipped = named_selections(
        selection, [read_feature_selection(path, catalogue) for path in stage.selection_variants]
    )

    @stage.model_asset(
        "selection_comparison",
        kinds={"scikitlearn", "mlflow"},
        ins=stage.inputs("training_set"),
        description=(
            "The selection in use and the variants of feature_selections/, trained on the same "
            "rows, folds and search budget and evaluated on the validation patients, with paired "
            "differences. The test period is not looked at."
        ),
    )
    def selection_comparison(
        context: dg.AssetExecutionContext,
        config: SelectionFiles,
        training_set: pl.LazyFrame,
        model_registry: ModelRegistry,
    ) -> dg.Output[pl.DataFrame]:
        others = [read_feature_selection(Path(path), catalogue) for path in config.paths]
        compared = compare_selections(
            training_set,
            selections=named_selections(selection, others) if others else shipped,
            candidates=catalogue.columns,
            rules=stage.rules,
            use_case=stage.use_case,
        )
        with model_registry.tracked_run(context, stage.name) as run:
            run.set_tag("comparison", "feature selections")
            for each in compared:
                _log(run, each)
        table = comparison_table(compared)
        return dg.Output(table, metadata=_metadata(table, stage.name))

    job = dg.define_asset_job(
        f"compare_selections_{stage.name}",
        selection=[selection_comparison],
        description="Feature selections side by side, on the validation patients.",
    )
    return dg.Definitions(assets=[selection_comparison], jobs=[job])


def _log(run: Any, compared: ComparedSelection) -> None:
    """One selection as a nested run, with its file and its record."""
    with run.start_run(run_name=f"selection {compared.name}", nested=True):
        best = best_trial(compared.fitted.trials)
        run.log_params(
            {
                "selection": compared.name,
                "features": len(compared.fitted.columns),
                **best.parameters,
            }
        )
        run.log_metrics({"cv_log_loss": best.log_loss, **figures_of(compared)})
        log_selection(run, compared.record, compared.selection)


def _metadata(table: pl.DataFrame, use_case_name: str) -> dict[str, Any]:
    return {
        **row_count(table.height),
        "dagster/column_schema": frame_schema(table, _MEANINGS),
        "selections": markdown_table(shown_comparison(table)),
        "differences": interval_plot(
            table.select(
                "selection",
                value="log_loss_difference",
                low="log_loss_difference_low",
                high="log_loss_difference_high",
            ).drop_nulls(),
            title="Log loss minus that of the current selection, 95 %; left of 0 is better",
        ),
        "read this first": caution(table.height, use_case_name),
    }


_MEANINGS = {
    "selection": "Name of the file, or `current`.",
    "columns": "Columns that the screen keeps.",
    "columns_of_file": "Columns that the file keeps.",
    "log_loss_difference": "This selection minus the current one; below 0 is better.",
    "auroc_difference": "This selection minus the current one; above 0 is better.",
}
