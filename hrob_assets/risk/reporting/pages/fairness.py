"""The fairness assessment as a page."""

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from hrob_assets.risk.evaluation import (
    AntiClassification,
    EvaluationReport,
    FairnessReport,
    GroupFairness,
    GroupShare,
    LabelAudit,
)
from hrob_assets.risk.reporting.charts.forest import ForestTexts, Row, forest_plot
from hrob_assets.risk.reporting.charts.lines import Axis
from hrob_assets.risk.reporting.charts.lollipop import Stem, lollipop_chart
from hrob_assets.risk.reporting.charts.scales import interval_text, number_text
from hrob_assets.risk.reporting.charts.svg import Drawing, Table, small_multiples
from hrob_assets.risk.reporting.pages.page import render
from hrob_assets.risk.reporting.pages.parts import (
    ReportContext,
    count_text,
    curve_of,
    footer,
    glossary,
    label_of,
    metric_text,
    rows_sentence,
    rows_text,
    subject_facts,
)

_PARITY = ("sensitivity", "specificity", "positive_predictive_value", "alert_rate")
_VERDICTS = ("calibrated", "not calibrated", "undetermined", "too few")
_USED = frozenset({*_PARITY, "calibration_factor", "observed_over_expected", "ici"})


def fairness_page(
    report: EvaluationReport, fairness: FairnessReport, context: ReportContext
) -> str:
    """Draw a fairness assessment.

    Parameters
    ----------
    report : EvaluationReport
    fairness : FairnessReport
        Of the report; it is never None here.
    context : ReportContext

    Returns
    -------
    str
        HTML, complete in itself.
    """
    main = report.analysis("encounter")
    groups, two_way = fairness.groups, fairness.two_way
    curves = _curves(groups)
    tag = groups[0].analysis.tag if groups else main.tag
    return render(
        "fairness.html.j2",
        title=f"Fairness: {report.subject.title}",
        counts=f"{rows_sentence(main.counts)} Groups: "
        f"{', '.join(name.replace('_', ' ') for name in fairness.dimensions)}.",
        subject=subject_facts(report.subject, context),
        sections=_sections(fairness, curves=bool(curves)),
        verdicts=[(name, str(fairness.verdicts.get(name, 0)), "groups") for name in _VERDICTS],
        main_tag=tag,
        margin=f"{fairness.margin:g}",
        forest=_forest("Calibration factor by group", groups, fairness.margin),
        groups=_group_table(groups, report),
        curves=curves,
        two_way=_forest("Calibration factor, two groups at once", two_way, fairness.margin)
        if two_way
        else None,
        two_way_tag=two_way[0].analysis.tag if two_way else "exploratory",
        two_way_table=_two_way_table(two_way),
        parity=_parity_table(groups, report),
        gaps=_gap_table(fairness, report),
        allocation=_allocation(fairness) if fairness.allocation else None,
        allocation_table=_allocation_table(fairness),
        anti=_anti(fairness.anti_classification),
        label=_label(fairness.label_audit),
        missing=_share_table(fairness.missing, "column"),
        sign_offs=context.sign_offs,
        statements=report.method.statements,
        glossary=glossary(report, _USED),
        made_from=footer(report, context),
    )


def _sections(fairness: FairnessReport, *, curves: bool) -> list[tuple[str, str]]:
    named = [
        ("calibration", "Calibration by group", True),
        ("curves", "Curves by group", curves),
        ("two-way", "Two groups at once", bool(fairness.two_way)),
        ("parity", "Classification parity", True),
        ("allocation", "Help and need", bool(fairness.allocation)),
        ("anti", "Without group columns", True),
        ("label", "The outcome", True),
        ("missing", "Missing values", bool(fairness.missing)),
        ("signed", "Signed by", True),
        ("glossary", "Glossary", True),
    ]
    return [(anchor, name) for anchor, name, there in named if there]


def _forest(title: str, groups: Sequence[GroupFairness], margin: float) -> Drawing:
    rows: list[Row] = []
    for dimension, members in groupby(groups, key=lambda group: group.analysis.dimension):
        rows.append(Row((dimension or "all").replace("_", " "), heading=True))
        for group in members:
            factor = group.analysis.metrics.get("calibration_factor")
            figures = (factor.value, factor.low, factor.high) if factor else (None, None, None)
            rows.append(
                Row(
                    group.analysis.level or group.analysis.name,
                    *figures,
                    counts=rows_text(group.analysis.counts),
                    verdict=group.verdict,
                )
            )
    told = [f"{row.label}: {row.verdict}" for row in rows if not row.heading]
    return forest_plot(
        title,
        rows,
        texts=ForestTexts("mean estimated minus observed; 0 is ideal"),
        margin=(-margin, margin),
        spoken="; ".join(told) + ".",
        note=f"Shaded: the margin of \N{PLUS-MINUS SIGN}{margin:g}.",
    )


