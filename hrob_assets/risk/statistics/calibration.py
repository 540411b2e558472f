"""Whether a predicted risk of 20 % means 20 %: in the large, by slope, along the whole curve.

The hierarchy of Van Calster et al. 2016 (J Clin Epidemiol 74:167): mean, weak and moderate
calibration. Points are fitted on every row. Replicates are refitted, too, but on up to 512 narrow
bins of the logit with the drawn rows and events of each; the knots stay those of all rows.
"""

# Numba's decorator has no types.
# pyright: reportUnknownArgumentType=false

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.statistics.bootstrap import RankedRows, Replicates

CLIP = 1e-6
CURVE_POINTS = 25
PERFECT_WORLDS = 200
_KNOTS = {5: (0.05, 0.275, 0.5, 0.725, 0.95), 4: (0.05, 0.35, 0.65, 0.95), 3: (0.1, 0.5, 0.9)}
_QUANTILE_BINS = 256
_EVEN_BINS = 256
_MOST_STEPS = 30
_ROWS_PER_COLUMN = 10
_EXACT, _NEAR = 1e-10, 1e-7
_SHOWN_RANGE = (0.01, 0.99)
_BLOCKS = 32
_ICI, _E50, _E90, _EMAX = range(4)
DISTANCES = ("ici", "e50", "e90", "emax")


def logit(probability: np.ndarray) -> np.ndarray:
    """Log odds, of probabilities clipped to [1e-6, 1 - 1e-6].

    Examples
    --------
    >>> logit(np.array([0.5, 0.0])).round(3).tolist()
    [0.0, -13.816]
    """
    clipped = np.clip(probability, CLIP, 1 - CLIP)
    return np.log(clipped) - np.log1p(-clipped)


@dataclass(frozen=True)
class Calibration:
    """How true probabilities are, fitted on all rows.

    Parameters
    ----------
    in_the_large : float
        Intercept of a logistic regression with the logit as an offset; 0 is ideal, above 0 the
        model predicts too little.
    slope_intercept, slope : float
        Logistic regression on the logit; a slope of 1 is ideal, below 1 predictions are too
        extreme.
    distances : float64 array, shape (4,)
        `DISTANCES`: mean, median, 90th percentile and largest distance between predicted risk
        and flexible curve, over the rows.
    grid, curve : float64 arrays, shape (CURVE_POINTS,)
        Predicted risks from the 1st to the 99th percentile, and the curve there.
    spline : Spline
    coefficients : float64 array, shape (n_columns of the spline,)
    """

    in_the_large: float
    slope_intercept: float
    slope: float
    distances: np.ndarray
    grid: np.ndarray
    curve: np.ndarray
    spline: "Spline"
    coefficients: np.ndarray


@dataclass(frozen=True)
class CalibrationReplicates:
    """The same figures in every replicate; not a number where a fit did not converge.

    Parameters
    ----------
    in_the_large, slope : float64 arrays, shape (n_replicates,)
    distances : float64 array, shape (n_replicates, 4)
    curve : float64 array, shape (n_replicates, CURVE_POINTS)
    """

    in_the_large: np.ndarray
    slope: np.ndarray
    distances: np.ndarray
    curve: np.ndarray


@dataclass(frozen=True)
class Spline:
    """Natural cubic spline: cubic between its knots, a straight line outside them.

    Parameters
    ----------
    knots : tuple of float
        5, 4 or 3; fewer than 3 stand for a straight line.

    References
    ----------
    Harrell, *Regression Modeling Strategies*, section 2.4.5 (the truncated power basis).
    """

    knots: tuple[float, ...]

    def basis(self, x: np.ndarray) -> np.ndarray:
        """The columns of a regression on x: intercept, x and its bends.

        Returns
        -------
        float64 array, shape (x.size, max(n_knots, 2))

        Examples
        --------
        >>> Spline((0.0, 1.0, 2.0)).basis(np.array([0.0, 2.0])).tolist()
        [[1.0, 0.0, 0.0], [1.0, 2.0, 1.5]]
        """
        columns = [np.ones_like(x), x]
        if len(self.knots) > 2:  # noqa: PLR2004 - a bend needs three knots
            *first, before, last = self.knots
            scale = (last - self.knots[0]) ** 2
            for knot in first:
                bend = (
                    _cubed(x - knot)
                    - _cubed(x - before) * (last - knot) / (last - before)
                    + _cubed(x - last) * (before - knot) / (last - before)
                )
                columns.append(bend / scale)
        return np.column_stack(columns)


def _cubed(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) ** 3


