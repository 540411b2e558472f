import uuid
from datetime import date, datetime

import polars as pl
import pytest

from hrob_assets.assets.model.fairness import fairness_definitions
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.evaluation.report import from_json
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet
from hrob_assets_tests.assets.worlds import (
    COLUMNS,
    materialise,
    stage_of,
    store,
    training_set,
    use_case_named,
)
from hrob_assets_tests.example import fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all


@pytest.fixture
def world(tmp_path, registry, run_context, request):
    """A challenger, its predictions, and persons of two races; one risk is predicted too high."""
    name = f"{request.node.name.split('[')[0][:40]}_{uuid.uuid4().hex[:6]}"
    use_case = use_case_named(name)
    with registry.tracked_run(run_context, name):
        model = fitted(COLUMNS, coefficients=[0.0, 1.0], intercept=-1.0)
        version = registry.register(name, model, tags={})
    rows = training_set()
    test = rows.filter(split="test")
    probability = 1 / (1 + (1 - pl.col("ed__last_value_ever").cast(pl.Float64)).exp())
    predictions = test.select(
        "person_id", "encounter_id", "prediction_time", "week", "person_seen",
        pl.col("label").alias("outcome"),
        pl.when(pl.col("person_id") % 8 == 3).then(0.9).otherwise(probability).alias("probability"),
        pl.lit(version).alias("model_version"),
    )  # fmt: skip
    persons = pl.DataFrame({"person_id": range(1200)}).with_columns(
        pl.when(pl.col("person_id") % 8 == 3)
        .then(pl.lit("B"))
        .otherwise(pl.lit("A"))
        .alias("race"),
        pl.lit(date(1980, 1, 1)).alias("birth_date"),
    )
    components = {f"outcome__{part.name}": pl.col("label") for part in use_case.outcome.components}
    tables = {
        f"{name}/evaluation": predictions,
        f"{name}/training_set": rows,
        f"{name}/labels": rows.select("person_id", "encounter_id", "prediction_time", **components),
        "staged/persons": persons,
        "staged/coverage": pl.DataFrame(
            {"person_id": [0], "started_at": [datetime(2020, 1, 1)], "payer": ["x"]}
        ),
    }
    store(tmp_path, tables)
    code_sets = {
        part.code_set: CodeSet(part.code_set, (Code("ICD10CM", "O45", "Abruption", "CDC"),))
        for part in use_case.outcome.components
    }

    class World:
        root = tmp_path / "assets" / name

        def judge(self):
            definitions = fairness_definitions(stage_of(use_case, code_sets=code_sets))
            storage = Storage(data_root=str(tmp_path))
            return materialise(definitions, tmp_path, registry, only="fairness", storage=storage)

        def evaluate_another_version(self):
            store(tmp_path, {f"{name}/evaluation": predictions.with_columns(model_version=99)})

    return World()


def test_a_group_that_is_miscalibrated_is_found_and_warned_of(world):
    result = world.judge()

    (check,) = result.get_asset_check_evaluations()
    verdicts = pl.read_parquet(world.root / "fairness.parquet")
    judged = dict(verdicts.filter(dimension="race").select("level", "verdict").iter_rows())
    assert (check.passed, judged["B"]) == (False, "not calibrated")
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert metadata["calibration factor, race: B"].value > 0.3
    assert metadata["groups not calibrated"].value == 1


def test_the_whole_report_is_beside_it(world):
    world.judge()

    report = from_json((world.root / "evaluation.json").read_text(encoding="utf-8"))
    assert report.subject.threshold_origin == "model"
    assert {each.dimension for each in report.analyses} == {None, "overlap with training"}
    audit = report.fairness.label_audit
    assert audit.statement is None  # a gap until the use case declares it
    assert set(audit.sources.values()) == {"ICD10CM"}
    assert report.subject.outcome == "visit within 60 days"
    assert {each.level for each in audit.components} == {"A", "B"}


def test_predictions_of_another_version_are_not_judged(world):
    world.evaluate_another_version()

    with pytest.raises(ContractError, match="fairness must be of the challenger"):
        world.judge()
