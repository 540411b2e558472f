import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from hrob_assets.assets.as_of import CHANGED_SINCE_TAG
from hrob_assets.assets.model.feature_selection import feature_selection_definitions
from hrob_assets.assets.model.training import training_definitions
from hrob_assets.resources.records.model_registry import CHALLENGER, CHAMPION
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.resources.storage.io_manager import ParquetIOManager, Storage
from hrob_assets.risk.arms.interventions import ACCEPTED_BY_TAG
from hrob_assets.risk.arms.silent_arm import in_silent_arm
from hrob_assets.risk.errors import ContractError, TooSmallError
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureFamily
from hrob_assets.risk.features.catalogue.selection import read_feature_selection
from hrob_assets.risk.training.training_set import fingerprint
from hrob_assets.risk.training.tuning import search as tuning
from hrob_assets.risk.use_case import SilentArm, use_case_from
from hrob_assets_tests.assets.worlds import (
    CANDIDATES,
    COLUMNS,
    materialise,
    selection_of,
    stage_of,
    store,
    training_set,
    use_case_named,
)
from hrob_assets_tests.example import example_values

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all


def definitions_of(name, selection, spark=None):
    stage = stage_of(use_case_named(name), selection=selection, spark=spark)
    return dg.Definitions.merge(feature_selection_definitions(stage), training_definitions(stage))


def train(root, registry, name, frame, selection=None, spark=None):
    store(root, {f"{name}/training_set": frame})
    definitions = definitions_of(name, selection or selection_of(root), spark)
    materialise(definitions, root, registry, only="feature_selection")
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


DIES = """
import os, signal, sys
from pathlib import Path
from hrob_assets.resources.records.model_registry import ModelRegistry
from hrob_assets.risk.training.tuning import search as tuning
from hrob_assets_tests.assets.model.test_training import train
from hrob_assets_tests.assets.worlds import training_set

tried, begun = tuning.try_parameters, []

def dies_in_the_third(*arguments):
    begun.append(1)
    if len(begun) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return tried(*arguments)

tuning.try_parameters = dies_in_the_third
root, uri, artifacts = sys.argv[1:]
registry = ModelRegistry(tracking_uri=uri, artifact_root=artifacts)
train(Path(root), registry, "killed_in_the_search", training_set())
"""


def test_a_training_that_was_killed_in_its_search_goes_on_to_the_same_model(
    tmp_path, registry, monkeypatch
):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
    places = [str(killed), registry.tracking_uri, registry.artifact_root]
    process = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", "ignore", "-c", DIES, *places],
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()[-2000:]
    assert registry.version("killed_in_the_search", CHALLENGER) is None
    (path,) = (killed / "tuning" / "killed_in_the_search").glob("*.jsonl")
    assert len(path.read_text().splitlines()) == 1 + 2  # what it began with, and two trials
    train(whole, registry, "never_killed", training_set())
    tried, again = tuning.try_parameters, []
    monkeypatch.setattr(tuning, "try_parameters", lambda *a: again.append(1) or tried(*a))

    train(killed, registry, "killed_in_the_search", training_set())

    resumed, through = (
        registry.load(name, CHALLENGER).model for name in ("killed_in_the_search", "never_killed")
    )
    assert len(through.trials) == 2 + len(again) == 3
    assert resumed.trials == through.trials
    assert tuning.best_trial(resumed.trials) == tuning.best_trial(through.trials)
    assert resumed.threshold == through.threshold


def test_too_few_rows_stop_the_run_and_register_nothing(tmp_path, registry):
    frame = training_set().with_columns(label=pl.lit(value=False))

    with pytest.raises(TooSmallError, match="at least 50 rows with 10 events"):
        train(tmp_path, registry, "too_small", frame)

    assert registry.version("too_small", CHALLENGER) is None


def test_a_model_is_trained_on_the_columns_that_the_record_keeps(tmp_path, registry):
    frame = training_set()

    train(tmp_path, registry, "selected", frame, selection_of(tmp_path, "ed__last_value_ever"))

    found = registry.load("selected", CHALLENGER)
    assert found.model.columns == ("ed__last_value_ever",)
    assert found.tags["training_set"] == fingerprint(frame.drop("age__years"))[:16]


