"""Slide all windows over the timelines of persons, block after block, in threads."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from hrob_assets.risk.features.kernel.availability import order_by_availability
from hrob_assets.risk.features.kernel.blocks import person_blocks
from hrob_assets.risk.features.kernel.facts import Facts
from hrob_assets.risk.features.kernel.walk import Plan, Pregnancies, Timeline, walk
from hrob_assets.risk.windows import cut_points

_BLOCKS_PER_THREAD = 4


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
    >>> from hrob_assets.risk.features.kernel.plan import SeriesColumn, plan_columns
    >>> from hrob_assets.risk.windows import DAY_US
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
    timeline = Timeline(
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
    walk(timeline, plan, out[:, row_of])
