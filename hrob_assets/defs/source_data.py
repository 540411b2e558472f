"""Raw and staged data and the feature store, shared by all use cases."""

import dagster as dg

from hrob_assets.assets.data.feature_store import feature_store_definitions
from hrob_assets.assets.data.raw import raw_definitions
from hrob_assets.assets.data.staged import staged_definitions
from hrob_assets.assets.failed_runs import failed_run_definitions
from hrob_assets.assets.partitions import weekly_partitions
from hrob_assets.components.catalogue import shared_catalogue
from hrob_assets.resources.environment import load_environment

OWNER = "team:data-platform"


@dg.definitions
def source_data() -> dg.Definitions:
    """Raw, staged and feature store, in the order of the data flow; alerts about all runs."""
    environment = load_environment()
    catalogue, code_sets = shared_catalogue(environment.use_cases)
    return dg.Definitions.merge(
        raw_definitions(owner=OWNER),
        staged_definitions(
            known_lag_days=environment.known_lag_days, as_of=environment.as_of, owner=OWNER
        ),
        feature_store_definitions(
            catalogue=catalogue,
            code_sets=code_sets,
            weekly=weekly_partitions(environment.first_week),
            owner=OWNER,
            threads=environment.threads,
            spark=environment.spark if environment.feature_engine == "spark" else None,
            start_schedules=environment.start_schedules,
        ),
        failed_run_definitions(started=environment.start_schedules),
    )
