"""The reports of a version: all files whole, links that open, and what the gate said."""

import json
import shutil
import uuid
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlparse
from urllib.request import url2pathname

import dagster as dg
import polars as pl
import pytest

from hrob_assets.assets.model.evaluation import evaluation_definitions
from hrob_assets.assets.model.fairness import fairness_definitions
from hrob_assets.assets.model.reports import report_definitions, terms_of
from hrob_assets.resources.environment import Source
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.sources.current_source import RawSource
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.cohort.baseline import baseline_table
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.evaluation.differences import COMPARED
from hrob_assets.risk.evaluation.report import from_json
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureFamily
from hrob_assets.risk.models.recalibration import Recalibration
from hrob_assets.risk.promotion.audit_trail import Decision
from hrob_assets.risk.training.predict import contributions
from hrob_assets.risk.training.training_set import TRAINING_COLUMNS, training_set_tag
from hrob_assets.risk.use_case import Characteristic
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet
from hrob_assets_tests.assets.worlds import (
    CANDIDATES,
    COLUMNS,
    materialise,
    store,
    training_set,
    use_case_named,
)
from hrob_assets_tests.example import fitted
from hrob_assets_tests.risk.models.test_base import fitted as fit_family
from hrob_assets_tests.risk.models.test_base import rows as family_rows

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

TRUE = {"coefficients": [0.0, 1.0], "intercept": -1.0}
CATALOGUE = Catalogue(
    tuple(
        FeatureFamily(each.family, each.group, "person", "x", (each,), "Reason", "Study")
        for each in CANDIDATES
    )
)
TABLES = {
    "metrics.parquet", "verdicts.parquet", "calibration_curves.parquet", "thresholds.parquet",
}  # fmt: skip
FILES = TABLES | {
    "index.html", "summary.html", "evaluation.html", "fairness.html", "model_card.html",
    "model_card.xml", "evaluation.json", "baseline.parquet",
}  # fmt: skip
CODE_SETS = {"ed_visit": CodeSet("ed_visit", (Code("Visit", "9203", "Emergency room", "OMOP"),))}
SOURCE = RawSource.of(Source(kind="synthetic", pregnancies=7), Path())


class World:
    """A version that was evaluated, with fairness, and judged; its reports can be made."""

    def __init__(self, root, registry, name) -> None:
        self.root, self.registry, self.name = root, registry, name
        self.use_case, self.version, self.rows = use_case_named(name), "1", rows_with_gaps()

    def store(self, stage, table):
        """Write a table of the use case."""
        store(self.root, {f"{self.name}/{stage}": table})

    def make(self, definitions, only):
        """Materialise one asset."""
        storage = Storage(data_root=str(self.root))
        return materialise(
            definitions, self.root, self.registry, only=only, storage=storage, raw_source=SOURCE
        )

    def report(self):
        """Make the reports; give their folder and metadata."""
        definitions = report_definitions(self.use_case, catalogue=CATALOGUE)
        event = self.make(definitions, "reports").get_asset_materialization_events()[0]
        folder = self.root / "reports" / self.name / self.version
        return folder, event.materialization.metadata


def rows_with_gaps():
    """A training set in which every fifth age is not known."""
    known = pl.int_range(pl.len()) % 5 > 0
    return training_set().with_columns(pl.when(known).then("age__years").alias("age__years"))


@pytest.fixture(scope="module")
def built(tmp_path_factory, registry):
    """The world of this file, made once."""
    name = f"reports_{uuid.uuid4().hex[:6]}"
    world = World(tmp_path_factory.mktemp("reports") / "root", registry, name)
    with dg.build_asset_context() as context:
        run = SimpleNamespace(run_id=uuid.uuid4().hex, job_name="train")
        with registry.tracked_run(SimpleNamespace(log=context.log, run=run), name):
            tags = {"training_set": training_set_tag(world.rows)}
            assert registry.register(name, fitted(COLUMNS, **TRUE), tags=tags) == world.version
    race = pl.when(pl.col("person_id") % 3 == 0).then(pl.lit("Black")).otherwise(pl.lit("White"))
    age = Characteristic("Age", feature="age__years", unit="years")
    parts = ["train", "validation", "test"]
    keys = ("person_id", "encounter_id", "prediction_time")
    people = pl.DataFrame({"person_id": range(1200)}).with_columns(race.alias("race"))
    store(
        world.root,
        {"staged/persons": people, "staged/coverage": pl.DataFrame({"person_id": [1]})},
    )
    world.store("training_set", world.rows)
    world.store("labels", world.rows.select(*keys, outcome__ed=pl.col("label")))
    world.store("baseline", baseline_table(world.rows, characteristics=[age], parts=parts))
    world.make(evaluation_definitions(world.use_case, lineage={}), "evaluation")
    world.make(fairness_definitions(world.use_case, code_sets=CODE_SETS), "fairness")
    decision = Decision(
        use_case=name, kind="promoted", decided_at=datetime(2026, 1, 5),
        challenger=world.version, champion_before=None, champion=world.version,
        previous_champion=None, reason="there was no champion before",
        criteria=(
            {"criterion": "ranks", "must_hold": "AUROC at least 0.6", "found": "0.7",
             "passed": True},
        ),
    )  # fmt: skip
    DecisionRecords(folder=str(world.root / "decisions")).change_champion(decision, registry)
    return world


