"""Events on a line of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from hrob_assets.risk.reporting.charts import svg
from hrob_assets.risk.reporting.charts.scales import Scale, date_ticks
from hrob_assets.risk.reporting.charts.svg import LOOKS, TOP, WIDTH, Drawing, Table


@dataclass(frozen=True)
class Event:
    """Something that happened on a day; `look` is the number of its kind."""

    day: date
    label: str
    look: int = 0


def timeline(title: str, events: Sequence[Event], *, kinds: Sequence[str], spoken: str) -> Drawing:
    """Events on a line of time, one lane per kind; labels are in the table and in the tips.

    Parameters
    ----------
    title : str
    events : sequence of Event
        At least one.
    kinds : sequence of str
        Names of the looks 0, 1, ... at most four.
    spoken : str

    Examples
    --------
    >>> drawn = timeline("Life of the model", [Event(date(2024, 5, 6), "alarm: overall", 1)],
    ...     kinds=["promotion", "alarm"], spoken="One alarm.")
    >>> drawn.table.rows
    [['2024-05-06', 'alarm', 'alarm: overall']]
    """
    days = [event.day for event in events]
    first, last = min(days), max(days)
    bottom = TOP + 34 * len(kinds)
    marks = date_ticks(first, last)
    end = max(last, marks[-1]).toordinal()
    across = Scale(first.toordinal(), end + (end == first.toordinal()), 24, WIDTH - 24)
    at = [float(day.toordinal()) for day in marks]
    content = svg.x_axis(
        across, bottom, values=at, texts=[day.isoformat() for day in marks], top=TOP, right=WIDTH
    )
    for number, kind in enumerate(kinds):
        content.append(svg.words((0, TOP + 34 * number + 11), kind, class_="unit"))
    for event in sorted(events, key=lambda each: each.day):
        place = (across(event.day.toordinal()), TOP + 34 * event.look + 22)
        content.append(svg.mark(place, LOOKS[event.look], size=5, tip=f"{event.day} {event.label}"))
    rows = [
        [event.day.isoformat(), kinds[event.look], event.label]
        for event in sorted(events, key=lambda each: each.day)
    ]
    return Drawing(
        title,
        [svg.picture(content, width=WIDTH, height=bottom + 26, spoken=f"{title}. {spoken}")],
        Table(["day", "what", "detail"], rows),
    )
