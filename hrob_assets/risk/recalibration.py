"""A change of a fitted model's probabilities on the scale of log-odds: shift and stretch."""

# SciPy has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

_SMALLEST = 1e-6


@dataclass(frozen=True)
class Recalibration:
    """New log-odds are ``intercept + slope * log-odds``; the default changes nothing.

    Parameters
    ----------
    intercept : float, log-odds
        What a row gains at a probability of one half.
    slope : float
        Below 1 pulls towards one half, above 1 away from it.

    Examples
    --------
    >>> bool(Recalibration().is_identity)
    True
    """

    intercept: float = 0.0
    slope: float = 1.0

    @property
    def is_identity(self) -> bool:
        """Whether probabilities stay as they are, to the bit."""
        return self.intercept == 0.0 and self.slope == 1.0

    def applied(self, probability: np.ndarray) -> np.ndarray:
        """Change probabilities, row by row.

        Parameters
        ----------
        probability : ndarray of float64, shape (n_rows,)

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            Where something changes, probabilities are first clipped to [1e-6, 1 - 1e-6].

        Examples
        --------
        >>> Recalibration(intercept=1.0).applied(np.array([0.5])).round(4).tolist()
        [0.7311]
        """
        if self.is_identity:
            return probability
        clipped = np.clip(probability, _SMALLEST, 1 - _SMALLEST)
        return expit(self.intercept + self.slope * logit(clipped))


UNCHANGED = Recalibration()
"""The probabilities of the estimator as they are."""
