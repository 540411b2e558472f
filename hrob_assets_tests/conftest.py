import os
import uuid
from types import SimpleNamespace

import dagster as dg
import pytest

from hrob_assets.resources.model_registry import ModelRegistry

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """One registry for all tests, each with model names of its own: a new one takes long."""
    root = tmp_path_factory.mktemp("registry")
    return ModelRegistry(
        tracking_uri=f"sqlite:///{root}/mlflow.db", artifact_root=str(root / "artifacts")
    )


@pytest.fixture
def run_context():
    """What a registry needs to know of a Dagster run."""
    with dg.build_asset_context() as context:
        yield SimpleNamespace(
            log=context.log, run=SimpleNamespace(run_id=uuid.uuid4().hex, job_name="train")
        )
