"""The main path, from a source to the weekly list, on a small world and on third-party data."""

import os
import shutil
import zipfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from unittest import mock

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets import pipeline, replay
from hrob_assets.pipeline import PipelineOutcome, Weeks, last_list, run_pipeline, use_data_root
from hrob_assets.resources.environment import load_environment, write_data_environment
from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.evaluation.report import from_json
from hrob_assets.risk.scoring.weekly_list import WEEKLY_SCORES

pytestmark = pytest.mark.xdist_group("pipeline")  # shares the demo with test_dagster_dev

USE_CASE = "oncology_ed_visit"
SYNTHEA = Path(__file__).parent / "data" / "synthea27nj_omop54.zip"
LAST_WEEK = date(2025, 12, 29)  # of the world, which ends on 2026-01-05


def silent(_):
    """Say nothing."""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A folder for data roots, with the process's environment as it was put back afterwards."""
    with mock.patch.dict(os.environ):
        os.environ.pop("HROB_ENV", None)
        os.environ["OMP_NUM_THREADS"] = "1"
        yield tmp_path_factory.mktemp("roots")


@pytest.fixture
def demo_root(demo, tmp_path, monkeypatch):
    """A copy of the demo's data root, as the place of this process; tests run in any order."""
    root = tmp_path / "root"
    shutil.copytree(demo.environment.data_root, root)
    monkeypatch.setenv("HROB_DATA_ROOT", str(root))
    monkeypatch.setenv("DAGSTER_HOME", str(root / "dagster_home"))
    return root


def run_job(name, weeks):
    with dg.DagsterInstance.get() as instance:
        pipeline._Runner(instance, silent)(name, weeks, name)


def scores_of(root):
    return ScoreTable(data_root=str(root)).read(USE_CASE)


def list_of_last_week(demo):
    """The list of the last week of the data; other tests score weeks after it."""
    scores = ScoreTable(data_root=str(demo.environment.data_root)).current(USE_CASE)
    return scores.filter(pl.col("week") == LAST_WEEK, pl.col("rank").is_not_null())


def test_the_main_path_ends_with_a_weekly_list(demo):
    assert demo.scored == (USE_CASE,)
    assert demo.not_trained == {}

    found = list_of_last_week(demo)

    assert found.height > 0
    assert found["week"].unique().to_list() == [LAST_WEEK]
    assert found["rank"].to_list() == list(range(1, found.height + 1))
    assert found["probability"].is_sorted(descending=True)
    assert found["person_id"].is_unique().all()
    assert found["high_risk"].all()


def test_the_last_list_is_that_of_the_week_scored_last(demo):
    table = ScoreTable(data_root=str(demo.environment.data_root))

    found = last_list(demo.environment, USE_CASE)

    ranked = table.current(USE_CASE).filter(
        pl.col("week") == table.scorings(USE_CASE)["week"].max(), pl.col("rank").is_not_null()
    )
    assert_frame_equal(found, ranked)


def test_a_list_has_reasons_that_were_known_before(demo):
    reasons = (
        list_of_last_week(demo).explode("reasons").with_columns(pl.col("reasons").struct.unnest())
    )
    dated = reasons.filter(pl.col("known_on").is_not_null())

    assert (reasons["log_odds"] > 0).all()
    assert dated.height > 0
    assert (dated["known_on"].cast(pl.Datetime("us")) < dated["prediction_time"]).all()
    assert (dated["occurred_on"].cast(pl.Datetime("us")) < dated["prediction_time"]).all()


def test_the_lists_are_of_the_weeks_that_were_asked_for(demo):
    weeks = scores_of(demo.environment.data_root)["week"].unique().sort().to_list()

    assert weeks == [LAST_WEEK - timedelta(weeks=n) for n in (2, 1, 0)]


def test_every_scored_row_is_eligible_and_every_eligible_row_is_scored(demo):
    root = demo.environment.data_root
    cohort = pl.read_parquet(root / "assets" / USE_CASE / "cohort" / f"{LAST_WEEK}.parquet")
    scores = scores_of(root).filter(pl.col("week") == LAST_WEEK)

    eligible = cohort.filter("eligible")["encounter_id"].sort().to_list()

    assert scores["encounter_id"].sort().to_list() == eligible


