"""Resources of the current environment."""

import dagster as dg

from hrob_assets.resources.alerts import Alerts
from hrob_assets.resources.environment import load_environment
from hrob_assets.resources.model_registry import ModelRegistry
from hrob_assets.resources.score_table import ScoreTable
from hrob_assets.resources.sources import RawSource
from hrob_assets.resources.storage import ParquetIOManager, Storage


@dg.definitions
def resources() -> dg.Definitions:
    """Storage, source, registry and score table below one data root."""
    environment = load_environment()
    root = environment.data_root.absolute()
    return dg.Definitions(
        resources={
            "io_manager": ParquetIOManager(root),
            "storage": Storage(data_root=str(root)),
            "raw_source": RawSource.of(environment.source, root),
            "model_registry": ModelRegistry(
                tracking_uri=environment.tracking_uri,
                artifact_root=str(root / "mlflow_artifacts"),
            ),
            "score_table": ScoreTable(data_root=str(root)),
            "alerts": Alerts.of(environment.alerts),
        },
        executor=dg.in_process_executor,
    )
