import uuid

import dagster as dg
import polars as pl
import pytest

from hrob_assets.assets.evaluation import evaluation_definitions
from hrob_assets.assets.promotion import promotion_definitions
from hrob_assets.resources.model_registry import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.training import training_set_tag
from hrob_assets_tests.assets.worlds import (
    COLUMNS,
    materialise,
    store,
    training_set,
    use_case_named,
)
from hrob_assets_tests.example import fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

# What the tables were drawn with is (0, 1) and intercept -1.
TRUE = {"coefficients": [0.0, 1.0], "intercept": -1.0}
NEARLY_TRUE = {"coefficients": [0.0, 0.9], "intercept": -1.0}
OVERCONFIDENT = {"coefficients": [0.0, 1.0], "intercept": 0.5}
NOISE = {"coefficients": [0.001, 0.0], "intercept": -1.1}


@pytest.fixture
def gate(tmp_path, registry, run_context, request):
    """Registers a challenger, evaluates it and lets the gate decide."""
    name = f"{request.node.name.split('[')[0][:50]}_{uuid.uuid4().hex[:6]}"
    use_case = use_case_named(name)

    class Gate:
        root = tmp_path
        name = use_case.name

        def challenge(self, model):
            with registry.tracked_run(run_context, name):
                tags = {"training_set": training_set_tag(training_set())}
                version = registry.register(name, fitted(COLUMNS, **model), tags=tags)
            rows = training_set()
            store(
                tmp_path,
                {f"{name}/training_set": rows, "feature_store/encounter_features": rows},
            )
            return version

        def evaluate(self):
            definitions = evaluation_definitions(use_case)
            materialise(definitions, tmp_path, registry, only="evaluation")

        def decide(self):
            definitions = promotion_definitions(use_case, lineage={})
            result = materialise(definitions, tmp_path, registry, only="champion_model")
            event = result.get_asset_materialization_events()[0]
            check = result.get_asset_check_evaluations()[0]
            return event.materialization.metadata["decision"].value, check.passed

        def judged(self, model):
            version = self.challenge(model)
            self.evaluate()
            return version, *self.decide()

        def aliases(self):
            names = (CHALLENGER, CHAMPION, PREVIOUS_CHAMPION)
            return tuple(registry.version(name, alias) for alias in names)

    return Gate()


def test_the_first_challenger_that_meets_the_criteria_is_champion(gate):
    version, decision, passed = gate.judged(TRUE)

    assert (decision, passed) == ("promoted", True)
    assert gate.aliases() == (version, version, None)


@pytest.mark.parametrize(
    ("model", "must"),
    [
        (NOISE, "AUROC at least 0.65"),
        (OVERCONFIDENT, r"calibration factor within \+-0.02"),
    ],
    ids=["noise", "overconfident"],
)
def test_without_a_champion_a_challenger_that_fails_stops_the_run(gate, model, must):
    version = gate.challenge(model)
    gate.evaluate()

    with pytest.raises(dg.Failure, match=f"It must have: .*{must}.*found"):
        gate.decide()

    assert gate.aliases() == (version, None, None)


def test_with_a_champion_a_challenger_that_fails_leaves_it_in_place(gate):
    first, *_ = gate.judged(TRUE)

    second, decision, passed = gate.judged(OVERCONFIDENT)

    assert (decision, passed) == ("kept the champion", False)
    assert gate.aliases() == (second, first, None)


def test_a_challenger_that_is_no_better_leaves_the_champion_in_place(gate):
    first, *_ = gate.judged(TRUE)

    second, decision, passed = gate.judged(NEARLY_TRUE)

    assert (decision, passed) == ("kept the champion", False)
    assert gate.aliases() == (second, first, None)


def test_a_challenger_that_is_better_takes_the_place(gate):
    weak = {"coefficients": [0.0, 0.35], "intercept": -0.93}
    first, decision, _ = gate.judged(weak)
    assert decision == "promoted"

    second, decision, passed = gate.judged(TRUE)

    assert (decision, passed) == ("promoted", True)
    assert gate.aliases() == (second, second, first)


def test_the_gate_decides_the_same_again(gate):
    gate.judged(TRUE)
    before = gate.aliases()

    assert gate.decide() == ("promoted", True)
    assert gate.aliases() == before


def test_evidence_of_another_version_is_refused(gate):
    gate.judged(TRUE)
    before = gate.aliases()
    gate.challenge(NEARLY_TRUE)

    with pytest.raises(ContractError, match="evaluation must be of the challenger, version 2"):
        gate.decide()

    assert gate.aliases()[1:] == before[1:]


def test_a_challenger_of_another_training_set_is_not_evaluated(gate):
    gate.challenge(TRUE)
    store(gate.root, {f"{gate.name}/training_set": training_set(seed=6)})

    with pytest.raises(ContractError, match=r"present training set .*materialise trained_model"):
        gate.evaluate()


def test_without_a_challenger_there_is_nothing_to_judge(gate):
    store(gate.root, {f"{gate.name}/training_set": training_set()})

    with pytest.raises(ContractError, match=r"must have a model with the alias challenger.*train_"):
        gate.evaluate()


def test_an_evaluation_has_frozen_predictions_of_the_test_rows_only(gate):
    version = gate.challenge(TRUE)
    gate.evaluate()

    found = pl.read_parquet(next((gate.root / "assets").rglob("evaluation.parquet")))

    test = training_set().filter(pl.col("split") == "test")
    assert found["encounter_id"].to_list() == test["encounter_id"].to_list()
    assert found["outcome"].to_list() == test["label"].to_list()
    assert found["model_version"].unique().to_list() == [version]
