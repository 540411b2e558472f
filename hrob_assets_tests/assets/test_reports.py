"""The reports of a version: all files whole, links that open, and what the gate said."""

import json
import uuid
from datetime import datetime
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import polars as pl
import pytest

from hrob_assets.assets.evaluation import evaluation_definitions
from hrob_assets.assets.reports import report_definitions
from hrob_assets.resources.decision_records import DecisionRecords
from hrob_assets.resources.storage import Storage
from hrob_assets.risk.baseline import baseline_table
from hrob_assets.risk.decision import Decision
from hrob_assets.risk.evaluation_report import from_json
from hrob_assets.risk.features.catalogue import Catalogue, FeatureFamily
from hrob_assets.risk.training import training_set_tag
from hrob_assets.risk.use_case import Characteristic
from hrob_assets_tests.assets.worlds import (
    CANDIDATES,
    COLUMNS,
    materialise,
    store,
    training_set,
    use_case_named,
)
from hrob_assets_tests.example import fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

TRUE = {"coefficients": [0.0, 1.0], "intercept": -1.0}
CATALOGUE = Catalogue(
    tuple(
        FeatureFamily(each.family, each.group, "person", "x", (each,), "Reason", "Study")
        for each in CANDIDATES
    )
)
FILES = {
    "index.html", "summary.html", "evaluation.html", "fairness.html", "model_card.html",
    "model_card.xml", "evaluation.json", "baseline.parquet",
}  # fmt: skip


@pytest.fixture(scope="module")
def name():
    return f"reports_{uuid.uuid4().hex[:6]}"


@pytest.fixture
def made(tmp_path, registry, run_context, name):
    """A version that was evaluated and judged, its reports, and their metadata."""
    rows, use_case = training_set(), use_case_named(name)
    with registry.tracked_run(run_context, name):
        tags = {"training_set": training_set_tag(rows)}
        version = registry.register(name, fitted(COLUMNS, **TRUE), tags=tags)
    people = pl.DataFrame({"person_id": range(1200)}).with_columns(
        pl.when(pl.col("person_id") % 3 == 0).then(pl.lit("Black")).otherwise(pl.lit("White"))
        .alias("race")
    )  # fmt: skip
    parts = ["train", "validation", "test"]
    age = Characteristic("Age", feature="age__years", unit="years")
    store(
        tmp_path,
        {
            f"{name}/training_set": rows,
            "feature_store/encounter_features": rows,
            "staged/persons": people,
            "staged/coverage": pl.DataFrame({"person_id": [1]}),
            f"{name}/baseline": baseline_table(rows, characteristics=[age], parts=parts),
        },
    )
    definitions = evaluation_definitions(use_case, lineage={})
    materialise(definitions, tmp_path, registry, only="evaluation")
    decision = Decision(
        use_case=name, kind="promoted", decided_at=datetime(2026, 1, 5), challenger=version,
        champion_before=None, champion=version, previous_champion=None,
        reason="there was no champion before",
        criteria=(
            {"criterion": "ranks", "must_hold": "AUROC at least 0.6", "found": "0.7",
             "passed": True},
        ),
    )  # fmt: skip
    DecisionRecords(folder=str(tmp_path / "decisions")).change_champion(decision, registry)
    result = materialise(
        report_definitions(use_case, catalogue=CATALOGUE),
        tmp_path,
        registry,
        only="reports",
        storage=Storage(data_root=str(tmp_path)),
    )
    event = result.get_asset_materialization_events()[0]
    folder = tmp_path / "reports" / name / version
    return folder, event.materialization.metadata, registry.load_version(name, version)


def test_reports_are_whole_linked_and_say_what_the_gate_said(made, registry):
    folder, metadata, model = made

    assert {path.name for path in folder.iterdir()} == FILES
    assert [path for path in folder.parent.iterdir() if path != folder] == []
    links = {name: each.value for name, each in metadata.items() if str(each.value)[:5] == "file:"}
    assert set(links) == {"index", "summary", "evaluation", "fairness", "model card"}
    assert all(Path(url2pathname(urlparse(link).path)).exists() for link in links.values())
    report = from_json((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert report.subject.model_version == model.version
    assert metadata["AUROC"].value == pytest.approx(
        report.analysis("encounter").metrics["auroc"].value, rel=1e-3
    )
    summary = (folder / "summary.html").read_text(encoding="utf-8")
    assert "May be used" in summary
    assert "Promoted: there was no champion before" in summary
    card = (folder / "model_card.html").read_text(encoding="utf-8")
    assert "demographics 1 columns" in card
    assert model.tags["training_set"] in card
    _, client = registry._mlflow()
    kept = {Path(each.path).name for each in client.list_artifacts(model.run_id, "reports")}
    assert kept == FILES
    values = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert values["schema_version"] == report.schema_version
    for page in folder.glob("*.html"):
        assert "person_id" not in page.read_text(encoding="utf-8"), page.name
