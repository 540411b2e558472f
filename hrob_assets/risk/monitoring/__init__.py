"""Which outcomes are mature, whether predictions hold, and whether an alarm is real.

The alarm reads mature outcomes only and keeps a declared rate of false alarms; drift of inputs
never raises it.

References
----------
Shin, Ramdas and Rinaldo 2022, arXiv 2203.03532 (e-detectors).
Arnold, Henzi and Ziegel 2023, J R Stat Soc B (e-values for calibration).
"""

from hrob_assets.risk.monitoring.alarm import (
    ALL_ROWS,
    E_VALUES,
    OVER_PREDICTION,
    UNDER_PREDICTION,
    AlarmRule,
    alarms_by_detector,
    compute_e_values,
    current_log_e_value,
    log_e_values_without_outcome,
    run_e_detector,
)
from hrob_assets.risk.monitoring.alarm_rows import alarm_rows, first_of_horizon
from hrob_assets.risk.monitoring.calibration import (
    CALIBRATION_ESTIMATES,
    WEEKLY_CALIBRATION,
    censoring_sensitivity,
    estimate_weekly_calibration,
)
from hrob_assets.risk.monitoring.drift import DriftPeriods, code_changes, column_drift
from hrob_assets.risk.monitoring.first_scoring import first_sent
from hrob_assets.risk.monitoring.ledger import (
    OUTCOME_LEDGER,
    Ledger,
    StagedTables,
    build_ledger,
    current_ledger,
    ledger_as_of,
    ledger_of_known_outcomes,
)
from hrob_assets.risk.monitoring.monitor import (
    CALIBRATION_WINDOW_WEEKS,
    MonitoringInput,
    MonitoringResult,
    MonitoringSettings,
    monitor_ledger,
)
from hrob_assets.risk.monitoring.reporting_delay import (
    FEWEST_FACTS,
    RUNOUTS,
    fixed_runout,
    runouts_of_known_outcomes,
)
from hrob_assets.risk.monitoring.shown_weeks import (
    shown_calibration,
    shown_counts,
    shown_evidence,
    shown_pending,
)
from hrob_assets.risk.monitoring.update_requests import (
    UPDATE_REQUESTS,
    Alarm,
    latest_open_request,
    raised_alarms,
)
from hrob_assets.risk.monitoring.weekly_drift import (
    IF_CALIBRATED,
    WEEKLY_DRIFT,
    DriftInputs,
    WeeklyDrift,
    contributions_by_group,
    drift_of_week,
    drift_periods,
    expected_if_calibrated,
    worklist_sizes,
)

__all__ = [
    "ALL_ROWS",
    "CALIBRATION_ESTIMATES",
    "CALIBRATION_WINDOW_WEEKS",
    "E_VALUES",
    "FEWEST_FACTS",
    "IF_CALIBRATED",
    "OUTCOME_LEDGER",
    "OVER_PREDICTION",
    "RUNOUTS",
    "UNDER_PREDICTION",
    "UPDATE_REQUESTS",
    "WEEKLY_CALIBRATION",
    "WEEKLY_DRIFT",
    "Alarm",
    "AlarmRule",
    "DriftInputs",
    "DriftPeriods",
    "Ledger",
    "MonitoringInput",
    "MonitoringResult",
    "MonitoringSettings",
    "StagedTables",
    "WeeklyDrift",
    "alarm_rows",
    "alarms_by_detector",
    "build_ledger",
    "censoring_sensitivity",
    "code_changes",
    "column_drift",
    "compute_e_values",
    "contributions_by_group",
    "current_ledger",
    "current_log_e_value",
    "drift_of_week",
    "drift_periods",
    "estimate_weekly_calibration",
    "expected_if_calibrated",
    "first_of_horizon",
    "first_sent",
    "fixed_runout",
    "latest_open_request",
    "ledger_as_of",
    "ledger_of_known_outcomes",
    "log_e_values_without_outcome",
    "monitor_ledger",
    "raised_alarms",
    "run_e_detector",
    "runouts_of_known_outcomes",
    "shown_calibration",
    "shown_counts",
    "shown_evidence",
    "shown_pending",
    "worklist_sizes",
]