def spline_for(x: np.ndarray, rarer: int) -> Spline:
    """The spline with most knots, up to 5 at quantiles of x, that the data can carry.

    Parameters
    ----------
    x : float array, shape (n_rows,)
    rarer : int
        Rows of the rarer outcome; there must be 10 for each column but the intercept.

    Examples
    --------
    >>> [len(spline_for(np.arange(100.0), rarer).knots) for rarer in (40, 39, 20, 19)]
    [5, 4, 3, 0]
    """
    different = np.unique(x).size
    for quantiles in _KNOTS.values():
        count = len(quantiles)
        knots = np.unique(np.quantile(x, quantiles))
        if knots.size == count and different > count and rarer >= _ROWS_PER_COLUMN * (count - 1):
            return Spline(tuple(float(knot) for knot in knots))
    return Spline(())


def calibration_in_the_large(
    probability: np.ndarray, outcome: np.ndarray, *, weight: np.ndarray | None = None
) -> float:
    """Intercept a of ``logit P(y = 1) = a + offset(logit p)``, by Newton's method.

    Parameters
    ----------
    probability : float array, shape (n_rows,)
    outcome : bool or 0/1 array, shape (n_rows,)
    weight : float array, shape (n_rows,), optional
        Of rows, for example inverse probabilities of selection.

    Returns
    -------
    float
        0 is ideal; above 0 the model predicts too little.

    Raises
    ------
    TooSmallError
        If one of the two outcomes does not occur.

    Examples
    --------
    >>> p, y = np.full(10, 0.5), np.array([1, 0] * 5)
    >>> calibration_in_the_large(p, y)
    0.0
    """
    rows, events = _weighted(outcome, weight)
    beta = np.zeros(1)
    _newton(np.ones((outcome.size, 1)), logit(probability), rows, events, beta, _EXACT)
    return float(beta[0])


def calibration_slope(
    probability: np.ndarray, outcome: np.ndarray, *, weight: np.ndarray | None = None
) -> tuple[float, float]:
    """Intercept and slope of a logistic regression of the outcome on the logit.

    Parameters
    ----------
    probability, outcome, weight
        As in `calibration_in_the_large`.

    Raises
    ------
    TooSmallError
        If one of the two outcomes does not occur, or the predictions part them or are all alike.

    Examples
    --------
    >>> p, y = np.repeat([0.2, 0.8], 10), np.array([1, 1] + [0] * 8 + [1] * 8 + [0] * 2)
    >>> intercept, slope = calibration_slope(p, y)
    >>> round(intercept, 6) + 0.0, round(slope, 6)
    (0.0, 1.0)
    """
    rows, events = _weighted(outcome, weight)
    score = logit(probability)
    beta = np.array([0.0, 1.0])
    columns = np.column_stack([np.ones_like(score), score])
    if not _newton(columns, np.zeros_like(score), rows, events, beta, _EXACT):
        msg = (
            "a calibration slope needs predictions that differ and do not part the outcomes "
            "(found no finite slope); use more rows"
        )
        raise TooSmallError(msg)
    return float(beta[0]), float(beta[1])


def _weighted(outcome: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    rows = np.ones(outcome.size) if weight is None else weight.astype(np.float64)
    events = rows * outcome
    if not 0 < events.sum() < rows.sum():
        msg = "calibration needs both outcomes (found one); use more rows"
        raise TooSmallError(msg)
    return rows, events


def calibrate(rows: RankedRows) -> Calibration | None:
    """Fit all levels of calibration on rows; None where the fits do not converge.

    Rows with the same prediction are taken together, which changes nothing.

    Examples
    --------
    >>> from hrob_assets.risk.statistics import rank_rows
    >>> p = np.tile(np.linspace(0.05, 0.95, 19), 20)
    >>> y = np.concatenate([np.arange(20) / 20 < q for q in p[:19]]).reshape(19, 20).T.ravel()
    >>> found = calibrate(rank_rows(np.arange(380), p, y))
    >>> [round(abs(float(x)), 3) for x in (found.in_the_large, found.slope, found.distances[0])]
    [0.0, 1.0, 0.0]
    """
    starts = np.flatnonzero(np.diff(rows.probability, prepend=np.inf))
    drawn = np.diff(np.append(starts, rows.rows)).astype(np.float64)
    events = np.add.reduceat(rows.outcome.astype(np.float64), starts)
    probability = rows.probability[starts]
    score = logit(probability)
    spline = spline_for(logit(rows.probability), min(rows.events, rows.rows - rows.events))
    basis = spline.basis(score)
    large, line = np.zeros(1), np.array([0.0, 1.0])
    bent = np.zeros(basis.shape[1])
    bent[1] = 1.0
    none = np.zeros_like(score)
    fitted = (
        _newton(np.ones((score.size, 1)), score, drawn, events, large, _EXACT)
        and _newton(basis[:, :2].copy(), none, drawn, events, line, _EXACT)
        and _newton(basis, none, drawn, events, bent, _NEAR)
    )
    if not fitted:
        return None
    distances = np.empty(4)
    _distances(np.abs(_expit(basis @ bent) - probability), drawn, distances)
    low, high = (float(x) for x in logit(np.quantile(rows.probability, _SHOWN_RANGE)))
    grid = _expit(np.linspace(low, high, CURVE_POINTS))
    curve = _expit(spline.basis(logit(grid)) @ bent)
    return Calibration(
        float(large[0]), float(line[0]), float(line[1]), distances, grid, curve, spline, bent
    )


def _expit(score: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-score))


