"""Who is eligible at a prediction time, what happened to them afterwards, and who they are.

Eligibility reads only what was known before the prediction time; labels read only what follows it.

References
----------
Reps et al. 2018, JAMIA 25(8) 969-975: target cohort, outcome and time at risk.
Austin 2009, Stat Med 28(25) 3083-3107: standardised differences in the baseline table.
"""

from hrob_assets.risk.cohort.baseline import (
    BASELINE_SCHEMA,
    baseline_summary,
    baseline_table,
    characteristics_of,
    require_characteristics,
)
from hrob_assets.risk.cohort.eligibility import attrition, require_features, select_cohort
from hrob_assets.risk.cohort.groups import AREA_DEPRIVATION, group_rows
from hrob_assets.risk.cohort.labels import LABEL_STATUS, label_rows, outcomes_known

__all__ = [
    "AREA_DEPRIVATION",
    "BASELINE_SCHEMA",
    "LABEL_STATUS",
    "attrition",
    "baseline_summary",
    "baseline_table",
    "characteristics_of",
    "group_rows",
    "label_rows",
    "outcomes_known",
    "require_characteristics",
    "require_features",
    "select_cohort",
]
