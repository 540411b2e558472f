"""All pages of an evaluation at once: file names and their HTML."""

from collections.abc import Mapping

from hrob_assets.risk.evaluation import EvaluationReport
from hrob_assets.risk.governance import summarise_evaluation
from hrob_assets.risk.reporting.pages.comparison import comparison_page
from hrob_assets.risk.reporting.pages.evaluation import evaluation_page
from hrob_assets.risk.reporting.pages.fairness import fairness_page
from hrob_assets.risk.reporting.pages.page import render
from hrob_assets.risk.reporting.pages.parts import (
    ReportContext,
    footer,
    rows_sentence,
    subject_facts,
)
from hrob_assets.risk.reporting.pages.summary import summary_page, tone_of

PAGES = {
    "summary.html": ("Summary", "one page for a clinical lead"),
    "evaluation.html": ("Evaluation", "how well the model ranks and how true its estimates are"),
    "fairness.html": ("Fairness", "the same by group, with what cannot be told yet"),
    "comparison.html": ("Model comparison", "which families were tried, and what they differ in"),
    "model_card.html": ("Model card", "what the model is, for whom, and what is not known"),
}
"""File, name and content of each page that may be there."""
OTHERS = {
    "model_card.xml": ("Model card as data", "CHAI applied model card, XML"),
    "evaluation.json": ("All figures", "JSON with a versioned schema"),
    "metrics.parquet": ("All figures as a table", "one row per analysis and figure"),
    "verdicts.parquet": ("Verdicts as a table", "one row per group"),
    "calibration_curves.parquet": ("Calibration curves as a table", "one row per point"),
    "thresholds.parquet": ("Thresholds as a table", "what each would do"),
    "baseline.parquet": ("Baseline table", "as a table"),
}


def render_evaluation_reports(
    report: EvaluationReport,
    *,
    context: ReportContext | None = None,
    beside: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Draw all pages that a report has figures for, and an index of them.

    Parameters
    ----------
    report : EvaluationReport
        As `hrob_assets.risk.evaluation.report.from_json` reads it, of any model.
    context : ReportContext, optional
        What is known beside it; a page shows what is not given as a gap or leaves it out.
    beside : mapping of str to str, optional
        Pages that are ready, such as ``model_card.html``; they are part of the result.

    Returns
    -------
    dict of str to str
        File name to HTML: ``index.html``, ``summary.html``, ``evaluation.html``, and, where
        there is something to say, ``fairness.html`` and ``comparison.html``. Each is complete in
        itself; only the index refers to the others.
    """
    known = context or ReportContext()
    pages = {
        "summary.html": summary_page(report, known),
        "evaluation.html": evaluation_page(report, known),
    }
    if report.fairness is not None:
        pages["fairness.html"] = fairness_page(report, report.fairness, known)
    if known.comparison:
        pages["comparison.html"] = comparison_page(report, known)
    pages |= dict(beside or {})
    return {"index.html": index_page(report, known, files=pages), **pages}


def index_page(
    report: EvaluationReport, context: ReportContext, *, files: Mapping[str, str]
) -> str:
    """Draw the index of some files; `files` may hold more than pages."""
    found = summarise_evaluation(report, context.criteria)
    named = PAGES | OTHERS
    return render(
        "index.html.j2",
        title=f"Reports: {report.subject.title}",
        counts=rows_sentence(report.analysis("encounter").counts),
        tone=tone_of(found.status),
        headline=found.headline,
        pages=[(name, *named[name]) for name in named if name in files],
        subject=subject_facts(report.subject, context),
        made_from=footer(report, context),
    )
