"""Simulated histories, and the weeks in which each rule raises an alarm.

All rules see the same rows. Rows are independent, with a probability each; from one week on their
log odds are shifted. The e-detector is the product's own (`run_e_detector`).

* *3 sd*: a week's outcomes lie more than 3 standard deviations from what was predicted.
* *2 of 5*: beyond 1.96 standard deviations in 2 of the last 5 weeks.
* *ADWIN*: a calibration curve (intercept and slope on the logit) follows the outcomes by stochastic
  gradient steps (Adam); ADWIN with confidence 0.002 watches its distance from the predictions, and
  an alarm is a cut with a larger distance after it.
* *PSI*: the week's scores differ from the first 13 weeks by an index over 0.1, in tenths.

References
----------
Davis, Greevy, Lasko, Walsh, Matheny 2020, *Detection of calibration drift in clinical prediction
models to inform model updating*. Journal of Biomedical Informatics 112.
Bifet, Gavalda 2007, *Learning from time-changing data with adaptive windowing*. SDM.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numba
import numpy as np

from hrob_assets.risk.monitoring import AlarmRule, log_e_values_without_outcome, run_e_detector

RULES = ("e-detector", "3 sd", "2 of 5", "ADWIN", "PSI")
WEEKS, CHANGE = 260, 52
_LEVELS, _BUCKETS, _EVERY, _CONFIDENCE = 24, 5, 32, 0.002
_STEP, _KEEP_1, _KEEP_2 = 0.001, 0.9, 0.999
_REFERENCE = 13


def alarms(
    probability: np.ndarray,
    rule: AlarmRule,
    *,
    rows: int,
    shift: float,
    change: int,
    histories: int,
    seed: int,
) -> np.ndarray:
    """Weeks with an alarm, shape (histories, rules, weeks)."""
    odds = np.log(probability / (1 - probability))
    edges = np.quantile(probability, np.linspace(0, 1, 11)[1:-1])
    run = partial(
        _histories,
        log_e_values_without_outcome(probability, rule),
        rule.shifts - rule.edges,
        np.log(float(rule.alarm_weeks)),
        odds,
        np.searchsorted(edges, probability),
        (rows, change, WEEKS),
        shift,
    )
    seeds = np.array_split(seed + np.arange(histories), 2)
    with ThreadPoolExecutor(2) as pool:
        return np.concatenate(list(pool.map(run, seeds)))


@numba.njit(cache=True, nogil=True)
def _histories(
    constants: np.ndarray,
    steps: np.ndarray,
    level: float,
    odds: np.ndarray,
    tenth: np.ndarray,
    sizes: tuple[int, int, int],
    shift: float,
    seeds: np.ndarray,
) -> np.ndarray:
    rows, change, weeks = sizes
    found = np.zeros((seeds.size, 5, weeks), np.bool_)
    for history in range(seeds.size):
        np.random.seed(seeds[history])  # noqa: NPY002 - the generator of Numba
        logs, z = np.zeros((weeks, steps.size)), np.zeros(weeks)
        bins = np.zeros((weeks, 10))
        curve = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        window = np.zeros((3, _LEVELS, _BUCKETS + 1))
        held = np.zeros(_LEVELS, np.int64)
        for week in range(weeks):
            moved = shift if week >= change else 0.0
            over, variance = 0.0, 0.0
            for row in range(rows):
                drawn = np.random.randint(odds.size)  # noqa: NPY002 - as above
                predicted = 1 / (1 + np.exp(-odds[drawn]))
                truth = 1 / (1 + np.exp(-odds[drawn] - moved))
                event = 1.0 if np.random.random() < truth else 0.0  # noqa: NPY002 - as above
                over += event - predicted
                variance += predicted * (1 - predicted)
                bins[week, tenth[drawn]] += 1
                for k in range(steps.size):
                    logs[week, k] += constants[drawn, k] + event * steps[k]
                distance = abs(_follow_curve(curve, odds[drawn], event) - predicted)
                cut = _adwin(window, held, distance, (week * rows + row) % _EVERY == 0)
                found[history, 3, week] |= cut
            z[week] = over / np.sqrt(variance)
        found[history, 0] = run_e_detector(logs, np.ones(weeks), np.full(weeks, level))[3]
        _simple_rules(found[history], z, bins)
    return found


@numba.njit(cache=True, nogil=True)
def _simple_rules(found: np.ndarray, z: np.ndarray, bins: np.ndarray) -> None:
    reference = bins[:_REFERENCE].sum(axis=0) / bins[:_REFERENCE].sum()
    for week in range(z.size):
        found[1, week] = abs(z[week]) > 3
        beyond = 0
        for earlier in range(max(0, week - 4), week + 1):
            beyond += abs(z[earlier]) > 1.959964
        found[2, week] = beyond >= 2
        share = np.maximum(bins[week] / bins[week].sum(), 1e-4)
        index = np.sum((share - reference) * np.log(share / reference))
        found[4, week] = week >= _REFERENCE and index > 0.1


@numba.njit(cache=True, nogil=True)
def _follow_curve(curve: np.ndarray, odds: float, event: float) -> float:
    """One step of Adam; the curve's risk after it."""
    risk = 1 / (1 + np.exp(-(curve[0] + curve[1] * odds)))
    curve[6] += 1
    for k in range(2):
        slope = (risk - event) * (odds if k else 1.0)
        curve[2 + k] = _KEEP_1 * curve[2 + k] + (1 - _KEEP_1) * slope
        curve[4 + k] = _KEEP_2 * curve[4 + k] + (1 - _KEEP_2) * slope * slope
        mean = curve[2 + k] / (1 - _KEEP_1 ** curve[6])
        spread = curve[4 + k] / (1 - _KEEP_2 ** curve[6])
        curve[k] -= _STEP * mean / (np.sqrt(spread) + 1e-8)
    return 1 / (1 + np.exp(-(curve[0] + curve[1] * odds)))


