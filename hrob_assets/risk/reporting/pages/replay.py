"""A replay as a page: what happened on which Monday, and what the updates were worth."""

import polars as pl

from hrob_assets.risk.reporting.charts.lines import Axis, Limit, Line, line_chart
from hrob_assets.risk.reporting.charts.svg import Drawing, Table
from hrob_assets.risk.reporting.charts.timeline import Event, timeline
from hrob_assets.risk.reporting.pages.page import render
from hrob_assets.risk.statistics import Estimate
from hrob_assets.risk.updating import NEVER, UPDATED, LivedMonday, TwoHistories

_KINDS = ("alarm", "update", "promotion")


def replay_page(found: TwoHistories, *, title: str, world: str, drift: str) -> str:
    """Draw a replay.

    Parameters
    ----------
    found : TwoHistories
    title, world : str
        Of the use case; of the data.
    drift : str
        What was planted, and when; empty where nothing was.

    Returns
    -------
    str
        HTML, complete in itself.
    """
    return render(
        "replay.html.j2",
        title=f"Replay: {title}",
        world=world,
        drift=drift,
        facts_shown=_facts(found),
        charts=[*_timeline(found.mondays), *_calibration(found)],
        table=_table(found.mondays),
        made_from=(
            f"{len(found.mondays)} Mondays from {found.mondays[0].week} to "
            f"{found.mondays[-1].week}, run in order; each knew only what was known by then."
        ),
    )


def _facts(found: TwoHistories) -> list[tuple[str, str]]:
    alarms = sum(len(monday.alarms) for monday in found.mondays)
    updates = [monday.update for monday in found.mondays if monday.update is not None]
    promotions = [monday.promoted for monday in found.mondays if monday.promoted is not None]
    return [
        ("Mondays", str(len(found.mondays))),
        ("Alarms", str(alarms)),
        ("Updates", ", ".join(updates) or "none was asked for"),
        ("New champions", ", ".join(f"version {each}" for each in promotions) or "none"),
        ("Log loss that the updates saved", _saved(found.log_loss_difference)),
    ]


def _saved(difference: Estimate | None) -> str:
    if difference is None:
        return "no row of an updated version is ripe"
    if difference.low is None or difference.high is None:
        return f"{difference.value:+.5f}"
    return f"{difference.value:+.5f} ({difference.low:+.5f} to {difference.high:+.5f})"


def _timeline(mondays: tuple[LivedMonday, ...]) -> list[Drawing]:
    events = [Event(m.week, alarm, 0) for m in mondays for alarm in m.alarms]
    events += [Event(m.week, m.update, 1) for m in mondays if m.update is not None]
    events += [Event(m.week, f"version {m.promoted}", 2) for m in mondays if m.promoted]
    if not events:
        return []
    first = mondays[0]
    events.append(Event(first.week, f"version {first.champion}, the first", 2))
    spoken = f"{len(events)} events; the table has them by day."
    return [timeline("What happened", events, kinds=list(_KINDS), spoken=spoken)]


def _calibration(found: TwoHistories) -> list[Drawing]:
    lines = [
        _line(found.calibration.filter(pl.col("history") == history), history, look)
        for look, history in enumerate((UPDATED, NEVER))
    ]
    if not any(line.x for line in lines):
        return []
    return [
        line_chart(
            "Observed over expected outcomes",
            lines,
            x=Axis("week in which the last outcomes became ripe"),
            y=Axis("observed / expected"),
            limits=[Limit(1.0, "as predicted")],
            spoken="Above 1 more outcomes came than were predicted.",
            note="Windows of 13 weeks with 95 % intervals.",
        )
    ]


def _line(part: pl.DataFrame, name: str, look: int) -> Line:
    figure = "observed_expected"
    y, low, high = (part[f"{figure}{end}"].to_list() for end in ("", "_low", "_high"))
    return Line(name, part["week"].to_list(), y, low, high, look=look)


def _table(mondays: tuple[LivedMonday, ...]) -> Table:
    """Mondays on which something happened."""
    rows = [
        [
            monday.week.isoformat(),
            monday.champion,
            "; ".join(monday.alarms),
            monday.update or "",
            monday.promoted or "",
        ]
        for monday in mondays
        if monday.alarms or monday.update or monday.promoted
    ]
    return Table(["week", "champion", "alarms", "update", "new champion"], rows)
