"""Calibration in every bootstrap replicate, and what a perfectly calibrated model would show.

Replicates are fitted again on up to 512 narrow bins of the logit with the drawn rows and events of
each; the knots of the spline stay those of all rows.
"""

# Numba's decorator has no types.
# pyright: reportUnknownArgumentType=false

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from hrob_assets.risk.statistics.bootstrap import RankedRows, Replicates
from hrob_assets.risk.statistics.calibration import CURVE_POINTS, Calibration, CalibrationCurve
from hrob_assets.risk.statistics.distances import DISTANCES, fill_distances
from hrob_assets.risk.statistics.logistic import NEAR, column_scale, logit, maximise

PERFECT_WORLDS = 200
_QUANTILE_BINS = 256
_EVEN_BINS = 256
_BLOCKS = 32


@dataclass(frozen=True)
class CalibrationReplicates:
    """The levels of calibration in every replicate; not a number where a fit has no maximum.

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
    """Fit all levels of calibration again to the rows and events of each replicate.

    Parameters
    ----------
    found : Calibration
        Of all rows: its spline, and where the fits begin. A level that it lacks stays not a
        number in every replicate.
    bins : LogitBins
    rows, events : int arrays, shape (n_replicates, n_bins)
        Drawn in each bin.
    threads : int, optional
        Has no part in the result.
    """
    replicates = rows.shape[0]
    result = CalibrationReplicates(
        np.full(replicates, np.nan),
        np.full(replicates, np.nan),
        np.full((replicates, len(DISTANCES)), np.nan),
        np.full((replicates, CURVE_POINTS), np.nan),
    )
    ones = np.ones((bins.logit.size, 1))
    line = np.column_stack([ones[:, 0], bins.logit])
    line_scale = column_scale(line)

    def refit(part: np.ndarray) -> None:
        if not part.size:
            return
        some = slice(int(part[0]), int(part[-1]) + 1)
        drawn, happened = rows[some].astype(np.float64), events[some].astype(np.float64)
        if found.in_the_large is not None:
            start = np.array([found.in_the_large])
            _refit(drawn, happened, ones, bins.logit, start, result.in_the_large[some])
        if found.line is not None:
            start = np.array(found.line) * line_scale
            none = np.zeros_like(bins.logit)
            _refit(drawn, happened, line / line_scale, none, start, result.slope[some])
            result.slope[some] /= line_scale[1]
        if found.curve is not None:
            _refit_curve(
                drawn, happened, *_curve_columns(found.curve, bins), bins.probability,
                result.distances[some], result.curve[some],
            )  # fmt: skip

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for _ in pool.map(refit, np.array_split(np.arange(replicates), _BLOCKS)):
            pass
    return result


def _curve_columns(
    curve: CalibrationCurve, bins: LogitBins
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scaled columns of the bins and of the grid, and where the fit begins."""
    basis = curve.spline.basis(bins.logit)
    scale = column_scale(basis)
    on_grid = curve.spline.basis(logit(curve.grid))
    return basis / scale, on_grid / scale, curve.coefficients * scale


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
    curve: CalibrationCurve, bins: LogitBins, *, seed: int, threads: int | None = None
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
    identity = np.eye(1, curve.coefficients.size, 1)[0]
    perfect = CalibrationCurve(curve.distances, curve.grid, curve.grid, curve.spline, identity)
    drawn = calibrate_replicates(
        Calibration(None, None, perfect, 0, {}), bins, rows, events, threads=threads
    )
    converged = drawn.distances[np.isfinite(drawn.distances[:, 0])]
    return converged.mean(axis=0) if converged.size else np.full(len(DISTANCES), np.nan)


@numba.njit(nogil=True, cache=True)
def _refit(
    rows: np.ndarray,
    events: np.ndarray,
    columns: np.ndarray,
    offset: np.ndarray,
    start: np.ndarray,
    last: np.ndarray,
) -> None:
    """Last coefficient of a logistic regression, replicate by replicate."""
    information = np.empty((start.size, start.size))
    for b in range(rows.shape[0]):
        beta = start.copy()
        if _has_both(rows[b], events[b]) and not np.isnan(
            maximise(columns, offset, rows[b], events[b], beta, information, NEAR)
        ):
            last[b] = beta[-1]


@numba.njit(nogil=True, cache=True)
def _has_both(rows: np.ndarray, events: np.ndarray) -> bool:
    """Whether both outcomes were drawn."""
    return bool(0 < events.sum() < rows.sum())


@numba.njit(nogil=True, cache=True)
def _refit_curve(
    rows: np.ndarray,
    events: np.ndarray,
    basis: np.ndarray,
    grid_basis: np.ndarray,
    start: np.ndarray,
    probability: np.ndarray,
    distances: np.ndarray,
    curve: np.ndarray,
) -> None:
    """Distances and curve, replicate by replicate."""
    none, distance = np.zeros_like(probability), np.empty(probability.size)
    information = np.empty((start.size, start.size))
    for b in range(rows.shape[0]):
        beta = start.copy()
        if not _has_both(rows[b], events[b]) or np.isnan(
            maximise(basis, none, rows[b], events[b], beta, information, NEAR)
        ):
            continue
        for i in range(probability.size):
            distance[i] = abs(_risk(basis[i], beta) - probability[i])
        fill_distances(distance, rows[b], distances[b])
        for i in range(grid_basis.shape[0]):
            curve[b, i] = _risk(grid_basis[i], beta)


@numba.njit(nogil=True, cache=True)
def _risk(columns: np.ndarray, beta: np.ndarray) -> float:
    score = 0.0
    for j in range(beta.size):
        score += columns[j] * beta[j]
    return 1.0 / (1.0 + np.exp(-score))
