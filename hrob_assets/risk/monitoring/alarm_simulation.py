"""Simulated histories of the calibration alarm: how often it is false, and how late it is.

Numba keeps the compiled functions of this module in a cache that does not notice a change in
`alarm.run_e_detector`; delete ``__pycache__`` after changing that function.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numba
import numpy as np
import polars as pl

from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.monitoring.alarm import (
    FULL_WEEK,
    AlarmRule,
    log_e_values_without_outcome,
    run_e_detector,
)
from hrob_assets.risk.statistics import logit, next_uniform, scramble

_THREADS = 2
_STRIDE = np.uint64(0x632BE59BD9B4E019)


@dataclass(frozen=True)
class SiteVolume:
    """What a site scores: its probabilities, and how many independent rows mature in a week.

    Parameters
    ----------
    probability : ndarray of float, shape (n_rows,)
    weekly_rows : ndarray of int, shape (n_weeks,)
    """

    probability: np.ndarray
    weekly_rows: np.ndarray


@dataclass(frozen=True)
class SimulationPlan:
    """How many histories to simulate, how long they are, and when the world changes in them.

    Parameters
    ----------
    histories : int
    weeks : int
        Length of a history.
    change_week : int
        Week from which on the intercept has shifted.
    seed : int
    """

    histories: int = 500
    weeks: int = 260
    change_week: int = 52
    seed: int = 20260105


@dataclass(frozen=True)
class ShiftedWorld:
    """A world whose intercept shifts in one week and stays there.

    Parameters
    ----------
    shift : float, log odds
    change_week : int
    """

    shift: float
    change_week: int


def expected_alarm_behaviour(
    site: SiteVolume,
    rule: AlarmRule,
    *,
    detectors: int = 1,
    shifts: Sequence[float] = (0.2, 0.3, 0.5, -0.2, -0.3, -0.5),
    plan: SimulationPlan | None = None,
) -> pl.DataFrame:
    """Simulate what the alarm would do at this site, before it is switched on.

    Parameters
    ----------
    site : SiteVolume
        Weeks and rows are drawn from it with replacement.
    rule : AlarmRule
    detectors : int
        Detectors that share the budget; the estimates are of the detector of all rows.
    shifts : sequence of float, log odds
        Permanent shifts of the intercept: from the first week where they lie within the
        tolerance, else from the week of the change. 0 and the tolerance, up and down, are
        simulated in any case.
    plan : SimulationPlan, optional

    Returns
    -------
    DataFrame
        One row per shift: ``shift``, ``harmless`` (within the tolerance), ``alarm_share`` (share
        of histories with an alarm: in all weeks where harmless, else after the change),
        ``alarms_per_history``, ``budget_per_history`` (of this detector alone),
        ``median_delay_weeks`` and ``p90_delay_weeks`` (weeks with mature outcomes; the first
        after the change counts as 1; null where harmless, or where so many histories have no
        alarm).

    Raises
    ------
    TooSmallError
        If the site has no rows or no weeks.
    """
    plan = plan or SimulationPlan()
    if not site.probability.size or not site.weekly_rows.size:
        msg = "simulating an alarm needs probabilities and weeks (found none); score first"
        raise TooSmallError(msg)
    within = [shift for shift in shifts if abs(shift) <= rule.tolerance]
    harmless = sorted({0.0, rule.tolerance, -rule.tolerance, *within})
    worlds = [ShiftedWorld(shift, 0) for shift in harmless]
    worlds += [ShiftedWorld(shift, plan.change_week) for shift in shifts if shift not in within]
    crossed = simulate_worlds(site, rule, worlds, detectors=detectors, plan=plan)
    budget = plan.weeks / rule.alarm_weeks / detectors
    rows = [
        _behaviour(of_world, world, budget, harmless=number < len(harmless))
        for number, (world, of_world) in enumerate(zip(worlds, crossed, strict=True))
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _behaviour(
    crossed: np.ndarray, world: ShiftedWorld, budget: float, *, harmless: bool
) -> dict[str, float | bool | None]:
    after = crossed[:, world.change_week :]
    delay = np.where(after.any(axis=1), after.argmax(axis=1) + 1.0, np.inf)
    # "higher" takes a delay that occurred: between a number of weeks and infinity, the share of
    # histories without an alarm, there is nothing to interpolate.
    quantiles = [float(np.quantile(delay, q, method="higher")) for q in (0.5, 0.9)]
    delays = [None if harmless or np.isinf(value) else value for value in quantiles]
    return {
        "shift": float(world.shift),
        "harmless": harmless,
        "alarm_share": float(after.any(axis=1).mean()),
        "alarms_per_history": float(crossed.sum(axis=1).mean()),
        "budget_per_history": budget,
        "median_delay_weeks": delays[0],
        "p90_delay_weeks": delays[1],
    }


def simulate_worlds(
    site: SiteVolume,
    rule: AlarmRule,
    worlds: Sequence[ShiftedWorld],
    *,
    detectors: int,
    plan: SimulationPlan,
) -> np.ndarray:
    """Simulate in which weeks the detector of all rows reaches its threshold.

    A history has the same rows and the same random draws in every world; only the shift decides
    which draws become outcomes. So worlds differ by their shift and not by chance.

    Parameters
    ----------
    site : SiteVolume
    rule : AlarmRule
    worlds : sequence of ShiftedWorld
    detectors : int
    plan : SimulationPlan

    Returns
    -------
    ndarray of bool, shape (n_worlds, n_histories, n_weeks)
    """
    odds = logit(site.probability)[:, None]
    shifts = np.array([0.0, *(world.shift for world in worlds)])
    run = partial(
        _simulate,
        log_e_values_without_outcome(site.probability, rule),
        rule.shifts - rule.edges,
        1 / (1 + np.exp(-(odds + shifts))),
        site.weekly_rows.astype(np.int64),
        np.array([world.change_week for world in worlds], dtype=np.int64),
        np.full(plan.weeks, rule.log_threshold(detectors)),
    )
    streams = np.uint64(plan.seed) + np.arange(plan.histories, dtype=np.uint64) * _STRIDE
    with ThreadPoolExecutor(_THREADS) as pool:
        return np.concatenate(list(pool.map(run, np.array_split(streams, _THREADS))), axis=1)


@numba.njit(cache=True, nogil=True)
def _simulate(
    constants: np.ndarray,
    steps: np.ndarray,
    truth: np.ndarray,
    weekly_rows: np.ndarray,
    change_weeks: np.ndarray,
    log_threshold: np.ndarray,
    streams: np.ndarray,
) -> np.ndarray:
    """Draw histories and run the detector over them; each has its own random stream.

    The first column of `truth` is of the world that has not shifted, the others of `change_weeks`.
    """
    weeks, worlds = log_threshold.size, change_weeks.size
    crossed = np.zeros((worlds, streams.size, weeks), np.bool_)
    for history in range(streams.size):
        without, events, weight = _draw_history(
            constants, truth, weekly_rows, weeks, scramble(streams[history])
        )
        for world in range(worlds):
            logs = np.empty((weeks, steps.size))
            for week in range(weeks):
                column = 1 + world if week >= change_weeks[world] else 0
                logs[week] = without[week] + events[week, column] * steps
            crossed[world, history] = run_e_detector(logs, weight, log_threshold)[3]
    return crossed


@numba.njit(cache=True, nogil=True)
def _draw_history(
    constants: np.ndarray,
    truth: np.ndarray,
    weekly_rows: np.ndarray,
    weeks: int,
    state: np.uint64,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log e-value of each week without any outcome, outcomes in each world, and weights."""
    without = np.zeros((weeks, constants.shape[1]))
    events, weight = np.zeros((weeks, truth.shape[1]), np.int64), np.zeros(weeks)
    for week in range(weeks):
        state, draw = next_uniform(state)
        for _ in range(weekly_rows[int(draw * weekly_rows.size)]):
            state, draw = next_uniform(state)
            row = int(draw * truth.shape[0])
            weight[week] += truth[row, 0] * (1 - truth[row, 0]) / FULL_WEEK
            state, draw = next_uniform(state)
            for k in range(constants.shape[1]):
                without[week, k] += constants[row, k]
            for world in range(truth.shape[1]):
                events[week, world] += draw < truth[row, world]
        weight[week] = min(weight[week], 1.0)
    return without, events, weight