@pytest.fixture
def world(tmp_path, built):
    """The same for one test, to be changed at will."""
    shutil.copytree(built.root, tmp_path / "root")
    return World(tmp_path / "root", built.registry, built.name)


def page(folder, name):
    return " ".join((folder / f"{name}.html").read_text(encoding="utf-8").split())


def sensitivity(version, tag=None):
    """A table of refits, in which race and ethnicity gain a little."""
    rows = []
    for variant, gain in (("as trained", None), ("with race and ethnicity", 0.004)):
        row = {"variant": variant, "columns": 2, "model_version": version}
        row["training_set"] = tag or training_set_tag(rows_with_gaps())
        for metric in (*COMPARED, "calibration_factor"):
            row[metric] = 0.3
            row[f"{metric}_change"] = gain
            row[f"{metric}_change_low"] = None if gain is None else gain - 0.003
            row[f"{metric}_change_high"] = None if gain is None else gain + 0.001
        rows.append(row)
    return pl.DataFrame(rows)


def test_reports_are_whole_linked_and_say_what_the_gate_said(world, registry):
    folder, metadata = world.report()

    assert {path.name for path in folder.iterdir()} == FILES
    assert [path for path in folder.parent.iterdir() if path != folder] == []
    links = {name: each.value for name, each in metadata.items() if str(each.value)[:5] == "file:"}
    assert set(links) == {"index", "summary", "evaluation", "fairness", "model card"}
    assert all(Path(url2pathname(urlparse(link).path)).exists() for link in links.values())
    assert "May be used" in page(folder, "summary")
    assert "Promoted: there was no champion before" in page(folder, "summary")
    run = registry.load_version(world.name, world.version).run_id
    _, client = registry._mlflow()
    assert {Path(each.path).name for each in client.list_artifacts(run, "reports")} == FILES
    for each in folder.glob("*.html"):
        assert "person_id" not in each.read_text(encoding="utf-8"), each.name


def test_figures_are_those_of_fairness_in_every_form(world):
    folder, metadata = world.report()

    text = (folder / "evaluation.json").read_text(encoding="utf-8")
    beside = world.root / "assets" / world.name / "evaluation.json"
    assert text == beside.read_text(encoding="utf-8")
    report = from_json(text)
    area = report.analysis("encounter").metrics["auroc"].value
    assert metadata["AUROC"].value == pytest.approx(area, rel=1e-3)
    assert json.loads(text)["subject"]["model_version"] == world.version
    metrics = pl.read_parquet(folder / "metrics.parquet")
    whole = metrics.filter(metric="auroc", unit="encounter").filter(pl.col("dimension").is_null())
    assert whole["value"].item() == area
    for name in TABLES:
        told = pl.read_parquet_metadata(folder / name)
        assert told["hrob/schema_version"] == report.schema_version
        assert name in page(folder, "index")


def test_fairness_shows_how_the_outcome_is_read_and_what_is_missing_by_group(world):
    folder, _ = world.report()

    text = page(folder, "fairness")
    assert "Not given:</strong> whether the label is a proxy" in text  # the use case is silent
    assert "Visit" in text
    assert "Missing values by group" in text
    missing = text.split("Missing values by group</h2>")[1].split("</table>")[0]
    told = missing.index("race: Black"), missing.index("race: White"), missing.index("age__years")
    assert told == tuple(sorted(told))  # one column per group, one row per column of the model
    assert missing.count("age__years") == 1
    assert missing.count("%") == 2


