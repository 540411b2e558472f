"""Charts for reports: numbers in, a `Drawing` out; nothing is computed but places.

Each function takes what it draws as plain sequences, so that an evaluation, a comparison and a
monitoring report share them. A value of None is a gap: nothing is drawn there, nothing is guessed.
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
    log_ticks,
    number_text,
    tick_texts,
    ticks,
)
from hrob_assets.risk.reporting.charts.svg import LOOKS, PLAIN, Drawing, Look, Table, tag

_WIDTH, _LEFT, _RIGHT, _TOP = 440.0, 62.0, 20.0, 22.0
_MOST_ROWS = 40
_GROUP = Look("other", "", "square")
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
    logarithmic : bool
    low, high : float, optional
        Ends that the axis must hold beside the values.
    digits : int
        Digits of values in the table of numbers.
    """

    label: str
    percent: bool = False
    logarithmic: bool = False
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
    height: float = 280,
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
    height : float, user units (the width is 440)

    Examples
    --------
    >>> weeks = [date(2024, 1, 1), date(2024, 1, 8)]
    >>> drawn = line_chart("Evidence", [Line("overall", weeks, [1.0, 30.0], marked=True)],
    ...     x=Axis("week"), y=Axis("evidence", logarithmic=True),
    ...     limits=[Limit(260, "alarm")], spoken="Evidence stays below the alarm level.")
    >>> drawn.table.rows[1][:2]
    ['2024-01-08', '30.000']
    """
    bottom = height - 44
    across, x_values, x_texts = _x_scale(lines, x, limits)
    up, y_values = _y_scale(lines, y, limits, bottom)
    content = [
        *svg.x_axis(across, bottom, values=x_values, texts=x_texts, top=_TOP, right=_WIDTH),
        *svg.y_axis(up, _LEFT, values=y_values, right=_WIDTH - _RIGHT, percent=y.percent),
        svg.words(((_LEFT + _WIDTH - _RIGHT) / 2, height - 6), x.label, anchor="middle"),
        svg.words((0, 11), y.label, class_="unit"),
        *_bands(lines, across, up),
        *_limits(limits, across, up),
        *_lines(lines, across, up, y),
    ]
    legend = [(_look(each), each.name) for each in lines] if len(lines) > 1 else []
    return Drawing(
        title,
        [svg.picture(content, width=_WIDTH, height=height, spoken=f"{title}. {spoken}")],
        _line_table(lines, x, y),
        legend,
        note,
    )


@dataclass(frozen=True)
class Bin:
    """One bar of a histogram from `low` to `high`; a count of None is not told."""

    low: float
    high: float
    count: int | None


@dataclass(frozen=True)
class Group:
    """Mean predicted and observed share of one group of predictions, with its interval."""

    predicted: float | None
    observed: float | None
    low: float | None = None
    high: float | None = None


def calibration_curve(
    title: str,
    curve: Line,
    *,
    groups: Sequence[Group] = (),
    histogram: Sequence[Bin] = (),
    most: float | None = None,
    spoken: str,
    note: str = "",
) -> Drawing:
    """Observed against predicted risk: smooth curve with its band, groups, and the predictions.

    Parameters
    ----------
    title : str
    curve : Line
        Observed share (y) at each predicted risk (x), as fractions.
    groups : sequence of Group
        For display, such as tenths of the predictions.
    histogram : sequence of Bin
        Of the predictions; drawn below on the same axis.
    most : float, optional
        End of both axes; default holds all that is drawn.
    spoken, note : str

    Examples
    --------
    >>> drawn = calibration_curve("Calibration", Line("smooth", [0.1, 0.2], [0.12, 0.19]),
    ...     groups=[Group(0.15, 0.16)], histogram=[Bin(0, 0.2, 40)], spoken="Close to ideal.")
    >>> len(drawn.table.rows)
    3
    """
    bottom, width = 326.0, _WIDTH
    end = ticks(0, most or _end_of(curve, groups))[-1]
    across, up = Scale(0, end, _LEFT, width - _RIGHT), Scale(0, end, bottom, _TOP)
    values = ticks(0, end)
    height = bottom + (56 if histogram else 0) + 44
    ideal = Line("ideal: predicted = observed", [0.0, end], [0.0, end], look=-1)
    axis = Axis("observed", percent=True)
    content = [
        *svg.y_axis(up, _LEFT, values=values, right=width - _RIGHT, percent=True),
        *_histogram(histogram, across, bottom + 56, 44),
        *svg.x_axis(
            across,
            height - 44,
            values=values,
            texts=tick_texts(values, percent=True),
            top=_TOP,
            right=width,
        ),
        svg.line((_LEFT, bottom), (width - _RIGHT, bottom), "axis"),
        svg.words((0, 11), "observed", class_="unit"),
        svg.words(((_LEFT + width - _RIGHT) / 2, height - 6), "predicted risk", anchor="middle"),
        *_bands([curve], across, up),
        *_lines([ideal, curve], across, up, axis),
        *_groups(groups, across, up),
    ]
    legend = [(LOOKS[0], curve.name), (PLAIN, ideal.name)]
    legend += [(_GROUP, "tenths of the predictions")] if groups else []
    return Drawing(
        title,
        [svg.picture(content, width=width, height=height, spoken=f"{title}. {spoken}")],
        _calibration_table(curve, groups),
        legend,
        note or ("The bars below are the predictions." if histogram else ""),
    )


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
    note: str = "",
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
    spoken, note : str

    Examples
    --------
    >>> drawn = lollipop_chart("List and need", [Stem("Black", [0.2, 0.25])],
    ...     series=["list", "need"], x=Axis("share", percent=True), spoken="Need is larger.")
    >>> drawn.table.rows
    [['Black', '20.0%', '25.0%', '']]
    """
    step = 20.0 + 15.0 * len(series)
    bottom = _TOP + step * len(stems) + 6
    told = [value for stem in stems for value in stem.values if value is not None]
    values = ticks(min([0.0, *told]), max([0.0, *told]) or 1.0, most=5)
    across = Scale(values[0], values[-1], 12, _WIDTH - 60)
    content = svg.x_axis(
        across,
        bottom,
        values=values,
        texts=tick_texts(values, percent=x.percent),
        top=_TOP,
        right=_WIDTH,
    )
    content.append(svg.words((_WIDTH / 2, bottom + 36), x.label, anchor="middle"))
    for number, stem in enumerate(stems):
        content += _stem(stem, series, across, _TOP + step * number, x)
    rows = [[stem.label, *(_text(value, x) for value in stem.values), stem.note] for stem in stems]
    said = f"{title}. {spoken}"
    return Drawing(
        title,
        [svg.picture(content, width=_WIDTH, height=bottom + 42, spoken=said)],
        Table(["", *series, "note"], rows),
        [(LOOKS[number], name) for number, name in enumerate(series)] if len(series) > 1 else [],
        note,
    )


