"""The gate with real assets: what may and what may never become champion."""

import json
import uuid
from datetime import date, datetime
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest

from hrob_assets.assets.model import evidence
from hrob_assets.assets.model.evaluation import evaluation_definitions
from hrob_assets.assets.model.promotion import promotion_definitions
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION
from hrob_assets.risk.arms.feedback import in_silent_arm
from hrob_assets.risk.errors import ContractError, RecordError
from hrob_assets.risk.promotion.criteria import CRITERIA
from hrob_assets.risk.statistics import person_fraction
from hrob_assets.risk.training.training_set import training_set_tag
from hrob_assets.risk.use_case import use_case_from
from hrob_assets_tests.assets.worlds import COLUMNS, materialise, store, training_set
from hrob_assets_tests.example import example_values, fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

# The tables were drawn with coefficients (0, 1) and intercept -1; age is the race, too.
MODELS = {
    "champion": ([0.0, 0.5], -0.9),
    "better": ([0.0, 1.0], -1.0),
    "equal": ([0.0005, 0.5], -0.925),
    "weaker": ([0.02, 0.4], -1.9),
    "unfair": ([0.013, 1.0], -1.67),
    "miscalibrated": ([0.0, 1.0], -0.84),
    "noise": ([0.001, 0.0], -0.9),
    "copy": ([0.0, 0.5], -0.9),
}
LINEAGE = {"git_commit": "c0ffee", "configuration": "1234"}
IN_ONE_RUN, ALONE = "with its evaluation", "alone"
both = pytest.mark.parametrize("run", [IN_ONE_RUN, ALONE])


def world():
    """Ten rows a person in the test period; the old are of another race than the young."""
    rows = training_set(rows=12000)
    age = 20 + 60 * ((pl.col("person_id") * 7919) % 1200) / 1200
    return rows.with_columns(age.cast(pl.Float32).alias("age__years"))


