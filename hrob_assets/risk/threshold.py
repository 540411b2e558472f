"""The threshold that fits the capacity, and how long the weekly lists are that it implies."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.use_case import Threshold

_SIMULATED_WEEKS = 10_000
_LATEST_WEEKS = 52
_BOUNDS = (0.05, 0.95)


@dataclass(frozen=True)
class ListSize:
    """Persons on a week's list, over simulated weeks of the whole population.

    Parameters
    ----------
    mean, low, high : float, persons
        Mean, 5 % and 95 % point.
    capacity : int, persons
        That can be reviewed in a week.
    probability_over_capacity : float
        Share of weeks in which the list is longer than the capacity.
    """

    mean: float
    low: float
    high: float
    capacity: int
    probability_over_capacity: float


def capacity_threshold(
    probability: np.ndarray, threshold: Threshold, *, then: str = "raise threshold.decimals"
) -> float:
    """Probability from which on the capacity share of validation encounters lies, rounded.

    Parameters
    ----------
    probability : ndarray of float, shape (n_rows,)
    threshold : Threshold
    then : str
        What to do where there is none.

    Raises
    ------
    ConfigurationError
        If rounding leaves a threshold of 0 or 1, which would call everybody or nobody high risk.

    Examples
    --------
    >>> capacity_threshold(np.linspace(0, 1, 1001), Threshold(capacity_share=0.1))
    0.9
    """
    exact = float(np.quantile(probability, 1 - threshold.capacity_share, method="higher"))
    rounded = round(exact, threshold.decimals)
    if not 0 < rounded < 1:
        msg = (
            f"the threshold must lie between 0 and 1 (found {exact:.6g}, rounded to {rounded}); "
            f"{then}"
        )
        raise ConfigurationError(msg)
    return rounded


def simulate_list_sizes(
    validation: pl.DataFrame,
    probability: np.ndarray,
    *,
    threshold: float,
    validation_share: float,
    capacity: int,
    seed: int,
) -> ListSize:
    """Simulate weekly lists by resampling the validation patients to the whole population.

    A simulated week takes one of the latest 52 weeks of the validation rows and draws, with
    replacement, as many patients as the population has; the list is those who are high risk.

    Parameters
    ----------
    validation : DataFrame
        ``person_id`` and ``week`` of the validation rows.
    probability : ndarray of float, shape (n_rows,)
    threshold : float
        High risk means probability >= threshold.
    validation_share : float
        Share of all persons who are in validation.
    capacity : int, persons
    seed : int

    Examples
    --------
    >>> from datetime import date
    >>> rows = pl.DataFrame({"person_id": range(100), "week": [date(2024, 1, 1)] * 100})
    >>> found = simulate_list_sizes(rows, np.linspace(0, 0.99, 100), threshold=0.9,
    ...     validation_share=0.2, capacity=60, seed=1)
    >>> round(found.mean), found.low < found.mean < found.high
    (50, True)
    """
    persons = validation["person_id"].n_unique()
    high = validation.select("person_id", "week").filter(pl.Series(probability >= threshold))
    weeks = validation["week"].unique().sort().tail(_LATEST_WEEKS).to_list()
    listed = dict(high.unique().group_by("week").len().rows())
    shares = np.array([listed.get(week, 0) for week in weeks]) / persons
    generator = np.random.default_rng(seed)
    week = generator.integers(0, len(weeks), _SIMULATED_WEEKS)
    sizes = generator.binomial(round(persons / validation_share), shares[week])
    low, high_end = np.quantile(sizes, _BOUNDS)
    return ListSize(
        mean=float(sizes.mean()),
        low=float(low),
        high=float(high_end),
        capacity=capacity,
        probability_over_capacity=float((sizes > capacity).mean()),
    )