def test_a_column_that_the_screen_drops_is_not_trained_on(tmp_path, registry):
    frame = training_set().with_columns(age__years=pl.lit(30.0, dtype=pl.Float32))

    train(tmp_path, registry, "screened", frame, selection_of(tmp_path, min_persons_with_value=11))

    assert registry.load("screened", CHALLENGER).model.columns == ("ed__last_value_ever",)


def test_a_version_carries_the_selection_file_and_the_record(tmp_path, registry):
    import mlflow  # noqa: PLC0415 - slow to import

    train(tmp_path, registry, "recorded", training_set(), selection_of(tmp_path, COLUMNS[1]))

    run_id = registry.load("recorded", CHALLENGER).run_id
    load = mlflow.artifacts.load_text
    record = pl.read_csv(load(f"runs:/{run_id}/feature_selection.csv").encode())
    assert record.select("column", "decision", "reason").rows() == [
        ("age__years", "drop", "dropped by feature_selection_config.yml: column age__years"),
        (
            "ed__last_value_ever",
            "keep",
            "kept: 600 persons have another value than most rows",
        ),
    ]
    assert load(f"runs:/{run_id}/feature_selection_config.yml").startswith("groups:")


@pytest.mark.parametrize("change", ["selection", "rows"])
def test_a_record_of_another_file_or_training_set_is_refused(tmp_path, registry, change):
    name, frame = f"stale_{change}", training_set()
    store(tmp_path, {f"{name}/training_set": frame})
    materialise(
        definitions_of(name, selection_of(tmp_path)), tmp_path, registry, only="feature_selection"
    )
    if change == "rows":
        store(tmp_path, {f"{name}/training_set": training_set(seed=6)})
    selection = selection_of(tmp_path, *(COLUMNS[1:] if change == "selection" else ()))

    with pytest.raises(ContractError, match="materialise feature_selection again"):
        materialise(definitions_of(name, selection), tmp_path, registry, only="trained_model")

    assert registry.version(name, CHALLENGER) is None


def test_a_selection_says_in_its_metadata_what_was_dropped_and_why(tmp_path, registry):
    frame = training_set().with_columns(age__years=pl.lit(30.0, dtype=pl.Float32))
    store(tmp_path, {"described/training_set": frame})
    selection = selection_of(tmp_path, min_persons_with_value=11)

    result = materialise(
        definitions_of("described", selection), tmp_path, registry, only="feature_selection"
    )

    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert (metadata["columns kept"].value, metadata["columns dropped"].value) == (1, 1)
    assert "| demographics | 0 | 1 |" in metadata["groups"].md_str
    assert (
        "| age__years | dropped: it is the same in all training rows |"
        in metadata["dropped by the screen"].md_str
    )


def test_an_edit_of_the_selection_file_alone_changes_what_the_next_version_takes(
    tmp_path, registry
):
    families = [FeatureFamily(c.family, c.group, c.kind, None, (c,), "r", "s") for c in CANDIDATES]
    path = tmp_path / "edited.yml"
    versions = []
    for decision in ("keep", "drop"):
        path.write_text(f"groups:\n  demographics: {decision}\n  utilisation: keep\n")
        selection = read_feature_selection(path, Catalogue(tuple(families)))
        train(tmp_path, registry, "edited", training_set(), selection)
        versions.append(registry.version("edited", CHALLENGER))

    taken = [registry.load_version("edited", version).model.columns for version in versions]
    assert taken == [COLUMNS, ("ed__last_value_ever",)]


# The training set of an update, where nurses act.

MONDAY = datetime(2023, 1, 2)
SINCE = MONDAY + timedelta(weeks=30)
WEEKLY = dg.WeeklyPartitionsDefinition(
    "2023-01-02", end_date="2024-01-01", day_offset=1, fmt="%Y-%m-%d"
)


