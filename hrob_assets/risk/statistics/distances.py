"""Distances between predicted risks and a calibration curve: ICI, E50, E90 and Emax.

References
----------
Austin and Steyerberg 2019, Stat Med 38:4051.
"""

# Numba's decorator has no types.
# pyright: reportUnknownArgumentType=false

import numba
import numpy as np

DISTANCES = ("ici", "e50", "e90", "emax")
_ICI, _E50, _E90, _EMAX = range(4)


def weighted_distances(distance: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean, median, 90th percentile and maximum of distances, each as often as it has rows.

    Parameters
    ----------
    distance, rows : float64 arrays, shape (n,)

    Returns
    -------
    float64 array, shape (4,)
        In the order of `DISTANCES`.

    Examples
    --------
    >>> weighted_distances(np.array([0.1, 0.4]), np.array([3.0, 1.0])).round(3).tolist()
    [0.175, 0.1, 0.4, 0.4]
    """
    found = np.empty(len(DISTANCES))
    fill_distances(distance, rows, found)
    return found


@numba.njit(nogil=True, cache=True)
def fill_distances(distance: np.ndarray, rows: np.ndarray, found: np.ndarray) -> None:
    """As `weighted_distances`, into an array, for compiled code."""
    order = np.argsort(distance)
    total, mean = 0.0, 0.0
    for i in range(distance.size):
        total += rows[i]
        mean += rows[i] * distance[i]
    found[_ICI] = mean / total
    found[_E50], found[_E90], found[_EMAX] = np.nan, np.nan, 0.0
    passed = 0.0
    for i in order:
        if rows[i] > 0:
            passed += rows[i]
            if np.isnan(found[_E50]) and passed >= 0.5 * total:
                found[_E50] = distance[i]
            if np.isnan(found[_E90]) and passed >= 0.9 * total:
                found[_E90] = distance[i]
            found[_EMAX] = distance[i]
