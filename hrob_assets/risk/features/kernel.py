"""The sliding-window kernel: every window of every series in one walk over each timeline.

Facts lie in the order of occurrence within a person. A fact *enters* a window when it becomes
known and *leaves* it when its occurrence falls out of the back; one that is known too late for a
window is never counted in it. All cuts of time come from `hrob_assets.risk.windows.cut_points` as
positions, so that nothing here compares times.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numba
import numpy as np

from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.risk.pregnancy import trimester_of
from hrob_assets.risk.windows import DAY_US, cut_points, days_before

COUNTED = ("any", "count", "abnormal_any", "days_since_last")
VALUED = ("last_value", "min", "max", "mean", "slope", "missing", "abnormal_by_trimester")
ANY, COUNT, ABNORMAL_ANY, DAYS_SINCE_LAST = range(4)
LAST_VALUE, MIN, MAX, MEAN, SLOPE, MISSING, ABNORMAL_BY_TRIMESTER = range(7)
N, LATEST, LOW, HIGH, X, Y, XX, XY, ABNORMAL = range(9)  # of the running sums of `_State`
ABNORMAL_IN_ALL = 0b1111

_DEFAULTS = {
    "any": 0.0,
    "count": 0.0,
    "abnormal_any": 0.0,
    "missing": 1.0,
    "abnormal_by_trimester": 0.0,
}
_BLOCKS_PER_THREAD = 4
_TILE_ROWS = 128  # a tile of 600 columns fits in a core's second cache


class SeriesColumn(NamedTuple):
    """One column that the kernel gives: what of which series over which window.

    Parameters
    ----------
    series : int
        Number of the series (for features: of the code set).
    aggregation : str
        One of `COUNTED` or `VALUED`. ``abnormal_any`` judges values by the range outside
        pregnancy, ``abnormal_by_trimester`` by the one of the trimester in which they were taken.
    window_days : int or None, days
        None means the whole history.
    """

    series: int
    aggregation: str
    window_days: int | None


class Plan(NamedTuple):
    """Columns sorted so that the kernel meets them in the order in which it needs them.

    Parameters
    ----------
    window_days : int64 array, shape (n_windows,)
        Ascending; -1 (ever) last.
    default : float32 array, shape (n_columns,)
        What a column says without history: 0, 1 for ``missing``, NaN where null is meant.
    counted_start : int64 array, shape (n_series + 1,)
        Rows of `counted` that belong to each series.
    counted : int64 array, shape (n_counted, 3)
        Aggregation, window and column.
    group_start : int64 array, shape (n_series + 1,)
        Rows of `groups` that belong to each series, shortest window first.
    groups : int64 array, shape (n_groups, 3)
        Window, first and last + 1 row of `valued`.
    valued : int64 array, shape (n_valued, 2)
        Aggregation and column.
    """

    window_days: np.ndarray
    default: np.ndarray
    counted_start: np.ndarray
    counted: np.ndarray
    group_start: np.ndarray
    groups: np.ndarray
    valued: np.ndarray


class Facts(NamedTuple):
    """Facts of persons, person after person.

    Parameters
    ----------
    person_start : int64 array, shape (n_persons + 1,)
        Person p owns the facts ``person_start[p]:person_start[p + 1]``.
    series : int32 array, shape (n_facts,)
        A fact of two series is there twice.
    occurred_us : int64 array, microseconds
        Ascending within a person; of two facts of one moment the later one counts as the last.
    available_us : int64 array, microseconds
        When the fact had happened and was known; in any order.
    value : float64 array
        NaN when the fact has no number.
    abnormal : uint8 array
        By which reference ranges the value is abnormal, one bit each: 0 outside pregnancy, 1 to
        3 in the first, second and third trimester.
    """

    person_start: np.ndarray
    series: np.ndarray
    occurred_us: np.ndarray
    available_us: np.ndarray
    value: np.ndarray
    abnormal: np.ndarray


class Rows(NamedTuple):
    """Prediction times of the same persons.

    Parameters
    ----------
    person_start : int64 array, shape (n_persons + 1,)
    t_us : int64 array, shape (n_rows,), microseconds
        Ascending within a person.
    """

    person_start: np.ndarray
    t_us: np.ndarray


class Pregnancies(NamedTuple):
    """What is known of pregnancies at each row.

    Parameters
    ----------
    first, end : int64 arrays, shape (n_rows,)
        A row knows the pregnancies ``first:end`` of the other arrays; rows may share them.
    start_day, last_day : int64 arrays, days since 1970
        First and last day of each pregnancy, by start within a row.
    """

    first: np.ndarray
    end: np.ndarray
    start_day: np.ndarray
    last_day: np.ndarray


def plan_columns(columns: Sequence[SeriesColumn | None], *, n_series: int) -> Plan:
    """Arrange columns for the kernel.

    Parameters
    ----------
    columns : sequence of SeriesColumn or None
        None keeps the place of a column that is not made here; the kernel leaves NaN in it.
    n_series : int

    Raises
    ------
    ConfigurationError
        If an aggregation is unknown.

    Examples
    --------
    >>> plan = plan_columns([SeriesColumn(0, "count", None), SeriesColumn(0, "mean", 90)],
    ...     n_series=1)
    >>> plan.window_days.tolist(), plan.default.tolist()
    ([90, -1], [0.0, nan])
    """
    made = [column for column in columns if column is not None]
    for column in made:
        if column.aggregation not in COUNTED + VALUED:
            hint = nearest(column.aggregation, COUNTED + VALUED)
            msg = f"An aggregation must be known (got {column.aggregation!r}). {hint}"
            raise ConfigurationError(msg)
    days = sorted({column.window_days for column in made if column.window_days is not None})
    window = {days_: number for number, days_ in enumerate([*days, None])}
    counted: list[tuple[int, ...]] = []
    valued: list[tuple[int, ...]] = []
    groups: list[list[int]] = []
    for number, column in enumerate(columns):
        if column is None:
            continue
        place = (column.series, window[column.window_days])
        if column.aggregation in COUNTED:
            counted.append((*place, COUNTED.index(column.aggregation), number))
        else:
            valued.append((*place, VALUED.index(column.aggregation), number))
    counted.sort()
    valued.sort()
    for number, (series, window_, *_) in enumerate(valued):
        if not groups or groups[-1][:2] != [series, window_]:
            groups.append([series, window_, number, number])
        groups[-1][3] = number + 1
    return Plan(
        window_days=np.array([*days, -1], np.int64),
        default=np.array(
            [_DEFAULTS.get(c.aggregation, np.nan) if c else np.nan for c in columns], np.float32
        ),
        counted_start=_starts([row[0] for row in counted], n_series),
        counted=_table([(row[2], row[1], row[3]) for row in counted], 3),
        group_start=_starts([row[0] for row in groups], n_series),
        groups=_table([row[1:] for row in groups], 3),
        valued=_table([row[2:] for row in valued], 2),
    )


def _table(rows: Iterable[Sequence[int]], width: int) -> np.ndarray:
    return np.array(list(rows), np.int64).reshape(-1, width)


def _starts(sorted_keys: Sequence[int], n_keys: int) -> np.ndarray:
    return np.searchsorted(np.array(sorted_keys, np.int64), np.arange(n_keys + 1))


def slide(
    facts: Facts,
    rows: Rows,
    plan: Plan,
    *,
    n_threads: int = 2,
    pregnancies: Pregnancies | None = None,
) -> np.ndarray:
    """Compute all columns of a plan for all rows.

    Parameters
    ----------
    facts : Facts
    rows : Rows
        The same persons in the same order as `facts`.
    plan : Plan
    n_threads : int
        Blocks of persons run at the same time; the result does not depend on it.
    pregnancies : Pregnancies, optional
        For ``abnormal_by_trimester``; without it nobody is pregnant.

    Returns
    -------
    float32 array, shape (n_columns, n_rows)
        One contiguous vector per column, rows in the order given; NaN means null.

    Examples
    --------
    >>> day = np.array([1, 5]) * DAY_US
    >>> facts = Facts(np.array([0, 2]), np.zeros(2, np.int32), day, day,
    ...     np.array([11.0, 9.0]), np.array([0, 1], np.uint8))
    >>> rows = Rows(np.array([0, 2]), np.array([5, 6]) * DAY_US)
    >>> plan = plan_columns([SeriesColumn(0, "count", None), SeriesColumn(0, "min", 3)],
    ...     n_series=1)
    >>> slide(facts, rows, plan).tolist()
    [[1.0, 2.0], [nan, 9.0]]
    """
    out = np.empty((plan.default.size, rows.t_us.size), np.float32)
    blocks = person_blocks(facts.person_start + rows.person_start, n_threads * _BLOCKS_PER_THREAD)
    if pregnancies is None:
        nothing = np.zeros(0, np.int64)
        nobody = np.zeros(rows.t_us.size, np.int64)
        pregnancies = Pregnancies(nobody, nobody, nothing, nothing)
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(partial(_slide_block, facts, rows, pregnancies, plan, out), blocks))
    return out


def person_blocks(work: np.ndarray, n_blocks: int) -> list[slice]:
    """Cut persons into blocks of about equal work.

    Parameters
    ----------
    work : int64 array, shape (n_persons + 1,)
        Work up to each person, cumulated.
    n_blocks : int
        At most so many blocks.

    Examples
    --------
    >>> person_blocks(np.array([0, 4, 5, 9]), 2)
    [slice(0, 2, None), slice(2, 3, None)]
    """
    aims = np.linspace(float(work[0]), float(work[-1]), n_blocks + 1)[1:-1]
    edges = np.unique([0, *np.searchsorted(work, aims), work.size - 1]).tolist()
    return [slice(first, end) for first, end in pairwise(edges)]


def _slide_block(
    facts: Facts,
    rows: Rows,
    pregnancies: Pregnancies,
    plan: Plan,
    out: np.ndarray,
    block: slice,
) -> None:
    """Fill the columns of the persons of a block."""
    fact_start = facts.person_start[block.start : block.stop + 1]
    row_start = rows.person_start[block.start : block.stop + 1]
    fact_of = slice(fact_start[0], fact_start[-1])
    row_of = slice(row_start[0], row_start[-1])
    occurred_us, available_us = facts.occurred_us[fact_of], facts.available_us[fact_of]
    t_us = rows.t_us[row_of]
    fact_start, row_start = fact_start - fact_start[0], row_start - row_start[0]
    order = order_by_availability(available_us, fact_start)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    known_end, window_first = cut_points(
        available_us[order], occurred_us, fact_start, t_us, row_start, plan.window_days
    )
    timeline = _Timeline(
        fact_start,
        row_start,
        facts.series[fact_of],
        occurred_us,
        facts.value[fact_of],
        facts.abnormal[fact_of],
        order,
        rank,
        t_us,
        known_end,
        window_first,
        Pregnancies(
            pregnancies.first[row_of],
            pregnancies.end[row_of],
            pregnancies.start_day,
            pregnancies.last_day,
        ),
    )
    _walk(timeline, plan, out[:, row_of])


class _Timeline(NamedTuple):
    """A block of facts and rows with the positions at which time is cut."""

    fact_start: np.ndarray
    row_start: np.ndarray
    series: np.ndarray
    occurred_us: np.ndarray
    value: np.ndarray
    abnormal: np.ndarray
    order: np.ndarray
    rank: np.ndarray
    t_us: np.ndarray
    known_end: np.ndarray
    window_first: np.ndarray
    pregnancies: Pregnancies


class _State(NamedTuple):
    """What is known of one person at the present row.

    ``members`` lists the facts with a value, series after series; ``place`` is a fact's position
    in it; ``bottom`` and ``top`` bound the known part of each series. ``sums`` is the running
    summary of one series while its values are walked through.
    """

    counts: np.ndarray
    abnormal: np.ndarray
    last: np.ndarray
    active: np.ndarray
    members: np.ndarray
    place: np.ndarray
    bottom: np.ndarray
    top: np.ndarray
    room: np.ndarray
    sums: np.ndarray


@numba.njit(cache=True, nogil=True)
def order_by_availability(available_us: np.ndarray, person_start: np.ndarray) -> np.ndarray:
    """Positions of the facts in the order of availability within each person; ties keep order.

    Examples
    --------
    >>> order_by_availability(np.array([9, 3, 3, 1]), np.array([0, 3, 4])).tolist()
    [1, 2, 0, 3]
    """
    order = np.arange(available_us.size)
    for person in range(person_start.size - 1):
        begin, end = person_start[person], person_start[person + 1]
        if end - begin > 128:  # noqa: PLR2004 - from here on merge sort beats insertion
            order[begin:end] = begin + np.argsort(available_us[begin:end], kind="mergesort")
            continue
        for position in range(begin + 1, end):
            fact = order[position]
            place = position
            while place > begin and available_us[order[place - 1]] > available_us[fact]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = fact
    return order


@numba.njit(cache=True, nogil=True)
def _walk(line: _Timeline, plan: Plan, out: np.ndarray) -> None:
    """Walk every person's timeline once and write every row's columns."""
    n_series, n_windows = plan.counted_start.size - 1, plan.window_days.size
    n_facts = line.series.size
    state = _State(
        np.zeros((n_series, n_windows), np.int32),
        np.zeros((n_series, n_windows), np.int32),
        np.full(n_series, -1),
        np.empty(n_series, np.int64),
        np.empty(n_facts, np.int64),
        np.full(n_facts, -1),
        np.zeros(n_series, np.int64),
        np.zeros(n_series, np.int64),
        np.zeros(n_series, np.int64),
        np.zeros(9),
    )
    tile = np.empty((_TILE_ROWS, plan.default.size), np.float32)
    for person in range(line.fact_start.size - 1):
        begin, end = line.fact_start[person], line.fact_start[person + 1]
        _list_values(line, plan, state, begin, end)
        n_active = 0
        for row in range(line.row_start[person], line.row_start[person + 1]):
            fresh = row == line.row_start[person]
            if not fresh:
                _leave(line, state, row)
            n_active = _enter(
                line, state, row, begin if fresh else line.known_end[row - 1], n_active
            )
            cells = tile[row % _TILE_ROWS]
            cells[:] = plan.default
            _write_counted(line, plan, state, row, n_active, cells)
            _write_valued(line, plan, state, row, n_active, cells)
            if row % _TILE_ROWS == _TILE_ROWS - 1 or row == line.t_us.size - 1:
                _turn(tile, out, row - row % _TILE_ROWS, row + 1)
        for position in range(n_active):
            series = state.active[position]
            state.counts[series] = 0
            state.abnormal[series] = 0
            state.last[series] = -1


@numba.njit(cache=True, nogil=True)
def _turn(tile: np.ndarray, out: np.ndarray, first: int, end: int) -> None:
    """Write the rows of a tile as columns, while the tile is still in the cache."""
    for column in range(out.shape[0]):
        for row in range(first, end):
            out[column, row] = tile[row - first, column]


@numba.njit(cache=True, nogil=True)
def _list_values(line: _Timeline, plan: Plan, state: _State, begin: int, end: int) -> None:
    """List the person's facts with a value, series after series, in order of occurrence."""
    for fact in range(begin, end):
        state.room[line.series[fact]] += 1
    free = begin
    for fact in range(begin, end):  # the first fact of a series claims room for all of them
        series = line.series[fact]
        if state.room[series] > 0:
            state.bottom[series] = state.top[series] = free
            free += state.room[series]
            state.room[series] = 0
    for fact in range(begin, end):
        series = line.series[fact]
        wanted = plan.group_start[series] < plan.group_start[series + 1]
        if wanted and not np.isnan(line.value[fact]):
            state.place[fact] = state.top[series]
            state.members[state.top[series]] = fact
            state.top[series] += 1
    for fact in range(begin, end):  # nothing is known yet
        state.top[line.series[fact]] = state.bottom[line.series[fact]]


