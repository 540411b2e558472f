"""Resources of the current environment."""

import dagster as dg

from hrob_assets.resources.alerts import Alerts
from hrob_assets.resources.decision_records import DecisionRecords
from hrob_assets.resources.environment import Environment, claim_data_root, load_environment
from hrob_assets.resources.feedback import Feedback
from hrob_assets.resources.lineage import in_process_with_lineage
from hrob_assets.resources.model_registry import ModelRegistry
from hrob_assets.resources.score_table import ScoreTable
from hrob_assets.resources.sources import RawSource
from hrob_assets.resources.storage import ParquetIOManager, Storage


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