@numba.njit(cache=True, nogil=True)
def _adwin(  # noqa: C901, PLR0912 - one algorithm, compiled
    window: np.ndarray,
    held: np.ndarray,
    value: float,
    check: bool,  # noqa: FBT001 - compiled
) -> bool:
    """Add a value; drop the oldest buckets where the means differ; tell whether they rose.

    ``window`` holds sums, sums of squares and counts of buckets, oldest first in each level; level
    l has buckets of 2^l values.
    """
    level, entry = 0, np.array([value, value * value, 1.0])
    while True:
        window[:, level, held[level]] = entry
        held[level] += 1
        if held[level] <= _BUCKETS:
            break
        entry = window[:, level, 0] + window[:, level, 1]
        for k in range(_BUCKETS - 1):
            window[:, level, k] = window[:, level, k + 2]
        held[level] -= 2
        level += 1
    rose = False
    while check:
        check = False
        total = np.zeros(3)
        for each in range(_LEVELS):
            for k in range(held[each]):
                total += window[:, each, k]
        if total[2] < 64:
            break
        variance = max(total[1] / total[2] - (total[0] / total[2]) ** 2, 0.0)
        logarithm = np.log(2 * np.log(total[2]) / _CONFIDENCE)
        old = np.zeros(3)
        for back in range(_LEVELS):
            each = _LEVELS - 1 - back
            for k in range(held[each]):
                old += window[:, each, k]
                new = total - old
                if old[2] < 5 or new[2] < 5 or check:
                    continue
                size = 1 / (1 / old[2] + 1 / new[2])
                bound = np.sqrt(2 / size * variance * logarithm) + 2 / (3 * size) * logarithm
                difference = new[0] / new[2] - old[0] / old[2]
                if abs(difference) > bound:
                    check = True
                    rose |= difference > 0
        if check:
            for back in range(_LEVELS):
                each = _LEVELS - 1 - back
                if held[each]:
                    for k in range(held[each] - 1):
                        window[:, each, k] = window[:, each, k + 1]
                    held[each] -= 1
                    break
    return rose