@numba.njit(cache=True, nogil=True)
def _leave(line: _Timeline, state: _State, row: int) -> None:
    """Take out the facts that the windows have passed, if they had been known and counted."""
    known = line.known_end[row - 1]
    for window in range(line.window_first.shape[1]):
        for fact in range(line.window_first[row - 1, window], line.window_first[row, window]):
            if line.rank[fact] < known:
                state.counts[line.series[fact], window] -= 1
                state.abnormal[line.series[fact], window] -= line.abnormal[fact] & 1


@numba.njit(cache=True, nogil=True)
def _enter(line: _Timeline, state: _State, row: int, known: int, n_active: int) -> int:
    """Take in the facts that have become known; return the number of series with any."""
    for position in range(known, line.known_end[row]):
        fact = line.order[position]
        series = line.series[fact]
        if state.last[series] < 0:
            state.active[n_active] = series
            n_active += 1
        state.last[series] = max(state.last[series], fact)
        state.top[series] = max(state.top[series], state.place[fact] + 1)
        for window in range(line.window_first.shape[1]):
            if fact >= line.window_first[row, window]:
                state.counts[series, window] += 1
                state.abnormal[series, window] += line.abnormal[fact] & 1
    return n_active


@numba.njit(cache=True, nogil=True)
def _write_counted(
    line: _Timeline,
    plan: Plan,
    state: _State,
    row: int,
    n_active: int,
    out: np.ndarray,
) -> None:
    """Write the columns that need no values."""
    for position in range(n_active):
        series: int = state.active[position]
        for item in range(plan.counted_start[series], plan.counted_start[series + 1]):
            aggregation, window, column = plan.counted[item]
            if state.counts[series, window] == 0:
                continue
            if aggregation == ANY:
                out[column] = 1
            elif aggregation == COUNT:
                out[column] = state.counts[series, window]
            elif aggregation == ABNORMAL_ANY:
                out[column] = min(state.abnormal[series, window], 1)
            else:
                last: int = state.last[series]
                out[column] = days_before(line.occurred_us[last], line.t_us[row])


