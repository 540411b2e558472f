"""The one unpenalised logistic regression: offset, weights, cluster-robust standard errors.

Calibration intercepts and slopes, recalibrations, spline curves, the closed test of updates and the
gate all fit their models here, so that they converge by one rule and fail by one rule: a fit exists
where the likelihood has a finite maximum, and is None where it has not.

References
----------
Albert and Anderson 1984, Biometrika 71:1 (when the maximum exists: no separation).
Liang and Zeger 1986, Biometrika 73:13 (the sandwich variance with clusters).
"""

# Numba's decorator has no types.
# pyright: reportUnknownArgumentType=false

from dataclasses import dataclass

import numba
import numpy as np

CLIP = 1e-6
_MOST_STEPS = 100
_MOST_HALVINGS = 40
_SINGULAR = 1e-12
_ROUNDING = 1e-12  # relative loss of likelihood that rounding alone can cause
EXACT, NEAR = 1e-10, 1e-7
"""Largest change of a log-odds at which a fit has converged: of a result, and of a replicate."""


def logit(probability: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, clipped to [1e-6, 1 - 1e-6].

    Examples
    --------
    >>> logit(np.array([0.5, 0.0])).round(3).tolist()
    [0.0, -13.816]
    """
    clipped = np.clip(probability, CLIP, 1 - CLIP)
    return np.log(clipped) - np.log1p(-clipped)


def expit(score: np.ndarray) -> np.ndarray:
    """Probabilities of log-odds, without overflow.

    Examples
    --------
    >>> expit(np.array([0.0, -1000.0])).tolist()
    [0.5, 0.0]
    """
    small = np.exp(-np.abs(score))
    return np.where(score >= 0, 1.0, small) / (1.0 + small)


@dataclass(frozen=True)
class LogisticFit:
    """A logistic regression at the maximum of its likelihood.

    Parameters
    ----------
    coefficients : float64 array, shape (n_columns,)
    log_likelihood : float
        Without the binomial coefficients.
    covariance : float64 array, shape (n_columns, n_columns)
        Inverse of the information matrix: for independent rows.
    """

    coefficients: np.ndarray
    log_likelihood: float
    covariance: np.ndarray


def fit_logistic(
    columns: np.ndarray,
    events: np.ndarray,
    *,
    rows: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    start: np.ndarray | None = None,
) -> LogisticFit | None:
    """Fit a logistic regression by Newton's method with step halving.

    Parameters
    ----------
    columns : float array, shape (n, n_columns)
        With a column of ones where there is an intercept. They are scaled inside, so their units
        have no part in whether the fit converges.
    events : float array, shape (n,)
        Events among the rows that each line stands for: 0 or 1 where it stands for one row.
    rows : float array, shape (n,), optional
        Rows, or weights, of each line; 1 by default.
    offset : float array, shape (n,), optional
        Log-odds that are added without a coefficient.
    start : float array, shape (n_columns,), optional
        Where the search begins; zeros by default.

    Returns
    -------
    LogisticFit or None
        None where the likelihood has no finite maximum: only one outcome occurs, the columns
        separate the outcomes, or one column is a combination of others.

    Examples
    --------
    >>> found = fit_logistic(np.ones((10, 1)), np.array([1.0, 0] * 5))
    >>> found.coefficients.round(6).tolist()
    [0.0]
    >>> fit_logistic(np.ones((10, 1)), np.ones(10)) is None
    True
    """
    size, width = columns.shape
    weights = np.ones(size) if rows is None else np.ascontiguousarray(rows, dtype=np.float64)
    happened = np.ascontiguousarray(events, dtype=np.float64)
    if not 0 < happened.sum() < weights.sum():
        return None
    given = np.zeros(size) if offset is None else np.ascontiguousarray(offset, dtype=np.float64)
    scale = column_scale(columns)
    scaled = np.ascontiguousarray(columns / scale)
    beta = np.zeros(width) if start is None else start * scale
    information = np.empty((width, width))
    likelihood = maximise(scaled, given, weights, happened, beta, information, EXACT)
    if np.isnan(likelihood):
        return None
    covariance = np.linalg.inv(information) / np.outer(scale, scale)
    return LogisticFit(beta / scale, float(likelihood), covariance)


def column_scale(columns: np.ndarray) -> np.ndarray:
    """Root mean square of each column; 1 where a column is all zeros.

    Examples
    --------
    >>> column_scale(np.array([[1.0, 30.0], [1.0, 40.0]])).round(2).tolist()
    [1.0, 35.36]
    """
    scale = np.sqrt(np.mean(np.square(columns), axis=0))
    return np.where(scale > 0, scale, 1.0)


def cluster_robust_covariance(
    fit: LogisticFit,
    columns: np.ndarray,
    events: np.ndarray,
    cluster: np.ndarray,
    *,
    rows: np.ndarray | None = None,
    offset: np.ndarray | None = None,
) -> np.ndarray:
    """Covariance of the coefficients where rows of one cluster depend on each other.

    Parameters
    ----------
    fit : LogisticFit
    columns, events, rows, offset
        Those that were fitted.
    cluster : int array, shape (n,)
        Positions from 0, for example of patients.

    Returns
    -------
    float64 array, shape (n_columns, n_columns)
        The sandwich estimator, times clusters / (clusters - 1).

    Examples
    --------
    >>> y = np.array([1.0, 0, 1, 0, 1, 1, 0, 0])
    >>> one = np.ones((8, 1))
    >>> alone = cluster_robust_covariance(fit_logistic(one, y), one, y, np.arange(8))
    >>> round(float(alone[0, 0]), 4), round(float(fit_logistic(one, y).covariance[0, 0]), 4)
    (0.5714, 0.5)
    """
    score = columns @ fit.coefficients + (0.0 if offset is None else offset)
    expected = expit(score) * (1.0 if rows is None else rows)
    gradient = columns * (events - expected)[:, None]
    return fit.covariance @ clustered_products(gradient, cluster) @ fit.covariance


def clustered_products(score: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Sum over clusters of the outer products of their scores, times clusters / (clusters - 1).

    Parameters
    ----------
    score : float array, shape (n,) or (n, n_columns)
    cluster : int array, shape (n,)
        Positions from 0.

    Returns
    -------
    float64 array, shape (n_columns, n_columns)

    Examples
    --------
    >>> clustered_products(np.array([1.0, 1.0, -2.0]), np.array([0, 0, 1])).tolist()
    [[16.0]]
    """
    columns = score[:, None] if score.ndim == 1 else score
    sums = np.stack([np.bincount(cluster, weights=column) for column in columns.T], axis=1)
    count = sums.shape[0]
    return sums.T @ sums * (count / max(count - 1, 1))


@numba.njit(nogil=True, cache=True)
def maximise(
    columns: np.ndarray,
    offset: np.ndarray,
    rows: np.ndarray,
    events: np.ndarray,
    beta: np.ndarray,
    information: np.ndarray,
    tolerance: float,
) -> float:
    """Climb to the maximum of the likelihood; ``beta`` is the start and becomes the result.

    For callers in compiled code, such as bootstrap replicates. Columns must be scaled already.

    Parameters
    ----------
    columns : float64 array, shape (n, n_columns), C order
    offset, rows, events : float64 arrays, shape (n,)
    beta : float64 array, shape (n_columns,)
    information : float64 array, shape (n_columns, n_columns)
        Becomes the information matrix at the maximum.
    tolerance : float
        Largest change of a scaled coefficient at which the search ends.

    Returns
    -------
    float
        Log-likelihood; not a number where no finite maximum was found.
    """
    width = beta.size
    gradient, step, trial = np.empty(width), np.empty(width), np.empty(width)
    lower = np.empty((width, width))
    likelihood = _derivatives(columns, offset, rows, events, beta, gradient, information)
    for _ in range(_MOST_STEPS):
        lower[:] = information
        step[:] = gradient
        if not _solve(lower, step):
            return np.nan
        largest = 0.0
        for j in range(width):
            largest = max(largest, abs(step[j]))
        if largest < tolerance:
            return likelihood
        least = likelihood - _ROUNDING * (1.0 + abs(likelihood))
        trial[:] = beta + step
        reached = _derivatives(columns, offset, rows, events, trial, gradient, information)
        if not reached >= least:
            # Newton's step overshoots where predictions are extreme; a part of it climbs.
            for _ in range(_MOST_HALVINGS):
                step *= 0.5
                trial[:] = beta + step
                reached = _log_likelihood(columns, offset, rows, events, trial)
                if reached >= least:
                    break
            if not reached >= least:
                return np.nan
            reached = _derivatives(columns, offset, rows, events, trial, gradient, information)
        beta[:] = trial
        likelihood = reached
    return np.nan


@numba.njit(nogil=True, cache=True)
def _log_likelihood(
    columns: np.ndarray,
    offset: np.ndarray,
    rows: np.ndarray,
    events: np.ndarray,
    beta: np.ndarray,
) -> float:
    total = 0.0
    for i in range(rows.size):
        if rows[i] == 0:
            continue
        score = offset[i]
        for j in range(beta.size):
            score += columns[i, j] * beta[j]
        total += events[i] * score - rows[i] * _softplus(score)
    return total


@numba.njit(nogil=True, cache=True)
def _softplus(score: float) -> float:
    """log(1 + exp(score)), without overflow."""
    return max(score, 0.0) + np.log1p(np.exp(-abs(score)))


@numba.njit(nogil=True, cache=True)
def _derivatives(
    columns: np.ndarray,
    offset: np.ndarray,
    rows: np.ndarray,
    events: np.ndarray,
    beta: np.ndarray,
    gradient: np.ndarray,
    information: np.ndarray,
) -> float:
    """Log-likelihood, its gradient and the information matrix."""
    width = beta.size
    gradient[:] = 0.0
    information[:] = 0.0
    total = 0.0
    for i in range(rows.size):
        if rows[i] == 0:
            continue
        score = offset[i]
        for j in range(width):
            score += columns[i, j] * beta[j]
        small = np.exp(-abs(score))
        risk = (1.0 if score >= 0 else small) / (1.0 + small)
        total += events[i] * score - rows[i] * (max(score, 0.0) + np.log1p(small))
        left = events[i] - rows[i] * risk
        weight = rows[i] * small / (1.0 + small) ** 2
        for j in range(width):
            gradient[j] += left * columns[i, j]
            for k in range(j + 1):
                information[j, k] += weight * columns[i, j] * columns[i, k]
    for j in range(width):
        for k in range(j):
            information[k, j] = information[j, k]
    return total


@numba.njit(nogil=True, cache=True)
def _solve(matrix: np.ndarray, right: np.ndarray) -> bool:
    """Solve with a positive definite matrix by Cholesky's method, both in place."""
    width = right.size
    for j in range(width):
        scale = matrix[j, j]
        for k in range(j):
            matrix[j, j] -= matrix[j, k] ** 2
        if not matrix[j, j] > _SINGULAR * scale:
            return False
        matrix[j, j] = np.sqrt(matrix[j, j])
        for i in range(j + 1, width):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] /= matrix[j, j]
    for j in range(width):
        for k in range(j):
            right[j] -= matrix[j, k] * right[k]
        right[j] /= matrix[j, j]
    for j in range(width - 1, -1, -1):
        for k in range(j + 1, width):
            right[j] -= matrix[k, j] * right[k]
        right[j] /= matrix[j, j]
    return True
