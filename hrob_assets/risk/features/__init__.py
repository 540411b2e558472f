"""The feature store: a declarative catalogue and one sliding-window kernel that computes it.

Every column of every row uses only what was known before the row's prediction time.

References
----------
Kotelchuck 1994, Am J Public Health 84(9) 1414-1420: adequacy of prenatal care utilization (APNCU).
Yurdakul 2018, *Statistical properties of population stability index*.
"""

from hrob_assets.risk.features.build.build import build_features
from hrob_assets.risk.features.build.fingerprint import (
    FINGERPRINT_OF_NO_ROWS,
    stale_weeks,
    week_fingerprints,
)
from hrob_assets.risk.features.build.weekly_files import (
    ENCOUNTER_COLUMNS,
    WEEK_COUNTS,
    WeeklyTask,
    weekly_pieces,
    write_pieces,
    write_week,
    write_weekly_features,
)
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.features.catalogue.imputation import ImputationRule, read_imputation
from hrob_assets.risk.features.catalogue.mappings import read_feature_mappings
from hrob_assets.risk.features.catalogue.selection import FeatureSelection, read_feature_selection
from hrob_assets.risk.features.kernel.facts import FACT_COLUMNS
from hrob_assets.risk.features.quality.dictionary import (
    DICTIONARY_GROUPS,
    ComparedPeriods,
    describe_features,
    drift_table,
    recent_since,
    summary_by_group,
)
from hrob_assets.risk.features.quality.record import (
    SCREEN_RECORD_MEANINGS,
    kept_columns,
    rules_of_record,
)
from hrob_assets.risk.features.quality.screening import screen_columns, screen_importance

__all__ = [
    "DICTIONARY_GROUPS",
    "ENCOUNTER_COLUMNS",
    "FACT_COLUMNS",
    "FINGERPRINT_OF_NO_ROWS",
    "SCREEN_RECORD_MEANINGS",
    "WEEK_COUNTS",
    "Catalogue",
    "ComparedPeriods",
    "FeatureColumn",
    "FeatureFamily",
    "FeatureSelection",
    "ImputationRule",
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
