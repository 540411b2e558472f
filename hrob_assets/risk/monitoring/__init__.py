"""Which outcomes are mature, whether predictions hold, and whether an alarm is real.

The alarm reads mature outcomes only and keeps a declared rate of false alarms; drift of inputs
never raises it.

References
----------
Shin, Ramdas and Rinaldo 2022, arXiv 2203.03532 (e-detectors).
Arnold, Henzi and Ziegel 2023, J R Stat Soc B (e-values for calibration).
"""

from hrob_assets.risk.monitoring.alarm import (
    EVERYBODY,
    EVIDENCE,
    OVER,
    UNDER,
    AlarmRule,
    Histories,
    SiteVolume,
    accumulate_evidence,
    alarms_by_detector,
    expected_behaviour,
    follow,
    log_constants,
)
from hrob_assets.risk.monitoring.calibration import (
    FIGURES,
    WEEKLY_CALIBRATION,
    calibrate_weeks,
    censoring_sensitivity,
    nowcast_weeks,
)
from hrob_assets.risk.monitoring.drift import (
    CBPE_LABEL,
    Stretches,
    code_changes,
    compare_columns,
    contributions_by_group,
    expected_if_calibrated,
    list_sizes,
)
from hrob_assets.risk.monitoring.ledger import (
    OUTCOME_LEDGER,
    Ledger,
    StagedTables,
    build_ledger,
    evidence_rows,
    first_of_horizon,
    ledger_at,
    ledger_of_known_outcomes,
    present_ledger,
    weeks_until_ripe,
)
from hrob_assets.risk.monitoring.monitor import WINDOW_WEEKS, Watch, first_sent, watch
from hrob_assets.risk.monitoring.reporting_delay import (
    FEWEST_FACTS,
    MOST_DAYS,
    RUNOUTS,
    estimate_runouts,
    fixed_runout,
)
from hrob_assets.risk.monitoring.shown_weeks import (
    shown_calibration,
    shown_counts,
    shown_evidence,
    shown_pending,
)
from hrob_assets.risk.monitoring.update_requests import told_alarm
from hrob_assets.risk.monitoring.weekly_drift import (
    WEEKLY_DRIFT,
    Inputs,
    WeeklyDrift,
    drift_of_week,
    stretches_of,
)

__all__ = [
    "CBPE_LABEL",
    "EVERYBODY",
    "EVIDENCE",
    "FEWEST_FACTS",
    "FIGURES",
    "MOST_DAYS",
    "OUTCOME_LEDGER",
    "OVER",
    "RUNOUTS",
    "UNDER",
    "WEEKLY_CALIBRATION",
    "WEEKLY_DRIFT",
    "WINDOW_WEEKS",
    "AlarmRule",
    "Histories",
    "Inputs",
    "Ledger",
    "SiteVolume",
    "StagedTables",
    "Stretches",
    "Watch",
    "WeeklyDrift",
    "accumulate_evidence",
    "alarms_by_detector",
    "build_ledger",
    "calibrate_weeks",
    "censoring_sensitivity",
    "code_changes",
    "compare_columns",
    "contributions_by_group",
    "drift_of_week",
    "estimate_runouts",
    "evidence_rows",
    "expected_behaviour",
    "expected_if_calibrated",
    "first_of_horizon",
    "first_sent",
    "fixed_runout",
    "follow",
    "ledger_at",
    "ledger_of_known_outcomes",
    "list_sizes",
    "log_constants",
    "nowcast_weeks",
    "present_ledger",
    "shown_calibration",
    "shown_counts",
    "shown_evidence",
    "shown_pending",
    "stretches_of",
    "told_alarm",
    "watch",
    "weeks_until_ripe",
]