def _group_table(groups: Sequence[GroupFairness], report: EvaluationReport) -> Table:
    definitions = report.definitions
    rows: list[list[str]] = []
    for group in groups:
        metrics = group.analysis.metrics
        zero = {True: "yes", False: "no", None: ""}[group.zero_in_interval]
        needed = group.patients_still_needed
        rows.append(
            [
                group.analysis.name,
                group.verdict,
                rows_text(group.analysis.counts),
                count_text(group.analysis.counts.events),
                *(
                    metric_text(name, metrics.get(name), definitions.get(name))
                    for name in ("calibration_factor", "observed_over_expected", "ici")
                ),
                zero,
                "" if needed is None else f"{needed:,}",
            ]
        )
    columns = [
        "group", "verdict", "rows (patients)", "events", "calibration factor",
        "expected / observed", "ICI", "0 in the interval (rule of the study)",
        "patients still needed",
    ]  # fmt: skip
    return Table(columns, rows)


def _curves(groups: Sequence[GroupFairness]) -> Markup | None:
    drawn = [curve_of(group.analysis, title=group.analysis.name) for group in groups]
    told = [drawing for drawing in drawn if drawing is not None]
    return small_multiples(told) if told else None


def _two_way_table(groups: Sequence[GroupFairness]) -> Table:
    rows: list[list[str]] = []
    for group in groups:
        factor = group.analysis.metrics.get("calibration_factor")
        value = None if factor is None else factor.value
        wide = interval_text(value, group.simultaneous_low, group.simultaneous_high, digits=3)
        name = group.analysis.level or group.analysis.name
        rows.append([name, rows_text(group.analysis.counts), wide, group.verdict])
    return Table(
        ["groups", "rows (patients)", "calibration factor (for all at once)", "verdict"], rows
    )


def _parity_table(groups: Sequence[GroupFairness], report: EvaluationReport) -> Table:
    rows = [
        [
            group.analysis.name,
            *(
                metric_text(name, group.analysis.metrics.get(name), report.definitions.get(name))
                for name in _PARITY
            ),
        ]
        for group in groups
    ]
    return Table(["group", *(label_of(name, report.definitions) for name in _PARITY)], rows)


def _gap_table(fairness: FairnessReport, report: EvaluationReport) -> Table:
    rows = [
        [
            gap.dimension.replace("_", " "),
            label_of(gap.metric, report.definitions),
            gap.highest,
            gap.lowest,
            metric_text(gap.metric, gap.difference, report.definitions.get(gap.metric)),
        ]
        for gap in fairness.parity
    ]
    return Table(["groups", "figure", "highest", "lowest", "difference"], rows)


def _allocation(fairness: FairnessReport) -> Drawing:
    stems = [
        Stem(
            f"{each.dimension.replace('_', ' ')}: {each.level}",
            [each.share_of_list, each.share_of_need],
        )
        for each in fairness.allocation
    ]
    return lollipop_chart(
        "Share of the list and share of the need",
        stems,
        series=["of the list", "of the rows with the outcome"],
        x=Axis("share within the dimension", percent=True),
        spoken="Two marks per group; where they are apart, help does not follow need.",
    )


def _allocation_table(fairness: FairnessReport) -> Table:
    rows = [
        [
            f"{each.dimension.replace('_', ' ')}: {each.level}",
            *(
                number_text(share, percent=True, digits=1)
                for share in (each.share_of_rows, each.share_of_list, each.share_of_need)
            ),
            metric_text("list_over_need", each.list_over_need, None),
        ]
        for each in fairness.allocation
    ]
    columns = ["group", "of all rows", "of the list", "of the need", "list over need"]
    return Table(columns, rows)


def _share_table(shares: Sequence[GroupShare], what: str) -> Table:
    """One row per subject, one column per group."""
    groups = dict.fromkeys((each.dimension, each.level) for each in shares)
    found = {(each.subject, each.dimension, each.level): each.share for each in shares}
    rows = [
        [
            subject,
            *(
                number_text(found.get((subject, *group)), percent=True, digits=1)
                for group in groups
            ),
        ]
        for subject in dict.fromkeys(each.subject for each in shares)
    ]
    names = [f"{dimension.replace('_', ' ')}: {level}" for dimension, level in groups]
    return Table([what, *names], rows)


def _anti(found: AntiClassification | None) -> dict[str, object] | None:
    if found is None:
        return None
    rows = [
        ["AUROC", metric_text("auroc", found.auroc, None)],
        ["log loss", metric_text("log_loss", found.log_loss, None)],
        ["calibration factor", metric_text("calibration_factor", found.calibration_factor, None)],
    ]
    return {"removed": " and ".join(found.removed), "table": Table(["figure", "difference"], rows)}


def _label(found: LabelAudit | None) -> dict[str, object] | None:
    if found is None:
        return None
    sources = [[name, source] for name, source in found.sources.items()]
    return {
        "statement": found.statement,
        "proxy": found.is_proxy,
        "sources": Table(["component", "read from"], sources),
        "components": _share_table(found.components, "component"),
    }
