"""Names of assets and groups; the path of an asset's file is its key."""

import dagster as dg

RAW = "raw"
STAGED = "staged"
FEATURE_STORE = "feature_store"
STAGED_POOL = "staged_tables"
"""Pool of all steps that write or read the staged tables: no run reads two loads."""
STAGED_TABLES = ("persons", "coverage", "encounters", "events", "codes", "quarantine", "load")
INPUT_FINGERPRINTS = dg.AssetKey([STAGED, "input_fingerprints"])
"""Beside the staged tables, so that it goes with the load that it describes."""
WEEK_INPUTS = dg.AssetKey([FEATURE_STORE, "week_inputs"])
ENCOUNTER_FEATURES = dg.AssetKey([FEATURE_STORE, "encounter_features"])


def raw_key(table: str) -> dg.AssetKey:
    """Key of a raw OMOP table."""
    return dg.AssetKey([RAW, table])


def staged_key(table: str) -> dg.AssetKey:
    """Key of a staged table."""
    return dg.AssetKey([STAGED, table])


def use_case_key(use_case_name: str, asset: str) -> dg.AssetKey:
    """Key of an asset of a use case."""
    return dg.AssetKey([use_case_name, asset])


def model_group(use_case_name: str) -> str:
    """Group of the assets that make a model."""
    return f"{use_case_name}_model"


def weekly_group(use_case_name: str) -> str:
    """Group of the assets that use a model each week."""
    return f"{use_case_name}_weekly"
