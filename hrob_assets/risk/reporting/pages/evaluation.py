"""The evaluation as a page."""

from collections.abc import Sequence

from hrob_assets.risk.evaluation import Analysis, EvaluationReport, ThresholdRow
from hrob_assets.risk.reporting.charts.forest import ForestTexts, Row, forest_plot
from hrob_assets.risk.reporting.charts.scales import number_text
from hrob_assets.risk.reporting.charts.svg import Drawing, Table
from hrob_assets.risk.reporting.pages.baseline import baseline_cells
from hrob_assets.risk.reporting.pages.page import render
from hrob_assets.risk.reporting.pages.parts import (
    ReportContext,
    cells_table,
    count_text,
    curve_of,
    decision_curve_of,
    footer,
    glossary,
    label_of,
    metric_table,
    metric_text,
    rows_sentence,
    rows_text,
    subject_facts,
)

_KEY = (
    "auroc",
    "calibration_factor",
    "positive_predictive_value",
    "negative_predictive_value",
    "lift",
    "odds_ratio",
    "prevalence",
    "alert_rate",
)
_COMPARED = ("auroc", "calibration_factor", "positive_predictive_value", "sensitivity")
_MOST_THRESHOLDS = 12
_MOST_TERMS = 30


def evaluation_page(report: EvaluationReport, context: ReportContext) -> str:
    """Draw an evaluation.

    Parameters
    ----------
    report : EvaluationReport
    context : ReportContext

    Returns
    -------
    str
        HTML, complete in itself.
    """
    main = report.analysis("encounter")
    whole = [each for each in report.analyses if each.dimension is None]
    others = _others(report)
    decision = decision_curve_of(main, threshold=report.subject.threshold)
    baseline = _baseline(context)
    return render(
        "evaluation.html.j2",
        title=f"Evaluation: {report.subject.title}",
        counts=rows_sentence(main.counts),
        main_tag=main.tag,
        subject=subject_facts(report.subject, context),
        notes=context.notes,
        sections=_sections(
            benefit=bool(decision), parts=bool(others), baseline=bool(baseline),
            terms=bool(context.terms.terms or context.terms.gap),
        ),
        key_figures=_tiles(main, report),
        figures=metric_table(whole, report),
        figures_caption="; ".join(
            f"{each.unit} level: {rows_text(each.counts)} rows (patients)" for each in whole
        ),
        curve=curve_of(main, title="Calibration, encounter level"),
        bins=_bins(main),
        cells=[(f"Counts, {each.unit} level", cells_table(each)) for each in whole],
        decision=decision,
        thresholds=_thresholds(main.thresholds),
        others=others,
        baseline=baseline,
        baseline_sentence=context.baseline_sentence,
        terms=Table(
            ["term", "log-odds"],
            [[name, f"{value:+.3f}"] for name, value in context.terms.terms[:_MOST_TERMS]],
        ),
        terms_measure=context.terms.measure,
        terms_gap=context.terms.gap,
        statements=report.method.statements,
        glossary=glossary(report),
        made_from=footer(report, context),
    )  # fmt: skip


def _sections(*, benefit: bool, parts: bool, baseline: bool, terms: bool) -> list[tuple[str, str]]:
    named = [
        ("figures", "All figures", True),
        ("calibration", "Calibration", True),
        ("list", "At the threshold", True),
        ("benefit", "Net benefit", benefit),
        ("parts", "Other stretches and patients", parts),
        ("baseline", "Who was studied", baseline),
        ("terms", "Terms of the model", terms),
        ("method", "Method", True),
        ("glossary", "Glossary", True),
    ]
    return [(anchor, name) for anchor, name, there in named if there]


def _tiles(main: Analysis, report: EvaluationReport) -> list[tuple[str, str, str]]:
    tiles: list[tuple[str, str, str]] = []
    for name in _KEY:
        if name not in main.metrics:
            continue
        told = metric_text(name, main.metrics[name], report.definitions.get(name))
        value, _, interval = told.partition(" (")
        detail = f"95 % interval {interval.rstrip(')')}" if interval else ""
        tiles.append((label_of(name, report.definitions), value, detail))
    return tiles


def _bins(main: Analysis) -> Table:
    return Table(
        ["tenth", "rows", "mean estimated", "observed"],
        [
            [
                str(each.bin),
                count_text(each.rows),
                number_text(each.mean_predicted, percent=True, digits=1),
                number_text(each.observed, percent=True, digits=1),
            ]
            for each in main.calibration_bins
        ],
    )


def _thresholds(rows: Sequence[ThresholdRow]) -> Table:
    stride = max(1, -(-len(rows) // _MOST_THRESHOLDS))
    columns = [
        "threshold", "on the list", "sensitivity", "specificity", "PPV", "NPV", "net benefit",
        "avoided per 100",
    ]  # fmt: skip
    shares = (
        "alert_rate", "sensitivity", "specificity", "positive_predictive_value",
        "negative_predictive_value",
    )  # fmt: skip
    return Table(
        columns,
        [
            [
                f"{row.threshold:g}",
                *(number_text(getattr(row, name), percent=True, digits=1) for name in shares),
                number_text(row.net_benefit, digits=4),
                number_text(row.interventions_avoided_per_100, digits=1),
            ]
            for row in rows[::stride]
        ],
    )


def _others(report: EvaluationReport) -> list[tuple[str, str, Drawing, Table]]:
    """Analyses that split the rows, one section per way of splitting."""
    split = [each for each in report.analyses if each.dimension is not None]
    sections: list[tuple[str, str, Drawing, Table]] = []
    for dimension in dict.fromkeys(each.dimension for each in split):
        parts = [each for each in split if each.dimension == dimension]
        names = [name for name in _COMPARED if any(name in each.metrics for each in parts)]
        table = Table(
            ["rows", "rows (patients)", *(label_of(name, report.definitions) for name in names)],
            [
                [
                    each.level or each.name,
                    rows_text(each.counts),
                    *(
                        metric_text(name, each.metrics.get(name), report.definitions.get(name))
                        for name in names
                    ),
                ]
                for each in parts
            ],
        )
        title = f"By {(dimension or '').replace('_', ' ')}"
        sections.append((title, parts[0].tag, _factor_plot(parts, title), table))
    return sections


def _factor_plot(parts: Sequence[Analysis], title: str) -> Drawing:
    rows: list[Row] = []
    for each in parts:
        factor = each.metrics.get("calibration_factor")
        figures = (factor.value, factor.low, factor.high) if factor else (None, None, None)
        rows.append(Row(each.level or each.name, *figures, counts=rows_text(each.counts)))
    return forest_plot(
        f"Calibration factor: {title[0].lower()}{title[1:]}",
        rows,
        texts=ForestTexts("mean estimated minus observed; 0 is ideal", digits=4),
        spoken="One line per part with its interval; 0 is ideal.",
    )


def _baseline(context: ReportContext) -> list[tuple[str, Table]]:
    if context.baseline is None:
        return []
    tables: list[tuple[str, Table]] = []
    for unit in ("patient", "encounter"):
        cells = baseline_cells(context.baseline, unit=unit)
        rows = [[str(cell) for cell in row] for row in cells.iter_rows()]
        tables.append((f"Baseline, per {unit}", Table(cells.columns, rows)))
    return tables
