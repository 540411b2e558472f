"""Forest plot: values with their intervals, one line per group, wide and narrow."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hrob_assets.risk.reporting.charts import svg
from hrob_assets.risk.reporting.charts.scales import Scale, interval_text, tick_texts, ticks
from hrob_assets.risk.reporting.charts.svg import LOOKS, Drawing, Look, Table, tag

_WIDE, _NARROW = 760.0, 400.0
_ONE_LINE = 44
"""Letters of a label and of its figures that stand on one line of the narrow picture."""


@dataclass(frozen=True)
class Row:
    """One line of a forest plot; a heading has no value.

    Parameters
    ----------
    label : str
    value, low, high : float, optional
    counts : str
        Such as rows and patients, as text.
    verdict : str
        As text; it also gives the mark: see `VERDICT_LOOKS`.
    heading : bool
    """

    label: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    counts: str = ""
    verdict: str = ""
    heading: bool = False


VERDICT_LOOKS = {
    "calibrated": Look("one", "", "circle"),
    "not calibrated": Look("fourth", "", "diamond"),
    "undetermined": Look("other", "", "square", hollow=True),
    "too few": Look("third", "", "triangle", hollow=True),
}
"""Look of a verdict; any other text has that of the first."""


@dataclass(frozen=True)
class ForestTexts:
    """Heads of the columns of a forest plot, and how values are shown."""

    axis: str
    counts: str = "rows (patients)"
    value: str = "estimate (95 % interval)"
    digits: int = 3


def forest_plot(
    title: str,
    rows: Sequence[Row],
    *,
    texts: ForestTexts,
    reference: float | None = 0.0,
    margin: tuple[float, float] | None = None,
    spoken: str,
    note: str = "",
) -> Drawing:
    """Values with their intervals, one line each, beside a reference and a margin.

    Two pictures are drawn: a wide one with columns, and a narrow one for a phone.

    Parameters
    ----------
    title : str
    rows : sequence of Row
    texts : ForestTexts
    reference : float, optional
    margin : (float, float), optional
        Shaded: what counts as near enough.
    spoken, note : str

    Examples
    --------
    >>> drawn = forest_plot("Factor", [Row("all", 0.01, -0.01, 0.02, "90 (40)", "undetermined")],
    ...     texts=ForestTexts("mean predicted minus observed"), spoken="One group.")
    >>> drawn.table.rows
    [['all', '90 (40)', '0.010 (-0.010 to 0.020)', 'undetermined']]
    """
    wide = _forest(rows, texts, reference, margin, narrow=False)
    narrow = _forest(rows, texts, reference, margin, narrow=True)
    said = f"{title}. {spoken}"
    found = dict.fromkeys(row.verdict for row in rows if row.verdict in VERDICT_LOOKS)
    table = [
        [row.label, row.counts, _interval(row, texts), row.verdict]
        for row in rows
        if not row.heading
    ]
    return Drawing(
        title,
        [
            svg.picture(wide[0], width=_WIDE, height=wide[1], spoken=said, kind="wide"),
            svg.picture(narrow[0], width=_NARROW, height=narrow[1], spoken=said, kind="narrow"),
        ],
        Table(["", texts.counts, texts.value, "verdict"], table),
        [(VERDICT_LOOKS[name], name) for name in found],
        note,
    )


@dataclass(frozen=True)
class _Columns:
    """Places of a forest plot."""

    start: float
    end: float
    step: float
    head: float
    narrow: bool
    texts: ForestTexts

    @property
    def width(self) -> float:
        return _NARROW if self.narrow else _WIDE


def _columns(rows: Sequence[Row], texts: ForestTexts, *, narrow: bool) -> _Columns:
    """Places of the wide picture, or of the narrow one, where long labels take two lines."""
    if not narrow:
        return _Columns(330, 548, 24, 26, narrow, texts)
    longest = max((len(row.label) + len(_interval(row, texts)) for row in rows), default=0)
    return _Columns(8, 392, 42 if longest <= _ONE_LINE else 60, 8, narrow, texts)


def _forest(
    rows: Sequence[Row],
    texts: ForestTexts,
    reference: float | None,
    margin: tuple[float, float] | None,
    *,
    narrow: bool,
) -> tuple[list[Markup], float]:
    """Content and height of one of the two pictures."""
    columns = _columns(rows, texts, narrow=narrow)
    told = [v for row in rows for v in (row.value, row.low, row.high) if v is not None]
    told += [*(margin or ()), *([] if reference is None else [reference])]
    values = ticks(min(told, default=0.0), max(told, default=1.0), most=4)
    across = Scale(values[0], values[-1], columns.start, columns.end)
    bottom = columns.head + sum(_row_height(row, columns) for row in rows) + 4
    drawn = [] if margin is None else [_margin(margin, across, columns, bottom)]
    drawn += svg.x_axis(
        across,
        bottom,
        values=values,
        texts=tick_texts(values),
        top=columns.head,
        right=columns.width,
    )
    if reference is not None:
        x = across(reference)
        drawn.append(svg.line((x, columns.head), (x, bottom), "axis"))
    if not narrow:
        drawn += [
            svg.words((318, 14), texts.counts, anchor="end", class_="unit"),
            svg.words((562, 14), texts.value, class_="unit"),
        ]
    top = columns.head
    for row in rows:
        drawn += _forest_row(row, across, top, columns)
        top += _row_height(row, columns)
    middle = (columns.start + columns.end) / 2
    drawn.append(svg.words((middle, bottom + 36), texts.axis, anchor="middle"))
    return drawn, bottom + 44


def _margin(margin: tuple[float, float], across: Scale, columns: _Columns, bottom: float) -> Markup:
    left, right = across(margin[0]), across(margin[1])
    height = bottom - columns.head
    return tag("rect", x=left, y=columns.head, width=right - left, height=height, class_="margin")


def _row_height(row: Row, columns: _Columns) -> float:
    return 24.0 if row.heading else columns.step


def _interval(row: Row, texts: ForestTexts) -> str:
    return interval_text(row.value, row.low, row.high, digits=texts.digits)


def _forest_row(row: Row, across: Scale, top: float, columns: _Columns) -> list[Markup]:
    if row.heading:
        return [svg.words((0, top + 17), row.label, class_="strong")]
    baseline = top + (14 if columns.narrow else 16)
    middle = top + (columns.step - 14 if columns.narrow else 12)
    told = _interval(row, columns.texts)
    if columns.narrow:
        drawn = [
            svg.words((0, baseline), row.label),
            svg.words((_NARROW, middle - 13), told, anchor="end", class_="figures"),
        ]
    else:
        drawn = [
            svg.words((8, baseline), row.label),
            svg.words((318, baseline), row.counts, anchor="end", class_="figures"),
            svg.words((562, baseline), told, class_="figures"),
        ]
    return [*drawn, *_whisker(row, across, middle, told)]


def _whisker(row: Row, across: Scale, middle: float, told: str) -> list[Markup]:
    if row.value is None:
        return []
    look = VERDICT_LOOKS.get(row.verdict, LOOKS[0])
    drawn: list[Markup] = []
    if row.low is not None and row.high is not None:
        left, right = across(row.low), across(row.high)
        drawn.append(svg.line((left, middle), (right, middle), f"line {look.name}"))
        drawn += [
            svg.line((x, middle - 3), (x, middle + 3), f"line {look.name}") for x in (left, right)
        ]
    tip = ", ".join(part for part in (row.label, told, row.verdict) if part)
    drawn.append(svg.mark((across(row.value), middle), look, size=4.5, tip=tip))
    return drawn
