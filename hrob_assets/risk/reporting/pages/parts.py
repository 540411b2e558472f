"""Parts that several reports share: figures as text, tables of metrics, curves of an analysis."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from hrob_assets.risk.disclosure import SUPPRESSED
from hrob_assets.risk.evaluation import (
    Analysis,
    Counts,
    Definition,
    EvaluationReport,
    Metric,
    Subject,
)
from hrob_assets.risk.promotion import Verdict
from hrob_assets.risk.reporting.charts.calibration import Group, calibration_curve
from hrob_assets.risk.reporting.charts.lines import Axis, Limit, Line, line_chart
from hrob_assets.risk.reporting.charts.scales import interval_text, number_text
from hrob_assets.risk.reporting.charts.svg import Drawing, Table

_FINE = frozenset({"brier", "log_loss", "net_benefit", "calibration_factor"})
_FEWEST_POINTS = 2
_SHORT_NOTE = 16


@dataclass(frozen=True)
class ModelTerms:
    """What drives a model, or why that is not known.

    Parameters
    ----------
    terms : sequence of (str, float)
        The strongest first.
    measure : str
        What the numbers are.
    gap : str
        Why there are none, where a model is known and its terms are not.
    """

    terms: Sequence[tuple[str, float]] = ()
    measure: str = ""
    gap: str = ""


@dataclass(frozen=True)
class ReportContext:
    """What is known beside the evaluation; a score file of any model has none of it.

    Parameters
    ----------
    goal : str, optional
        The goal sentence of the use case.
    question : str, optional
    criteria : sequence of Verdict, optional
        Of the gate; None where there are none.
    decision : str, optional
        What was decided, in a sentence.
    baseline : DataFrame, optional
        As `hrob_assets.risk.cohort.baseline.baseline_table` gives it.
    baseline_sentence : str
    terms : ModelTerms
    comparison : mapping of str to DataFrame
        Tables of the model comparison by title; see `hrob_assets.risk.reporting.pages.comparison`.
    choice : str, optional
        Which model was chosen, and why.
    lineage : mapping of str to str
        Where the figures come from: versions, commit, hashes.
    sign_offs : sequence of str
        Who signed, as what, when.
    made_on : date, optional
        Day of the data, or of the report.
    notes : sequence of str
        What a reader must know of the data.
    """

    goal: str | None = None
    question: str | None = None
    criteria: Sequence[Verdict] | None = None
    decision: str | None = None
    baseline: pl.DataFrame | None = None
    baseline_sentence: str = ""
    terms: ModelTerms = ModelTerms()
    comparison: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    choice: str | None = None
    lineage: Mapping[str, str] = field(default_factory=dict[str, str])
    sign_offs: Sequence[str] = ()
    made_on: date | None = None
    notes: Sequence[str] = ()


def count_text(count: int | None) -> str:
    """A count, or that it is a small cell.

    Examples
    --------
    >>> count_text(1234), count_text(None)
    ('1,234', 'suppressed')
    """
    return SUPPRESSED if count is None else f"{count:,}"


def rows_text(counts: Counts) -> str:
    """Rows and patients, always together.

    Examples
    --------
    >>> rows_text(Counts(28433, 2385, 2900, 2274, None, None, None, None))
    '28,433 (2,385)'
    """
    return f"{count_text(counts.rows)} ({count_text(counts.persons)})"


def rows_sentence(counts: Counts) -> str:
    """Rows and patients in words.

    Examples
    --------
    >>> rows_sentence(Counts(28433, 2385, 2945, 2274, None, None, None, None))
    '28,433 encounters of 2,385 patients, 2,945 with the outcome.'
    """
    return (
        f"{count_text(counts.rows)} encounters of {count_text(counts.persons)} patients, "
        f"{count_text(counts.events)} with the outcome."
    )


def metric_text(name: str, metric: Metric | None, definition: Definition | None) -> str:
    """A figure with its interval, as a percentage where it is a share.

    Examples
    --------
    >>> metric_text("auroc", Metric(0.712, 0.69, 0.73), None)
    '0.712 (0.690 to 0.730)'
    >>> metric_text("auroc", Metric(None, note="suppressed"), None)
    'suppressed'
    """
    if metric is None or metric.value is None:
        note = metric.note if metric else None
        return note if note is not None and len(note) <= _SHORT_NOTE else SUPPRESSED
    percent = definition is not None and definition.is_share
    digits = 1 if percent else 4 if name in _FINE else 3
    if abs(metric.value) >= 100:  # noqa: PLR2004 - such as an odds ratio of a small group
        digits = 0
    return interval_text(metric.value, metric.low, metric.high, percent=percent, digits=digits)


def label_of(name: str, definitions: Mapping[str, Definition]) -> str:
    """Name of a metric in words."""
    found = definitions.get(name)
    return found.label if found else name.replace("_", " ")


def metric_table(analyses: Sequence[Analysis], report: EvaluationReport) -> Table:
    """All metrics of some analyses side by side, with the ideal value and the design effect."""
    definitions = report.definitions
    names = list(dict.fromkeys(name for each in analyses for name in each.metrics))
    rows: list[list[str]] = []
    for name in names:
        ideal = definitions[name].ideal if name in definitions else None
        found = [each.metrics.get(name) for each in analyses]
        effects = [metric.design_effect for metric in found if metric and metric.design_effect]
        expected = [metric.expected for metric in found if metric and metric.expected is not None]
        rows.append(
            [
                label_of(name, definitions),
                *(metric_text(name, metric, definitions.get(name)) for metric in found),
                "" if ideal is None else f"{ideal:g}",
                number_text(expected[0], digits=4) if expected else "",
                number_text(effects[0], digits=1) if effects else "",
            ]
        )
    heads = [f"{each.unit} level" for each in analyses]
    columns = ["figure", *heads, "ideal", "expected if calibrated", "design effect"]
    return Table(columns, rows)


def cells_table(analysis: Analysis) -> Table:
    """The four cells of high risk and outcome."""
    counts = analysis.counts
    return Table(
        ["", "with the outcome", "without it"],
        [
            ["on the list", count_text(counts.true_positive), count_text(counts.false_positive)],
            ["not on it", count_text(counts.false_negative), count_text(counts.true_negative)],
        ],
    )


def curve_of(analysis: Analysis, *, title: str) -> Drawing | None:
    """The calibration curve of an analysis; None where it may not be shown."""
    points = analysis.calibration_curve
    if len(points) < _FEWEST_POINTS:
        return None
    curve = Line(
        "smooth curve, 95 % band",
        [point.predicted for point in points],
        [point.observed for point in points],
        [point.low for point in points],
        [point.high for point in points],
    )
    groups = [Group(each.mean_predicted, each.observed) for each in analysis.calibration_bins]
    first, last = points[0], points[-1]
    spoken = (
        f"Where the model says {first.predicted:.1%}, {first.observed:.1%} were observed; where it "
        f"says {last.predicted:.1%}, {last.observed:.1%} were."
    )
    return calibration_curve(title, curve, groups=groups, spoken=spoken)


def decision_curve_of(analysis: Analysis, *, threshold: float) -> Drawing | None:
    """Net benefit over thresholds; None where it may not be shown."""
    rows = analysis.thresholds
    if len(rows) < _FEWEST_POINTS:
        return None
    x = [row.threshold for row in rows]
    values = [row.net_benefit for row in rows if row.net_benefit is not None]
    most = max(values, default=0.01)
    lines = [
        Line(
            "this model",
            x,
            [row.net_benefit for row in rows],
            [row.net_benefit_low for row in rows],
            [row.net_benefit_high for row in rows],
        ),
        Line("everybody on the list", x, [row.net_benefit_of_all for row in rows], look=1),
        Line("nobody on the list", [x[0], x[-1]], [0.0, 0.0], look=-1),
    ]
    return line_chart(
        "Decision curve",
        lines,
        x=Axis("threshold probability", percent=True),
        y=Axis("net benefit", low=-most / 4, high=most * 1.1, digits=4),
        limits=[Limit(threshold, f"threshold {threshold:g}", vertical=True)],
        spoken="Net benefit of the model beside everybody and nobody on the list.",
        note="Net benefit: true positives less false positives weighted by the odds of the "
        "threshold, per encounter. The higher curve is better at that threshold.",
    )


def subject_facts(subject: Subject, context: ReportContext) -> list[tuple[str, str]]:
    """What was evaluated, as terms and texts."""
    period = None
    if subject.first_day is not None and subject.last_day is not None:
        period = f"{subject.first_day} to {subject.last_day}"
    origin = {
        "model": "frozen with the model",
        "given": "as given",
        "capacity": "from the capacity for review",
    }[subject.threshold_origin]
    share = subject.capacity_share
    capacity = "" if share is None else f", {share:.0%} of the rows can be reviewed"
    told: dict[str, Any] = {
        "question": context.question,
        "outcome": subject.outcome,
        "rows": subject.source,
        "prediction times": period,
        "model version": subject.model_version,
        "high risk": f"estimated chance of {subject.threshold:g} or more ({origin}{capacity})",
        **{name.replace("_", " "): value for name, value in context.lineage.items()},
    }
    return [(term, str(said)) for term, said in told.items() if said]


def glossary(report: EvaluationReport, names: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """Labels and meanings of metrics, in alphabetical order."""
    wanted = set(report.definitions if names is None else names)
    found = [each for name, each in report.definitions.items() if name in wanted]
    return sorted(((each.label, each.meaning) for each in found), key=lambda pair: pair[0].lower())


def footer(report: EvaluationReport, context: ReportContext) -> str:
    """Where a page comes from."""
    method, subject = report.method, report.subject
    said = [
        f"{subject.title}: {subject.source}.",
        f"As known on {context.made_on}." if context.made_on else "",
        (
            f"Intervals: {method.confidence:.0%}, patients drawn with replacement "
            f"{method.replicates:,} times, seed {method.seed}."
        ),
        f"Counts below {method.smallest_cell} are suppressed.",
        f"Schema {report.schema} {report.schema_version}.",
        (
            "The estimated chance supports a clinician's own assessment; the decision is the "
            "clinician's."
        ),
    ]
    return " ".join(part for part in said if part)
