"""Model families and feature choices side by side, as a page."""

from typing import Any

import polars as pl

from hrob_assets.risk.evaluation import EvaluationReport
from hrob_assets.risk.reporting.charts.forest import ForestTexts, Row, forest_plot
from hrob_assets.risk.reporting.charts.scales import interval_text, number_text
from hrob_assets.risk.reporting.charts.svg import Drawing, Table
from hrob_assets.risk.reporting.pages.page import render
from hrob_assets.risk.reporting.pages.parts import (
    ReportContext,
    footer,
    glossary,
    rows_sentence,
    subject_facts,
)

_ENDS = ("low", "high")
_AROUND_ZERO = ("difference", "change", "improvement")


def comparison_page(report: EvaluationReport, context: ReportContext) -> str:
    """Draw the tables of a comparison, each figure with an interval also as a forest plot.

    Parameters
    ----------
    report : EvaluationReport
        Of the model that was chosen.
    context : ReportContext
        ``comparison``: tables by title. The first column names the row; a figure ``x`` with
        ``x_low`` and ``x_high`` beside it is shown with its interval and drawn.

    Returns
    -------
    str
        HTML, complete in itself.
    """
    counts = report.analysis("encounter").counts
    sections = [
        (title, _kind(title), "", charts_of(frame), table_of(frame))
        for title, frame in context.comparison.items()
    ]
    return render(
        "comparison.html.j2",
        title=f"Model comparison: {report.subject.title}",
        counts=f"{rows_sentence(counts)} All models on the same rows, the same patients drawn.",
        subject=subject_facts(report.subject, context),
        choice=context.choice,
        sections=sections,
        glossary=glossary(report),
        made_from=footer(report, context),
    )


def figures_of(frame: pl.DataFrame) -> list[str]:
    """Columns that have an interval beside them.

    Examples
    --------
    >>> figures_of(pl.DataFrame({"a": ["x"], "b": [1.0], "b_low": [0.5], "b_high": [2.0]}))
    ['b']
    """
    return [
        name for name in frame.columns if all(f"{name}_{end}" in frame.columns for end in _ENDS)
    ]


def table_of(frame: pl.DataFrame) -> Table:
    """A frame as text; a figure and its interval in one cell."""
    figures = figures_of(frame)
    ends = {f"{name}_{end}" for name in figures for end in _ENDS}
    shown = [name for name in frame.columns if name not in ends]
    rows = [
        [_cell(row, name, name in figures) for name in shown] for row in frame.iter_rows(named=True)
    ]
    return Table([name.replace("_", " ") for name in shown], rows)


def charts_of(frame: pl.DataFrame) -> list[Drawing]:
    """One forest plot per figure that has intervals; around 0 where it is a difference."""
    first = frame.columns[0]
    drawn: list[Drawing] = []
    for name in figures_of(frame):
        told = frame.filter(pl.col(name).is_not_null())
        if told.is_empty():
            continue
        rows = [
            Row(str(row[first]), row[name], row[f"{name}_low"], row[f"{name}_high"])
            for row in told.iter_rows(named=True)
        ]
        drawn.append(
            forest_plot(
                name.replace("_", " "),
                rows,
                texts=ForestTexts(name.replace("_", " "), counts="", digits=4),
                reference=0.0 if any(word in name for word in _AROUND_ZERO) else None,
                spoken="One line per row of the table, with its interval.",
            )
        )
    return drawn


def _kind(title: str) -> str:
    """Families are compared as planned; everything else is explored."""
    return "pre-specified" if "famil" in title.lower() else "exploratory"


def _cell(row: dict[str, Any], name: str, interval: bool) -> str:  # noqa: FBT001 - a column has one or not
    value = row[name]
    if interval:
        return interval_text(value, row[f"{name}_low"], row[f"{name}_high"], digits=4)
    if isinstance(value, float):
        return number_text(value, digits=4)
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
