"""Monitoring tables as they may be told: no cell under 11, nor one that subtraction would give.

Weeks are taken together into *stretches*. One ends with the first week by which the persons, the
rows with the outcome and the rows without it are each none, or 11 or more. It depends on no later
week, so that what was told a week ago and what is told now differ by whole stretches, too. Every
figure of ripe rows is made of whole stretches; the last weeks wait until theirs is whole. Of rows
that are not ripe, only rounded figures are told.

Levels of a group have longer stretches, made of those of all rows, which end when all levels allow
it, and after 13 weeks at the latest. Levels that are small then are not told in it, and neither
are the next larger ones until what is left of all rows is not small.
"""

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from hrob_assets.risk.disclosure import (
    SMALLEST_CELL,
    SUPPRESSED,
    Cell,
    hidden_together,
    is_small,
    rounded_count,
)
from hrob_assets.risk.monitoring.alarm import ALL_ROWS
from hrob_assets.risk.monitoring.calibration import (
    WEEKLY_CALIBRATION,
    estimate_subgroup_calibration,
    estimate_weekly_calibration,
)
from hrob_assets.risk.monitoring.ledger import Ledger
from hrob_assets.risk.tables import ROW_KEY

LONGEST_WEEKS = 13
"""After so many weeks a stretch of the levels of a group ends, small levels or not."""
_WEEK = timedelta(days=7)
_DECIMALS = 2
_SHARES = tuple(f"positive_predictive_value{part}" for part in ("", "_low", "_high"))
_SHOWN = {
    "first_week" if name == "window_weeks" else name: pl.Date if name == "window_weeks" else kind
    for name, kind in WEEKLY_CALIBRATION.schema.items()
    if name != "persons"
}
_Weeks = Mapping[date, Mapping[str, tuple[int, int, Sequence[int]]]]


def shown_calibration(
    rows: pl.DataFrame,
    *,
    as_of: datetime,
    groups: Sequence[str] = (),
    window_weeks: int = LONGEST_WEEKS,
    since: date | None = None,
) -> pl.DataFrame:
    """Calibration by week as it may be told.

    Parameters
    ----------
    rows : DataFrame
        As `estimate_weekly_calibration` takes them, from the first ripe week on.
    as_of : datetime (UTC)
        Rows of a week that is not over yet are not told.
    groups : sequence of str
    window_weeks : int
    since : date, optional
        Windows before it are left out.

    Returns
    -------
    DataFrame
        `WEEKLY_CALIBRATION` of weeks with which a stretch ends, of windows of whole stretches: of
        those that ended in the last `window_weeks`, so that where stretches are long a window is
        longer. ``first_week``, the first that it is of, stands for ``window_weeks``. Without
        ``persons``: those of two windows would tell how many are new.
        The positive predictive value and its bounds are null where few high-risk rows have the
        outcome, or few have not, and rounded to 2 decimals, because exact ones would tell how many
        rows were high risk.
    """
    over = pl.col("ripe_week").cast(pl.Datetime("us")) + pl.duration(days=7) <= as_of
    ripe = rows.filter(pl.col("label").is_not_null() & over)
    ends = _ends(ripe)
    first = None if since is None else since - _WEEK * (window_weeks - 1)
    at_end = _at_their_ends(ripe, ends, first)
    everybody = estimate_weekly_calibration(at_end, window_weeks=window_weeks, since=since)
    told = _without_small_lists(everybody, at_end, pl.lit(ALL_ROWS), window_weeks)
    frames = [_with_first_week(told, ends, window_weeks)]
    for group in groups:
        named = ripe.with_columns(pl.col(group).fill_null("Unknown").alias(group))
        level_ends, untold = _level_ends(named, group, set(ends.values()))
        at_end = _at_their_ends(named, level_ends, first)
        told = estimate_subgroup_calibration(at_end, group, window_weeks=window_weeks, since=since)
        told = told.filter(_without(told, untold, window_weeks))
        told = _without_small_lists(told, at_end, pl.col(group), window_weeks)
        frames.append(_with_first_week(told, level_ends, window_weeks))
    found = pl.concat(frames).select(pl.col(name).cast(kind) for name, kind in _SHOWN.items())
    return found.with_columns(pl.col(name).round(_DECIMALS) for name in _SHARES)


