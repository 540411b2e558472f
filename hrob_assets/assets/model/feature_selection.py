"""Which columns the challenger trains on, and why."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import model_group, use_case_key
from hrob_assets.assets.metadata import frame_schema, markdown_table, row_count
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features import (
    SCREEN_RECORD_MEANINGS,
    FeatureColumn,
    FeatureSelection,
    ImputationRule,
)
from hrob_assets.risk.training import (
    TRAINING_COLUMNS,
    require_enough,
    select_features,
    selection_tag,
)
from hrob_assets.risk.use_case import UseCase

_MADE_FROM = "made_from"


def feature_selection_definitions(
    use_case: UseCase,
    *,
    candidates: Sequence[FeatureColumn],
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
) -> dg.Definitions:
    """The record of every column's decision."""

    @dg.asset(
        key=use_case_key(use_case.name, "feature_selection"),
        group_name=model_group(use_case.name),
        owners=[use_case.owner],
        kinds={"polars", "parquet"},
        ins={"training_set": dg.AssetIn(use_case_key(use_case.name, "training_set"))},
        description=(
            "One row per column of the feature store: kept or dropped, and why. First the file "
            "feature_selection_config.yml, then data quality and importance, judged on the "
            "training rows only."
        ),
    )
    def feature_selection(training_set: pl.LazyFrame) -> dg.Output[pl.DataFrame]:
        rows = rows_of(training_set)
        require_enough(rows, use_case.model)
        train = training_set.filter(pl.col("split") == "train")
        record = select_features(
            train.select(*TRAINING_COLUMNS, *selection.columns).collect(),
            candidates=candidates,
            selection=selection,
            rules=rules,
            model=use_case.model,
        )
        made_from = selection_tag(rows, selection, rules)
        return dg.Output(
            record.with_columns(pl.lit(made_from).alias(_MADE_FROM)), metadata=_metadata(record)
        )

    return dg.Definitions(assets=[feature_selection])


def rows_of(training_set: pl.LazyFrame) -> pl.DataFrame:
    """Keys, split and label of a training set, without its features."""
    return training_set.select(TRAINING_COLUMNS).collect()


def present_record(
    feature_selection: pl.LazyFrame,
    *,
    rows: pl.DataFrame,
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
) -> pl.DataFrame:
    """The record as it was materialised; an error where it is of another file or training set."""
    record = feature_selection.collect()
    if record[_MADE_FROM].unique().to_list() != [selection_tag(rows, selection, rules)]:
        msg = (
            "the record of the feature selection must be of the present files and training set "
            "(found another); materialise feature_selection again"
        )
        raise ContractError(msg)
    return record.drop(_MADE_FROM)


def _metadata(record: pl.DataFrame) -> dict[str, Any]:
    """Columns kept and dropped by group, and the reason of each that the screen dropped."""
    keep = pl.col("decision") == "keep"
    by_group = record.group_by("group", maintain_order=True).agg(
        keep.sum().alias("kept"), (~keep).sum().alias("dropped")
    )
    by_rule = record.filter(~keep).group_by("rule", maintain_order=True).len("dropped")
    screened = record.filter(~keep & ~pl.col("reason").str.starts_with("dropped by "))
    return {
        **row_count(record.height),
        "dagster/column_schema": frame_schema(record, SCREEN_RECORD_MEANINGS),
        "columns kept": record.filter(keep).height,
        "columns dropped": record.filter(~keep).height,
        "groups": markdown_table(by_group),
        "rules": markdown_table(by_rule),
        "dropped by the screen": markdown_table(screened.select("column", "reason")),
    }
