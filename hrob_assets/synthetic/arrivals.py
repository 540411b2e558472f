"""Random arrivals and probabilities: self-exciting visits, thinning, calibrated intercepts."""

import numpy as np

GENERATIONS = 7


def expit(logit: np.ndarray) -> np.ndarray:
    """Return the probability of a log-odds value."""
    return 1.0 / (1.0 + np.exp(-logit))


def intercept_for(linear: np.ndarray, rate: float, weight: np.ndarray | None = None) -> float:
    """Return the constant that makes the weighted mean probability equal to ``rate``.

    Examples
    --------
    >>> round(intercept_for(np.full(3, 2.0), 0.5), 6)
    -2.0
    """
    low, high = -25.0, 25.0
    for _ in range(60):
        middle = (low + high) / 2
        if np.average(expit(linear + middle), weights=weight) < rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def spread(count: np.ndarray, low: np.ndarray, high: np.ndarray, rng: np.random.Generator):  # noqa: ANN201 tuple of two arrays
    """Return the owner and time of ``count`` uniform arrivals between ``low`` and ``high``."""
    owner = np.repeat(np.arange(len(count)), count)
    return owner, low[owner] + rng.random(len(owner)) * (high - low)[owner]


def excite(
    owner: np.ndarray,
    time: np.ndarray,
    keep: np.ndarray,
    *,
    branching: float,
    decay_days: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add the offspring of arrivals: a Hawkes process with an exponential kernel.

    Parameters
    ----------
    owner, time, keep : arrays
        First arrivals: whose, when (days), and whether they happened.
    branching : float, 0 to 1
        Mean number of direct offspring of one arrival.
    decay_days : float, days
        Mean delay from parent to offspring.
    rng : Generator

    Returns
    -------
    owner, time, keep : arrays
        First arrivals followed by `GENERATIONS` generations; offspring of what did not happen did
        not happen either.
    """
    parts = [(owner, time, keep)]
    for _ in range(GENERATIONS):
        parent_owner, parent_time, parent_keep = parts[-1]
        children = rng.poisson(branching, len(parent_owner))
        born = np.repeat(np.arange(len(parent_owner)), children)
        delay = rng.exponential(decay_days, len(born))
        parts.append((parent_owner[born], parent_time[born] + delay, parent_keep[born]))
    owners, times, keeps = zip(*parts, strict=True)
    return np.concatenate(owners), np.concatenate(times), np.concatenate(keeps)
