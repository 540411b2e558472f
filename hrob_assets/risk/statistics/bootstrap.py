"""Patients drawn with replacement: where every interval of an evaluation comes from.

A replicate draws as many patients as there are and takes all rows of each, as often as she was
drawn. The draws are never made into rows: they are counts per patient (a multinomial weight), and
each figure is a function of weighted sums. Replicate b has its own stream of random numbers, made
from the seed and b, and its sums are added up in one order, so that neither threads nor blocks can
change a bit of the result.
"""

# Numba's decorator has no types.
# pyright: reportUnknownArgumentType=false

import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numba
import numpy as np

from hrob_assets.risk.statistics.hashing import GAMMA, scramble
from hrob_assets.risk.statistics.ranked_rows import RankedRows

REPLICATES = 2000
CONFIDENCE = 0.95
LANES = 16  # replicates that are walked through side by side: one vector register of bytes
_MOST_UNDEFINED = 0.1
_S11 = np.uint64(11)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; without bounds where there is too little for them.

    Parameters
    ----------
    value : float
    low, high : float or None
        Percentiles 2.5 and 97.5 of the patient-cluster bootstrap, unless the place where it
        stands says otherwise.
    design_effect : float or None
        Variance with patients as clusters over the variance if all rows were of different
        patients, both linearised; None where it is not worked out.
    """

    value: float
    low: float | None
    high: float | None
    design_effect: float | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Replicates:
    """Weighted sums of every replicate.

    Parameters
    ----------
    sums : float64 array, shape (n_replicates, n_sums)
    rows_above, events_above : int64 arrays, shape (n_replicates, n_cuts)
        Rows and events among the rows before each cut.
    auroc, auprc : float64 arrays, shape (n_replicates,)
        Not a number where only one outcome was drawn.
    """

    sums: np.ndarray
    rows_above: np.ndarray
    events_above: np.ndarray
    auroc: np.ndarray
    auprc: np.ndarray


def replicate(
    rows: RankedRows,
    *,
    columns: np.ndarray,
    cuts: np.ndarray,
    replicates: int,
    seed: int,
    threads: int | None = None,
) -> Replicates:
    """Draw patients again and again; return the weighted sums of each replicate.

    Parameters
    ----------
    rows : RankedRows
    columns : float64 array, shape (n_rows, n_sums)
        What is summed, in the order of `rows`.
    cuts : int array, shape (n_cuts,), ascending
        Numbers of rows, from the top, of which rows and events are counted; the rows of one
        prediction must not be cut apart.
    replicates : int
    seed : int
        The same seed and patients give the same draws, whatever the predictions are: this is
        what makes differences of two models paired.
    threads : int, optional
        All cores by default; has no part in the result.

    Examples
    --------
    >>> from hrob_assets.risk.statistics import rank_rows
    >>> rows = rank_rows(np.arange(40), np.tile([0.2, 0.8], 20), np.tile([0, 1], 20))
    >>> found = replicate(rows, columns=np.ones((40, 1)), cuts=np.array([20]),
    ...     replicates=100, seed=1)
    >>> found.sums.shape, set(found.sums[:, 0].tolist()), set(found.auroc.tolist())
    ((100, 1), {40.0}, {1.0})
    """
    by_person = person_sums(rows.person, columns, rows.persons)
    ends = np.append(rows.probability[1:] != rows.probability[:-1], True)
    blocks = -(-replicates // LANES)
    sums = np.empty((blocks, LANES, columns.shape[1]))
    above = np.empty((2, blocks, LANES, cuts.size), dtype=np.int64)
    areas = np.empty((2, blocks, LANES))
    start = np.uint64(_stream(seed))  # Numba hands back an int, which it would take for signed

    def walk(block: int) -> None:
        weights = np.zeros((rows.persons, LANES), dtype=np.uint8)
        _draw(weights, start, block)
        _add_up(weights, by_person, sums[block])
        _walk_ranks(
            weights, rows.person, rows.outcome, ends, cuts, above[:, block], areas[:, block]
        )

    _each_block(walk, blocks, threads)
    flat = above.reshape(2, blocks * LANES, cuts.size)[:, :replicates]
    auroc, auprc = areas.reshape(2, blocks * LANES)[:, :replicates]
    return Replicates(sums.reshape(blocks * LANES, -1)[:replicates], flat[0], flat[1], auroc, auprc)


def resampled_sums(
    person_id: np.ndarray,
    columns: np.ndarray,
    *,
    replicates: int,
    seed: int,
    threads: int | None = None,
) -> np.ndarray:
    """Weighted sums of columns only, for figures that need no ranks.

    Parameters
    ----------
    person_id : int array, shape (n_rows,)
    columns : float64 array, shape (n_rows, n_sums)
    replicates, seed, threads : int
        As in `replicate`, with the same draws.

    Returns
    -------
    float64 array, shape (n_replicates, n_sums)

    Examples
    --------
    >>> sums = resampled_sums(np.arange(20), np.ones((20, 1)), replicates=50, seed=1)
    >>> sums.shape, set(sums[:, 0].tolist())
    ((50, 1), {20.0})
    """
    persons, person = np.unique(person_id, return_inverse=True)
    by_person = person_sums(person, columns, persons.size)
    blocks = -(-replicates // LANES)
    sums = np.empty((blocks, LANES, columns.shape[1]))
    start = np.uint64(_stream(seed))  # Numba hands back an int, which it would take for signed

    def walk(block: int) -> None:
        weights = np.zeros((persons.size, LANES), dtype=np.uint8)
        _draw(weights, start, block)
        _add_up(weights, by_person, sums[block])

    _each_block(walk, blocks, threads)
    return sums.reshape(blocks * LANES, -1)[:replicates]


def _each_block(walk: Callable[[int], None], blocks: int, threads: int | None) -> None:
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for _ in pool.map(walk, range(blocks)):  # an error in a thread is raised here
            pass


def person_sums(person: np.ndarray, columns: np.ndarray, persons: int) -> np.ndarray:
    """Sum of each column by patient.

    Parameters
    ----------
    person : int array, shape (n_rows,)
        Positions from 0.
    columns : float64 array, shape (n_rows, n_sums)
    persons : int

    Returns
    -------
    float64 array, shape (persons, n_sums)

    Examples
    --------
    >>> person_sums(np.array([0, 1, 0]), np.array([[1.0], [2.0], [4.0]]), 2).tolist()
    [[5.0], [2.0]]
    """
    by_person = np.empty((persons, columns.shape[1]))
    for number in range(columns.shape[1]):
        by_person[:, number] = np.bincount(person, columns[:, number], minlength=persons)
    return by_person


def interval(drawn: np.ndarray) -> tuple[float | None, float | None]:
    """Percentiles 2.5 and 97.5; None where over a tenth of the replicates is undefined.

    Examples
    --------
    >>> interval(np.arange(41.0))
    (1.0, 39.0)
    >>> interval(np.full(100, np.nan))
    (None, None)
    """
    defined = drawn[np.isfinite(drawn)]
    if defined.size < (1 - _MOST_UNDEFINED) * drawn.size:
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return round(float(low), 12), round(float(high), 12)


def estimate(
    value: float, drawn: np.ndarray | None, *, design_effect: float | None = None
) -> Estimate:
    """A value with the interval of its replicates, if there are any.

    Examples
    --------
    >>> estimate(20.0, np.arange(41.0))
    Estimate(value=20.0, low=1.0, high=39.0)
    """
    low, high = (None, None) if drawn is None else interval(drawn)
    return Estimate(float(value), low, high, design_effect if low is not None else None)


def seed_of(*names: str) -> int:
    """Return a fixed seed from names, such as a model version and a report.

    Examples
    --------
    >>> seed_of("model 1", "evaluation") == seed_of("model 1", "evaluation")
    True
    """
    return zlib.crc32("|".join(names).encode())


@numba.njit(nogil=True, cache=True)
def _stream(seed: int) -> np.uint64:
    return scramble(np.uint64(seed) * GAMMA + GAMMA)


@numba.njit(nogil=True, cache=True)
def _draw(weights: np.ndarray, start: np.uint64, block: int) -> None:
    """Count how often each patient is drawn in the replicates of a block."""
    persons = weights.shape[0]
    scale = persons / 9007199254740992.0  # 2^53
    for lane in range(LANES):
        state = scramble(start ^ scramble(np.uint64(block * LANES + lane + 1) * GAMMA))
        for _ in range(persons):
            state += GAMMA
            weights[np.int64(np.float64(scramble(state) >> _S11) * scale), lane] += np.uint8(1)


@numba.njit(nogil=True, cache=True)
def _add_up(weights: np.ndarray, by_person: np.ndarray, sums: np.ndarray) -> None:
    """Weights times sums of patients, in the order of the patients."""
    total = np.zeros((by_person.shape[1], LANES))
    for person in range(weights.shape[0]):
        for column in range(by_person.shape[1]):
            value = by_person[person, column]
            for lane in range(LANES):
                total[column, lane] += weights[person, lane] * value
    for lane in range(LANES):
        for column in range(by_person.shape[1]):
            sums[lane, column] = total[column, lane]


@numba.njit(nogil=True, cache=True)
def _walk_ranks(
    weights: np.ndarray,
    person: np.ndarray,
    outcome: np.ndarray,
    ends: np.ndarray,
    cuts: np.ndarray,
    above: np.ndarray,
    areas: np.ndarray,
) -> None:
    """One walk from the highest prediction down: both areas, and counts before each cut."""
    events = np.zeros(LANES, np.int32)
    others = np.zeros(LANES, np.int32)
    events_before = np.zeros(LANES, np.int32)
    others_before = np.zeros(LANES, np.int32)
    lost = np.zeros(LANES)
    precision = np.zeros(LANES)
    cut = 0
    has_event = False
    for row in range(person.size + 1):
        while cut < cuts.size and cuts[cut] == row:
            _count_above(above, cut, events, others)
            cut += 1
        if row == person.size:
            break
        weight = weights[person[row]]
        if outcome[row]:
            has_event = True
            for lane in range(LANES):
                events[lane] += weight[lane]
        else:
            for lane in range(LANES):
                others[lane] += weight[lane]
        if ends[row]:
            if has_event:
                _close_tie(events, others, events_before, others_before, lost, precision)
                has_event = False
            for lane in range(LANES):
                others_before[lane] = others[lane]
    _areas(events, others, lost, precision, areas)


@numba.njit(nogil=True, cache=True)
def _count_above(above: np.ndarray, cut: int, events: np.ndarray, others: np.ndarray) -> None:
    for lane in range(LANES):
        above[0, lane, cut] = events[lane] + others[lane]
        above[1, lane, cut] = events[lane]


@numba.njit(nogil=True, cache=True)
def _close_tie(
    events: np.ndarray,
    others: np.ndarray,
    events_before: np.ndarray,
    others_before: np.ndarray,
    lost: np.ndarray,
    precision: np.ndarray,
) -> None:
    """Add the events of one prediction: pairs that they lose (twice), and their precision."""
    for lane in range(LANES):
        drawn = np.float64(events[lane] - events_before[lane])
        lost[lane] += drawn * (np.float64(others_before[lane]) + np.float64(others[lane]))
        rank = max(np.float64(events[lane]) + np.float64(others[lane]), 1.0)
        precision[lane] += drawn * np.float64(events[lane]) / rank
        events_before[lane] = events[lane]


@numba.njit(nogil=True, cache=True)
def _areas(
    events: np.ndarray,
    others: np.ndarray,
    lost: np.ndarray,
    precision: np.ndarray,
    areas: np.ndarray,
) -> None:
    for lane in range(LANES):
        pairs = np.float64(events[lane]) * np.float64(others[lane])
        areas[0, lane] = 1.0 - lost[lane] / (2.0 * pairs) if pairs > 0 else np.nan
        areas[1, lane] = precision[lane] / events[lane] if pairs > 0 else np.nan
