"""The one place where time is cut: what was known before, what happens after.

Every rule stands here once as a Polars expression and once as a Numba function. The sliding-window
kernel takes the cut points that `cut_points` finds and compares no times of its own.
"""

from datetime import datetime

import numba
import numpy as np
import polars as pl

from hrob_assets.risk.tables import ROW_KEY

DAY_US = 86_400_000_000


def available_at(occurred_at: pl.Expr, known_at: pl.Expr) -> pl.Expr:
    """Moment from which a fact can be used: it has happened and is known.

    Parameters
    ----------
    occurred_at, known_at : Expr, timestamps

    Returns
    -------
    Expr
        The later of the two; null when either is null, so that a fact without a date of
        knowledge is never taken for known.

    Examples
    --------
    >>> from datetime import datetime
    >>> fact = {"occurred_at": [datetime(2024, 3, 1)], "known_at": [datetime(2024, 4, 9, 12)]}
    >>> pl.select(available_at(*(pl.lit(moment[0]) for moment in fact.values()))).item()
    datetime.datetime(2024, 4, 9, 12, 0)
    """
    return (
        pl.when(known_at >= occurred_at)
        .then(known_at)
        .when(known_at < occurred_at)
        .then(occurred_at)
    )


def prediction_time(occurred_at: pl.Expr, known_at: pl.Expr) -> pl.Expr:
    """First midnight strictly after an encounter has happened and is known.

    Parameters
    ----------
    occurred_at, known_at : Expr, timestamps (UTC)

    Returns
    -------
    Expr
        Timestamp at midnight; null when either is null.

    Examples
    --------
    >>> from datetime import datetime
    >>> midnight = pl.lit(datetime(2024, 3, 1))
    >>> pl.select(prediction_time(midnight, midnight)).item()
    datetime.datetime(2024, 3, 2, 0, 0)
    """
    return available_at(occurred_at, known_at).dt.truncate("1d") + pl.duration(days=1)


def week_of(prediction_time: pl.Expr) -> pl.Expr:
    """Monday of the week in which a row became known.

    The list of a Monday holds all that became known up to Sunday night, so a prediction time on
    Monday 00:00 belongs to the week before.

    Parameters
    ----------
    prediction_time : Expr, timestamps

    Returns
    -------
    Expr
        Date, always a Monday.

    Examples
    --------
    >>> from datetime import datetime
    >>> pl.select(week_of(pl.lit(datetime(2024, 3, 4)))).item()  # a Monday
    datetime.date(2024, 2, 26)
    """
    return (prediction_time - pl.duration(microseconds=1)).dt.truncate("1w").cast(pl.Date)


def known_before(prediction_time: pl.Expr, *, occurred_at: pl.Expr, known_at: pl.Expr) -> pl.Expr:
    """Tell whether a fact is history: available strictly before the prediction time.

    Examples
    --------
    >>> from datetime import datetime
    >>> midnight = pl.lit(datetime(2024, 3, 2))
    >>> pl.select(known_before(midnight, occurred_at=midnight, known_at=midnight)).item()
    False
    """
    return available_at(occurred_at, known_at) < prediction_time


def window_start(prediction_time: pl.Expr, days: int | pl.Expr) -> pl.Expr:
    """First moment of the window of that many days before the prediction time (inclusive).

    Examples
    --------
    >>> from datetime import datetime
    >>> pl.select(window_start(pl.lit(datetime(2024, 3, 2)), 30)).item()
    datetime.datetime(2024, 2, 1, 0, 0)
    """
    return prediction_time - pl.duration(days=days)


def history(events: pl.LazyFrame, rows: pl.LazyFrame) -> pl.LazyFrame:
    """All facts of each row's person that were known strictly before its prediction time.

    A plain join, for reasons, tests and small tables; features come from the kernel.

    Parameters
    ----------
    events : LazyFrame
        Facts with person_id, occurred_at, known_at and any other columns.
    rows : LazyFrame
        Rows with the columns of `ROW_KEY`; other columns are not carried over.

    Returns
    -------
    LazyFrame
        One row per (row, fact): the row's key and the fact's columns; the fact's own
        encounter_id, if it has one, as ``event_encounter_id``. Rows without history are absent.

    Examples
    --------
    >>> from datetime import datetime
    >>> rows = pl.LazyFrame({"person_id": [7], "encounter_id": [1],
    ...     "prediction_time": [datetime(2024, 3, 2)]})
    >>> events = pl.LazyFrame({"person_id": [7, 7], "code": ["I10", "O141"],
    ...     "occurred_at": [datetime(2024, 3, 1)] * 2,
    ...     "known_at": [datetime(2024, 3, 1), datetime(2024, 3, 2)]})
    >>> history(events, rows).collect()["code"].to_list()
    ['I10']
    """
    return _facts_of_rows(events, rows).filter(
        known_before(
            pl.col("prediction_time"),
            occurred_at=pl.col("occurred_at"),
            known_at=pl.col("known_at"),
        )
    )


