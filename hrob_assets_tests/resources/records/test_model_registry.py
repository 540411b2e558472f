import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline

from hrob_assets.resources.records.model_registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS_CHAMPION,
    best_parameters_tag,
)
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.models.recalibration import Recalibration
from hrob_assets.risk.training.fit import train_model
from hrob_assets.risk.training.predict import predict
from hrob_assets.risk.use_case import ModelSpec, Threshold, Tuning
from hrob_assets_tests.example import fitted
from hrob_assets_tests.risk.models.test_base import fitted as fit_family
from hrob_assets_tests.risk.models.test_base import rows as family_rows

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

COLUMNS = ("age__years", "ed__count_30d", "lab__last_value_ever")
RULES = {
    "age__years": ImputationRule("median"),
    "ed__count_30d": ImputationRule("constant", 0.0),
    "lab__last_value_ever": ImputationRule("most_frequent", indicator=True),
}


def training_set(rows=600):
    rng = np.random.default_rng(8)
    visits = rng.integers(0, 6, rows)
    return pl.DataFrame(
        {
            "person_id": np.arange(rows) // 2,
            "split": np.array(["train", "validation", "test"])[np.arange(rows) // 2 % 3],
            "label": rng.random(rows) < 0.1 + 0.1 * visits,
            "age__years": rng.uniform(20, 80, rows),
            "ed__count_30d": visits.astype(float),
            "lab__last_value_ever": [None if n % 3 else rng.normal() for n in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def trained():
    return train_model(
        training_set(),
        columns=COLUMNS,
        rules=RULES,
        model=ModelSpec(
            "logistic_regression",
            Tuning(trials=2, folds=2, maximum_rows=1000),
            seed=1,
            minimum_rows=50,
            minimum_events=10,
        ),
        threshold=Threshold(capacity_share=0.1),
    )


def register(registry, context, name, model, **tags: str):
    with registry.tracked_run(context, name):
        return registry.register(name, model, tags=tags)


def aliases(registry, name):
    return {
        alias: registry.version(name, alias) for alias in (CHALLENGER, CHAMPION, PREVIOUS_CHAMPION)
    }


def test_a_registered_model_is_the_challenger_and_not_the_champion(registry, run_context):
    version = register(registry, run_context, "registered", fitted(["x"], [1.0]))

    assert aliases(registry, "registered") == {
        CHALLENGER: version,
        CHAMPION: None,
        PREVIOUS_CHAMPION: None,
    }


def test_a_loaded_model_predicts_the_same_to_the_bit(registry, run_context, trained):
    register(registry, run_context, "loaded", trained, git_commit="abc")
    rows = training_set().drop("label", "split")

    found = registry.load("loaded", CHALLENGER)

    expected = predict(trained, rows)
    loaded = predict(found.model, rows)
    assert loaded.tobytes() == expected.tobytes()
    assert found.model.columns == trained.columns
    assert found.model.threshold == trained.threshold
    assert found.model.trials == trained.trials
    assert found.model.training_events == trained.training_events
    assert found.tags["git_commit"] == "abc"
    assert abs(datetime.now(tz=UTC).date() - found.registered_on) <= timedelta(days=1)


def test_an_updated_model_and_its_comparator_come_back_to_the_bit(registry, run_context):
    comparator = fitted(["y"], [0.5], intercept=-1.0)
    model = fitted(["x"], [1.0], recalibration=Recalibration(-0.3, 0.9), comparator=comparator)
    rows = pl.DataFrame({"x": [0.0, 1.5], "y": [2.0, -1.0]})

    register(registry, run_context, "updated", model)

    found = registry.load("updated", CHALLENGER).model
    assert found.recalibration == Recalibration(-0.3, 0.9)
    assert predict(found, rows).tobytes() == predict(model, rows).tobytes()
    assert predict(found.comparator, rows).tobytes() == predict(comparator, rows).tobytes()
    assert found.comparator.columns == ("y",)


def test_an_alias_names_a_version_and_then_none(registry, run_context):
    version = register(registry, run_context, "named", fitted(["x"], [1.0]))

    registry.set_alias("named", PREVIOUS_CHAMPION, version)
    assert registry.version("named", PREVIOUS_CHAMPION) == version

    for _ in range(2):
        registry.set_alias("named", PREVIOUS_CHAMPION, None)
        assert registry.version("named", PREVIOUS_CHAMPION) is None


def test_what_is_noted_on_a_model_is_read_again(registry, run_context):
    version = register(registry, run_context, "noted", fitted(["x"], [1.0]))

    registry.set_note("noted", "key", "first")
    registry.set_note("noted", "key", "second")
    registry.tag_version("noted", version, {"rows": "ab"})

    assert registry.note("noted", "key") == "second"
    assert registry.note("noted", "other") is None
    assert registry.note("nobody", "key") is None
    assert registry.load("noted", CHALLENGER).tags["rows"] == "ab"


class Unreviewed(BaseEstimator, TransformerMixin):
    """A step that nobody has read."""

    def fit(self, _matrix, _outcome=None):
        """Learn nothing."""
        return self

    def transform(self, matrix):
        """Change nothing."""
        return matrix


def test_a_model_of_a_type_that_nobody_reviewed_is_refused(registry, run_context):
    model = fitted(["x"], [1.0])
    steps = [("new", Unreviewed()), *model.estimator.steps]
    strange = model.__class__(**{**vars(model), "estimator": Pipeline(steps)})

    with pytest.raises(ContractError, match=r"reviewed types only .*Unreviewed"):
        register(registry, run_context, "unreviewed", strange)

    assert registry.version("unreviewed", CHALLENGER) is None


@pytest.mark.parametrize("family", ["random_forest", "hist_gradient_boosting", "comorbidity_score"])
def test_every_family_is_stored_and_loaded_by_its_reviewed_types(registry, run_context, family):
    name = f"stored_{family}"
    model = fit_family(family, calibration="isotonic")
    rows = family_rows()

    register(registry, run_context, name, model)

    found = registry.load(name, CHALLENGER).model
    assert predict(found, rows).tobytes() == predict(model, rows).tobytes()
    assert found.calibration == model.calibration
    assert (found.family, found.trials) == (family, model.trials)


def test_a_file_that_holds_an_unreviewed_type_is_not_loaded(registry, run_context, monkeypatch):
    name, model = "tampered", fitted(["x"], [1.0])
    register(registry, run_context, name, model)
    steps = [("new", Unreviewed()), *model.estimator.steps]
    tampered = skops.io.dumps(Pipeline(steps))
    fetch = mlflow.artifacts.download_artifacts

    def swapped(*arguments, **keywords: object):
        folder = Path(fetch(*arguments, **keywords))
        for file in folder.glob("*.skops") if folder.is_dir() else ():
            file.write_bytes(tampered)
        return str(folder)

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", swapped)

    with pytest.raises(ContractError, match=r"reviewed types only .*Unreviewed"):
        registry.load(name, CHALLENGER)


def test_a_model_of_other_code_is_not_loaded_and_says_what_to_do(
    registry, run_context, monkeypatch, tmp_path
):
    name = "of_other_code"
    register(registry, run_context, name, fitted(["x"], [1.0]), git_commit="abc")
    older = tmp_path / "model.json"
    older.write_text('{"columns": ["x"], "threshold": 0.1}', encoding="utf-8")
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", lambda **_: str(older))

    with pytest.raises(ContractError, match=r"without .*family.*commit abc.*train again"):
        registry.load(name, CHALLENGER)


def test_a_search_finds_the_best_parameters_of_earlier_trainings(registry, run_context):
    name = "earlier_trainings"
    for value in (0.1, 0.2):
        run_context.run.run_id = uuid.uuid4().hex
        with registry.tracked_run(run_context, name) as run:
            run.set_tags(best_parameters_tag("logistic_regression", {"inverse_penalty": value}))

    found = registry.earlier_parameters(name, "logistic_regression")

    assert found == [{"inverse_penalty": 0.2}, {"inverse_penalty": 0.1}]
    assert registry.earlier_parameters(name, "random_forest") == []
    assert registry.earlier_parameters("never_trained", "random_forest") == []


def test_a_run_that_fails_is_marked_as_failed_and_ended(registry, run_context):
    import mlflow  # noqa: PLC0415 - slow to import

    def fail(run_ids):
        with registry.tracked_run(run_context, "failing") as run:
            run_ids.append(run.active_run().info.run_id)
            raise ZeroDivisionError

    started = []
    with pytest.raises(ZeroDivisionError):
        fail(started)

    assert mlflow.active_run() is None
    assert mlflow.get_run(started[0]).info.status == "FAILED"


def test_a_name_without_models_has_no_aliases(registry):
    assert registry.load("nobody", CHAMPION) is None
