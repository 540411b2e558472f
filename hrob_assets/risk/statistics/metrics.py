"""Metrics of single rows and of rankings, each once: log loss, Brier score, areas, PSI."""

import numpy as np

from hrob_assets.risk.statistics.logistic import CLIP
from hrob_assets.risk.statistics.ranked_rows import RankedRows

_SMALLEST_SHARE = 1e-4


def row_log_loss(probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Log loss of each row, with probabilities clipped to [1e-6, 1 - 1e-6].

    Examples
    --------
    >>> row_log_loss(np.array([0.5, 1.0]), np.array([1, 0])).round(3).tolist()
    [0.693, 13.816]
    """
    clipped = np.clip(probability, CLIP, 1 - CLIP)
    return -np.where(outcome == 1, np.log(clipped), np.log1p(-clipped))


def row_brier(probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Squared error of each row: the Brier score is its mean.

    Examples
    --------
    >>> row_brier(np.array([0.5, 1.0]), np.array([1, 0])).tolist()
    [0.25, 1.0]
    """
    return (probability - outcome) ** 2


def ranking_areas(rows: RankedRows) -> tuple[float, float]:
    """Area under the ROC curve (ties count half) and average precision.

    Returns
    -------
    auroc, auprc : float
        Not a number where only one outcome occurs.

    Examples
    --------
    >>> from hrob_assets.risk.statistics import rank_rows
    >>> rows = rank_rows(np.arange(4), np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1]))
    >>> [round(area, 3) for area in ranking_areas(rows)]
    [0.875, 0.833]
    """
    if not 0 < rows.events < rows.rows:
        return float("nan"), float("nan")
    outcome = rows.outcome.astype(np.float64)
    first = np.searchsorted(-rows.probability, -rows.probability, side="left")
    after = np.searchsorted(-rows.probability, -rows.probability, side="right")
    events = np.append(0.0, np.cumsum(outcome))
    total, others = events[-1], rows.rows - events[-1]
    lost = (first - events[first]) + (after - events[after])  # others above, ties counted once
    area = 1 - float(np.sum(outcome * lost) / (2 * total * others))
    return area, float(np.sum(outcome * events[after] / after) / total)


def population_stability_index(reference: np.ndarray, recent: np.ndarray) -> float:
    """How far a distribution has moved, from counts in the same bins; 0 is not at all.

    Parameters
    ----------
    reference, recent : int arrays, shape (n_bins,)
        Counts. Missing values are a bin of their own.

    Returns
    -------
    float
        ``sum((a - e) * ln(a / e))`` over the shares of both; shares below 1e-4 count as 1e-4.

    Examples
    --------
    >>> round(population_stability_index(np.array([50, 50]), np.array([80, 20])), 4)
    0.4159
    >>> population_stability_index(np.array([50, 0]), np.array([10, 0]))
    0.0
    """
    return float(index_of_shares(reference / reference.sum(), recent / recent.sum()))


def index_of_shares(reference: np.ndarray, recent: np.ndarray) -> np.ndarray:
    """Population stability index of shares, over the last axis.

    Examples
    --------
    >>> index_of_shares(np.array([[0.5, 0.5]]), np.array([[0.8, 0.2]])).round(4).tolist()
    [0.4159]
    """
    expected, actual = np.maximum(reference, _SMALLEST_SHARE), np.maximum(recent, _SMALLEST_SHARE)
    return np.sum((actual - expected) * np.log(actual / expected), axis=-1)