def follow_up(
    events: pl.LazyFrame, rows: pl.LazyFrame, *, horizon_days: int, runout_days: int
) -> pl.LazyFrame:
    """Facts of each row's person that happen within the horizon and are known in time.

    Parameters
    ----------
    events, rows : LazyFrame
        As in `history`.
    horizon_days : int, days
        Facts count when they occur in ``[t, t + horizon)``.
    runout_days : int, days
        They count when they are known before ``t + horizon + runout``.

    Returns
    -------
    LazyFrame
        As in `history`. Rows without follow-up facts are absent.

    Raises
    ------
    ValueError
        If the horizon is not positive or the runout is negative.

    Examples
    --------
    >>> from datetime import datetime
    >>> rows = pl.LazyFrame({"person_id": [7], "encounter_id": [1],
    ...     "prediction_time": [datetime(2024, 3, 2)]})
    >>> events = pl.LazyFrame({"person_id": [7, 7], "code": ["first day", "day after the last"],
    ...     "occurred_at": [datetime(2024, 3, 2), datetime(2024, 3, 12)],
    ...     "known_at": [datetime(2024, 3, 12)] * 2})
    >>> follow_up(events, rows, horizon_days=10, runout_days=30).collect()["code"].to_list()
    ['first day']
    """
    if horizon_days <= 0 or runout_days < 0:
        msg = (
            "horizon_days must be positive and runout_days not negative "
            f"(got {horizon_days} and {runout_days}). Correct the outcome's horizon."
        )
        raise ValueError(msg)
    start = pl.col("prediction_time")
    end = start + pl.duration(days=horizon_days)
    return _facts_of_rows(events, rows).filter(
        pl.col("occurred_at") >= start,
        pl.col("occurred_at") < end,
        pl.col("known_at") < end + pl.duration(days=runout_days),
    )


def known_when_ripe(
    events: pl.LazyFrame, rows: pl.LazyFrame, *, horizon_days: int, runout_days: int
) -> pl.LazyFrame:
    """All facts of each row's person that are known when its outcome is ripe, old ones too.

    For what qualifies an outcome without being one, such as the stay to which it belongs.

    Parameters
    ----------
    events, rows : LazyFrame
        As in `history`.
    horizon_days, runout_days : int, days
        As in `follow_up`; facts count when known before ``t + horizon + runout``.

    Returns
    -------
    LazyFrame
        As in `history`.

    Examples
    --------
    >>> from datetime import datetime
    >>> rows = pl.LazyFrame({"person_id": [7], "encounter_id": [1],
    ...     "prediction_time": [datetime(2024, 3, 2)]})
    >>> events = pl.LazyFrame({"person_id": [7, 7], "code": ["before", "known too late"],
    ...     "occurred_at": [datetime(2024, 3, 1)] * 2,
    ...     "known_at": [datetime(2024, 3, 1), datetime(2024, 3, 15)]})
    >>> known_when_ripe(events, rows, horizon_days=10, runout_days=3).collect()["code"].to_list()
    ['before']
    """
    ripe_at = pl.col("prediction_time") + pl.duration(days=horizon_days + runout_days)
    return _facts_of_rows(events, rows).filter(pl.col("known_at") < ripe_at)


def is_known(known_at: pl.Expr, as_of: datetime | pl.Expr) -> pl.Expr:
    """Tell whether a fact is known at a moment: it became known strictly before.

    Examples
    --------
    >>> midnight = datetime(2024, 3, 2)
    >>> pl.select(is_known(pl.lit(midnight), midnight)).item()
    False
    """
    return known_at < as_of


def first_known(known_at: pl.Expr) -> pl.Expr:
    """First moment at which a fact is known: a microsecond after it became so.

    Examples
    --------
    What becomes known on Monday at midnight is of the new week:

    >>> pl.select(week_of(first_known(pl.lit(datetime(2024, 3, 4))))).item()
    datetime.date(2024, 3, 4)
    """
    return known_at + pl.duration(microseconds=1)


