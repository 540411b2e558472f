"""The compiled walk: every window of every series in one pass over each timeline.

Facts lie in the order of occurrence within a person. A fact *enters* a window when it becomes
known and *leaves* it when its occurrence falls out of the back; a fact that becomes known too late
for a window is never counted in it. All cuts of time are positions from
`hrob_assets.risk.windows.cut_points`, so nothing here compares times.

Numba caches compiled code by the file of the function that Python calls. Tuples whose fields the
walk reads, and the numbers of the aggregations, therefore stay in this file.
"""

from typing import NamedTuple

import numba
import numpy as np

from hrob_assets.risk.pregnancy import trimester_of
from hrob_assets.risk.windows import DAY_US, days_before

COUNTED = ("any", "count", "abnormal_any", "days_since_last")
VALUED = ("last_value", "min", "max", "mean", "slope", "missing", "abnormal_by_trimester")
ANY, COUNT, ABNORMAL_ANY, DAYS_SINCE_LAST = range(4)
LAST_VALUE, MIN, MAX, MEAN, SLOPE, MISSING, ABNORMAL_BY_TRIMESTER = range(7)
N, LATEST, LOW, HIGH, X, Y, XX, XY, ABNORMAL = range(9)  # of the running sums of `_State`
ABNORMAL_IN_ALL = 0b1111
_TILE_ROWS = 128  # a tile of 600 columns fits in a core's second cache


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


class Timeline(NamedTuple):
    """A block of facts and rows with the positions at which time is cut.

    Facts have two orders. They are stored by occurrence; ``order`` lists them by availability and
    ``rank`` is its inverse, so ``rank[fact] < known_end[row]`` says that the row knows the fact.
    """

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
def walk(line: Timeline, plan: Plan, out: np.ndarray) -> None:
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
            # The series of a row write all over it; straight to columns, each cell would cost a
            # line of the cache. The tile gathers rows, and `_turn` writes them as columns.
            cells = tile[row % _TILE_ROWS]
            cells[:] = plan.default
            _write_counted(line, plan, state, row, n_active, cells)
            _write_valued(line, plan, state, row, n_active, cells)
            if row % _TILE_ROWS == _TILE_ROWS - 1 or row == line.t_us.size - 1:
                _turn(tile, out, row - row % _TILE_ROWS, row + 1)
        # Only the series that the person had are cleared: most persons have few of hundreds.
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
def _list_values(line: Timeline, plan: Plan, state: _State, begin: int, end: int) -> None:
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
def _leave(line: Timeline, state: _State, row: int) -> None:
    """Take out the facts that the windows have passed, if they had been known and counted."""
    # What became known only since the previous row was not counted then. `_enter` compares it with
    # the windows of this row and leaves out what already lies behind them.
    known = line.known_end[row - 1]
    for window in range(line.window_first.shape[1]):
        for fact in range(line.window_first[row - 1, window], line.window_first[row, window]):
            if line.rank[fact] < known:
                state.counts[line.series[fact], window] -= 1
                state.abnormal[line.series[fact], window] -= line.abnormal[fact] & 1


@numba.njit(cache=True, nogil=True)
def _enter(line: Timeline, state: _State, row: int, known: int, n_active: int) -> int:
    """Take in the facts that have become known; return the number of series with any."""
    for position in range(known, line.known_end[row]):
        fact = line.order[position]
        series = line.series[fact]
        if state.last[series] < 0:
            state.active[n_active] = series
            n_active += 1
        # A fact may become known after later ones, so the latest is not the last to enter.
        state.last[series] = max(state.last[series], fact)
        state.top[series] = max(state.top[series], state.place[fact] + 1)
        for window in range(line.window_first.shape[1]):
            if fact >= line.window_first[row, window]:
                state.counts[series, window] += 1
                state.abnormal[series, window] += line.abnormal[fact] & 1
    return n_active


@numba.njit(cache=True, nogil=True)
def _write_counted(
    line: Timeline,
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
    line: Timeline,
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
            # Windows nest: a longer one goes on where the shorter one stopped, with its sums.
            place = _add_values(line, state, row, line.window_first[row, window], series, place)
            if state.sums[N] == 0:
                continue
            for item in range(first_item, end_item):
                aggregation, column = plan.valued[item]
                out[column] = _aggregate(aggregation, line, state.sums)


@numba.njit(cache=True, nogil=True)
def _add_values(
    line: Timeline, state: _State, row: int, first: int, series: int, place: int
) -> int:
    """Add the known values back to the window's first fact; return where the walk stopped."""
    sums = state.sums
    while place >= state.bottom[series] and state.members[place] >= first:
        fact = state.members[place]
        place -= 1
        if line.rank[fact] >= line.known_end[row]:  # it lies between known ones, unknown itself
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
def _is_abnormal(line: Timeline, row: int, fact: int) -> bool:
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
def _aggregate(aggregation: int, line: Timeline, sums: np.ndarray) -> float:  # noqa: PLR0911
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