@dataclass(frozen=True)
class Event:
    """Something that happened on a day; `look` is the number of its kind."""

    day: date
    label: str
    look: int = 0


def timeline(
    title: str, events: Sequence[Event], *, kinds: Sequence[str], spoken: str, note: str = ""
) -> Drawing:
    """Events on a line of time, one lane per kind; labels are in the table and in the tips.

    Parameters
    ----------
    title : str
    events : sequence of Event
        At least one.
    kinds : sequence of str
        Names of the looks 0, 1, ... at most four.
    spoken, note : str

    Examples
    --------
    >>> drawn = timeline("Life of the model", [Event(date(2024, 5, 6), "alarm: overall", 1)],
    ...     kinds=["promotion", "alarm"], spoken="One alarm.")
    >>> drawn.table.rows
    [['2024-05-06', 'alarm', 'alarm: overall']]
    """
    days = [event.day for event in events]
    first, last = min(days), max(days)
    bottom = _TOP + 34 * len(kinds)
    marks = date_ticks(first, last)
    end = max(last, marks[-1]).toordinal()
    across = Scale(first.toordinal(), end + (end == first.toordinal()), 24, _WIDTH - 24)
    at = [float(day.toordinal()) for day in marks]
    content = svg.x_axis(
        across, bottom, values=at, texts=[day.isoformat() for day in marks], top=_TOP, right=_WIDTH
    )
    for number, kind in enumerate(kinds):
        content.append(svg.words((0, _TOP + 34 * number + 11), kind, class_="unit"))
    for event in sorted(events, key=lambda each: each.day):
        place = (across(event.day.toordinal()), _TOP + 34 * event.look + 22)
        content.append(svg.mark(place, LOOKS[event.look], size=5, tip=f"{event.day} {event.label}"))
    rows = [
        [event.day.isoformat(), kinds[event.look], event.label]
        for event in sorted(events, key=lambda each: each.day)
    ]
    return Drawing(
        title,
        [svg.picture(content, width=_WIDTH, height=bottom + 26, spoken=f"{title}. {spoken}")],
        Table(["day", "what", "detail"], rows),
        note=note,
    )


