import polars as pl
import pytest

from hrob_assets.assets.training import training_definitions
from hrob_assets.resources.model_registry import CHALLENGER, CHAMPION
from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.features.selection import ImputationRule
from hrob_assets.risk.training import fingerprint
from hrob_assets_tests.assets.worlds import (
    COLUMNS,
    materialise,
    store,
    training_set,
    use_case_named,
)

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

RULES = dict.fromkeys(COLUMNS, ImputationRule("median"))


def train(root, registry, name, frame):
    store(root, {f"{name}/training_set": frame})
    definitions = training_definitions(
        use_case_named(name), columns=COLUMNS, rules=RULES, lineage={"git_commit": "abc"}
    )
    return materialise(definitions, root, registry, only="trained_model")


def test_a_trained_model_is_registered_as_challenger_with_its_lineage(tmp_path, registry):
    frame = training_set()

    result = train(tmp_path, registry, "trained_with_lineage", frame)

    found = registry.load("trained_with_lineage", CHALLENGER)
    assert found.tags["git_commit"] == "abc"
    assert found.tags["training_set"] == fingerprint(frame)[:16]
    assert registry.version("trained_with_lineage", CHAMPION) is None
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert metadata["model version"].value == found.version
    assert metadata["threshold"].value == found.model.threshold
    assert metadata["mlflow run id"].value == found.run_id


def test_each_trial_is_a_run_of_its_own_under_the_run_of_the_model(tmp_path, registry):
    import mlflow  # noqa: PLC0415 - slow to import

    train(tmp_path, registry, "trained_with_trials", training_set())

    model = registry.load("trained_with_trials", CHALLENGER)
    runs = mlflow.search_runs(experiment_names=["trained_with_trials"])
    children = runs[runs["tags.mlflow.parentRunId"] == model.run_id]
    losses = sorted(trial.log_loss for trial in model.model.trials)
    assert sorted(children["metrics.cv_log_loss"]) == pytest.approx(losses)
    assert set(runs["status"]) == {"FINISHED"}


def test_too_few_rows_stop_the_run_and_register_nothing(tmp_path, registry):
    frame = training_set().with_columns(label=pl.lit(value=False))

    with pytest.raises(TooSmallError, match="at least 50 rows with 10 events"):
        train(tmp_path, registry, "too_small", frame)

    assert registry.version("too_small", CHALLENGER) is None