def people(rows):
    persons = rows.group_by("person_id").agg(pl.col("age__years").first()).sort("person_id")
    return persons.select(
        "person_id",
        pl.lit(date(1980, 1, 1)).alias("birth_date"),
        pl.when(pl.col("age__years") > 60).then(pl.lit("Black")).otherwise(pl.lit("White"))
        .alias("race"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(registry):
    """A logged model of each kind; versions of it are registered under any name at once."""
    found = {}
    _, client = registry._mlflow()
    with dg.build_asset_context() as context:
        run = SimpleNamespace(run_id=uuid.uuid4().hex, job_name="train")
        for kind, (coefficients, intercept) in MODELS.items():
            model = fitted(COLUMNS, coefficients, intercept=intercept)
            bound = SimpleNamespace(log=context.log, run=run)
            with registry.tracked_run(bound, f"file_{kind}") as tracker:
                version = registry.register(f"file_{kind}", model, tags={})
                run_id = tracker.active_run().info.run_id
            found[kind] = client.get_model_version(f"file_{kind}", version).source, run_id
    return found


@pytest.fixture
def gate(tmp_path, registry, files):
    """Registers a challenger, evaluates it and lets the gate decide."""
    return Gate(tmp_path, registry, files)


class Gate:
    """One use case of two columns, from registered versions to decisions."""

    def __init__(self, root, registry, files) -> None:
        self.root, self.registry, self.files = root, registry, files
        self.name = f"gate_{uuid.uuid4().hex[:8]}"
        self.lineage = LINEAGE
        self.records = DecisionRecords(folder=str(root / "decisions"))
        self.rows = world()
        registry._mlflow()[1].create_registered_model(self.name)
        self.store_world()

    def store_world(self):
        """Write every table that evaluation and gate read."""
        key = ["person_id", "encounter_id", "prediction_time"]
        coverage = {
            "person_id": pl.Int64, "started_at": pl.Datetime, "ended_at": pl.Datetime,
            "payer": pl.String, "known_at": pl.Datetime, "end_known_at": pl.Datetime,
        }  # fmt: skip
        tables = {
            f"{self.name}/training_set": self.rows,
            f"{self.name}/labels": self.rows.select(*key, "label", followed=pl.lit(value=True)),
            f"{self.name}/cohort": self.rows.select(*key, "eligible"),
            "feature_store/encounter_features": self.rows,
            "staged/persons": people(self.rows),
            "staged/coverage": pl.DataFrame(schema=coverage),
            "staged/load": pl.DataFrame({"as_of": [datetime(2025, 1, 1)]}),
        }
        store(self.root, tables)

    @property
    def definitions(self):
        """Evaluation and gate with the code and configuration of now."""
        values = example_values() | {"name": self.name}
        values["acceptance"] |= {"non_inferiority": 0.02}
        use_case = use_case_from(values)
        return dg.Definitions.merge(
            evaluation_definitions(use_case, lineage=self.lineage),
            promotion_definitions(use_case, lineage=self.lineage),
        )

    def challenge(self, kind, **tags: str):
        """Register a version as the challenger."""
        source, run_id = self.files[kind]
        _, client = self.registry._mlflow()
        made = {**LINEAGE, "training_set": training_set_tag(self.rows), **tags}
        version = client.create_model_version(self.name, source, run_id=run_id, tags=made).version
        self.registry.set_alias(self.name, CHALLENGER, str(version))
        return str(version)

    def evaluate(self):
        """Materialise evaluation in a run of its own."""
        materialise(self.definitions, self.root, self.registry, only="evaluation")

    def decide(self, *with_it: str):
        """Materialise champion_model, and what is named, in one run; return the decision."""
        only = ("champion_model", *with_it)
        result = materialise(self.definitions, self.root, self.registry, only=only)
        event = next(
            each
            for each in result.get_asset_materialization_events()
            if each.asset_key.path[-1] == "champion_model"
        )
        self.metadata = event.materialization.metadata
        self.checks = {each.check_name: each for each in result.get_asset_check_evaluations()}
        return self.metadata["decision"].value

    def judged(self, kind, *, run=IN_ONE_RUN, **tags: str):
        """Challenge, evaluate and decide."""
        version = self.challenge(kind, **tags)
        if run == IN_ONE_RUN:
            return version, self.decide("evaluation")
        self.evaluate()
        return version, self.decide()

    def aliases(self):
        """Champion and previous champion."""
        return tuple(
            self.registry.version(self.name, each) for each in (CHAMPION, PREVIOUS_CHAMPION)
        )

    def last(self):
        """The last record."""
        return self.records.verified(self.name, self.registry)[-1]

    def unmet(self):
        """Criteria that the last record calls not met."""
        return [each["criterion"] for each in self.last()["criteria"] if each["passed"] is False]

    @property
    def evidence(self):
        """File of the stored rows."""
        return self.root / "assets" / self.name / "evaluation.parquet"

    def edit_evidence(self, *columns: pl.Expr):
        """Change the stored rows by hand."""
        pl.read_parquet(self.evidence).with_columns(*columns).write_parquet(self.evidence)


@both
def test_the_first_challenger_that_meets_the_absolute_criteria_is_champion(gate, run):
    version, decision = gate.judged("champion", run=run)

    assert decision == "promoted"
    assert gate.aliases() == (version, None)
    assert gate.checks["challenger_meets_the_criteria"].passed
    assert [each["passed"] for each in gate.last()["criteria"][-4:]] == [None] * 4


@both
@pytest.mark.parametrize(
    ("kind", "must"),
    [
        ("noise", "AUROC at least 0.65"),
        ("miscalibrated", r"calibration factor within \+-0.02"),
    ],
)
def test_without_a_champion_a_challenger_that_fails_stops_the_run(gate, kind, must, run):
    with pytest.raises(dg.Failure, match=f"It must have: .*{must}.*found"):
        gate.judged(kind, run=run)

    assert gate.aliases() == (None, None)
    assert gate.last()["kind"] == "refused"


@both
def test_a_better_challenger_takes_the_place(gate, run):
    first, _ = gate.judged("champion")

    second, decision = gate.judged("better", run=run)

    assert decision == "promoted"
    assert gate.aliases() == (second, first)
    assert {name for name, check in gate.checks.items() if not check.passed} == set()
    assert len(gate.checks) == len(CRITERIA) + 1


@both
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("weaker", "is not worse than the champion"),
        ("equal", "is better than the champion"),
        ("unfair", "is not less fair than the champion"),
        ("miscalibrated", "is calibrated in the large"),
    ],
)
def test_a_challenger_that_has_not_earned_it_leaves_the_champion_in_place(gate, kind, reason, run):
    first, _ = gate.judged("champion")

    _, decision = gate.judged(kind, run=run)

    assert decision == "refused"
    assert gate.aliases() == (first, None)
    assert reason in gate.unmet()
    assert not gate.checks["challenger_meets_the_criteria"].passed
    assert not gate.checks[reason.replace(" ", "_")].passed


