"""One page for a clinical lead: may it be used, for whom not yet, how sure are we."""

from hrob_assets.risk.evaluation import EvaluationReport, GroupFairness
from hrob_assets.risk.governance import EvaluationSummary, SummaryStatus, summarise_evaluation
from hrob_assets.risk.reporting.pages.page import render
from hrob_assets.risk.reporting.pages.parts import (
    ReportContext,
    count_text,
    curve_of,
    footer,
    rows_sentence,
)

_MOST_NAMED = 6
_TONES: dict[SummaryStatus, str] = {
    "may be used": "good",
    "may be used, not yet for everybody": "open",
    "must not be used": "warn",
    "open": "open",
}
SIGN_LINES = ("Clinical lead, date", "Data science, date", "Equity or quality, date")


def summary_page(report: EvaluationReport, context: ReportContext) -> str:
    """Draw the summary.

    Parameters
    ----------
    report : EvaluationReport
    context : ReportContext

    Returns
    -------
    str
        HTML, complete in itself; one sheet of A4 when printed.
    """
    found = summarise_evaluation(report, context.criteria)
    subject, main = report.subject, report.analysis("encounter")
    alerts = main.metrics.get("alert_rate")
    listed = (
        "" if alerts is None or alerts.value is None else f" ({alerts.value:.0%} of encounters)"
    )
    return render(
        "summary.html.j2",
        title=subject.title,
        counts=rows_sentence(main.counts),
        question=context.question,
        tone=tone_of(found.status),
        headline=found.headline,
        unmet=found.unmet,
        decision=context.decision,
        goal=context.goal,
        outcome=_outcome(subject.outcome),
        list_rule=f"Whoever has a chance of {subject.threshold:.0%} or more is on the list{listed}."
        if subject.threshold >= 0.01  # noqa: PLR2004 - below, per cent tell nothing
        else f"Whoever has a chance of {subject.threshold:g} or more is on the list{listed}.",
        frequencies=found.frequencies,
        not_yet=[(group.analysis.name, _off(group)) for group in found.not_yet[:_MOST_NAMED]],
        unknown=_unknown(found),
        looked=report.fairness is not None,
        certainty=found.certainty,
        curve=curve_of(main, title="Estimated and observed"),
        source=subject.source,
        notes=context.notes,
        sign_lines=context.sign_offs[:3] or SIGN_LINES,
        made_from=footer(report, context),
    )


def tone_of(status: SummaryStatus) -> str:
    """Class of the banner."""
    return _TONES[status]


def _outcome(outcome: str) -> str:
    return outcome if outcome[:4] in {"any ", "the "} else f"the outcome ({outcome})"


def _off(group: GroupFairness) -> str:
    factor = group.analysis.metrics["calibration_factor"]
    if factor.value is None:
        return "off by more than the margin"
    side = "higher" if factor.value > 0 else "lower"
    return (
        f"the estimated chance is {abs(factor.value) * 100:.1f} percentage points {side} than what "
        f"was observed, in {count_text(group.analysis.counts.persons)} patients"
    )


def _unknown(found: EvaluationSummary) -> str:
    names = [_name(group) for group in found.unknown[:_MOST_NAMED]]
    more = len(found.unknown) - len(names)
    return ", ".join(names) + (f" and {more} more groups" if more > 0 else "")


def _name(group: GroupFairness) -> str:
    needed = group.patients_still_needed
    return group.analysis.name + (f" (about {needed:,} more patients needed)" if needed else "")
