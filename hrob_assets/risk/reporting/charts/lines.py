"""Lines over numbers or over time, with their bands and levels.

Numbers go in and a `Drawing` comes out; only places are computed. A value of None is a gap: nothing
is drawn there and nothing is guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from hrob_assets.risk.reporting.charts import svg
from hrob_assets.risk.reporting.charts.scales import (
    Scale,
    date_ticks,
    interval_text,
    number_text,
    tick_texts,
    ticks,
)
from hrob_assets.risk.reporting.charts.svg import (
    LEFT,
    LOOKS,
    PLAIN,
    RIGHT,
    TOP,
    WIDTH,
    Drawing,
    Look,
    Table,
)

_HEIGHT = 280
_MOST_ROWS = 40
_MOST_MARKS = 60


@dataclass(frozen=True)
class Line:
    """One series over numbers or dates.

    Parameters
    ----------
    name : str
    x : sequence of float or date
        Rising.
    y : sequence of float or None
    low, high : sequence of float or None
        Ends of the interval; both or neither.
    look : int
        Number of the look, 0 to 3; -1 is the plain look of a reference.
    marked : bool
        Whether each point has a mark; else the line alone is drawn.
    """

    name: str
    x: Sequence[float] | Sequence[date]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    look: int = 0
    marked: bool = False


@dataclass(frozen=True)
class Limit:
    """A level that is drawn across the chart, such as a threshold, with its name."""

    value: float
    name: str
    vertical: bool = False


@dataclass(frozen=True)
class Axis:
    """What an axis shows.

    Parameters
    ----------
    label : str
    percent : bool
        Values are fractions, shown as per cent.
    low, high : float, optional
        Ends that the axis must hold beside the values.
    digits : int
        Digits of values in the table of numbers.
    """

    label: str
    percent: bool = False
    low: float | None = None
    high: float | None = None
    digits: int = 3


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x: Axis,
    y: Axis,
    limits: Sequence[Limit] = (),
    spoken: str,
    note: str = "",
) -> Drawing:
    """Lines over numbers or over time, each with its band, and levels such as a threshold.

    Parameters
    ----------
    title : str
    lines : sequence of Line
        All over numbers, or all over dates.
    x, y : Axis
    limits : sequence of Limit
    spoken : str
        What the chart shows, in a sentence, for a screen reader.
    note : str

    Examples
    --------
    >>> weeks = [date(2024, 1, 1), date(2024, 1, 8)]
    >>> drawn = line_chart("Evidence", [Line("overall", weeks, [1.0, 30.0], marked=True)],
    ...     x=Axis("week"), y=Axis("evidence"), limits=[Limit(260, "alarm")],
    ...     spoken="Evidence stays below the alarm threshold.")
    >>> drawn.table.rows[1][:2]
    ['2024-01-08', '30.000']
    """
    bottom = _HEIGHT - 44
    across, x_values, x_texts = _x_scale(lines, x, limits)
    up, y_values = _y_scale(lines, y, limits, bottom)
    content = [
        *svg.x_axis(across, bottom, values=x_values, texts=x_texts, top=TOP, right=WIDTH),
        *svg.y_axis(up, LEFT, values=y_values, right=WIDTH - RIGHT, percent=y.percent),
        svg.words(((LEFT + WIDTH - RIGHT) / 2, _HEIGHT - 6), x.label, anchor="middle"),
        svg.words((0, 11), y.label, class_="unit"),
        *bands(lines, across, up),
        *_limits(limits, across, up),
        *paths(lines, across, up, y),
    ]
    legend = [(look_of(each), each.name) for each in lines] if len(lines) > 1 else []
    return Drawing(
        title,
        [svg.picture(content, width=WIDTH, height=_HEIGHT, spoken=f"{title}. {spoken}")],
        line_table(lines, x, y),
        legend,
        note,
    )


def look_of(series: Line) -> Look:
    """How a series is drawn."""
    return PLAIN if series.look < 0 else LOOKS[series.look]


def as_number(value: float | date) -> float:
    """A value of an axis as a number; a date is its day since year 1."""
    return float(value.toordinal()) if isinstance(value, date) else float(value)


def given(values: Sequence[float | None] | None) -> list[float]:
    """The values that are there."""
    return [value for value in values or () if value is not None]


def _x_scale(
    lines: Sequence[Line], axis: Axis, limits: Sequence[Limit]
) -> tuple[Scale, list[float], list[str]]:
    all_x = [value for each in lines for value in each.x]
    days = [value for value in all_x if isinstance(value, date)]
    if days:
        marks = date_ticks(min(days), max(days), most=4)
        first, last = (float(end(days).toordinal()) for end in (min, max))
        across = Scale(first, max(last, first + 1), LEFT, WIDTH - RIGHT)
        return across, [float(day.toordinal()) for day in marks], [str(day) for day in marks]
    numbers = [as_number(value) for value in all_x]
    numbers += [limit.value for limit in limits if limit.vertical]
    ends = [end for end in (axis.low, axis.high) if end is not None]
    values = ticks(min([*numbers, *ends]), max([*numbers, *ends]))
    across = Scale(values[0], values[-1], LEFT, WIDTH - RIGHT)
    return across, values, tick_texts(values, percent=axis.percent)


def _y_scale(
    lines: Sequence[Line], axis: Axis, limits: Sequence[Limit], bottom: float
) -> tuple[Scale, list[float]]:
    told = [v for each in lines for part in (each.y, each.low, each.high) for v in given(part)]
    told += [limit.value for limit in limits if not limit.vertical]
    told += [end for end in (axis.low, axis.high) if end is not None]
    values = ticks(min(told, default=0.0), max(told, default=1.0))
    low = values[0] if axis.low is None else max(axis.low, values[0])
    high = values[-1] if axis.high is None else min(axis.high, values[-1])
    shown = [value for value in values if low <= value <= high]
    return Scale(low, high, bottom, TOP), shown


def _runs(flags: Sequence[bool]) -> list[range]:
    """Stretches of neighbours that are all true.

    >>> _runs([True, True, False, True])
    [range(0, 2), range(3, 4)]
    """
    runs: list[range] = []
    for number, flag in enumerate(flags):
        if not flag:
            continue
        if runs and runs[-1].stop == number:
            runs[-1] = range(runs[-1].start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return runs


def bands(lines: Sequence[Line], across: Scale, up: Scale) -> list[Markup]:
    """Intervals of the lines as areas, broken where an end is missing."""
    drawn: list[Markup] = []
    for each in lines:
        if each.low is None or each.high is None:
            continue
        ends = [(low, high) for low, high in zip(each.low, each.high, strict=True)]
        for run in _runs([low is not None and high is not None for low, high in ends]):
            x = [across(as_number(each.x[i])) for i in run]
            low = [up(ends[i][0] or 0.0) for i in run]
            high = [up(ends[i][1] or 0.0) for i in run]
            if len(run) == 1:
                drawn.append(
                    svg.line((x[0], low[0]), (x[0], high[0]), f"line {look_of(each).name}")
                )
            else:
                pairs = (list(zip(x, high, strict=True)), list(zip(x, low, strict=True)))
                drawn.append(svg.band(*pairs, look_of(each)))
    return drawn


def paths(lines: Sequence[Line], across: Scale, up: Scale, y: Axis) -> list[Markup]:
    """Lines with their marks, broken where a value is missing."""
    drawn: list[Markup] = []
    for each in lines:
        for run in _runs([value is not None for value in each.y]):
            points = [(across(as_number(each.x[i])), up(each.y[i] or 0.0)) for i in run]
            if len(points) > 1:
                drawn.append(svg.path(points, look_of(each)))
            if each.marked or len(points) == 1:
                size = 3.5 if len(each.y) <= _MOST_MARKS else 2.0
                tips = [f"{each.x[i]}: {axis_text(each.y[i], y)}" for i in run]
                drawn += [
                    svg.mark(point, look_of(each), size=size, tip=tip)
                    for point, tip in zip(points, tips, strict=True)
                ]
    return drawn


def _limits(limits: Sequence[Limit], across: Scale, up: Scale) -> list[Markup]:
    drawn: list[Markup] = []
    for limit in limits:
        if limit.vertical:
            x = across(limit.value)
            late = x > (across.start + across.end) / 2
            place = (x + (-4 if late else 4), up.end + 12)
            drawn.append(svg.line((x, up.start), (x, up.end), "limit", "5 3"))
            drawn.append(
                svg.words(place, limit.name, anchor="end" if late else "start", class_="limit-name")
            )
        else:
            y = up(limit.value)
            drawn.append(svg.line((across.start, y), (across.end, y), "limit", "5 3"))
            drawn.append(
                svg.words((across.end, y - 4), limit.name, anchor="end", class_="limit-name")
            )
    return drawn


def axis_text(value: float | None, axis: Axis) -> str:
    """A value as the axis shows it."""
    return number_text(value, percent=axis.percent, digits=1 if axis.percent else axis.digits)


def line_table(lines: Sequence[Line], x: Axis, y: Axis) -> Table:
    """One row per point of x, thinned to what one can read; all series side by side."""
    places = sorted({value for each in lines for value in each.x}, key=as_number)
    stride = max(1, -(-len(places) // _MOST_ROWS))
    digits = 1 if y.percent else y.digits
    by_place = [dict(zip(each.x, range(len(each.y)), strict=True)) for each in lines]
    rows: list[list[str]] = []
    for place in places[::stride]:
        row = [str(place) if isinstance(place, date) else axis_text(place, x)]
        for each, index in zip(lines, by_place, strict=True):
            i = index.get(place)
            low = each.low[i] if i is not None and each.low is not None else None
            high = each.high[i] if i is not None and each.high is not None else None
            value = None if i is None else each.y[i]
            row.append(interval_text(value, low, high, percent=y.percent, digits=digits))
        rows.append(row)
    return Table([x.label, *(each.name for each in lines)], rows)
