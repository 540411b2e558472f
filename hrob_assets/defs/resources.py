"""Resources of the current environment."""

import dagster as dg

from hrob_assets.resources.alerts import Alerts
from hrob_assets.resources.environment import Environment, claim_data_root, load_environment
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.lineage import in_process_with_lineage
from hrob_assets.resources.records.model_registry import ModelRegistry
from hrob_assets.resources.sources.current_source import RawSource
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.resources.storage.io_manager import ParquetIOManager, Storage
from hrob_assets.resources.storage.score_table import ScoreTable


@dg.definitions
def resources() -> dg.Definitions:
    """Storage, source, registry and score table below one data root."""
    environment = load_environment()
    claim_data_root(environment)
    root = environment.data_root.absolute()
    return dg.Definitions(
        resources={
            "io_manager": ParquetIOManager(root),
            "storage": Storage(data_root=str(root)),
            "raw_source": RawSource.of(environment.source, root),
            "model_registry": ModelRegistry(
                tracking_uri=_tracking_uri(environment),
                artifact_root=str(root / "mlflow_artifacts"),
            ),
            "decision_records": DecisionRecords(
                folder=str(environment.records_folder),
                key_variable=environment.decision_key_variable,
            ),
            "score_table": ScoreTable(data_root=str(root)),
            "alerts": Alerts.of(environment.alerts),
            "feedback": Feedback(
                folder=str(root / "feedback"), salt_variable=environment.silent_arm_salt_variable
            ),
        },
        executor=in_process_with_lineage,
    )


def _tracking_uri(environment: Environment) -> str:
    """The address of MLflow; where it has a secret, Dagster shows the variable's name only."""
    if environment.mlflow_tracking_uri is None and environment.mlflow_tracking_uri_variable:
        return dg.EnvVar(environment.mlflow_tracking_uri_variable)
    return environment.tracking_uri
