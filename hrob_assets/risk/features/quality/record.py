"""The record of a screen: one row per column with the decision and its reason."""

from collections.abc import Mapping

import polars as pl

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.catalogue.imputation import ImputationRule

SCREEN_RECORD_SCHEMA: dict[str, type[pl.DataType]] = {
    "column": pl.String,
    "family": pl.String,
    "group": pl.String,
    "decision": pl.String,
    "rule": pl.String,
    "reason": pl.String,
    "persons_with_value": pl.Int64,
    "missing_share": pl.Float64,
    "value_share": pl.Float64,
    "shift": pl.Float64,
    "importance": pl.Float64,
    "indicator": pl.Boolean,
}
SCREEN_RECORD_MEANINGS = {
    "column": "Column of the feature store.",
    "family": "What the column was made from.",
    "group": "Group of feature_mappings.yml.",
    "decision": "keep or drop.",
    "rule": "What dropped it: a rule of the screen, or the selection file; null when kept.",
    "reason": "One sentence, with the figure.",
    "persons_with_value": (
        "Training persons who differ at least once from the value that most rows share; null "
        "where it is under 11."
    ),
    "missing_share": "Share of training rows that are null; null where few persons are behind it.",
    "value_share": (
        "Share of training rows that differ from the value that most rows share; null where few "
        "persons are behind it."
    ),
    "shift": "Population stability index between the first and the last third of the rows.",
    "importance": (
        "Rise of the out-of-fold log loss per row when all columns of the family that the quality "
        "rules keep are shuffled together; null where no rule asks for it."
    ),
    "indicator": "Whether the model gets a column that says where this one was missing.",
}


def kept_columns(record: pl.DataFrame) -> tuple[str, ...]:
    """Columns that a record keeps, in the order of the catalogue."""
    return tuple(record.filter(pl.col("decision") == "keep")["column"])


def rules_of_record(
    record: pl.DataFrame, rules: Mapping[str, ImputationRule]
) -> dict[str, ImputationRule]:
    """Imputation of the kept columns, without the indicators that the record leaves out."""
    own = set(record.filter("indicator")["column"])
    return {
        name: ImputationRule(rules[name].method, rules[name].value, indicator=name in own)
        for name in kept_columns(record)
    }


def require_kept(record: pl.DataFrame) -> pl.DataFrame:
    """Return the record, or raise `ContractError` if it keeps no column."""
    if not kept_columns(record):
        rules = sorted(set(record["rule"].drop_nulls()))
        msg = (
            f"at least one feature must be kept (all {record.height} are dropped, by "
            f"{', '.join(rules)}); relax the limits"
        )
        raise ContractError(msg)
    return record