def test_an_equal_and_an_unfair_challenger_fail_for_that_reason_alone(gate):
    gate.judged("champion")

    gate.judged("equal")
    assert gate.unmet() == ["is better than the champion"]

    gate.judged("unfair")
    assert gate.unmet() == ["is not less fair than the champion"]


@both
def test_a_model_under_another_version_number_is_kept_out(gate, run):
    first, _ = gate.judged("champion")

    _, decision = gate.judged("copy", run=run)

    assert decision == "kept"
    assert gate.aliases() == (first, None)
    assert "is another model than the champion" in gate.unmet()


@both
def test_the_champion_itself_cannot_be_promoted_again(gate, run):
    version, _ = gate.judged("champion")

    decision = gate.decide(*(["evaluation"] if run == IN_ONE_RUN else []))

    assert decision == "kept"
    assert gate.aliases() == (version, None)
    assert [each["kind"] for each in gate.records.verified(gate.name, gate.registry)] == [
        "promoted",
        "kept",
    ]


@both
def test_a_model_of_another_configuration_or_code_is_stale(gate, run):
    first, _ = gate.judged("champion")

    _, decision = gate.judged("better", run=run, git_commit="an older one")

    assert decision == "refused"
    assert gate.aliases() == (first, None)
    assert gate.unmet()[0] == "evidence is of this code and configuration"
    assert not any(each["passed"] for each in gate.last()["criteria"][-4:])


def test_evidence_from_before_a_change_of_configuration_is_stale(gate):
    gate.judged("champion")
    gate.challenge("better")
    gate.evaluate()
    gate.lineage = LINEAGE | {"configuration": "5678"}

    assert gate.decide() == "refused"
    assert gate.unmet()[0] == "evidence is of this code and configuration"


def test_evidence_of_another_version_is_stale(gate):
    first, _ = gate.judged("champion")
    gate.challenge("better")
    gate.evaluate()
    gate.challenge("better")

    assert gate.decide() == "refused"
    assert gate.unmet()[:2] == [
        "evidence is signed and unchanged",
        "evidence is of this challenger",
    ]
    assert gate.aliases() == (first, None)


def test_evidence_of_another_training_set_is_stale(gate):
    gate.judged("champion")
    version = gate.challenge("better")
    gate.evaluate()
    gate.registry.tag_version(gate.name, version, {"training_set": "another"})

    assert gate.decide() == "refused"
    assert gate.unmet()[0] == "evidence is of this challenger"


@pytest.mark.parametrize("what", ["outcome", "feature", "row"])
def test_evidence_whose_rows_have_changed_since_is_stale(gate, what):
    first, _ = gate.judged("champion")
    gate.challenge("better")
    gate.evaluate()
    one = pl.col("encounter_id") == gate.rows.filter(pl.col("split") == "test")["encounter_id"][0]
    gate.rows = {
        "outcome": gate.rows.with_columns(pl.when(one).then(~pl.col("label")).otherwise("label")
                                          .alias("label")),
        "feature": gate.rows.with_columns(pl.col("ed__last_value_ever") + one),
        "row": gate.rows.filter(~one),
    }[what]  # fmt: skip
    gate.store_world()

    assert gate.decide() == "refused"
    assert gate.unmet()[0] == "evidence still holds"
    assert gate.aliases() == (first, None)


@pytest.mark.parametrize(
    "edit",
    [
        pl.col("outcome").shuffle(seed=1),
        (pl.col("probability") * 0.9).alias("probability"),
        pl.col("person_id") + 1,
        pl.col("comparator_probability").fill_null(0.5),
    ],
    ids=["outcome", "probability", "person", "comparator"],
)
def test_evidence_that_was_edited_by_hand_is_found(gate, edit):
    first, _ = gate.judged("champion")
    gate.challenge("better")
    gate.evaluate()
    gate.edit_evidence(edit)

    assert gate.decide() == "refused"
    assert gate.unmet()[0] == "evidence is signed and unchanged"
    assert gate.aliases() == (first, None)


