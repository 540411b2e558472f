"""The threshold that fits the capacity, and how long the weekly lists are that it implies."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from hrob_assets.risk.errors import ConfigurationError, ContractError
from hrob_assets.risk.use_case import Threshold

_SIMULATED_WEEKS = 10_000
_LATEST_WEEKS = 52
_BOUNDS = (0.05, 0.95)
_MOST_OF_CAPACITY = 2


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

    Down or up, whichever calls nearer to the capacity share high risk.

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
    ContractError
        If each way calls nobody, or more than twice the capacity share, high risk: many rows then
        have one probability.

    Examples
    --------
    >>> capacity_threshold(np.linspace(0, 1, 1001), Threshold(capacity_share=0.1))
    0.9
    """
    capacity = threshold.capacity_share
    exact = float(np.quantile(probability, 1 - capacity, method="higher"))
    nearest = round(exact, threshold.decimals)
    if not 0 < nearest < 1:
        msg = (
            f"the threshold must lie between 0 and 1 (found {exact:.6g}, rounded to {nearest}); "
            f"{then}"
        )
        raise ConfigurationError(msg)
    inside = [each for each in _rounded(exact, threshold.decimals) if 0 < each < 1]
    shares = {each: float(np.mean(probability >= each)) for each in inside}
    fitting = [each for each in inside if 0 < shares[each] <= _MOST_OF_CAPACITY * capacity]
    if not fitting:
        found = " and ".join(
            f"{each} {'nobody' if shares[each] == 0 else 'more than twice as many'}"
            for each in inside
        )
        msg = (
            f"a threshold must call about {capacity:.0%} of the rows high risk (found that "
            f"{found}: many rows are near the probability {exact:.6g}, or have it); {then}, or "
            "take a calibration without steps"
        )
        raise ContractError(msg)
    return min(fitting, key=lambda each: (abs(shares[each] - capacity), abs(each - exact)))


def _rounded(exact: float, decimals: int) -> list[float]:
    """A number rounded down and up, once where both are one.

    Examples
    --------
    >>> _rounded(0.176, 2), _rounded(0.29, 2)
    ([0.17, 0.18], [0.29])
    """
    nearest = round(exact, decimals)
    if nearest == exact:
        return [nearest]
    step = 10.0**-decimals
    other = nearest - step if nearest > exact else nearest + step
    return sorted([nearest, round(other, decimals)])


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