def _without_small_lists(
    told: pl.DataFrame, at_end: pl.DataFrame, level: pl.Expr, window_weeks: int
) -> pl.DataFrame:
    """Windows without the positive predictive value where it would tell of few high-risk rows.

    Parameters
    ----------
    told : DataFrame
        `WEEKLY_CALIBRATION`.
    at_end : DataFrame
        The rows that it was made of.
    level : Expr
        Of `at_end`, as in `told`.
    """
    counted = (
        at_end.filter("high_risk")
        .group_by(level.alias("level"), "ripe_week")
        .agg(
            pl.col("label").sum().cast(pl.Int64).alias("with"),
            (~pl.col("label")).sum().cast(pl.Int64).alias("without"),
        )
    )
    by_level: dict[str, list[tuple[date, int, int]]] = defaultdict(list)
    for name, *counts in counted.iter_rows():
        by_level[str(name)].append((counts[0], counts[1], counts[2]))
    few: list[bool] = []
    for name, week in told.select("level", "week").iter_rows():
        inside = [(one, other) for end, one, other in by_level[name]
                  if week - _WEEK * window_weeks < end <= week]  # fmt: skip
        few.append(any(is_small(sum(kind)) for kind in zip(*inside, strict=True)))
    hidden = pl.Series(few, dtype=pl.Boolean)
    return told.with_columns(pl.when(~hidden).then(name).alias(name) for name in _SHARES)


def _with_first_week(
    told: pl.DataFrame, ends: Mapping[date, date], window_weeks: int
) -> pl.DataFrame:
    """Windows with the first week of their first stretch."""
    starts: dict[date, date] = {}
    for week in sorted(ends):
        starts.setdefault(ends[week], week)
    first: dict[date, date] = {}
    for week in told["week"].unique():
        inside = (end for end in starts if week - _WEEK * window_weeks < end <= week)
        first[week] = starts[min(inside)]
    weeks = pl.Series("first_week", [first[week] for week in told["week"]], dtype=pl.Date)
    return told.with_columns(weeks)


def _at_their_ends(
    ripe: pl.DataFrame, ends: Mapping[date, date], first: date | None
) -> pl.DataFrame:
    """Rows of whole stretches, as if all of a stretch had become ripe with its last week."""
    last = pl.col("ripe_week").replace_strict(
        list(ends), list(ends.values()), default=None, return_dtype=pl.Date
    )
    at_end = ripe.with_columns(last.alias("ripe_week")).filter(pl.col("ripe_week").is_not_null())
    return at_end if first is None else at_end.filter(pl.col("ripe_week") >= first)


def _without(told: pl.DataFrame, untold: set[tuple[str, date]], window_weeks: int) -> pl.Series:
    """Windows that have no stretch in which the level is not told."""
    gone: dict[str, list[date]] = defaultdict(list)
    for level, end in untold:
        gone[level].append(end)
    keep = [
        not any(week - _WEEK * window_weeks < end <= week for end in gone[level])
        for level, week in told.select("level", "week").iter_rows()
    ]
    return pl.Series(keep, dtype=pl.Boolean)


def _ends(ripe: pl.DataFrame) -> dict[date, date]:
    """The last week of the stretch of each week; weeks without a whole stretch are absent."""
    weeks = _by_week(ripe.with_columns(pl.lit(ALL_ROWS).alias("level")))
    found = _stretches(weeks, may_end=weeks, longest=None)
    return {week: inside[-1] for inside, _ in found for week in inside}


def _level_ends(
    named: pl.DataFrame, group: str, may_end: Container[date]
) -> tuple[dict[date, date], set[tuple[str, date]]]:
    """As `_ends`, for all levels of a group, and the levels that are not told in a stretch."""
    weeks = _by_week(named.with_columns(pl.col(group).alias("level")))
    ends: dict[date, date] = {}
    untold: set[tuple[str, date]] = set()
    for inside, cells in _stretches(weeks, may_end=may_end, longest=LONGEST_WEEKS):
        ends |= dict.fromkeys(inside, inside[-1])
        kinds = list(zip(*(cell.counts for cell in cells.values()), strict=True))
        hidden = hidden_together(kinds)
        untold |= {(level, inside[-1]) for level, hide in zip(cells, hidden, strict=True) if hide}
    return ends, untold


def _by_week(ripe: pl.DataFrame) -> _Weeks:
    """Rows, events and persons by week and level, in the order of weeks."""
    weeks: dict[date, dict[str, tuple[int, int, Sequence[int]]]] = defaultdict(dict)
    counted = ripe.group_by("ripe_week", "level").agg(
        pl.len(), pl.col("label").sum().alias("events"), pl.col("person_id").unique()
    )
    for week, level, rows, events, persons in counted.sort("ripe_week", "level").iter_rows():
        weeks[week][str(level)] = (rows, events, persons)
    return weeks


