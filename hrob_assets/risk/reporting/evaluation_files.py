"""The evaluation of a score file, from the file to a folder that is whole or not there."""

from datetime import date
from pathlib import Path

import polars as pl

from hrob_assets.risk.disclosure import require_persons
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.evaluation import (
    EvaluationReport,
    ReportOptions,
    Subject,
    evaluate_scores,
    to_json,
    write_evaluation_tables,
)
from hrob_assets.risk.files import ScoreColumns, read_scores, whole_folder, without_small_levels
from hrob_assets.risk.reporting.pages.parts import ReportContext
from hrob_assets.risk.reporting.reports import index_page, render_evaluation_reports
from hrob_assets.risk.training import capacity_threshold
from hrob_assets.risk.use_case import Threshold

EVALUATION_FILE = "evaluation.json"
CAPACITY_SHARE = 0.10


def evaluate_file(
    file: Path,
    columns: ScoreColumns,
    *,
    threshold: float | None,
    capacity_share: float | None,
    options: ReportOptions,
    outcome: str | None = None,
) -> EvaluationReport:
    """Evaluate a score file.

    Parameters
    ----------
    file : Path
    columns : ScoreColumns
    threshold, capacity_share : float, optional
        One of them; by default the share is 10 %. A share sets the threshold on the rows of the
        file itself, rounded to two decimals.
    options : ReportOptions
    outcome : str, optional
        What the outcome is, in words; by default the name of its column.

    Raises
    ------
    ConfigurationError
        If both are given, one or the margin is not between 0 and 1, or an era has no times.
    TooSmallError
        If there are fewer than 11 persons.

    Notes
    -----
    Levels of a group with fewer than 11 persons are taken together, without their names.
    """
    if threshold is not None and capacity_share is not None:
        msg = "either --threshold or --capacity must be given (found both); leave one out"
        raise ConfigurationError(msg)
    given = {"threshold": threshold, "capacity": capacity_share, "margin": options.margin}
    for name, value in given.items():
        if value is not None and not 0 < value < 1:
            msg = f"--{name} must lie between 0 and 1 (found {value:g}); 0.1 is ten percent"
            raise ConfigurationError(msg)
    if options.era_boundary is not None and columns.time is None:
        msg = "--era needs --time, the column by which rows are before or after it (found none)"
        raise ConfigurationError(msg + "; give it, or leave --era out")
    scores = read_scores(file, columns)
    require_persons(scores["person_id"].n_unique(), what="an evaluation")
    scores = without_small_levels(scores, columns.groups)
    share = None if threshold is not None else capacity_share or CAPACITY_SHARE
    subject = _subject(file, columns, scores, threshold, share, outcome)
    return evaluate_scores(scores, subject=subject, options=options)


def _subject(
    file: Path,
    columns: ScoreColumns,
    scores: pl.DataFrame,
    threshold: float | None,
    share: float | None,
    outcome: str | None,
) -> Subject:
    first = last = None
    if "prediction_time" in scores.columns:
        days = scores["prediction_time"].dt.date()
        first, last = days.min(), days.max()
    if threshold is None:
        rule = Threshold(capacity_share=share or CAPACITY_SHARE)
        threshold = capacity_threshold(
            scores["probability"].to_numpy(),
            rule,
            then="give --threshold, with as many decimals as it needs",
        )
    return Subject(
        name=file.stem,
        title=file.stem.replace("_", " "),
        outcome=outcome or columns.outcome,
        model_version=None,
        source=f"the rows of {file.name}",
        first_day=first if isinstance(first, date) else None,
        last_day=last if isinstance(last, date) else None,
        threshold=threshold,
        threshold_origin="given" if share is None else "capacity",
        capacity_share=share,
    )


def write_evaluation(report: EvaluationReport, folder: Path) -> list[str]:
    """Write an evaluation as JSON, Parquet and pages; whole or not at all.

    Parameters
    ----------
    report : EvaluationReport
    folder : Path
        Replaced where it exists.

    Returns
    -------
    list of str
        Names of the files.
    """
    with whole_folder(folder) as work:
        (work / EVALUATION_FILE).write_text(to_json(report), encoding="utf-8")
        pages = render_evaluation_reports(report)
        files = [*pages, EVALUATION_FILE, *write_evaluation_tables(report, work)]
        pages["index.html"] = index_page(report, ReportContext(), files=dict.fromkeys(files, ""))
        for name, page in pages.items():
            (work / name).write_text(page, encoding="utf-8")
        return sorted(path.name for path in work.iterdir())
