"""Dagster and MLflow on a real PostgreSQL server, as staging and production have them."""

import gc
import logging
from types import SimpleNamespace

import dagster as dg
import psycopg2
import pytest
import yaml
from dagster._core.definitions.reconstruct import ReconstructableRepository

from hrob_assets.pipeline import write_dagster_home
from hrob_assets.resources.environment import load_environment
from hrob_assets.resources.records.lineage import in_process_with_lineage
from hrob_assets.resources.records.model_registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS_CHAMPION,
    ModelRegistry,
)
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets_tests.example import fitted

pytestmark = pytest.mark.xdist_group("postgresql")  # schema migrations take long: one server


def created(server, name):
    """Address of a new database."""
    connection = psycopg2.connect(server.get_uri())
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return server.get_uri(name, driver="psycopg2")


@pytest.fixture
def staging(tmp_path, monkeypatch):
    monkeypatch.setenv("HROB_ENV", "staging")
    monkeypatch.setenv("HROB_DATA_ROOT", str(tmp_path / "root"))
    monkeypatch.delenv("HROB_STAGING_DAGSTER_DATABASE", raising=False)
    monkeypatch.delenv("HROB_STAGING_MLFLOW_DATABASE", raising=False)
    return load_environment()


def test_the_dagster_home_of_dev_keeps_its_files_in_the_data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("HROB_ENV", "dev")
    monkeypatch.setenv("HROB_DATA_ROOT", str(tmp_path))
    write_dagster_home(tmp_path, load_environment())

    settings = yaml.safe_load((tmp_path / "dagster.yaml").read_text())
    assert "storage" not in settings
    assert settings["telemetry"] == {"enabled": False}


def test_the_dagster_home_of_staging_names_the_variable_and_never_the_address(
    tmp_path, monkeypatch, staging
):
    with pytest.raises(ConfigurationError, match="HROB_STAGING_DAGSTER_DATABASE must hold"):
        write_dagster_home(tmp_path, staging)

    monkeypatch.setenv(
        "HROB_STAGING_DAGSTER_DATABASE", "postgresql+psycopg2://a:hunter2@127.0.0.1/b"
    )
    write_dagster_home(tmp_path, staging)

    text = (tmp_path / "dagster.yaml").read_text()
    assert "hunter2" not in text
    assert yaml.safe_load(text)["storage"] == {
        "postgres": {"postgres_url": {"env": "HROB_STAGING_DAGSTER_DATABASE"}}
    }


@dg.asset
def recorded():
    """Three rows."""
    return dg.MaterializeResult(metadata={"rows": 3})


@dg.definitions
def one_job():
    """A job of one asset."""
    return dg.Definitions(
        assets=[recorded],
        jobs=[dg.define_asset_job("record", selection=[recorded])],
        executor=in_process_with_lineage,
    )


def test_dagster_keeps_runs_events_and_cursors_when_it_and_its_database_start_again(
    postgres_server, tmp_path, monkeypatch, staging
):
    address = created(postgres_server, "dagster_staging")
    monkeypatch.setenv("HROB_STAGING_DAGSTER_DATABASE", address)
    write_dagster_home(tmp_path, staging)
    job = ReconstructableRepository.for_module(__name__, "one_job").get_reconstructable_job(
        "record"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run_id = dg.execute_job(job, instance=instance).run_id
        instance.daemon_cursor_storage.set_cursor_values({"drift": "17"})

    postgres_server.stop()
    postgres_server.start()

    with dg.DagsterInstance.from_config(str(tmp_path)) as again:
        run = again.get_run_by_id(run_id)
        event = again.get_latest_materialization_event(recorded.key)
        cursor = again.daemon_cursor_storage.get_cursor_values({"drift"})

    assert postgres_server.get_uri("dagster_staging", driver="psycopg2") == address
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert run.tags["hrob/environment"] == "staging"
    assert event.asset_materialization.metadata["rows"].value == 3
    assert cursor == {"drift": "17"}
    assert not list(tmp_path.rglob("*.db"))  # nothing went to a file


@pytest.fixture
def mlflow_on_postgresql(postgres_server, tmp_path, monkeypatch, staging):
    logging.getLogger("alembic").setLevel(logging.WARNING)
    monkeypatch.setenv("HROB_STAGING_MLFLOW_DATABASE", created(postgres_server, "mlflow_staging"))
    yield ModelRegistry(
        tracking_uri=staging.tracking_uri, artifact_root=str(tmp_path / "artifacts")
    )
    gc.collect()


def test_mlflow_keeps_models_and_aliases_in_postgresql(mlflow_on_postgresql, run_context, tmp_path):
    registry, name = mlflow_on_postgresql, "on_postgresql"
    versions = []
    for coefficient in (1.0, 2.0):
        with registry.tracked_run(run_context, name):
            model = fitted(["x"], [coefficient])
            versions.append(registry.register(name, model, tags={"training_set": "abc"}))
        run_context.run = SimpleNamespace(run_id=f"run {coefficient}", job_name="train")
        registry.set_alias(name, PREVIOUS_CHAMPION, registry.version(name, CHAMPION))
        registry.set_alias(name, CHAMPION, versions[-1])

    again = ModelRegistry(tracking_uri=registry.tracking_uri, artifact_root=registry.artifact_root)
    found = {
        alias: again.version(name, alias) for alias in (CHALLENGER, CHAMPION, PREVIOUS_CHAMPION)
    }

    assert found == {CHALLENGER: "2", CHAMPION: "2", PREVIOUS_CHAMPION: "1"}
    champion = again.load(name, CHAMPION)
    assert champion.model.estimator.named_steps["model"].coef_.tolist() == [[2.0]]
    assert champion.tags["training_set"] == "abc"
    assert not list(tmp_path.rglob("*.db"))


def test_an_mlflow_run_tells_commit_and_configuration(registry, run_context):
    with registry.tracked_run(run_context, "told") as run:
        tags = run.active_run().data.tags | dict(
            run.get_run(run.active_run().info.run_id).data.tags
        )

    assert len(tags["configuration"]) == 16
    assert len(tags["git_commit"].removesuffix("+changes")) in {len("unknown"), 40}