def _stretches(
    weeks: _Weeks, *, may_end: Container[date], longest: int | None
) -> Iterator[tuple[list[date], dict[str, Cell]]]:
    """Weeks of each whole stretch, and its counts by level."""
    inside: list[date] = []
    cells: dict[str, Cell] = defaultdict(Cell)
    for week, levels in weeks.items():
        inside.append(week)
        for level, (rows, events, persons) in levels.items():
            cells[level].add(rows=rows, events=events, persons=persons)
        late = longest is not None and week - inside[0] >= _WEEK * (longest - 1)
        whole = not any(cell.is_small for cell in cells.values())
        if week in may_end and (whole or late):
            yield inside, cells
            inside, cells = [], defaultdict(Cell)


def shown_evidence(
    evidence: pl.DataFrame, independent: pl.DataFrame, *, groups: Sequence[str] = ()
) -> pl.DataFrame:
    """Evidence by week as it may be told: of weeks with which 11 persons or more have come.

    Parameters
    ----------
    evidence : DataFrame
        `E_VALUES`.
    independent : DataFrame
        The rows it was made of.
    groups : sequence of str

    Returns
    -------
    DataFrame
        `E_VALUES` without ``rows``, ``expected`` and ``events``. Weeks that are taken
        together have the last one's name, the figures of the one with most evidence, and its
        alarm if any of them raised one.
    """
    persons = _persons_by_detector(independent, groups)
    told = evidence.drop("rows", "expected", "events")
    parts: list[pl.DataFrame] = [told.clear()]
    for part in told.partition_by("model_version", "group", "level", maintain_order=True):
        ends = _weeks_of_eleven(part["week"].to_list(), persons[part.row(0)[:3]])
        last = pl.Series("week", ends, dtype=pl.Date)
        together = part.with_columns(last).filter(pl.col("week").is_not_null())
        parts.append(
            together.group_by("week", maintain_order=True)
            .agg(
                pl.col("crossed", "alarm").any(),
                pl.exclude("crossed", "alarm", "week").sort_by("log_evidence").last(),
            )
            .select(told.columns)
        )
    return pl.concat(parts)


def _persons_by_detector(
    independent: pl.DataFrame, groups: Sequence[str]
) -> dict[tuple[str, str, str], dict[date, list[int]]]:
    found: dict[tuple[str, str, str], dict[date, list[int]]] = defaultdict(dict)
    for group in (ALL_ROWS, *groups):
        level = pl.lit(ALL_ROWS) if group == ALL_ROWS else pl.col(group).fill_null("Unknown")
        counted = independent.group_by("model_version", level.alias("level"), "week").agg(
            pl.col("person_id").unique()
        )
        for version, name, week, persons in counted.iter_rows():
            found[version, group, str(name)][week] = persons
    return found


def _weeks_of_eleven(
    weeks: Sequence[date], persons: Mapping[date, Sequence[int]]
) -> list[date | None]:
    """Of each week, the last one of those that it is told with."""
    ends: list[date | None] = []
    inside = 0
    found: set[int] = set()
    for week in weeks:
        inside += 1
        found.update(persons.get(week, ()))  # stored weeks may lack a subgroup by now
        if len(found) >= SMALLEST_CELL:
            ends += [week] * inside
            inside = 0
            found.clear()
    return ends + [None] * inside


