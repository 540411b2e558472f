"""Lollipop chart: stems from zero with a mark for each series."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hrob_assets.risk.reporting.charts import svg
from hrob_assets.risk.reporting.charts.lines import Axis, axis_text
from hrob_assets.risk.reporting.charts.scales import Scale, tick_texts, ticks
from hrob_assets.risk.reporting.charts.svg import LOOKS, TOP, WIDTH, Drawing, Table


@dataclass(frozen=True)
class Stem:
    """One line of a lollipop chart: a value for each series, or None."""

    label: str
    values: Sequence[float | None]
    note: str = ""


def lollipop_chart(
    title: str,
    stems: Sequence[Stem],
    *,
    series: Sequence[str],
    x: Axis,
    spoken: str,
) -> Drawing:
    """Horizontal stems from zero with a mark for each series, such as share of list and of need.

    Parameters
    ----------
    title : str
    stems : sequence of Stem
        From top to bottom.
    series : sequence of str
        Names of the values of each stem, at most four.
    x : Axis
    spoken : str

    Examples
    --------
    >>> drawn = lollipop_chart("List and need", [Stem("Black", [0.2, 0.25])],
    ...     series=["list", "need"], x=Axis("share", percent=True), spoken="Need is larger.")
    >>> drawn.table.rows
    [['Black', '20.0%', '25.0%', '']]
    """
    step = 20.0 + 15.0 * len(series)
    bottom = TOP + step * len(stems) + 6
    told = [value for stem in stems for value in stem.values if value is not None]
    values = ticks(min([0.0, *told]), max([0.0, *told]) or 1.0, most=5)
    across = Scale(values[0], values[-1], 12, WIDTH - 60)
    content = svg.x_axis(
        across,
        bottom,
        values=values,
        texts=tick_texts(values, percent=x.percent),
        top=TOP,
        right=WIDTH,
    )
    content.append(svg.words((WIDTH / 2, bottom + 36), x.label, anchor="middle"))
    for number, stem in enumerate(stems):
        content += _stem(stem, series, across, TOP + step * number, x)
    rows = [
        [stem.label, *(axis_text(value, x) for value in stem.values), stem.note] for stem in stems
    ]
    said = f"{title}. {spoken}"
    return Drawing(
        title,
        [svg.picture(content, width=WIDTH, height=bottom + 42, spoken=said)],
        Table(["", *series, "note"], rows),
        [(LOOKS[number], name) for number, name in enumerate(series)] if len(series) > 1 else [],
    )


def _stem(stem: Stem, series: Sequence[str], across: Scale, top: float, x: Axis) -> list[Markup]:
    drawn = [svg.words((0, top + 12), stem.label)]
    if stem.note:
        drawn.append(svg.words((WIDTH, top + 12), stem.note, anchor="end", class_="unit"))
    for number, (name, value) in enumerate(zip(series, stem.values, strict=True)):
        y = top + 24 + 15 * number
        if value is None:
            continue
        look, place = LOOKS[number], across(value)
        told = axis_text(value, x)
        drawn += [
            svg.line((across(0), y), (place, y), f"line {look.name}"),
            svg.mark((place, y), look, size=4, tip=f"{stem.label}, {name}: {told}"),
            svg.words((place + 9, y + 4), told, class_="figures"),
        ]
    return drawn
