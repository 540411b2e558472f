"""The calibration curve: observed against predicted risk."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hrob_assets.risk.reporting.charts import svg
from hrob_assets.risk.reporting.charts.lines import (
    Axis,
    Line,
    as_number,
    axis_text,
    bands,
    given,
    line_table,
    paths,
)
from hrob_assets.risk.reporting.charts.scales import Scale, interval_text, tick_texts, ticks
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

_GROUP = Look("other", "", "square")


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
    spoken: str,
) -> Drawing:
    """Observed against predicted risk: a smooth curve with its band, and groups of predictions.

    Parameters
    ----------
    title : str
    curve : Line
        Observed share (y) at each predicted risk (x), as fractions.
    groups : sequence of Group
        For display, such as tenths of the predictions.
    spoken : str

    Examples
    --------
    >>> drawn = calibration_curve("Calibration", Line("smooth", [0.1, 0.2], [0.12, 0.19]),
    ...     groups=[Group(0.15, 0.16)], spoken="Close to ideal.")
    >>> len(drawn.table.rows)
    3
    """
    bottom, width = 326.0, WIDTH
    end = ticks(0, _end_of(curve, groups))[-1]
    across, up = Scale(0, end, LEFT, width - RIGHT), Scale(0, end, bottom, TOP)
    values = ticks(0, end)
    height = bottom + 44
    ideal = Line("ideal: predicted = observed", [0.0, end], [0.0, end], look=-1)
    axis = Axis("observed", percent=True)
    content = [
        *svg.y_axis(up, LEFT, values=values, right=width - RIGHT, percent=True),
        *svg.x_axis(
            across,
            bottom,
            values=values,
            texts=tick_texts(values, percent=True),
            top=TOP,
            right=width,
        ),
        svg.line((LEFT, bottom), (width - RIGHT, bottom), "axis"),
        svg.words((0, 11), "observed", class_="unit"),
        svg.words(((LEFT + width - RIGHT) / 2, height - 6), "predicted risk", anchor="middle"),
        *bands([curve], across, up),
        *paths([ideal, curve], across, up, axis),
        *_groups(groups, across, up),
    ]
    legend = [(LOOKS[0], curve.name), (PLAIN, ideal.name)]
    legend += [(_GROUP, "tenths of the predictions")] if groups else []
    return Drawing(
        title,
        [svg.picture(content, width=width, height=height, spoken=f"{title}. {spoken}")],
        _calibration_table(curve, groups),
        legend,
    )


def _end_of(curve: Line, groups: Sequence[Group]) -> float:
    told = [
        *(as_number(value) for value in curve.x),
        *given(curve.y),
        *given([group.predicted for group in groups]),
        *given([group.observed for group in groups]),
    ]
    return max(told, default=1.0)


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
    smooth = line_table([curve], axis, axis)
    rows = [["curve", *row] for row in smooth.rows]
    for group in groups:
        observed = interval_text(group.observed, group.low, group.high, percent=True, digits=1)
        rows.append(["group", axis_text(group.predicted, axis), observed])
    return Table(["", "predicted", "observed"], rows)