def shown_pending(
    ledger: Ledger, nowcast: pl.DataFrame, unripe: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Weeks that are not ripe as they may be told: rounded.

    Exact counts of a week would tell, by what is told of it later, how many of its rows were
    censored; and how many of them became ripe since the last report.

    Parameters
    ----------
    ledger : Ledger
    nowcast : DataFrame
        `nowcast_weeks`.
    unripe : DataFrame
        `expected_if_calibrated`.

    Returns
    -------
    nowcast, unripe : DataFrame
        Rows to the nearest ten, outcomes known to the nearest five, expected ones to whole
        numbers, shares to two decimals; null where a count is small. Of `unripe`, weeks that are
        over and of which no row is ripe.
    """
    high = pl.col("high_risk")
    flags = ledger.rows.group_by("week").agg(
        (pl.col("status") == "pending").all().alias("whole"),
        (pl.col("person_id").n_unique() < SMALLEST_CELL).alias("few"),
        high.sum().alias("high"),
        (~high).sum().alias("low"),
    )
    over = pl.col("week").cast(pl.Datetime("us")) + pl.duration(days=7) <= ledger.as_of
    sent = nowcast.join(flags, on="week", how="left", maintain_order="left")
    later = unripe.join(flags, on="week", how="left", maintain_order="left").filter("whole", over)
    told = sent.with_columns(
        _told_outcomes(), _to_nearest("rows", 10, ~pl.col("few")), _rounded("expected")
    )
    share = pl.col("completion").round(_DECIMALS)
    has = pl.col("events_so_far").is_not_null() & (share > 0)
    told = told.with_columns(
        pl.when(has).then(share).alias("completion"),
        pl.when(has).then((pl.col("events_so_far") / share).round()).alias("events_nowcast"),
    )
    lists = ~(pl.col("few") | _small("high") | _small("low"))
    later = later.with_columns(
        _to_nearest("rows", 10, ~pl.col("few")),
        _rounded("events"),
        *(
            pl.when(lists).then(pl.col(name).round(_DECIMALS)).alias(name)
            for name in ("positive_predictive_value", "sensitivity")
        ),
    )
    return told.select(nowcast.columns), later.select(unripe.columns)


def _told_outcomes() -> pl.Expr:
    lacks = (pl.col("rows").cast(pl.Int64) - pl.col("events_so_far")).is_between(1, 10)
    return _to_nearest("events_so_far", 5, ~(pl.col("few") | _small("events_so_far") | lacks))


def _to_nearest(name: str, step: int, told: pl.Expr) -> pl.Expr:
    """A count to the nearest multiple of a step, null where it is not told or then is small."""
    near = (pl.col(name) + step // 2) // step * step
    return pl.when(told & ~near.is_between(1, SMALLEST_CELL - 1)).then(near).alias(name)


def _rounded(name: str) -> pl.Expr:
    return pl.when(~pl.col("few")).then(pl.col(name).round()).alias(name)


def _small(name: str) -> pl.Expr:
    return pl.col(name).is_between(1, SMALLEST_CELL - 1)


def shown_counts(
    ledger: Ledger, readable: pl.DataFrame, independent: pl.DataFrame
) -> dict[str, int | str | date | None]:
    """Rows that are ripe as they may be told: those of whole stretches.

    No total of all rows is told: it would tell what is left.

    Parameters
    ----------
    ledger : Ledger
    readable : DataFrame
        Its rows from which calibration can be read.
    independent : DataFrame
        Those that the alarm looks at.

    Returns
    -------
    dict
        ``persons`` and ``revised``, to the nearest ten; ``mature``, all rows with a label up to
        the week ``mature_until``; ``censored``, ``independent_ripe_rows`` and
        ``independent_ripe_events``. Each is counted as far as new ones, and those that are left
        of rows that are told, are 11 or more. What has no whole stretch yet is ``suppressed``.
    """
    over = pl.col("ripe_week").cast(pl.Datetime("us")) + pl.duration(days=7) <= ledger.as_of
    labelled = pl.col("label").is_not_null() & over
    ripe, whole = readable.filter(labelled), ledger.rows.filter(labelled)
    left = ledger.rows.filter(pl.col("label").is_null(), over)
    may_end = {*_ends(ripe).values()}
    mature = _in_stretches(whole, among=ripe, may_end=may_end)
    censored = _in_stretches(left, among=left, may_end={*left["ripe_week"]})
    judged = _in_stretches(ripe, among=independent, may_end=may_end)
    counts = {
        "mature": SUPPRESSED if mature.until is None and whole.height else mature.rows,
        "censored": SUPPRESSED if censored.until is None and left.height else censored.rows,
        "independent_ripe_rows": SUPPRESSED if judged.until is None else judged.rows_among,
        "independent_ripe_events": SUPPRESSED if judged.until is None else judged.events_among,
    }
    return {
        "persons": rounded_count(ledger.rows["person_id"].n_unique()),
        "mature_until": mature.until,
        "revised": rounded_count(ledger.counts()["revised"]),
        **counts,
    }


@dataclass
class _Counted:
    """Rows of whole stretches, and rows and events of those among them."""

    until: date | None = None
    rows: int = 0
    rows_among: int = 0
    events_among: int = 0


def _in_stretches(rows: pl.DataFrame, *, among: pl.DataFrame, may_end: Container[date]) -> _Counted:
    """Count stretches in which neither those among others nor the others are small."""
    some = among.select(*ROW_KEY, level=pl.lit("some"))
    marked = rows.join(some, on=list(ROW_KEY), how="left")
    weeks = _by_week(marked.with_columns(pl.col("level").fill_null("others")))
    found = _Counted()
    for inside, cells in _stretches(weeks, may_end=may_end, longest=None):
        found.until = inside[-1]
        found.rows += sum(cell.counts[0] for cell in cells.values())
        if "some" in cells:
            count, events, *_ = cells["some"].counts
            found.rows_among += count
            found.events_among += events
    return found