@pytest.mark.parametrize("kind", ["copy", "the champion itself"])
def test_edited_evidence_fails_the_check_also_where_there_is_one_model(gate, kind):
    first, _ = gate.judged("champion")
    if kind == "copy":
        gate.challenge(kind)
        gate.evaluate()
    gate.edit_evidence(pl.col("outcome").shuffle(seed=1))

    assert gate.decide() == "refused"
    assert gate.unmet()[0] == "evidence is signed and unchanged"
    assert not gate.checks["challenger_meets_the_criteria"].passed
    assert gate.aliases() == (first, None)


def test_evidence_of_which_the_hash_was_written_by_somebody_without_the_key_is_found(gate):
    gate.judged("champion")
    version = gate.challenge("better")
    gate.evaluate()
    stated = json.loads(gate.registry.load(gate.name, CHALLENGER).tags["evidence"])
    forged = json.dumps(stated | {"configuration": "5678"})
    gate.registry.tag_version(gate.name, version, {"evidence": forged})

    assert gate.decide() == "refused"
    assert gate.unmet()[0] == "evidence is signed and unchanged"


def test_a_version_without_evidence_cannot_be_promoted(gate):
    gate.judged("champion")
    gate.evaluate()
    version = gate.challenge("better")
    gate.edit_evidence(pl.lit(version).alias("model_version"))

    assert gate.decide() == "refused"
    assert "no valid signature" in gate.last()["criteria"][0]["found"]


def test_a_version_that_was_rolled_back_does_not_come_back(gate):
    first, _ = gate.judged("champion")
    second, _ = gate.judged("better")
    gate.records.roll_back(gate.name, gate.registry, reason="nurses saw nonsense")

    assert gate.decide() == "refused"
    assert gate.unmet()[0] == "was not withdrawn before"
    assert gate.aliases() == (first, None)
    assert gate.registry.version(gate.name, CHALLENGER) == second


@pytest.mark.parametrize("other_rows", [False, True], ids=["the same rows", "later rows"])
def test_a_model_that_was_rolled_back_does_not_come_back_under_another_number(gate, other_rows):
    first, _ = gate.judged("champion")
    gate.judged("better")
    gate.records.roll_back(gate.name, gate.registry, reason="nurses saw nonsense")
    if other_rows:
        gate.rows = gate.rows.with_columns(pl.col("prediction_time") + pl.duration(days=7))
        gate.store_world()

    _, decision = gate.judged("better")  # trained again, as nothing has changed

    assert decision == "refused"
    assert gate.unmet()[0] == "was not withdrawn before"
    found = [each["found"] for each in gate.last()["criteria"]]
    assert any("says the same as one that was rolled back" in text for text in found)
    assert gate.aliases() == (first, None)


def test_a_champion_that_was_adopted_and_rolled_back_does_not_come_back(gate):
    first = gate.challenge("champion")
    second = gate.challenge("better")
    gate.registry.set_alias(gate.name, CHAMPION, second)
    gate.registry.set_alias(gate.name, PREVIOUS_CHAMPION, first)
    gate.records.adopt(gate.name, gate.registry, reason="it scored before")
    gate.records.roll_back(gate.name, gate.registry, reason="nurses saw nonsense")

    _, decision = gate.judged("better")

    assert decision == "refused"
    assert gate.unmet()[0] == "was not withdrawn before"


def test_an_alias_moved_by_hand_stops_the_gate(gate):
    gate.judged("champion")
    version = gate.challenge("better")
    gate.evaluate()
    gate.registry.set_alias(gate.name, CHAMPION, version)

    with pytest.raises(RecordError, match="moved by hand"):
        gate.decide()


def test_a_decision_tells_who_asked_and_rests_on_hashes_and_no_person(gate):
    gate.judged("champion")
    gate.judged("better")
    record = gate.last()

    assert record["asked_by"].keys() == {"run", "job", "operating system user"}
    assert record["lineage"] == LINEAGE
    assert len(record["evidence"].pop("rows")) == 64
    assert record["evidence"]["first_week"] <= record["evidence"]["last_week"]
    assert record["evidence"]["number_of_persons"] == "300"
    assert (
        record["evidence"]["challenger_predictions"] != record["evidence"]["champion_predictions"]
    )
    assert gate.metadata["asked by"].value.endswith(record["asked_by"]["run"])
    assert "| is better than the champion |" in gate.metadata["criteria"].value
    assert gate.metadata["record number"].value == 2


