"""The four cells of high risk and outcome, and intervals for independent patients."""

import math
from dataclasses import dataclass

import numpy as np

Z = 1.959963984540054  # 97.5th percentile of the normal distribution


@dataclass(frozen=True)
class Cells:
    """Counts of rows: high risk with and without the outcome, then low risk with and without.

    Examples
    --------
    >>> cells = Cells(13.2, 46.8, 27, 513)
    >>> round(cells.odds_ratio, 2)
    5.36
    """

    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float

    @property
    def corrected(self) -> bool:
        """Whether a cell is 0, so that the odds ratio takes 0.5 more of each (Haldane-Anscombe)."""
        return min(vars(self).values()) == 0

    @property
    def odds_ratio(self) -> float:
        """Odds of the outcome at high risk over those at low risk."""
        return math.exp(float(log_odds_ratio(np.array([list(vars(self).values())]))[0]))


def log_odds_ratio(cells: np.ndarray) -> np.ndarray:
    """Logarithm of the odds ratio; 0.5 more in all four cells where one is 0.

    Parameters
    ----------
    cells : array, shape (n, 4)
        True positives, false positives, false negatives, true negatives.

    Examples
    --------
    >>> log_odds_ratio(np.array([[10, 10, 10, 10], [0, 9, 9, 9]])).round(3).tolist()
    [0.0, -2.944]
    """
    cells = cells + 0.5 * (cells.min(axis=1, keepdims=True) == 0)
    return np.log(cells[:, 0] * cells[:, 3]) - np.log(cells[:, 1] * cells[:, 2])


def woolf(cells: Cells) -> tuple[float, float]:
    """95 % interval of the odds ratio of independent rows (Woolf 1955).

    Examples
    --------
    >>> [round(bound, 2) for bound in woolf(Cells(13.2, 46.8, 27, 513))]
    [2.6, 11.04]
    """
    added = 0.5 if cells.corrected else 0.0
    error = math.sqrt(sum(1 / (cell + added) for cell in vars(cells).values()))
    middle = math.log(cells.odds_ratio)
    return math.exp(middle - Z * error), math.exp(middle + Z * error)


def wilson(part: float, whole: float) -> tuple[float, float] | None:
    """95 % interval of a share of independent rows (Wilson 1927); None of nothing.

    Examples
    --------
    >>> [round(bound, 2) for bound in wilson(28, 37)]
    [0.6, 0.87]
    """
    if not whole:
        return None
    share, square = part / whole, Z * Z
    middle = (share + square / (2 * whole)) / (1 + square / whole)
    spread = math.sqrt(share * (1 - share) / whole + square / (4 * whole * whole))
    half = Z * spread / (1 + square / whole)
    return max(0.0, middle - half), min(1.0, middle + half)
