"""Reports as single HTML files that open offline, and the folders that hold them.

Pages and charts draw what evaluation and monitoring have computed; nothing is computed here.
"""

from hrob_assets.risk.reporting.chai import chai_xml
from hrob_assets.risk.reporting.evaluation_files import EVALUATION, evaluate_file, write_evaluation
from hrob_assets.risk.reporting.monitoring_files import (
    MONITORING_SUMMARY,
    monitor_outcomes,
    write_monitoring,
)
from hrob_assets.risk.reporting.monitoring_summary import (
    monitoring_lines,
    monitoring_summary,
    publish_monitoring,
)
from hrob_assets.risk.reporting.reports import index_page, render_evaluation_reports

__all__ = [
    "EVALUATION",
    "MONITORING_SUMMARY",
    "chai_xml",
    "evaluate_file",
    "index_page",
    "monitor_outcomes",
    "monitoring_lines",
    "monitoring_summary",
    "publish_monitoring",
    "render_evaluation_reports",
    "write_evaluation",
    "write_monitoring",
]