@dataclass(frozen=True)
class LogitBins:
    """Narrow bins of rows by prediction, from the highest down.

    Parameters
    ----------
    cuts : int array, shape (n_bins + 1,)
        Numbers of rows from the top; no prediction is cut apart. The first is 0.
    probability, logit : float64 arrays, shape (n_bins,)
        Means over the rows of each bin.
    """

    cuts: np.ndarray
    probability: np.ndarray
    logit: np.ndarray


def logit_bins(rows: RankedRows) -> LogitBins:
    """Cut rows at 256 quantiles and at 256 even steps of the logit.

    Quantiles keep the bins narrow where the rows are, even steps where they are few.

    Examples
    --------
    >>> from hrob_assets.risk.statistics import rank_rows
    >>> logit_bins(rank_rows(np.arange(3), np.array([0.1, 0.5, 0.5]), np.ones(3))).cuts.tolist()
    [0, 2, 3]
    """
    score = logit(rows.probability)
    even = np.linspace(float(score[-1]), float(score[0]), _EVEN_BINS + 1)
    quantiles = score[np.linspace(0, rows.rows - 1, _QUANTILE_BINS + 1).astype(np.int64)]
    edges = np.unique(np.concatenate([even, quantiles]))
    cuts = np.unique(np.searchsorted(-score, -edges, side="right"))
    cuts = np.unique(np.concatenate([[0], cuts, [rows.rows]]))
    sizes = np.diff(cuts)
    mean = np.add.reduceat(rows.probability, cuts[:-1]) / sizes
    return LogitBins(cuts, mean, np.add.reduceat(score, cuts[:-1]) / sizes)


def calibrate_replicates(
    found: Calibration,
    bins: LogitBins,
    rows: np.ndarray,
    events: np.ndarray,
    *,
    threads: int | None = None,
) -> CalibrationReplicates:
    """Refit all levels of calibration to the rows and events of each replicate.

    Parameters
    ----------
    found : Calibration
        Of all rows: its spline, and where the fits begin.
    bins : LogitBins
    rows, events : int arrays, shape (n_replicates, n_bins)
        Drawn in each bin.
    threads : int, optional
        Has no part in the result.
    """
    replicates = rows.shape[0]
    result = CalibrationReplicates(
        np.empty(replicates),
        np.empty(replicates),
        np.empty((replicates, 4)),
        np.empty((replicates, CURVE_POINTS)),
    )
    basis = found.spline.basis(bins.logit)
    curve_basis = found.spline.basis(logit(found.grid))
    starts = (np.array([found.in_the_large]), np.array([found.slope_intercept, found.slope]))

    def refit(part: np.ndarray) -> None:
        if part.size:
            some = slice(int(part[0]), int(part[-1]) + 1)
            _refit(
                rows[some], events[some], basis, bins.logit, bins.probability, curve_basis,
                *starts, found.coefficients, result.in_the_large[some], result.slope[some],
                result.distances[some], result.curve[some],
            )  # fmt: skip

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for _ in pool.map(refit, np.array_split(np.arange(replicates), _BLOCKS)):
            pass
    return result


