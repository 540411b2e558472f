"""The update of a champion as an asset: nothing, another intercept, and what it must be told."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest

from hrob_assets.assets.as_of import CHANGED_SINCE_TAG, UPDATE_OF_TAG
from hrob_assets.assets.model.evaluation import evaluation_definitions
from hrob_assets.assets.model.feature_selection import feature_selection_definitions
from hrob_assets.assets.model.model_update import model_update_definitions
from hrob_assets.resources.records.model_registry import CHALLENGER, CHAMPION, JUDGED_FROM
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.models.design_matrix import Design
from hrob_assets.risk.training.training_set import training_set_tag
from hrob_assets_tests.assets.worlds import (
    BOUNDS,
    CANDIDATES,
    COLUMNS,
    RULES,
    crown,
    materialise,
    selection_of,
    store,
    training_set,
    use_case_named,
)
from hrob_assets_tests.example import fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

SINCE = {CHANGED_SINCE_TAG: BOUNDS.train_start.date().isoformat()}
ROWS = training_set()  # drawn with coefficients (0, 1) and intercept -1


@pytest.fixture
def updated(tmp_path, registry, run_context):
    """Makes a champion with an intercept, and runs update and evaluation in one run."""

    def run(name, *, intercept, weights=(0.0, 1.0), tags=SINCE):
        with registry.tracked_run(run_context, name):
            champion = fitted(COLUMNS, list(weights), intercept=intercept)
            made_from = {"training_set": training_set_tag(ROWS)}
            version = registry.register(name, champion, tags=made_from)
        crown(tmp_path, registry, name, version)
        store(tmp_path, {f"{name}/training_set": ROWS})
        use_case, selection = use_case_named(name), selection_of(tmp_path)
        files = {"selection": selection, "rules": RULES}
        definitions = dg.Definitions.merge(
            feature_selection_definitions(use_case, candidates=CANDIDATES, **files),
            model_update_definitions(
                use_case,
                group_of_column={each.name: each.group for each in CANDIDATES},
                lineage={"git_commit": "abc"},
                comparator=Design(("age__years",), RULES, (), ("age__years",)),
                **files,
            ),
            evaluation_definitions(use_case, lineage={"git_commit": "abc"}),
        )
        materialise(definitions, tmp_path, registry, only="feature_selection")
        only = ("update_decision", "evaluation")
        result = materialise(definitions, tmp_path, registry, only=only, tags=tags)
        made = {
            event.asset_key.path[-1]: event.materialization.metadata
            for event in result.get_asset_materialization_events()
        }
        return SimpleNamespace(champion=version, made=made)

    return run


def test_a_champion_that_fits_is_left_alone_and_nothing_is_judged(updated, registry):
    found = updated("update_none", intercept=-1.0)

    assert found.made["update_decision"]["update"].value == "none"
    assert set(found.made) == {"update_decision"}  # no evaluation, so nothing for the gate
    assert registry.version("update_none", CHALLENGER) == found.champion


def test_a_shift_registers_a_challenger_that_says_what_it_was_updated_from(
    updated, registry, tmp_path
):
    found = updated("update_intercept", intercept=-2.0)

    challenger = registry.load("update_intercept", CHALLENGER)
    assert found.made["update_decision"]["update"].value == "intercept"
    assert challenger.version != found.champion
    assert challenger.tags["updated_from"] == found.champion
    assert challenger.tags["update"] == "intercept"
    assert challenger.tags["training_set"] == training_set_tag(ROWS)
    made_from = ROWS.filter(pl.col("split") != "test")["prediction_time"].max()
    judged_from = datetime.fromisoformat(challenger.tags[JUDGED_FROM])
    assert judged_from >= made_from + timedelta(days=60)
    assert challenger.model.recalibration.slope == 1.0
    assert challenger.model.list_size.mean > 0  # of the new threshold
    assert challenger.model.cross_fit.since == BOUNDS.train_start.isoformat()
    assert challenger.model.recalibration.intercept == pytest.approx(1.0, abs=0.3)
    assert registry.version("update_intercept", CHAMPION) == found.champion  # the gate decides
    stored = pl.read_parquet(tmp_path / "assets" / "update_intercept" / "evaluation.parquet")
    assert stored["model_version"].unique().to_list() == [challenger.version]


def test_a_new_fit_is_registered_with_all_that_a_training_gives(updated, registry, tmp_path):
    import mlflow  # noqa: PLC0415 - slow to import

    found = updated("update_refit", intercept=-1.0, weights=(0.02, 0.3))

    challenger = registry.load("update_refit", CHALLENGER)
    assert found.made["update_decision"]["update"].value == "refit"
    assert challenger.tags["family"] == challenger.model.family
    assert challenger.model.list_size.mean > 0
    assert challenger.model.cross_fit is None
    runs = mlflow.search_runs(experiment_names=["update_refit"])
    children = runs[runs["tags.mlflow.parentRunId"] == challenger.run_id]
    assert len(children) == len(challenger.model.trials) == 3
    stored = pl.read_parquet(tmp_path / "assets" / "update_refit" / "evaluation.parquet")
    assert stored["comparator_probability"].null_count() == 0


@pytest.mark.parametrize(("asked", "made"), [("none of them", set()), ("the champion", {"none"})])
def test_a_run_that_was_asked_for_about_another_champion_updates_nothing(
    updated, registry, asked, made
):
    """Such as one that waited while an update of before took the champion's place."""
    name = f"update_of_{asked.replace(' ', '_')}"
    tags = SINCE | {UPDATE_OF_TAG: "1" if asked == "the champion" else "7"}

    found = updated(name, intercept=-1.0 if made else -2.0, tags=tags)

    assert found.champion == "1"
    assert {each["update"].value for each in found.made.values()} == made
    assert registry.version(name, CHALLENGER) == found.champion


def test_an_update_that_is_not_told_since_when_says_what_to_add(updated):
    with pytest.raises(ConfigurationError, match=f"{CHANGED_SINCE_TAG}.*such as 2025-01-06"):
        updated("update_without_tag", intercept=-2.0, tags={})
