import polars as pl
import pytest

from hrob_assets.assets.sensitivity import sensitivity_definitions
from hrob_assets.resources.model_registry import CHALLENGER
from hrob_assets_tests.assets.test_training import train
from hrob_assets_tests.assets.worlds import (
    CANDIDATES,
    RULES,
    materialise,
    training_set,
    use_case_named,
)

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all


def test_the_group_that_says_nothing_is_not_missed(tmp_path, registry):
    name = "sensitivity_analysed"
    train(tmp_path, registry, name, training_set())
    definitions = sensitivity_definitions(use_case_named(name), candidates=CANDIDATES, rules=RULES)

    result = materialise(definitions, tmp_path, registry, only="sensitivity")

    table = pl.read_parquet(tmp_path / "assets" / name / "sensitivity.parquet")
    high = dict(table.select("variant", "log_loss_change_high").rows())
    assert high["without utilisation"] < 0
    assert high["without demographics"] > -0.01
    assert set(table["model_version"]) == {registry.version(name, CHALLENGER)}
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert metadata["model version"].value == registry.version(name, CHALLENGER)
    assert "without utilisation" in metadata["variants"].md_str