def known_by(facts: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Facts that were known before a moment.

    Examples
    --------
    >>> facts = pl.DataFrame({"known_at": [datetime(2024, 3, 1), datetime(2024, 3, 2)]})
    >>> known_by(facts, datetime(2024, 3, 2)).height
    1
    """
    return facts.filter(is_known(pl.col("known_at"), as_of))


def became_known(facts: pl.DataFrame, *, since: datetime, before: datetime) -> pl.DataFrame:
    """Facts that became known in ``[since, before)``.

    Examples
    --------
    >>> facts = pl.DataFrame({"known_at": [datetime(2024, 3, day) for day in (1, 2, 3)]})
    >>> became_known(facts, since=datetime(2024, 3, 2), before=datetime(2024, 3, 3)).height
    1
    """
    return known_by(facts, before).filter(pl.col("known_at") >= since)


_ENDS = {"ended_at": "end_known_at", "death_at": "death_known_at"}


def as_known_at(facts: pl.LazyFrame, as_of: datetime) -> pl.LazyFrame:
    """A staged table as it was at a moment: without what became known from then on.

    Parameters
    ----------
    facts : LazyFrame
        Facts with ``known_at``, or persons, who stay; an end or a death that was not known yet,
        by its own date of knowledge, is null.
    as_of : datetime (UTC)

    Examples
    --------
    >>> spans = pl.LazyFrame({"known_at": [datetime(2024, 1, 1)], "ended_at": [
    ...     datetime(2024, 2, 1)], "end_known_at": [datetime(2024, 3, 1)]})
    >>> as_known_at(spans, datetime(2024, 2, 15)).collect()["ended_at"].to_list()
    [None]
    """
    names = facts.collect_schema().names()
    if "known_at" in names:
        facts = facts.filter(is_known(pl.col("known_at"), as_of))
    ends = [(end, known) for end, known in _ENDS.items() if known in names]
    return facts.with_columns(
        pl.when(is_known(pl.col(known), as_of)).then(pl.col(name)).alias(name)
        for end, known in ends
        for name in (end, known)
    )


def _facts_of_rows(events: pl.LazyFrame, rows: pl.LazyFrame) -> pl.LazyFrame:
    facts = events.rename({"encounter_id": "event_encounter_id"}, strict=False)
    return rows.select(ROW_KEY).join(
        facts, on="person_id", how="inner", maintain_order="left_right"
    )


@numba.njit(cache=True, nogil=True)
def available_us(occurred_us: int, known_us: int) -> int:
    """Moment from which a fact can be used: it has happened and is known (microseconds).

    Examples
    --------
    >>> available_us(7, 9), available_us(9, 7)
    (9, 9)
    """
    return max(occurred_us, known_us)


@numba.njit(cache=True, nogil=True)
def is_history(available_us: int, t_us: int) -> bool:
    """Tell whether a fact is available strictly before the prediction time (microseconds).

    Examples
    --------
    >>> is_history(99, 100), is_history(100, 100)
    (True, False)
    """
    return available_us < t_us


@numba.njit(cache=True, nogil=True)
def window_start_us(t_us: int, days: int) -> int:
    """First moment, inclusive, of the window of that many days before the prediction time.

    Examples
    --------
    >>> window_start_us(5 * DAY_US, 2) == 3 * DAY_US
    True
    """
    return t_us - days * DAY_US


@numba.njit(cache=True, nogil=True)
def days_before(occurred_us: int, t_us: int) -> int:
    """Whole calendar days from a moment to the prediction time, midnight to midnight.

    Examples
    --------
    >>> days_before(2 * DAY_US - 1, 2 * DAY_US), days_before(DAY_US, 2 * DAY_US)
    (1, 1)
    """
    return t_us // DAY_US - occurred_us // DAY_US


@numba.njit(cache=True, nogil=True)
def cut_points(
    available_us: np.ndarray,
    occurred_us: np.ndarray,
    event_start: np.ndarray,
    t_us: np.ndarray,
    row_start: np.ndarray,
    window_days: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Where each row's history ends and each of its windows starts, as positions.

    Parameters
    ----------
    available_us : int64 array, shape (n_events,)
        Sorted ascending within each person.
    occurred_us : int64 array, shape (n_events,)
        Sorted ascending within each person, independently of `available_us`.
    event_start, row_start : int64 arrays, shape (n_persons + 1,)
        Person p owns the positions ``start[p]:start[p + 1]``.
    t_us : int64 array, shape (n_rows,)
        Prediction times, ascending within each person.
    window_days : int64 array, shape (n_windows,)
        Days; a negative number means ever.

    Returns
    -------
    known_end : int64 array, shape (n_rows,)
        The person's facts before this position in the order of availability are history.
    window_first : int64 array, shape (n_rows, n_windows)
        Facts from this position on, in the order of occurrence, are in the window.

    Examples
    --------
    >>> day = np.array([1, 2, 9]) * DAY_US
    >>> ends = cut_points(day, day, np.array([0, 3]), np.array([9, 10]) * DAY_US,
    ...     np.array([0, 2]), np.array([8, -1]))
    >>> [array.tolist() for array in ends]
    [[2, 3], [[0, 0], [1, 0]]]
    """
    known_end = np.empty(t_us.size, np.int64)
    window_first = np.empty((t_us.size, window_days.size), np.int64)
    first = np.empty(window_days.size, np.int64)
    for person in range(event_start.size - 1):
        end = event_start[person + 1]
        known: int = event_start[person]
        first[:] = known
        for row in range(row_start[person], row_start[person + 1]):
            while known < end and is_history(available_us[known], t_us[row]):
                known += 1
            known_end[row] = known
            for window in range(window_days.size):
                if window_days[window] >= 0:
                    start = window_start_us(t_us[row], window_days[window])
                    while first[window] < end and occurred_us[first[window]] < start:
                        first[window] += 1
                window_first[row, window] = first[window]
    return known_end, window_first