def test_scoring_a_week_again_changes_nothing(demo_root):
    before = scores_of(demo_root)

    run_job(f"score_{USE_CASE}", Weeks(LAST_WEEK, LAST_WEEK))

    assert_frame_equal(scores_of(demo_root), before)


def test_a_week_scored_alone_has_the_probabilities_of_the_backfill(demo_root):
    week = LAST_WEEK - timedelta(weeks=1)
    table = ScoreTable(data_root=str(demo_root))
    columns = ["encounter_id", "probability", "rank", "reasons", "data_version"]
    backfilled = table.read(USE_CASE, weeks=[week]).select(columns).sort("encounter_id")
    kept = table.path(USE_CASE)
    aside = kept.with_name("aside")
    kept.rename(aside)

    run_job(f"score_{USE_CASE}", Weeks(week, week))

    alone = table.read(USE_CASE).select(columns).sort("encounter_id")
    kept.rename(kept.with_name("alone"))
    aside.rename(kept)
    assert_frame_equal(alone, backfilled, check_exact=True)


@pytest.mark.usefixtures("demo_root")
def test_what_a_sensor_of_a_replay_asks_for_twice_is_run_once():
    with dg.DagsterInstance.get() as instance:
        dagster = replay._Dagster(instance)

        first, second = (dagster.answer(f"alert_late_list_{USE_CASE}") for _ in range(2))

        assert [instance.get_run_by_id(run_id).status for run_id in first] == [
            dg.DagsterRunStatus.SUCCESS  # the list of the present week is not there
        ]
        assert second == []


def test_a_week_beyond_the_data_is_a_valid_empty_week(demo_root):
    beyond = Weeks(LAST_WEEK + timedelta(weeks=2), LAST_WEEK + timedelta(weeks=2))
    before = scores_of(demo_root)

    run_job("build_features", beyond)
    run_job(f"score_{USE_CASE}", beyond)

    for asset in ("feature_store/encounter_features", f"{USE_CASE}/cohort"):
        folder = demo_root / "assets" / asset
        empty = pl.read_parquet(folder / f"{beyond.first}.parquet")
        assert empty.height == 0
        assert empty.schema == pl.read_parquet_schema(folder / f"{LAST_WEEK}.parquet")
    assert_frame_equal(scores_of(demo_root), before)


def test_what_was_written_is_where_its_key_says(demo):
    assets = demo.environment.data_root / "assets"

    for name in ("raw/person", "staged/events", f"{USE_CASE}/training_set"):
        assert (assets / f"{name}.parquet").exists()
    first = demo.environment.first_week
    for name in ("feature_store/encounter_features", f"{USE_CASE}/labels"):
        files = sorted(path.stem for path in (assets / name).glob("*.parquet"))
        assert files[0] == first.isoformat()
        assert LAST_WEEK.isoformat() in files


def test_the_reports_tell_the_source_and_how_the_outcome_is_measured(demo):
    folder = demo.environment.data_root / "reports" / USE_CASE / "1"

    report = from_json((folder / "evaluation.json").read_text(encoding="utf-8"))

    audit = report.fairness.label_audit
    assert audit.is_proxy is False
    assert audit.statement.startswith("The outcome is the recorded visit itself")
    assert {each.dimension for each in report.fairness.missing} == set(report.fairness.dimensions)
    card = (folder / "model_card.html").read_text(encoding="utf-8")
    assert "synthetic world, 50 pregnancies and 400 patients with cancer" in card


def test_the_test_period_was_not_trained_on(demo):
    rows = pl.read_parquet(
        demo.environment.data_root / "assets" / USE_CASE / "training_set.parquet"
    )
    bounds = rows.group_by("split").agg(
        pl.col("prediction_time").min().alias("first"),
        pl.col("prediction_time").max().alias("last"),
    )
    found = {row["split"]: row for row in bounds.iter_rows(named=True)}

    gap = found["test"]["first"] - found["train"]["last"]
    assert gap > timedelta(days=60)
    train, validation = (
        set(rows.filter(pl.col("split") == name)["person_id"]) for name in ("train", "validation")
    )
    assert not train & validation