def weekly_rows(weeks=52, per_week=40):
    number = np.arange(weeks * per_week)
    moment = [MONDAY + timedelta(days=int(7 * (n // per_week) + 1 + n % 6)) for n in number]
    return pl.DataFrame(
        {
            "person_id": number,
            "encounter_id": number,
            "prediction_time": pl.Series(moment, dtype=pl.Datetime("us")),
            "week": [(MONDAY + timedelta(weeks=int(n // per_week))).date() for n in number],
            "eligible": True,
            "label": number % 5 == 0,
            "label_status": "mature",
            "followed": True,
            "age__years": 30.0,
            "ed__last_value_ever": 1.0,
        }
    )


@pytest.fixture
def assembled(tmp_path, registry, monkeypatch):
    """Makes the training set of a use case, perhaps with an arm, and gives rows and metadata."""
    monkeypatch.setenv("HROB_SALT", "secret")
    frame = weekly_rows()
    for (week,), part in frame.partition_by("week", as_dict=True).items():
        store(tmp_path, {f"feature_store/encounter_features/{week}": part.drop("label", "eligible"),
                         f"example/cohort/{week}": part.select(*frame.columns[:3], "eligible"),
                         f"example/labels/{week}": part.drop("eligible")})  # fmt: skip
    as_of = MONDAY + timedelta(weeks=70)
    store(tmp_path, {"staged/load": pl.DataFrame({"as_of": [as_of]})})
    (tmp_path / "feedback").mkdir()
    acted = "\n".join(f"{person},,2023-08-29T00:00:00" for person in range(32 * 40, 34 * 40))
    (tmp_path / "feedback" / "example.csv").write_text(f"person_id,reviewed_at,acted_at\n{acted}\n")

    def run(*, tags=None, arm=None):
        values = example_values() | {"name": "example"}
        values["split"] = {"validation_share": 0.25, "train_days": 300, "test_days": 60}
        if arm:
            values["monitoring"] = values["monitoring"] | {"silent_arm": arm}
        stage = stage_of(use_case_from(values), selection=selection_of(tmp_path))
        definitions = training_definitions(stage)
        asset = next(each for each in definitions.assets if each.key.path[-1] == "training_set")
        inputs = [
            dg.AssetSpec(key, partitions_def=None if key.path[-1] == "load" else WEEKLY)
            for key in asset.dependency_keys
        ]
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                [asset, *inputs],
                instance=instance,
                selection=[asset],
                tags=tags or {},
                resources={
                    "io_manager": ParquetIOManager(tmp_path),
                    "model_registry": registry,
                    "storage": Storage(data_root=str(tmp_path)),
                    "feedback": Feedback(
                        folder=str(tmp_path / "feedback"), salt_variable="HROB_SALT"
                    ),
                },
            )
        metadata = result.get_asset_materialization_events()[0].materialization.metadata
        return pl.read_parquet(tmp_path / "assets/example/training_set.parquet"), metadata

    return run


UPDATE = {CHANGED_SINCE_TAG: SINCE.date().isoformat()}


def test_a_training_set_tells_how_many_of_its_rows_were_acted_on(assembled):
    frame, metadata = assembled()

    assert metadata["rows acted on"].value == 80
    assert frame["person_id"].is_in(range(32 * 40, 34 * 40)).sum() == 80


def test_an_update_is_not_made_from_rows_that_were_acted_on(assembled):
    with pytest.raises(ContractError, match="would take help for low risk"):
        assembled(tags=UPDATE)

    frame, _ = assembled(tags=UPDATE | {ACCEPTED_BY_TAG: "Dr A. Example"})
    assert frame.filter(pl.col("prediction_time") >= SINCE).height > 500


def test_an_update_with_a_silent_arm_is_made_and_judged_by_its_persons(assembled):
    arm = {"share": 0.4, "signed_off_by": "Dr Who"}

    frame, _ = assembled(tags=UPDATE, arm=arm)

    silent = in_silent_arm(frame["person_id"], SilentArm(**arm), salt="secret")
    since = frame["prediction_time"] >= SINCE
    assert silent.filter(since).all()
    assert set(frame.filter(since)["split"]) == {"train", "validation", "test"}
    assert not silent.filter(~since).all()