def in_bins(drawn: Replicates, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and events between cuts that follow each other, from counts above each cut.

    Parameters
    ----------
    drawn : Replicates
    cuts : int array, shape (n_bins + 1,)
        Which of its cuts, as positions.

    Returns
    -------
    rows, events : int64 arrays, shape (n_replicates, n_bins)
    """
    return np.diff(drawn.rows_above[:, cuts]), np.diff(drawn.events_above[:, cuts])


def expected_distances(
    found: Calibration, bins: LogitBins, *, seed: int, threads: int | None = None
) -> np.ndarray:
    """ICI, E50, E90 and Emax that a perfectly calibrated model would show on so many rows.

    Outcomes are drawn from the predictions themselves, row by row, 200 times. Distances of a
    fitted curve are never 0: these are the yardstick. Rows of a patient are taken as independent
    given the predictions, so that with patient effects the true yardstick is a little larger.

    Returns
    -------
    float64 array, shape (4,)
        Means over the worlds in which the curve could be fitted.
    """
    generator = np.random.default_rng(seed)
    sizes = np.diff(bins.cuts)
    rows = np.broadcast_to(sizes, (PERFECT_WORLDS, sizes.size)).copy()
    events = generator.binomial(rows, bins.probability)
    line = Calibration(
        0.0, 0.0, 1.0, found.distances, found.grid, found.grid, found.spline,
        np.eye(1, found.coefficients.size, 1)[0],
    )  # fmt: skip
    drawn = calibrate_replicates(line, bins, rows, events, threads=threads)
    with np.errstate(invalid="ignore"):
        converged = drawn.distances[np.isfinite(drawn.distances[:, 0])]
    return converged.mean(axis=0) if converged.size else np.full(4, np.nan)


@numba.njit(nogil=True, cache=True)
def _newton(
    columns: np.ndarray,
    offset: np.ndarray,
    rows: np.ndarray,
    events: np.ndarray,
    beta: np.ndarray,
    tolerance: float,
) -> bool:
    """Logistic regression of events among rows, without a penalty; beta is start and result."""
    width = beta.size
    gradient = np.empty(width)
    curvature = np.empty((width, width))
    for _ in range(_MOST_STEPS):
        _slopes(columns, offset, rows, events, beta, gradient, curvature)
        if not _solve(curvature, gradient):
            return False
        largest = 0.0
        for j in range(width):
            largest = max(largest, abs(gradient[j]))
        shrink = 1.0 if largest <= 5.0 else 5.0 / largest  # noqa: PLR2004 - a far step is cut
        for j in range(width):
            beta[j] += shrink * gradient[j]
        if largest < tolerance:
            return True
    return False


@numba.njit(nogil=True, cache=True)
def _slopes(
    columns: np.ndarray,
    offset: np.ndarray,
    rows: np.ndarray,
    events: np.ndarray,
    beta: np.ndarray,
    gradient: np.ndarray,
    curvature: np.ndarray,
) -> None:
    """Gradient and curvature of the log likelihood."""
    width = beta.size
    gradient[:] = 0.0
    curvature[:] = 0.0
    for i in range(rows.size):
        if rows[i] == 0:
            continue
        score = offset[i]
        for j in range(width):
            score += columns[i, j] * beta[j]
        risk = 1.0 / (1.0 + np.exp(-score))
        left = events[i] - rows[i] * risk
        weight = rows[i] * risk * (1.0 - risk)
        for j in range(width):
            gradient[j] += left * columns[i, j]
            for k in range(j + 1):
                curvature[j, k] += weight * columns[i, j] * columns[i, k]


@numba.njit(nogil=True, cache=True)
def _solve(matrix: np.ndarray, right: np.ndarray) -> bool:
    """Solve with the lower triangle of a positive matrix (Cholesky), in place."""
    width = right.size
    for j in range(width):
        scale = matrix[j, j]
        for k in range(j):
            matrix[j, j] -= matrix[j, k] ** 2
        if not matrix[j, j] > 1e-12 * scale:
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


@numba.njit(nogil=True, cache=True)
def _distances(distance: np.ndarray, rows: np.ndarray, found: np.ndarray) -> None:
    """Mean, median, 90th percentile and largest distance, each bin as often as it has rows."""
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


@numba.njit(nogil=True, cache=True)
def _refit(
    rows: np.ndarray,
    events: np.ndarray,
    basis: np.ndarray,
    score: np.ndarray,
    probability: np.ndarray,
    curve_basis: np.ndarray,
    large_start: np.ndarray,
    line_start: np.ndarray,
    bent_start: np.ndarray,
    large: np.ndarray,
    slope: np.ndarray,
    distances: np.ndarray,
    curve: np.ndarray,
) -> None:
    """All levels of calibration, replicate by replicate."""
    none, ones, line = np.zeros_like(score), np.ones((score.size, 1)), basis[:, :2].copy()
    for b in range(rows.shape[0]):
        drawn, happened = rows[b].astype(np.float64), events[b].astype(np.float64)
        one, two, bent = large_start.copy(), line_start.copy(), bent_start.copy()
        fits = _newton(ones, score, drawn, happened, one, _NEAR)
        large[b] = one[0] if fits else np.nan
        fits = _newton(line, none, drawn, happened, two, _NEAR)
        slope[b] = two[1] if fits else np.nan
        if not _newton(basis, none, drawn, happened, bent, _NEAR):
            distances[b] = np.nan
            curve[b] = np.nan
            continue
        distance = np.empty(score.size)
        for i in range(score.size):
            fitted = 0.0
            for j in range(bent.size):
                fitted += basis[i, j] * bent[j]
            distance[i] = abs(1.0 / (1.0 + np.exp(-fitted)) - probability[i])
        _distances(distance, drawn, distances[b])
        for i in range(curve_basis.shape[0]):
            fitted = 0.0
            for j in range(bent.size):
                fitted += curve_basis[i, j] * bent[j]
            curve[b, i] = 1.0 / (1.0 + np.exp(-fitted))