# A source that is too small to train on.


@pytest.fixture(scope="module")
def small(places, demo):
    """The outcome of Synthea's 28 persons, run without a champion to score them."""
    source, root = places / "synthea", places / "small"
    with zipfile.ZipFile(SYNTHEA) as archive:
        archive.extractall(source)
    folder = next(source.rglob("*PERSON.csv")).parent
    values = {
        "source": {"kind": "omop", "location": str(folder)},
        "use_cases": [USE_CASE],
        "first_week": "2021-12-06",
        "threads": 1,
    }
    write_data_environment(root, values)
    with mock.patch.dict(os.environ):
        use_data_root(root)
        outcome = run_pipeline(score_weeks=2, say=silent)
        assert outcome.environment.data_root != demo.environment.data_root
    return outcome


def test_a_small_source_is_staged_and_validated_and_has_a_cohort(small):
    assets = small.environment.data_root / "assets"

    assert pl.read_parquet(assets / "staged" / "persons.parquet").height == 28
    assert pl.read_parquet(assets / "staged" / "encounters.parquet").height > 1_000
    assert (assets / "staged" / "quarantine.parquet").exists()
    cohort = pl.read_parquet(assets / USE_CASE / "cohort")
    assert cohort.height > 0
    assert set(cohort.columns) >= {"eligible", "first_unmet"}


def test_a_small_source_is_not_trained_on_and_the_counts_are_named(small):
    assert isinstance(small, PipelineOutcome)
    assert small.scored == ()
    message = small.not_trained[USE_CASE]
    assert "at least 1000 rows with 100 events" in message
    assert "found: train" in message
    assert "champion that was trained elsewhere" in message


def test_a_small_source_is_scored_by_a_champion_from_elsewhere(small, demo, monkeypatch):
    root = small.environment.data_root
    monkeypatch.setenv("HROB_DATA_ROOT", str(root))
    monkeypatch.setenv("DAGSTER_HOME", str(root / "dagster_home"))
    own = replace(small.environment)
    values = {
        "source": {"kind": "omop", "location": own.source.location},
        "use_cases": [USE_CASE],
        "first_week": own.first_week.isoformat(),
        "mlflow_tracking_uri": demo.environment.tracking_uri,
        "decision_folder": str(demo.environment.records_folder),
    }
    write_data_environment(root, values)
    weeks = pipeline.weeks_of_the_data(load_environment())

    assert pipeline._has_champion(load_environment(), USE_CASE)
    run_job(f"score_{USE_CASE}", weeks)

    scores = scores_of(root)
    cohort = pl.read_parquet(root / "assets" / USE_CASE / "cohort")
    assert scores.height == cohort["eligible"].sum()
    WEEKLY_SCORES.check(scores)


# Where the weeks of somebody's own data begin.


def data_root_with(root, weeks):
    write_data_environment(root, {"source": {"kind": "omop", "location": "anywhere"}})
    staged = root / "assets" / "staged"
    staged.mkdir(parents=True)
    pl.DataFrame({"week": weeks}, schema={"week": pl.Date}).write_parquet(
        staged / "encounters.parquet"
    )
    return root


@pytest.mark.parametrize(
    ("first", "expected"),
    [(date(2020, 3, 2), date(2020, 3, 2)), (date(1955, 1, 3), date(2012, 1, 2))],
    ids=["at the first encounter", "ten years at most"],
)
def test_the_weeks_of_an_own_source_begin_with_its_data(tmp_path, monkeypatch, first, expected):
    root = data_root_with(tmp_path / "own", [first, date(2022, 1, 3)])
    monkeypatch.setenv("HROB_DATA_ROOT", str(root))

    assert pipeline._with_first_week(load_environment()).first_week == expected
    assert load_environment().first_week == expected


def test_a_source_without_one_valid_encounter_is_refused(tmp_path, monkeypatch):
    root = data_root_with(tmp_path / "own", [])
    monkeypatch.setenv("HROB_DATA_ROOT", str(root))

    with pytest.raises(TooSmallError, match=r"at least one valid encounter .*see quarantine"):
        pipeline._with_first_week(load_environment())