def test_race_and_ethnicity_are_compared_where_that_was_made_of_this_version(world):
    world.store("sensitivity", sensitivity(world.version))
    folder, _ = world.report()

    found = from_json((folder / "evaluation.json").read_text(encoding="utf-8"))
    anti = found.fairness.anti_classification
    assert anti.removed == ("race", "ethnicity")
    assert (anti.auroc.value, anti.auroc.low) == pytest.approx((0.004, 0.001))
    assert (anti.log_loss.low, anti.log_loss.high) == pytest.approx((-0.005, -0.001))
    assert "once with race and ethnicity and once without" in page(folder, "fairness")
    assert "with race and ethnicity" in page(folder, "comparison")
    assert "Refits on the same patients: with race and ethnicity." in page(folder, "model_card")


def test_mlflow_keeps_no_page_of_an_earlier_report(world):
    def kept():
        run = world.registry.load_version(world.name, world.version).run_id
        _, client = world.registry._mlflow()
        return {Path(each.path).name for each in client.list_artifacts(run, "reports")}

    world.store("sensitivity", sensitivity(world.version))
    world.report()
    assert kept() == FILES | {"comparison.html"}

    world.store("sensitivity", sensitivity("99"))
    world.report()
    assert kept() == FILES


@pytest.mark.parametrize("other", ["version", "training set"])
def test_a_sensitivity_analysis_of_another_version_or_training_set_is_a_gap(world, other):
    table = sensitivity("99") if other == "version" else sensitivity(world.version, "another")
    world.store("sensitivity", table)
    folder, _ = world.report()

    assert "not fitted both with and without race and ethnicity yet" in page(folder, "fairness")
    assert f"run analyse_sensitivity_{world.name}" in page(folder, "model_card")
    assert not (folder / "comparison.html").exists()


def test_the_card_is_filled_from_lineage(world):
    folder, _ = world.report()

    text = page(folder, "model_card")
    day = world.registry.load_version(world.name, world.version).registered_on.isoformat()
    assert "demographics 1 columns (age); social determinants 0 columns" in text
    assert training_set_tag(world.rows) in text
    assert "signature" not in text  # of the evidence: for the gate, not for readers
    assert day in (folder / "model_card.xml").read_text(encoding="utf-8")
    assert "synthetic world, 7 pregnancies" in text
    assert "ed__last_value_ever, age__years (log-odds per standard deviation" in text


def test_reports_are_not_drawn_from_the_fairness_of_another_version(world, run_context):
    world.store("evaluation", pl.DataFrame({"model_version": ["2"]}))
    with world.registry.tracked_run(run_context, world.name):
        world.registry.register(world.name, fitted(COLUMNS, **TRUE), tags={})

    with pytest.raises(ContractError, match=r"fairness of version 2.*\(found version 1\)"):
        world.report()


def test_coefficients_are_those_after_calibration_and_recalibration():
    changed = {"calibration": Recalibration(0.1, 0.5), "recalibration": Recalibration(0.2, 0.8)}
    model = fitted(COLUMNS, [0.1, 1.0], intercept=-1.0, **changed)
    rows = training_set().head(50)

    terms = dict(terms_of(SimpleNamespace(model=model, tags={}), rows.lazy()).terms)

    assert terms == pytest.approx({COLUMNS[0]: 0.04, COLUMNS[1]: 0.4})
    per_unit = contributions(model, rows)[:, 1] / rows[COLUMNS[1]].to_numpy()
    assert per_unit == pytest.approx([terms[COLUMNS[1]]] * 50, rel=1e-4)


def forest(**tags: str):
    return SimpleNamespace(name="x", tags=tags, model=fit_family("random_forest"))


def of_trees():
    """Rows as a training set has them."""
    rows = family_rows()
    absent = [name for name in TRAINING_COLUMNS if name not in rows.columns]
    return rows.with_columns(pl.lit(0).alias(name) for name in absent)


def test_a_forest_has_the_mean_effect_of_its_columns():
    rows = of_trees()
    model = forest()
    tag = training_set_tag(rows.select(*TRAINING_COLUMNS, *model.model.columns))

    found = terms_of(forest(training_set=tag), rows.lazy())

    assert found.terms[0][0] == "ed__count_30d"  # the planted one
    assert found.terms[0][1] > 2 * found.terms[1][1] > 0
    assert found.measure == "mean absolute log-odds on the validation patients, approximate"


def test_a_forest_whose_rows_are_gone_has_no_terms_and_says_so():
    found = terms_of(forest(training_set="another"), of_trees().lazy())

    assert (list(found.terms), found.gap) == (
        [],
        "the training set is not that of this version any more",
    )
