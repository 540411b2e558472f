"""`hrob dev` as people use it: the UI on loopback, a backfill through GraphQL, and a clean stop."""

import shutil
import signal
from pathlib import Path

import polars as pl
import pytest

from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.scoring.weekly_list import WEEKLY_SCORES
from hrob_assets_tests.dagster_ui import SCHEDULES, dagster_ui, wait_until

USE_CASE = "oncology_ed_visit"
SCORES = {"path": [USE_CASE, "weekly_scores"]}
LISTS = (f"{USE_CASE}/cohort", f"{USE_CASE}/weekly_scores")
CHECKS = """
query ($asset: AssetKeyInput!) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode { assetChecksOrError { ... on AssetChecks { checks { name blocking } } } }
  }
}
"""
WEEKS_MADE = """
query ($asset: AssetKeyInput!, $weeks: [String!]) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode { latestMaterializationByPartition(partitions: $weeks) { partition runId } }
  }
}
"""


def weeks_with_features(data_root: Path) -> list[str]:
    folder = data_root / "assets" / "feature_store" / "encounter_features"
    return sorted(path.stem for path in folder.glob("*.parquet"))


@pytest.mark.xdist_group("pipeline")
def test_ui_shows_the_definitions_backfills_eight_weeks_in_one_run_and_stops(demo, tmp_path):
    data_root = tmp_path / "root"
    shutil.copytree(demo.environment.data_root, data_root)
    weeks = weeks_with_features(data_root)[-40:-32]

    with dagster_ui(data_root) as ui:
        eight_weeks = ui.backfill(*LISTS, weeks=weeks)
        same_week_at_once = ui.backfill(*LISTS, weeks=weeks[-1:])
        schedules = ui.ask(SCHEDULES)["repositoriesOrError"]["nodes"][0]["schedules"]
        checks = ui.ask(CHECKS, asset={"path": ["staged", "events"]})["assetNodeOrError"]
        runs = ui.runs_when_done(eight_weeks)
        ui.runs_when_done(same_week_at_once)
        made = ui.ask(WEEKS_MADE, asset=SCORES, weeks=weeks)["assetNodeOrError"]
        processes = ui.processes()
        ui.process.send_signal(signal.SIGINT)
        exit_code = ui.process.wait(timeout=90)
        wait_until(lambda: not ui.processes(), 90)

    assert {
        f"monitor_{USE_CASE}_weekly",
        "refresh_weekly",
        f"ripen_{USE_CASE}_weekly",
        f"score_{USE_CASE}_weekly",
        f"watch_inputs_{USE_CASE}_weekly",
    } == {schedule["name"] for schedule in schedules}
    names = {check["name"] for check in checks["assetChecksOrError"]["checks"] if check["blocking"]}
    assert {"nulls_in_required_columns", "repeated_keys", "columns_missing"} <= names
    assert len(runs) == 1
    made_by = {
        found["partition"]: found["runId"] for found in made["latestMaterializationByPartition"]
    }
    assert sorted(made_by) == weeks
    assert {made_by[week] for week in weeks[:-1]} == set(runs)  # the last was made twice
    assert len(processes) >= 4  # dev, code server, webserver, daemon: all gone above
    assert exit_code == 0
    scores = ScoreTable(data_root=str(data_root)).read(USE_CASE)
    in_weeks = scores.filter(pl.col("week").cast(pl.String).is_in(weeks))
    assert in_weeks.height > 0
    assert in_weeks.height == in_weeks.unique(WEEKLY_SCORES.key).height
