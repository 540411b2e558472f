"""The monitoring report: what `monitoring.json` says, drawn."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from hrob_assets.risk.disclosure import SMALL, SMALLEST_CELL, SUPPRESSED
from hrob_assets.risk.monitoring import OVER_PREDICTION, UNDER_PREDICTION
from hrob_assets.risk.reporting.charts.lines import Axis, Limit, Line, line_chart
from hrob_assets.risk.reporting.charts.svg import Drawing
from hrob_assets.risk.reporting.pages.page import render

_LOG_TEN = math.log(10)
_LEAST = -2.0  # powers of ten: evidence below says nothing more
_MOST_LINES = 4


def monitoring_page(told: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> str:
    """Fill the report.

    Parameters
    ----------
    told : mapping
        `monitoring_file.summary`.
    tables : mapping of str to DataFrame
        `monitoring_file.tables`.

    Returns
    -------
    str
        One HTML file that asks nothing of any other place.
    """
    detectors = [("all rows", told["overall"])] if told["overall"] else []
    for group, levels in told["groups"].items():
        detectors += [(f"{group}: {level}", stand) for level, stand in levels.items()]
    return render(
        "monitoring.html.j2",
        title=f"Monitoring of {told['source']}",
        told=told,
        headline=_headline(detectors, alarm=told["alarm"]),
        detectors=[{"name": name, **stand} for name, stand in detectors],
        charts=_charts(tables, told["model_version"]),
        calibration=[
            {"name": _name(row["group"], row["level"]), **row} for row in told["calibration"]
        ],
        censoring=[
            {**row, "name": _WEIGHTS.get(row["weights"], row["weights"])}
            for row in told["censoring"]
        ],
        what_is_known=what_is_known(told["counts"], told["as_of"][:10]),
        what_is_judged=what_is_judged(told),
        behaviour=told["expected_behaviour"],
        drift=told["drift"],
        nowcast=told["nowcast"],
        number=_number,
        made_from=(
            f"Made from {told['source']}, model version {told['model_version']}, as of "
            f"{told['as_of'][:10]}; schema {told['schema_version']}."
        ),
    )


OF_FEW = f"of a level with fewer than {SMALLEST_CELL} persons, which is not told"
_SAID = {
    UNDER_PREDICTION: "more happens than predicted",
    OVER_PREDICTION: "less happens than predicted",
}


_WEIGHTS = {
    "none": "as they are",
    "inverse probability of censoring": "weighted for those who left",
}


def _name(group: str, level: str) -> str:
    return "all rows" if group == "all" else f"{group}: {level}"


def what_is_known(counts: Mapping[str, Any], day: str) -> str:
    """How many outcomes are settled, in sentences.

    Examples
    --------
    >>> counts = {"persons": 500, "mature": 775, "pending": 120, "censored": "suppressed",
    ...     "revised": 0}
    >>> for sentence in what_is_known(counts, "2024-12-01").split(": "):
    ...     print(sentence)
    By 2024-12-01 there are predictions about some 500 people
    775 whose outcome is settled and some 120 that are still waiting for theirs. Weeks that are
    only partly settled, and counts that could point to single people, are left out.
    """
    parts = [
        f"{about if isinstance(counts[status], int) else ''}{_count(counts[status])} {words}"
        for status, (about, words) in _STATUS.items()
        if counts[status] not in {0, SUPPRESSED}
    ]
    few = counts["persons"] == SUPPRESSED
    people = "a few people" if few else f"some {_number(counts['persons'])} people"
    told = f"By {day} there are predictions about {people}"
    told += f": {', '.join(parts[:-1])} and {parts[-1]}." if parts[1:] else (
        f": {parts[0]}." if parts else ".")  # fmt: skip
    return f"{told} {_LEFT_OUT}"


_STATUS = {
    "mature": ("", "whose outcome is settled"),
    "pending": ("some ", "that are still waiting for theirs"),
    "censored": ("", "of people who left before it could be seen"),
    "revised": ("some ", "whose outcome was corrected after it was settled"),
}
_LEFT_OUT = (
    "Weeks that are only partly settled, and counts that could point to single people, "
    "are left out."
)


def what_is_judged(told: Mapping[str, Any]) -> str:
    """What the alarm looks at, and when an outcome is settled.

    Parameters
    ----------
    told : mapping
        `monitoring_file.summary`.
    """
    rows, horizon = told["counts"]["independent_ripe_rows"], told["settings"]["horizon_days"]
    judged = "settled outcomes" if rows == SUPPRESSED else f"{_number(rows)} settled outcomes"
    return (
        f"An outcome is settled {horizon} days after the prediction and another "
        f"{told['runout']['days_now']} days for news of it to arrive. The alarm looks at {judged}, "
        f"at most one of each person in {horizon} days."
    )


def _count(count: int | str) -> str:
    return "fewer than 11" if count == SMALL else _number(count)


def _headline(detectors: Sequence[tuple[str, Any]], *, alarm: bool) -> str:
    raised = [(name, stand) for name, stand in detectors if stand["alarm"]]
    if not raised:
        return f"Calibration alarm {OF_FEW}." if alarm else "No calibration alarm."
    words = [
        f"{name} ({stand['direction']}: {_SAID[stand['direction']]}, since about "
        f"{stand['began_about']}; raised in the week of {stand['week']})"
        for name, stand in raised
    ]
    return f"Calibration alarm: {'; '.join(words)}."


def _number(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _charts(tables: Mapping[str, pl.DataFrame], version: str) -> list[Drawing]:
    evidence = tables["evidence"].filter(pl.col("model_version") == version)
    charts: list[Drawing] = []
    if evidence.height:
        charts.append(_evidence_chart(evidence))
    overall = tables["calibration"].filter(pl.col("group") == "all")
    if overall["observed_expected"].drop_nulls().len():
        charts.append(_calibration_chart(overall))
    if tables["nowcast"]["expected"].drop_nulls().len():
        charts.append(_nowcast_chart(tables["nowcast"]))
    return charts


def _evidence_chart(evidence: pl.DataFrame) -> Drawing:
    """The detector of all rows, and those groups whose evidence came nearest to their level."""
    share = (pl.col("log_evidence") - pl.col("log_level")) / _LOG_TEN
    near = evidence.with_columns(share=share)
    order = (
        near.group_by("group", "level")
        .agg(pl.col("share").max())
        .sort(pl.col("group") != "all", -pl.col("share"))
    )
    lines: list[Line] = []
    for look, (group, level, _) in enumerate(order.head(_MOST_LINES).iter_rows()):
        part = near.filter(group=group, level=level)
        name = _name(group, level)
        height = [max(value, _LEAST - 2) for value in part["share"]]
        lines.append(Line(name, part["week"].to_list(), height, look=look))
    return line_chart(
        "Evidence of each week, as a power of ten of the alarm level",
        lines,
        x=Axis("week in which outcomes became ripe"),
        y=Axis("powers of ten below or above the level"),
        limits=[Limit(0.0, "alarm")],
        spoken="Where a line reaches 0 the alarm is raised and the detector starts anew.",
        note="All rows, and the levels that came nearest to their alarm.",
    )


def _calibration_chart(overall: pl.DataFrame) -> Drawing:
    return line_chart(
        "Observed over expected outcomes, up to each week",
        [
            Line(
                "all rows",
                overall["week"].to_list(),
                overall["observed_expected"].to_list(),
                low=overall["observed_expected_low"].to_list(),
                high=overall["observed_expected_high"].to_list(),
            )
        ],
        x=Axis("week in which outcomes became ripe"),
        y=Axis("observed over expected"),
        limits=[Limit(1.0, "as predicted")],
        spoken="Above 1 more outcomes happened than were predicted, below 1 fewer.",
        note=(
            "With 95 % intervals, persons as clusters. "
            "Of 13 weeks, or more where weeks have few ripe rows."
        ),
    )


def _nowcast_chart(nowcast: pl.DataFrame) -> Drawing:
    weeks = nowcast["week"].to_list()
    return line_chart(
        "Weeks that are not ripe: a nowcast, no evidence",
        [
            Line("expected", weeks, nowcast["expected"].to_list(), look=-1),
            Line("known so far", weeks, [_float(x) for x in nowcast["events_so_far"]], look=1),
            Line("nowcast", weeks, nowcast["events_nowcast"].to_list(), look=0, marked=True),
        ],
        x=Axis("week of the prediction"),
        y=Axis("outcomes"),
        spoken="Outcomes known so far, divided by the share that is usually known at that age.",
        note="Youngest weeks swing most. Nothing here feeds the alarm.",
    )


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)
