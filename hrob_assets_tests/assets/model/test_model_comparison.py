import dagster as dg
import polars as pl
import pytest

from hrob_assets.assets.model import model_comparison as module
from hrob_assets.assets.model.feature_selection import feature_selection_definitions
from hrob_assets.assets.model.model_comparison import model_comparison_definitions
from hrob_assets.resources.records.model_registry import CHALLENGER
from hrob_assets.risk.models.design_matrix import Design
from hrob_assets.risk.use_case import use_case_from
from hrob_assets_tests.assets.worlds import (
    RULES,
    logged,
    materialise,
    selection_of,
    stage_of,
    store,
    training_set,
)
from hrob_assets_tests.example import example_values

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all


def compare(tmp_path, registry, name):
    """Compare two families and the comparator; return the result."""
    values = example_values() | {"name": name}
    values["model"]["alternatives"] = [
        {"name": "hist_gradient_boosting", "trials": 1, "calibration": "logistic"}
    ]
    use_case = use_case_from(values)
    stage = stage_of(
        use_case,
        selection=selection_of(tmp_path),
        comparator=Design(("age__years",), RULES, (), ("age__years",)),
    )
    definitions = dg.Definitions.merge(
        feature_selection_definitions(stage), model_comparison_definitions(stage)
    )
    store(tmp_path, {f"{name}/training_set": training_set()})
    materialise(definitions, tmp_path, registry, only="feature_selection")
    return materialise(definitions, tmp_path, registry, only="model_comparison")


def test_families_are_compared_and_the_choice_is_recorded(tmp_path, registry):
    name = "families_compared"

    result = compare(tmp_path, registry, name)

    table = pl.read_parquet(tmp_path / "assets" / name / "model_comparison.parquet")
    assert table["family"].to_list() == [
        "logistic_regression",
        "hist_gradient_boosting",
        "comparator",
    ]
    assert table.filter("chosen")["family"].to_list() == ["logistic_regression"]
    worse = table["log_loss_improvement_high"][2]
    assert worse < 0  # age says nothing
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert metadata["chosen family"].value == "logistic_regression"
    assert "stays" in metadata["reason"].value
    assert registry.version(name, CHALLENGER) is None
    assert registry.earlier_parameters(name, "hist_gradient_boosting")
    metrics, files = logged(registry, name)
    assert {"log_loss", "auroc"} <= metrics
    assert files == {"model_comparison.csv"}


def test_figures_of_too_few_patients_are_not_told_by_mlflow_either(tmp_path, registry, monkeypatch):
    monkeypatch.setattr(module, "tellable", lambda _: False)

    compare(tmp_path, registry, "families_of_few")

    metrics, files = logged(registry, "families_of_few")
    assert metrics <= {"seconds", "cv_log_loss"} | {f"cv_log_loss_fold_{n}" for n in range(9)}
    assert files == set()