@numba.njit(cache=True, nogil=True)
def _write_valued(
    line: _Timeline,
    plan: Plan,
    state: _State,
    row: int,
    n_active: int,
    out: np.ndarray,
) -> None:
    """Write the columns made of values: from the latest value back, shortest window first."""
    for position in range(n_active):
        series: int = state.active[position]
        place: int = state.top[series] - 1
        if place < state.bottom[series]:
            continue
        state.sums[:] = 0
        for group in range(plan.group_start[series], plan.group_start[series + 1]):
            window, first_item, end_item = plan.groups[group]
            place = _add_values(line, state, row, line.window_first[row, window], series, place)
            if state.sums[N] == 0:
                continue
            for item in range(first_item, end_item):
                aggregation, column = plan.valued[item]
                out[column] = _aggregate(aggregation, line, state.sums)


@numba.njit(cache=True, nogil=True)
def _add_values(
    line: _Timeline, state: _State, row: int, first: int, series: int, place: int
) -> int:
    """Add the known values back to the window's first fact; return where the walk stopped."""
    sums = state.sums
    while place >= state.bottom[series] and state.members[place] >= first:
        fact = state.members[place]
        place -= 1
        if line.rank[fact] >= line.known_end[row]:
            continue
        value = line.value[fact]
        if sums[N] == 0:
            sums[LATEST], sums[LOW], sums[HIGH] = fact, value, value
        latest = int(sums[LATEST])
        # Times and values are taken relative to the latest, which keeps the sums well-conditioned.
        x = (line.occurred_us[fact] - line.occurred_us[latest]) / DAY_US
        y = value - line.value[latest]
        sums[N] += 1
        sums[LOW], sums[HIGH] = min(sums[LOW], value), max(sums[HIGH], value)
        sums[X] += x
        sums[Y] += y
        sums[XX] += x * x
        sums[XY] += x * y
        if line.abnormal[fact] != 0 and sums[ABNORMAL] == 0:
            sums[ABNORMAL] = _is_abnormal(line, row, fact)
    return place


