import dagster as dg

from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    STAGED_TABLES,
    model_group,
    raw_key,
    staged_key,
    use_case_key,
    weekly_group,
)
from hrob_assets.risk.sources.staging import QUARANTINE
from hrob_assets.risk.tables import CODES, STAGED


def test_the_key_of_an_asset_is_its_stage_and_its_name():
    assert raw_key("person") == dg.AssetKey(["raw", "person"])
    assert staged_key("events") == dg.AssetKey(["staged", "events"])
    assert dg.AssetKey(["feature_store", "encounter_features"]) == ENCOUNTER_FEATURES
    assert use_case_key("oncology", "cohort") == dg.AssetKey(["oncology", "cohort"])


def test_the_groups_of_a_use_case_are_its_model_and_its_weeks():
    assert (model_group("oncology"), weekly_group("oncology")) == (
        "oncology_model",
        "oncology_weekly",
    )


def test_the_staged_tables_are_those_of_the_contract():
    contracts = {table.name for table in (*STAGED, CODES, QUARANTINE)}

    assert set(STAGED_TABLES) == contracts | {"load"}