def small_multiples(drawings: Sequence[Drawing]) -> Markup:
    """Several charts side by side, as many as the width holds."""
    return tag("div", *(Markup(each.__html__()) for each in drawings), class_="multiples")  # noqa: S704 - drawings escape


def _look(of: Line) -> Look:
    return PLAIN if of.look < 0 else LOOKS[of.look]


def _number(value: float | date) -> float:
    return float(value.toordinal()) if isinstance(value, date) else float(value)


def _told(values: Sequence[float | None] | None) -> list[float]:
    return [value for value in values or () if value is not None]


def _x_scale(
    lines: Sequence[Line], axis: Axis, limits: Sequence[Limit]
) -> tuple[Scale, list[float], list[str]]:
    all_x = [value for each in lines for value in each.x]
    days = [value for value in all_x if isinstance(value, date)]
    if days:
        marks = date_ticks(min(days), max(days), most=4)
        first, last = (float(end(days).toordinal()) for end in (min, max))
        across = Scale(first, max(last, first + 1), _LEFT, _WIDTH - _RIGHT)
        return across, [float(day.toordinal()) for day in marks], [str(day) for day in marks]
    numbers = [_number(value) for value in all_x]
    numbers += [limit.value for limit in limits if limit.vertical]
    ends = [end for end in (axis.low, axis.high) if end is not None]
    values = ticks(min([*numbers, *ends]), max([*numbers, *ends]))
    across = Scale(values[0], values[-1], _LEFT, _WIDTH - _RIGHT)
    return across, values, tick_texts(values, percent=axis.percent)


def _y_scale(
    lines: Sequence[Line], axis: Axis, limits: Sequence[Limit], bottom: float
) -> tuple[Scale, list[float]]:
    told = [v for each in lines for part in (each.y, each.low, each.high) for v in _told(part)]
    told += [limit.value for limit in limits if not limit.vertical]
    told += [end for end in (axis.low, axis.high) if end is not None]
    if axis.logarithmic:
        positive = [value for value in told if value > 0] or [1.0]
        values = log_ticks(min(positive), max(positive))
    else:
        values = ticks(min(told, default=0.0), max(told, default=1.0))
    low = values[0] if axis.low is None else max(axis.low, values[0])
    high = values[-1] if axis.high is None else min(axis.high, values[-1])
    shown = [value for value in values if low <= value <= high]
    return Scale(low, high, bottom, _TOP, logarithmic=axis.logarithmic), shown


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


def _bands(lines: Sequence[Line], across: Scale, up: Scale) -> list[Markup]:
    drawn: list[Markup] = []
    for each in lines:
        if each.low is None or each.high is None:
            continue
        ends = [(low, high) for low, high in zip(each.low, each.high, strict=True)]
        for run in _runs([low is not None and high is not None for low, high in ends]):
            x = [across(_number(each.x[i])) for i in run]
            low = [up(ends[i][0] or 0.0) for i in run]
            high = [up(ends[i][1] or 0.0) for i in run]
            if len(run) == 1:
                drawn.append(svg.line((x[0], low[0]), (x[0], high[0]), f"line {_look(each).name}"))
            else:
                pairs = (list(zip(x, high, strict=True)), list(zip(x, low, strict=True)))
                drawn.append(svg.band(*pairs, _look(each)))
    return drawn