@numba.njit(cache=True, nogil=True)
def _is_abnormal(line: _Timeline, row: int, fact: int) -> bool:
    """Whether a value is abnormal for the trimester it was taken in, as known at the row."""
    by: int = line.abnormal[fact]
    if by == ABNORMAL_IN_ALL:
        return True
    known = line.pregnancies
    day = line.occurred_us[fact] // DAY_US
    for pregnancy in range(known.end[row] - 1, known.first[row] - 1, -1):
        if known.start_day[pregnancy] <= day <= known.last_day[pregnancy]:
            return (by >> trimester_of(day - known.start_day[pregnancy])) & 1 == 1
    return by & 1 == 1


@numba.njit(cache=True, nogil=True)
def _aggregate(aggregation: int, line: _Timeline, sums: np.ndarray) -> float:  # noqa: PLR0911
    """Give one aggregation of the values added so far (at least one)."""
    last = line.value[int(sums[LATEST])]
    if aggregation == LAST_VALUE:
        return last
    if aggregation == MIN:
        return sums[LOW]
    if aggregation == MAX:
        return sums[HIGH]
    if aggregation == MEAN:
        return last + sums[Y] / sums[N]
    if aggregation == MISSING:
        return 0.0
    if aggregation == ABNORMAL_BY_TRIMESTER:
        return sums[ABNORMAL]
    if sums[XX] == 0:  # every value is of the same moment
        return np.nan
    return (sums[XY] - sums[X] * sums[Y] / sums[N]) / (sums[XX] - sums[X] * sums[X] / sums[N])
