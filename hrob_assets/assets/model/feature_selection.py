"""Which columns the challenger trains on, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.metadata import frame_schema, markdown_table, row_count
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features import (
    SCREEN_RECORD_MEANINGS,
    FeatureSelection,
    ImputationRule,
    kept_columns,
)
from hrob_assets.risk.training import (
    TRAINING_COLUMNS,
    require_enough,
    select_features,
    selection_tag,
    with_columns_of,
)

_MADE_FROM = "made_from"


def feature_selection_definitions(stage: StageContext) -> dg.Definitions:
    """The record of every column's decision."""
    model, selection, rules = stage.use_case.model, stage.selection, stage.rules

    @stage.model_asset(
        "feature_selection",
        kinds={"polars", "parquet"},
        ins=stage.inputs("training_set"),
        description=(
            "One row per column of the feature store: kept or dropped, and why. First the file "
            "feature_selection_config.yml, then data quality and importance, estimated on "
            "the training rows only."
        ),
    )
    def feature_selection(training_set: pl.LazyFrame) -> dg.Output[pl.DataFrame]:
        rows = _rows_of(training_set)
        require_enough(rows, model)
        train = training_set.filter(pl.col("split") == "train")
        record = select_features(
            train.select(*TRAINING_COLUMNS, *selection.columns).collect(),
            candidates=stage.catalogue.columns,
            selection=selection,
            rules=rules,
            model=model,
        )
        made_from = selection_tag(rows, selection, rules)
        return dg.Output(
            record.with_columns(pl.lit(made_from).alias(_MADE_FROM)), metadata=_metadata(record)
        )

    return dg.Definitions(assets=[feature_selection])


@dataclass(frozen=True)
class SelectedRows:
    """A training set with the columns that the feature selection keeps.

    Parameters
    ----------
    record : DataFrame
        Decision on each column.
    columns : sequence of str
        Those that are kept.
    frame : DataFrame
        Keys, split, label and the kept columns.
    with_comparator : DataFrame
        The same, and the columns of the baseline model.
    """

    record: pl.DataFrame
    columns: Sequence[str]
    frame: pl.DataFrame
    with_comparator: pl.DataFrame


def selected_rows(
    stage: StageContext, training_set: pl.LazyFrame, feature_selection: pl.LazyFrame
) -> SelectedRows:
    """The rows that a model trains on.

    Raises
    ------
    ContractError
        If the record of the selection is of other files or another training set.
    """
    record = present_record(
        feature_selection,
        rows=_rows_of(training_set),
        selection=stage.selection,
        rules=stage.rules,
    )
    columns = kept_columns(record)
    frame = training_set.select(*TRAINING_COLUMNS, *columns).collect()
    rows = with_columns_of(frame, training_set, stage.comparator_columns)
    return SelectedRows(record, columns, frame, rows)


def _rows_of(training_set: pl.LazyFrame) -> pl.DataFrame:
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