def test_the_rows_on_which_a_challenger_does_well_are_not_the_test_period(gate):
    gate.judged("champion")
    gate.challenge("better")
    gate.evaluate()
    whole = pl.read_parquet(gate.evidence)
    well = (pl.col("probability") - pl.col("outcome")).abs() < 0.4

    found = _judged_with(gate, whole.filter(well))

    assert found[0] == "evidence still holds"
    assert "rows were left out" in gate.last()["criteria"][3]["found"]


def test_a_comparator_that_is_as_good_keeps_the_challenger_out(gate):
    gate.judged("champion")
    gate.challenge("better")
    gate.evaluate()
    as_good = pl.col("probability").alias("comparator_probability")
    signed = pl.read_parquet(gate.evidence).with_columns(as_good)

    found = _judged_with(gate, signed)

    assert found == ["is better than the comparator"]


def _judged_with(gate, predictions):
    """Store other predictions as the evaluation would, signed, and let the gate decide."""
    from hrob_assets.assets.model.evidence import sign_evidence  # noqa: PLC0415 - only here

    predictions.write_parquet(gate.evidence)
    challenger = gate.registry.load(gate.name, CHALLENGER)
    sign_evidence(
        predictions,
        challenger,
        lineage=LINEAGE,
        model_registry=gate.registry,
        decision_records=gate.records,
    )
    assert gate.decide() == "refused"
    return gate.unmet()


def test_a_feature_store_without_the_columns_of_the_champion_is_told(gate):
    gate.judged("champion")
    gate.challenge("better")
    gate.evaluate()
    store(gate.root, {"feature_store/encounter_features": gate.rows.drop("age__years")})

    with pytest.raises(ContractError, match="must have the columns of challenger and champion"):
        gate.decide()


def test_a_challenger_of_another_training_set_is_not_evaluated(gate):
    gate.challenge("better")
    store(gate.root, {f"{gate.name}/training_set": training_set(seed=6)})

    with pytest.raises(ContractError, match=r"present training set .*materialise trained_model"):
        gate.evaluate()


def test_without_a_challenger_there_is_nothing_to_judge(gate):
    with pytest.raises(ContractError, match=r"must have a model with the alias challenger.*train_"):
        gate.evaluate()


def test_an_evaluation_has_frozen_predictions_of_the_test_rows_only(gate):
    version = gate.challenge("better")
    gate.evaluate()

    found = pl.read_parquet(gate.evidence)

    test = gate.rows.filter(pl.col("split") == "test")
    assert found["encounter_id"].to_list() == test["encounter_id"].to_list()
    assert found["outcome"].to_list() == test["label"].to_list()
    assert found["model_version"].unique().to_list() == [version]


def test_the_decision_is_dated_in_utc(gate):
    gate.judged("champion")

    decided_at = datetime.fromisoformat(gate.last()["decided_at"])

    assert decided_at.utcoffset().total_seconds() == 0


@pytest.mark.parametrize(("update", "left"), [(True, True), (True, False), (False, True)])
def test_persons_of_the_silent_arm_alone_must_judge_an_update(update, left):
    values = example_values()
    values["monitoring"]["silent_arm"] = {"share": 0.5, "signed_off_by": "Dr Who"}
    use_case = use_case_from(values)
    since = datetime(2024, 3, 4)
    persons = pl.Series("person_id", range(400))
    rows = pl.DataFrame(
        {
            "person_id": persons,
            "encounter_id": persons,
            "prediction_time": pl.Series([since] * 400, dtype=pl.Datetime("us")),
            "label": True,
            "followed": [person != 3 for person in range(400)],
            "eligible": True,
        }
    )
    arm = in_silent_arm(persons, use_case.monitoring.silent_arm, salt="secret")
    mine = person_fraction(persons, use_case.model.seed) >= use_case.split.validation_share
    stored = rows.filter(arm & pl.Series(mine) & pl.col("followed"))
    challenger = SimpleNamespace(
        tags={"update": "intercept"} if update else {},
        model=SimpleNamespace(cross_fit=SimpleNamespace(since=since.isoformat())),
    )

    whole = evidence._is_whole(
        stored if left else stored[1:],
        rows.lazy(),
        rows.lazy(),
        use_case=use_case,
        as_of=datetime(2025, 1, 1),
        challenger=challenger,
        salt="secret",
    )

    assert whole == (update and left)
