"""One hash and random stream for patients, replicates and simulated worlds: SplitMix64.

It has no state outside its argument, so the same number is drawn on every machine, for any number
of threads and in any order of the rows.

References
----------
Steele, Lea and Flood 2014, OOPSLA (SplitMix64).
"""

import numba
import numpy as np
import polars as pl

GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""Step between the states of a stream."""
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_FRACTION_BITS = 53


@numba.njit(cache=True, nogil=True)
def scramble(value: np.uint64) -> np.uint64:
    """Map 64 bits one-to-one to 64 bits that look random.

    Examples
    --------
    >>> hex(scramble(np.uint64(1)))
    '0x5692161d100b05e5'
    """
    z = np.uint64(value)
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return z ^ (z >> _S31)


@numba.njit(cache=True, nogil=True)
def next_uniform(state: np.uint64) -> tuple[np.uint64, float]:
    """Next state of a stream and a number in [0, 1).

    Examples
    --------
    >>> _, first = next_uniform(np.uint64(1))
    >>> 0 <= first < 1
    True
    """
    following = np.uint64(state) + GAMMA
    return following, float(scramble(following) >> np.uint64(11)) * 2.0**-_FRACTION_BITS


def person_fraction(person_id: pl.Series, seed: int) -> np.ndarray:
    """Map each person to a fixed fraction in [0, 1); over many persons fractions are uniform.

    Parameters
    ----------
    person_id : Series of integers
    seed : int
        Another seed gives an unrelated fraction of the same person.

    Returns
    -------
    ndarray of float64, shape (n_rows,)

    Examples
    --------
    >>> bool((person_fraction(pl.Series([1, 2]), 0) < 1).all())
    True
    """
    with np.errstate(over="ignore"):
        start = person_id.to_numpy().astype(np.uint64) + np.uint64(seed + 1) * GAMMA
    return _scrambled(start) / 2.0**_FRACTION_BITS


@numba.njit(cache=True, nogil=True)
def _scrambled(values: np.ndarray) -> np.ndarray:
    """The upper 53 bits of each scrambled value, as float64."""
    upper = np.empty(values.size)
    for i in range(values.size):
        upper[i] = float(scramble(values[i]) >> np.uint64(11))
    return upper
