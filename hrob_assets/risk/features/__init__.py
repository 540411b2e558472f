"""The feature store: a declarative catalogue and one sliding-window kernel that computes it.

Every column of every row uses only what was known before the row's prediction time.
"""

from hrob_assets.risk.features.build import build_features
from hrob_assets.risk.features.catalogue import (
    Catalogue,
    FeatureColumn,
    FeatureFamily,
    read_feature_mappings,
)
from hrob_assets.risk.features.dictionary import (
    GROUPS,
    Reference,
    describe_features,
    drift_table,
    recent_since,
    summary_by_group,
)
from hrob_assets.risk.features.facts import FACT_COLUMNS
from hrob_assets.risk.features.fingerprint import NO_ROWS, stale_weeks, week_fingerprints
from hrob_assets.risk.features.screening import (
    RECORD_MEANINGS,
    kept_columns,
    rules_of_record,
    screen_columns,
    screen_importance,
)
from hrob_assets.risk.features.selection import (
    FeatureSelection,
    ImputationRule,
    read_feature_selection,
    read_imputation,
)
from hrob_assets.risk.features.weekly_files import (
    COUNTS,
    ENCOUNTER_COLUMNS,
    WeeklyTask,
    weekly_pieces,
    write_pieces,
    write_week,
    write_weekly_features,
)

__all__ = [
    "COUNTS",
    "ENCOUNTER_COLUMNS",
    "FACT_COLUMNS",
    "GROUPS",
    "NO_ROWS",
    "RECORD_MEANINGS",
    "Catalogue",
    "FeatureColumn",
    "FeatureFamily",
    "FeatureSelection",
    "ImputationRule",
    "Reference",
    "WeeklyTask",
    "build_features",
    "describe_features",
    "drift_table",
    "kept_columns",
    "read_feature_mappings",
    "read_feature_selection",
    "read_imputation",
    "recent_since",
    "rules_of_record",
    "screen_columns",
    "screen_importance",
    "stale_weeks",
    "summary_by_group",
    "week_fingerprints",
    "weekly_pieces",
    "write_pieces",
    "write_week",
    "write_weekly_features",
]
