"""The families of a use case side by side, before the challenger is fitted."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import model_group, use_case_key
from hrob_assets.assets.metadata import frame_schema, interval_plot, markdown_table, row_count
from hrob_assets.assets.model.feature_selection import present_record, rows_of
from hrob_assets.assets.model.training import log_trials, trial_folder
from hrob_assets.resources.environment import Spark
from hrob_assets.resources.records.model_registry import ModelRegistry
from hrob_assets.resources.spark.search_engine import search_engine
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.evaluation import COMPARED
from hrob_assets.risk.features import (
    FeatureSelection,
    ImputationRule,
    kept_columns,
    rules_of_record,
)
from hrob_assets.risk.models import Design
from hrob_assets.risk.training import (
    TRAINING_COLUMNS,
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
    with_columns_of,
)
from hrob_assets.risk.use_case import UseCase

_COMPARATOR = "comparator"


def model_comparison_definitions(
    use_case: UseCase,
    *,
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
    comparator: Design | None = None,
    spark: Spark | None = None,
) -> dg.Definitions:
    """The comparison of the default family, its alternatives and the free comparator.

    Trials run on Spark where it is given, else in the process of the run.
    """
    name = use_case.name

    @dg.asset(
        key=use_case_key(name, "model_comparison"),
        group_name=model_group(name),
        owners=[use_case.owner],
        kinds={"scikitlearn", "mlflow", "hyperopt"},
        ins={
            "training_set": dg.AssetIn(use_case_key(name, "training_set")),
            "feature_selection": dg.AssetIn(use_case_key(name, "feature_selection")),
        },
        description=(
            "All families of the use case and the free comparator, tuned and fitted on the same "
            "training rows and judged on the validation patients, never on the test period, with "
            "paired patient-cluster intervals; which family the rule of the use case takes, and "
            "why. The challenger has the family that defs.yaml names."
        ),
    )
    def model_comparison(
        context: dg.AssetExecutionContext,
        training_set: pl.LazyFrame,
        feature_selection: pl.LazyFrame,
        model_registry: ModelRegistry,
        storage: Storage,
    ) -> dg.Output[pl.DataFrame]:
        record = present_record(
            feature_selection, rows=rows_of(training_set), selection=selection, rules=rules
        )
        columns = kept_columns(record)
        frame = training_set.select(*TRAINING_COLUMNS, *columns).collect()
        beside = () if comparator is None else comparator.columns
        rows = with_columns_of(frame, training_set, beside)
        require_enough(rows, use_case.model)
        models: dict[str, FittedModel] = {}
        trials = trial_folder(storage, name)
        for family in use_case.model.families:
            models[family.name] = fit_model(
                rows,
                columns=columns,
                rules=rules_of_record(record, rules),
                model=use_case.model,
                threshold=use_case.threshold,
                family=family,
                log=trials,
                earlier=model_registry.earlier_parameters(name, family.name),
                engine=search_engine(context, trials, spark),
            )
        if comparator is not None:
            models[_COMPARATOR] = fit_comparator(
                rows, comparator, model=use_case.model, threshold=use_case.threshold
            )
        compared = compare_families(models, rows)
        candidates = [family.name for family in use_case.model.families]
        chosen = choose_family(compared, use_case.model.choice, candidates=candidates)
        table = family_table(compared, chosen).with_columns(
            pl.lit(training_set_tag(frame)).alias("training_set")
        )
        shown = tellable(rows)
        with model_registry.tracked_run(context, name) as run:
            run.set_tags({"comparison": "families", "chosen_family": chosen.name})
            _log(run, models, table, shown=shown)
        return dg.Output(table, metadata=_metadata(table, shown=shown))

    job = dg.define_asset_job(
        f"compare_families_{name}",
        selection=[model_comparison],
        description="Families of models side by side, on the validation patients.",
    )
    return dg.Definitions(assets=[model_comparison], jobs=[job])


def _log(run: Any, models: Mapping[str, FittedModel], table: pl.DataFrame, *, shown: bool) -> None:
    """One nested run per family, with its trials under it; figures where they may be told."""
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
