"""Monitoring of any time-stamped score file, and the files that are written of a monitoring."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl

from hrob_assets.risk.files import require_as_of, whole_folder
from hrob_assets.risk.monitoring import (
    MonitoringInput,
    MonitoringResult,
    MonitoringSettings,
    fixed_runout,
    ledger_of_known_outcomes,
    monitor_ledger,
    runouts_of_known_outcomes,
)
from hrob_assets.risk.reporting.monitoring_summary import (
    PublishedMonitoring,
    monitoring_summary,
    monitoring_tables,
)
from hrob_assets.risk.reporting.pages.monitoring import monitoring_page
from hrob_assets.risk.tables import ROW_KEY

MONITORING_SUMMARY, MONITORING_REPORT = "monitoring.json", "monitoring.html"


def monitor_outcomes(
    rows: pl.DataFrame, settings: MonitoringSettings, *, horizon_days: int, as_of: datetime
) -> MonitoringResult:
    """Monitor the rows of a score file, whose outcomes come with when they became known.

    Parameters
    ----------
    rows : DataFrame
        From `read_outcomes`.
    settings : MonitoringSettings
        Run-outs are estimated from the rows unless ``runout_days`` is given.
    horizon_days : int, days
    as_of : datetime (UTC)
        Information that became known at or after this time is ignored.

    Raises
    ------
    ConfigurationError
        If nothing was predicted by then.
    """
    require_as_of(rows, as_of)
    if settings.runout_days is not None:
        runouts = fixed_runout(settings.runout_days)
    else:
        runouts = runouts_of_known_outcomes(
            rows, horizon_days=horizon_days, share=settings.runout_share, as_of=as_of
        )
    ledger = ledger_of_known_outcomes(rows, horizon_days=horizon_days, runouts=runouts, as_of=as_of)
    extra = dict.fromkeys([*settings.groups, *settings.features])
    columns = rows.select(*ROW_KEY, *extra)
    return monitor_ledger(MonitoringInput(ledger, settings, columns))


def write_monitoring(published: PublishedMonitoring, folder: Path) -> list[str]:
    """Write summary, report and tables, all or nothing; return the names of the files."""
    summary, tables = monitoring_summary(published), monitoring_tables(published)
    with whole_folder(folder) as work:
        text = json.dumps(summary, indent=1, allow_nan=False) + "\n"
        (work / MONITORING_SUMMARY).write_text(text, encoding="utf-8")
        page = monitoring_page(summary, tables)
        (work / MONITORING_REPORT).write_text(page, encoding="utf-8")
        for name, table in tables.items():
            table.write_parquet(work / f"{name}.parquet")
        return sorted(path.name for path in work.iterdir())