def _lines(lines: Sequence[Line], across: Scale, up: Scale, y: Axis) -> list[Markup]:
    drawn: list[Markup] = []
    for each in lines:
        for run in _runs([value is not None for value in each.y]):
            points = [(across(_number(each.x[i])), up(each.y[i] or 0.0)) for i in run]
            if len(points) > 1:
                drawn.append(svg.path(points, _look(each)))
            if each.marked or len(points) == 1:
                size = 3.5 if len(each.y) <= _MOST_MARKS else 2.0
                tips = [f"{each.x[i]}: {_text(each.y[i], y)}" for i in run]
                drawn += [
                    svg.mark(point, _look(each), size=size, tip=tip)
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


def _text(value: float | None, axis: Axis) -> str:
    return number_text(value, percent=axis.percent, digits=1 if axis.percent else axis.digits)


def _line_table(lines: Sequence[Line], x: Axis, y: Axis) -> Table:
    """One row per point of x, thinned to what one can read; all series side by side."""
    places = sorted({value for each in lines for value in each.x}, key=_number)
    stride = max(1, -(-len(places) // _MOST_ROWS))
    digits = 1 if y.percent else y.digits
    by_place = [dict(zip(each.x, range(len(each.y)), strict=True)) for each in lines]
    rows: list[list[str]] = []
    for place in places[::stride]:
        row = [str(place) if isinstance(place, date) else _text(place, x)]
        for each, index in zip(lines, by_place, strict=True):
            i = index.get(place)
            low = each.low[i] if i is not None and each.low is not None else None
            high = each.high[i] if i is not None and each.high is not None else None
            value = None if i is None else each.y[i]
            row.append(interval_text(value, low, high, percent=y.percent, digits=digits))
        rows.append(row)
    return Table([x.label, *(each.name for each in lines)], rows)


def _end_of(curve: Line, groups: Sequence[Group]) -> float:
    told = [
        *(_number(value) for value in curve.x),
        *_told(curve.y),
        *_told([group.predicted for group in groups]),
        *_told([group.observed for group in groups]),
    ]
    return max(told, default=1.0)


def _histogram(bins: Sequence[Bin], across: Scale, bottom: float, height: float) -> list[Markup]:
    highest = max((each.count or 0 for each in bins), default=0)
    drawn: list[Markup] = []
    for each in bins:
        if not each.count or each.low >= across.high:
            continue
        left, right = across(each.low), across(each.high)
        tall = max(height * each.count / highest, 1.0)
        tip = f"{each.low:.1%} to {each.high:.1%}: {each.count:,} rows"
        drawn.append(
            tag(
                "rect",
                tag("title", tip),
                x=left,
                y=round(bottom - tall, 1),
                width=round(max(right - left - 0.7, 0.7), 1),
                height=round(tall, 1),
                class_="bar",
            )
        )
    return drawn


def _groups(groups: Sequence[Group], across: Scale, up: Scale) -> list[Markup]:
    drawn: list[Markup] = []
    for group in groups:
        if group.predicted is None or group.observed is None:
            continue
        x = across(group.predicted)
        if group.low is not None and group.high is not None:
            drawn.append(svg.line((x, up(group.low)), (x, up(group.high)), "line other"))
        tip = f"predicted {group.predicted:.1%}, observed {group.observed:.1%}"
        drawn.append(svg.mark((x, up(group.observed)), _GROUP, size=3, tip=tip))
    return drawn


def _calibration_table(curve: Line, groups: Sequence[Group]) -> Table:
    axis = Axis("", percent=True)
    smooth = _line_table([curve], axis, axis)
    rows = [["curve", *row] for row in smooth.rows]
    for group in groups:
        observed = interval_text(group.observed, group.low, group.high, percent=True, digits=1)
        rows.append(["group", _text(group.predicted, axis), observed])
    return Table(["", "predicted", "observed"], rows)


def _stem(stem: Stem, series: Sequence[str], across: Scale, top: float, x: Axis) -> list[Markup]:
    drawn = [svg.words((0, top + 12), stem.label)]
    if stem.note:
        drawn.append(svg.words((_WIDTH, top + 12), stem.note, anchor="end", class_="unit"))
    for number, (name, value) in enumerate(zip(series, stem.values, strict=True)):
        y = top + 24 + 15 * number
        if value is None:
            continue
        look, place = LOOKS[number], across(value)
        told = _text(value, x)
        drawn += [
            svg.line((across(0), y), (place, y), f"line {look.name}"),
            svg.mark((place, y), look, size=4, tip=f"{stem.label}, {name}: {told}"),
            svg.words((place + 9, y + 4), told, class_="figures"),
        ]
    return drawn
