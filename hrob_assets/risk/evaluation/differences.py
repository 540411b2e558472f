"""Two models on the same rows: paired differences, from the same draws of patients."""

from collections.abc import Mapping

import numpy as np

from hrob_assets.risk.evaluation.measures import Draw, Measured
from hrob_assets.risk.statistics import Estimate, estimate, rank_rows, resampled_sums

COMPARED = ("log_loss", "brier", "auroc", "auprc", "net_benefit")
"""Metrics by which models are compared."""
_LOWER_IS_BETTER = frozenset({"log_loss", "brier"})


def improvements(model: Measured, reference: Measured) -> dict[str, Estimate]:
    """How much better a model is than another on the same rows; above 0 is better.

    Parameters
    ----------
    model, reference : Measured
        Of the same rows, so that their replicates are paired.

    Returns
    -------
    dict of str to Estimate
        By the names of `COMPARED`.

    Examples
    --------
    >>> from hrob_assets.risk.evaluation import measure_performance
    >>> y = np.tile([0, 1], 20)
    >>> def measured(p):
    ...     return measure_performance(rank_rows(np.arange(40), p, y), threshold=0.5)
    >>> found = improvements(measured(np.where(y, 0.9, 0.1)), measured(np.full(40, 0.5)))
    >>> found["auroc"], found["brier"].value
    (Estimate(value=0.5, low=0.5, high=0.5), 0.24)
    """
    return {
        metric: estimate(
            round(sign_of(metric) * (model.value(metric) - reference.value(metric)), 12),
            gains(model.draws, reference.draws, metric),
        )
        for metric in COMPARED
    }


def sign_of(metric: str) -> float:
    """-1 of a loss, which is better where it is lower; 1 of any other metric.

    Examples
    --------
    >>> sign_of("log_loss"), sign_of("auroc")
    (-1.0, 1.0)
    """
    return -1.0 if metric in _LOWER_IS_BETTER else 1.0


def gains(
    draws: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], metric: str
) -> np.ndarray | None:
    """Gain in a metric in each replicate; None where there are no replicates."""
    if not draws or not reference:
        return None
    return sign_of(metric) * (draws[metric] - reference[metric])


def paired_mean_difference(
    person_id: np.ndarray,
    outcome: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    draw: Draw | None = None,
) -> Estimate:
    """Mean of the first less mean of the second, of values that each row has under two models.

    Parameters
    ----------
    person_id : int array, shape (n_rows,)
        Clusters of the bootstrap.
    outcome : bool or 0/1 array, shape (n_rows,)
    first, second : float arrays, shape (n_rows,)
        For example losses.
    draw : Draw, optional

    Examples
    --------
    >>> y = np.tile([0, 1], 20)
    >>> paired_mean_difference(np.arange(40), y, np.full(40, 0.5), np.full(40, 0.4)).low
    0.1
    """
    draw = draw or Draw()
    rows = rank_rows(person_id, first - second, outcome)
    value = float(np.mean(first - second))
    if not rows.has_interval:
        return Estimate(value, None, None)
    columns = np.column_stack([np.ones(rows.rows), rows.probability])
    sums = resampled_sums(
        rows.person, columns, replicates=draw.replicates, seed=draw.seed_for(rows),
        threads=draw.threads,
    )  # fmt: skip
    return estimate(value, sums[:, 1] / sums[:, 0])
