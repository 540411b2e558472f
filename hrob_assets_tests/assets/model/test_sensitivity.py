import polars as pl
import pytest

from hrob_assets.assets.model import sensitivity as module
from hrob_assets.assets.model.sensitivity import sensitivity_definitions
from hrob_assets.resources.records.model_registry import CHALLENGER
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.training.training_set import training_set_tag
from hrob_assets_tests.assets.model.test_training import train
from hrob_assets_tests.assets.worlds import (
    CANDIDATES,
    RULES,
    logged,
    materialise,
    store,
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
    assert set(table["training_set"]) == {training_set_tag(training_set())}
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert metadata["model version"].value == registry.version(name, CHALLENGER)
    assert "without utilisation" in metadata["variants"].md_str
    assert "sensitivity.csv" in logged(registry, name)[1]


def test_figures_of_too_few_patients_are_not_told_by_mlflow_either(tmp_path, registry, monkeypatch):
    name = "sensitivity_of_few"
    monkeypatch.setattr(module, "tellable", lambda _: False)
    train(tmp_path, registry, name, training_set())
    definitions = sensitivity_definitions(use_case_named(name), candidates=CANDIDATES, rules=RULES)

    materialise(definitions, tmp_path, registry, only="sensitivity")

    assert "sensitivity.csv" not in logged(registry, name)[1]


def test_a_training_set_that_an_update_wrote_is_not_that_of_the_challenger(tmp_path, registry):
    name = "sensitivity_of_another"
    train(tmp_path, registry, name, training_set())
    store(tmp_path, {f"{name}/training_set": training_set(seed=6)})
    definitions = sensitivity_definitions(use_case_named(name), candidates=CANDIDATES, rules=RULES)

    with pytest.raises(ContractError, match="must have been trained on the present training set"):
        materialise(definitions, tmp_path, registry, only="sensitivity")
