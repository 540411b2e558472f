"""`hrob staging` compares what was made with the golden bands, and its exit code says which way."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest
import yaml
from click.testing import CliRunner

from hrob_assets import cli, pipeline
from hrob_assets.pipeline import STAGING_BANDS, PipelineOutcome, golden_table
from hrob_assets.resources.environment import load_environment
from hrob_assets.risk.errors import ConfigurationError

USE_CASE = "oncology_ed_visit"


@pytest.fixture
def staging(tmp_path, monkeypatch):
    """A data root with an evaluation and one week of features; no weekly list."""
    monkeypatch.setenv("HROB_ENV", "staging")
    monkeypatch.setenv("HROB_DATA_ROOT", str(tmp_path))
    for name in ("HROB_STAGING_DAGSTER_DATABASE", "HROB_STAGING_MLFLOW_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    assets = tmp_path / "assets"
    (assets / USE_CASE).mkdir(parents=True)
    (assets / "feature_store" / "encounter_features").mkdir(parents=True)
    pl.DataFrame(
        {
            "person_id": [1, 1, 2, 3],
            "outcome": [False, True, False, True],
            "probability": [0.1, 0.9, 0.2, 0.6],
        }
    ).write_parquet(assets / USE_CASE / "evaluation.parquet")
    pl.DataFrame({"age__years": [50.0, 60.0]}).write_parquet(
        assets / "feature_store" / "encounter_features" / "2025-12-29.parquet"
    )
    return replace(load_environment(), use_cases=(USE_CASE,))


def bands(folder, figures):
    path = folder / "bands.yaml"
    path.write_text(yaml.safe_dump({USE_CASE: figures}, sort_keys=False))
    return path


def test_what_was_made_is_read_from_the_data_root(staging, tmp_path):
    wanted = {
        "test rows": [4, 4],
        "prevalence": [0.5, 0.5],
        "auroc": [0.6, 0.8],
        "mean of age__years": [54, 56],
        "weekly lists": [4, 4],
    }

    table = golden_table(staging, bands(tmp_path, wanted))

    assert table.rows() == [
        (USE_CASE, "test rows", 4.0, 4.0, 4.0, True),
        (USE_CASE, "prevalence", 0.5, 0.5, 0.5, True),
        (USE_CASE, "auroc", 0.6, 1.0, 0.8, False),
        (USE_CASE, "mean of age__years", 54.0, 55.0, 56.0, True),
        (USE_CASE, "weekly lists", 4.0, 0.0, 4.0, False),
    ]


def test_every_use_case_of_staging_has_bands(staging, tmp_path):
    known = yaml.safe_load(STAGING_BANDS.read_text())

    assert set(load_environment().use_cases) <= set(known)
    with pytest.raises(ConfigurationError, match=r"bands\.yaml, cardiology must have a band"):
        golden_table(
            replace(staging, use_cases=("cardiology",)), bands(tmp_path, {"auroc": [0, 1]})
        )


@pytest.mark.parametrize(("highest", "code"), [(1.0, 0), (0.85, 1)])
def test_the_command_shows_what_is_out_of_band(staging, tmp_path, monkeypatch, highest, code):
    outcome = PipelineOutcome(staging, (USE_CASE,), {})
    path = bands(tmp_path, {"auroc": [0.6, highest]})
    monkeypatch.setattr(pipeline, "run_pipeline", lambda **_: outcome)
    monkeypatch.setattr(pipeline, "use_data_root", lambda _: None)
    monkeypatch.setattr(pipeline, "golden_table", lambda found: golden_table(found, path))

    result = CliRunner().invoke(cli.main, ["staging", "--data-root", str(tmp_path)])

    assert result.exit_code == code
    assert ("OUT OF BAND" in result.output) == bool(code)
    assert f"{1 - code} of 1 figures are in their bands" in result.output


def test_the_command_without_a_database_names_the_variable(tmp_path, monkeypatch):
    for name in ("HROB_STAGING_DAGSTER_DATABASE", "HROB_STAGING_MLFLOW_DATABASE", "HROB_DATA_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HROB_ENV", "dev")

    result = CliRunner().invoke(cli.main, ["staging", "--data-root", str(tmp_path)])

    assert result.exit_code == 1
    assert "HROB_STAGING_DAGSTER_DATABASE must hold the PostgreSQL address" in result.output


def test_a_first_week_of_staging_is_that_of_the_synthetic_world(staging):
    assert staging.first_week == date(2021, 1, 4)
