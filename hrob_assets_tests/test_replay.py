"""Mondays in order on a small world: what is known on each, and what is written of them."""

import json
import shutil
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from unittest import mock

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from hrob_assets.assets.model import promotion
from hrob_assets.cli import main
from hrob_assets.replay import _first_champion, write_replay
from hrob_assets.resources.environment import load_environment
from hrob_assets.resources.sources.current_source import RawSource
from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.errors import ContractError
from hrob_assets_tests.conftest import lenient

pytestmark = pytest.mark.xdist_group("pipeline")  # shares the demo

USE_CASE = "oncology_ed_visit"
WEEKS = 15  # horizon and run-out are 11 and more: some Mondays have ripe outcomes
START = datetime(2025, 9, 29)  # the first of these Mondays; the world ends on 2026-01-05


@pytest.fixture(scope="module")
def replayed(demo, tmp_path_factory):
    """A replay in a copy of the demo's data root that was never scored."""
    root = tmp_path_factory.mktemp("replay") / "root"
    shutil.copytree(demo.environment.data_root, root)
    shutil.rmtree(root / "weekly_scores")
    with pytest.MonkeyPatch.context() as patch, mock.patch.object(promotion, "judge", lenient):
        patch.setenv("HROB_DATA_ROOT", str(root))
        patch.setenv("DAGSTER_HOME", str(root / "dagster_home"))
        patch.setenv("OMP_NUM_THREADS", "1")
        page = write_replay(USE_CASE, weeks=WEEKS, say=lambda _: None)
    return SimpleNamespace(root=root, page=page)


def test_the_first_champion_knows_no_outcome_that_was_not_ripe_on_the_first_monday(replayed):
    rows = pl.read_parquet(replayed.root / "assets" / USE_CASE / "training_set.parquet")

    assert rows["prediction_time"].max() < START - timedelta(days=60 + 14)


def test_each_monday_scores_its_own_week_once(replayed):
    scores = ScoreTable(data_root=str(replayed.root)).read(USE_CASE)

    weeks = scores["week"].unique().sort().to_list()
    assert weeks == [date(2025, 9, 22) + timedelta(weeks=n) for n in range(WEEKS)]
    assert (
        scores.select("person_id", "encounter_id", "prediction_time").is_duplicated().any() is False
    )


def test_only_ripe_outcomes_are_counted(replayed):
    ledger = pl.read_parquet(replayed.root / "assets" / USE_CASE / "outcome_ledger.parquet")
    calibration = pl.read_parquet(replayed.page.with_name("calibration.parquet"))

    ripe = ledger.filter(pl.col("label").is_not_null())
    assert 0 < ripe.height < ledger.height
    assert calibration["week"].min() >= ripe["ripe_week"].min()


def test_the_page_and_the_mondays_are_written(replayed):
    mondays = json.loads(replayed.page.with_name("mondays.json").read_text(encoding="utf-8"))

    assert len(mondays) == WEEKS
    assert [monday["week"] for monday in mondays] == sorted(monday["week"] for monday in mondays)
    assert len({monday["champion"] for monday in mondays}) == 1
    assert "oncology ed visit" in replayed.page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "day"),
    [(["--weeks", "104"], "2024-01-15"), (["--drift-at", "2025-01-06"], "2025-01-06")],
)
def test_the_world_changes_on_the_first_monday_or_when_it_is_said(
    tmp_path, monkeypatch, options, day
):
    for name in ("HROB_DATA_ROOT", "DAGSTER_HOME", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "restored")
    monkeypatch.setattr("hrob_assets.replay.write_replay", lambda *_, **__: "page")

    found = CliRunner().invoke(main, ["replay", "--data-root", str(tmp_path), *options])

    assert found.exit_code == 0, found.output
    assert load_environment().source.drift_at == date.fromisoformat(day)
    source = RawSource.of(load_environment().source, tmp_path).source
    assert source.drift_at == date.fromisoformat(day)


def test_a_refused_first_champion_says_why_and_what_to_do():
    dagster = mock.Mock(**{"run.side_effect": dg.Failure("It must have: AUROC at least 0.6")})
    registry = SimpleNamespace(load=lambda *_: None)
    with pytest.raises(ContractError, match=r"AUROC at least 0.6.*take more weeks"):
        _first_champion(dagster, registry, USE_CASE, {})
