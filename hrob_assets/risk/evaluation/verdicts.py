"""The verdict on a calibration factor, its simultaneous intervals, and the patients it needs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrob_assets.risk.evaluation.analysis import (
    Verdict,
)
from hrob_assets.risk.evaluation.measures import Draw
from hrob_assets.risk.statistics import (
    Estimate,
    RankedRows,
    Z,
    person_sums,
    resampled_sums,
)

_DIGITS = 2


_LEAST_ROOM = 0.05  # of the margin; nearer to its edge no number of patients helps


@dataclass(frozen=True)
class Studentised:
    """A calibration factor in units of its own standard error.

    Parameters
    ----------
    value, error : float
        The factor and its linearised standard error, patients as clusters.
    draws : float64 array, shape (n_replicates,)
        Of each replicate, the distance from `value` over the standard error in that replicate.
    """

    value: float
    error: float
    draws: np.ndarray


def judge_factor(factor: Estimate, *, margin: float) -> Verdict:
    """The three-valued verdict on a calibration factor; four with too little to say anything.

    Examples
    --------
    >>> [judge_factor(Estimate(*found), margin=0.02) for found in (
    ...     (0.005, -0.006, 0.014), (0.05, 0.03, 0.07), (0.01, -0.03, 0.05), (0.3, None, None))]
    ['calibrated', 'not calibrated', 'undetermined', 'too few']
    """
    if factor.low is None or factor.high is None:
        return "too few"
    if -margin <= factor.low and factor.high <= margin:
        return "calibrated"
    excludes_zero = factor.low > 0 or factor.high < 0
    return "not calibrated" if excludes_zero and abs(factor.value) > margin else "undetermined"


def patients_for_margin(variance: float, *, design_effect: float, half_width: float) -> int:
    """Patients at which the interval of a calibration factor has this half-width.

    Parameters
    ----------
    variance : float
        Of a row, given its prediction: mean of p(1 - p); over the rows of a patient, if she has
        several, divided by how many they are.
    design_effect, half_width : float

    Examples
    --------
    >>> patients_for_margin(0.085, design_effect=1.0, half_width=0.02)
    817
    """
    return math.ceil(design_effect * Z**2 * variance / half_width**2)


def patients_needed(rows: RankedRows, factor: Estimate, *, margin: float) -> tuple[int, int | None]:
    """Patients for an interval as narrow as the margin, and further ones for a verdict.

    The spread that one patient brings is that of the interval itself; without one, it is that of
    the predictions with all rows of a patient alike.

    Returns
    -------
    for_margin, still : int, int or None
        Both rounded up to two digits. `still` takes the factor to stay what it is: then the
        interval must be narrower than its distance to the margin (to be calibrated) or to 0 (not
        to be). 0 when there is a verdict; None when the factor stands on the edge of the margin.
    """
    persons = rows.persons
    verdict = judge_factor(factor, margin=margin)
    if factor.low is None or factor.high is None:
        p = rows.probability
        needed = patients_for_margin(
            float(np.mean(p * (1 - p))), design_effect=1.0, half_width=margin
        )
        return _up(needed), _up(max(needed - persons, 1))
    spread = persons * ((factor.high - factor.low) / 2) ** 2
    for_margin = _up(math.ceil(spread / margin**2))
    if verdict != "undetermined":
        return for_margin, 0
    distance = abs(factor.value)
    room = distance if distance > margin else margin - distance
    if room < _LEAST_ROOM * margin:
        return for_margin, None
    return for_margin, _up(max(math.ceil(spread / room**2) - persons, 1))


def _up(count: int) -> int:
    """Round up to two digits, so that it is read as what it is and tells no count.

    Examples
    --------
    >>> _up(817), _up(7), _up(12345)
    (820, 10, 13000)
    """
    step = 10 ** max(len(str(count)) - _DIGITS, 1)
    return -(-count // step) * step


def studentise(rows: RankedRows, draw: Draw) -> Studentised:
    """Replicate a calibration factor together with its standard error.

    Examples
    --------
    >>> from hrob_assets.risk.statistics import rank_rows
    >>> p, y = np.full(400, 0.25), np.tile([1, 0, 0, 0], 100)
    >>> found = studentise(rank_rows(np.arange(400), p, y), Draw(200, 1))
    >>> found.value, round(found.error, 4), found.draws.shape
    (0.0, 0.0217, (200,))
    """
    columns = np.column_stack([np.ones(rows.rows), rows.probability - rows.outcome])
    count, over = person_sums(rows.person, columns, rows.persons).T
    products = np.column_stack([count, over, count * count, count * over, over * over])
    sums = resampled_sums(
        np.arange(rows.persons), products, replicates=draw.replicates, seed=draw.seed_for(rows),
        threads=draw.threads,
    )  # fmt: skip
    n, d, nn, nd, dd = np.vstack([products.sum(axis=0), sums]).T
    factor = d / n
    error = np.sqrt(np.maximum(dd - 2 * factor * nd + factor**2 * nn, 0)) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (factor[1:] - factor[0]) / error[1:]
    distance[~np.isfinite(distance)] = np.nan
    return Studentised(float(factor[0]), float(error[0]), distance)


def simultaneous_bounds(
    groups: Sequence[Studentised | None],
) -> list[tuple[float, float] | None]:
    """Intervals that hold for all groups at once with 95 % (max-t bootstrap).

    Parameters
    ----------
    groups : sequence of Studentised or None
        None of a group with too little for an interval.

    Returns
    -------
    list of (low, high) or None
        Value -+ c times the standard error, where c is the 95th percentile of the largest
        absolute distance over all groups. Each replicate is measured by its own standard error,
        because that of few events is itself uncertain. Groups are drawn apart, as if
        independent; where they share patients this makes c a little too large.

    References
    ----------
    Romano and Wolf 2005, Econometrica 73:1237.
    """
    distances = [np.abs(group.draws) for group in groups if group is not None and group.error > 0]
    if not distances:
        return [None] * len(groups)
    critical = float(np.quantile(np.nanmax(np.stack(distances), axis=0), 0.95))
    return [
        (group.value - critical * group.error, group.value + critical * group.error)
        if group is not None and group.error > 0
        else None
        for group in groups
    ]
