"""Whether a predicted risk of 20 % means 20 %: in the large, by slope, along the whole curve.

The levels are those of Van Calster et al. 2016 (J Clin Epidemiol 74:167): mean, weak and moderate
calibration. Each level is fitted by itself, so that one that cannot be fitted takes no other with
it; what is absent says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hrob_assets.risk.statistics.bootstrap import RankedRows
from hrob_assets.risk.statistics.distances import weighted_distances
from hrob_assets.risk.statistics.logistic import CLIP, LogisticFit, expit, fit_logistic, logit
from hrob_assets.risk.statistics.spline import Spline, spline_for

CURVE_POINTS = 25
_SHOWN_RANGE = (0.01, 0.99)
ONE_OUTCOME = "only one of the two outcomes occurs"
ALL_ALIKE = "all predictions are the same"
NO_MAXIMUM = "the likelihood has no finite maximum: the predictions separate the outcomes"


@dataclass(frozen=True)
class CalibrationCurve:
    """The flexible calibration curve of a set of rows.

    Parameters
    ----------
    distances : float64 array, shape (4,)
        `DISTANCES`: mean, median, 90th percentile and largest distance between predicted risk
        and curve, over the rows.
    grid, values : float64 arrays, shape (CURVE_POINTS,)
        Predicted risks from the 1st to the 99th percentile, and the curve there.
    spline : Spline
    coefficients : float64 array, shape (n_columns of the spline,)
    """

    distances: np.ndarray
    grid: np.ndarray
    values: np.ndarray
    spline: Spline
    coefficients: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """How true probabilities are, fitted on all rows.

    Parameters
    ----------
    in_the_large : float or None
        Intercept of a logistic regression with the logit as an offset; 0 is ideal, above 0 the
        model predicts too little.
    line : (float, float) or None
        Intercept and slope of a logistic regression on the logit; a slope of 1 is ideal, below 1
        predictions are too extreme.
    curve : CalibrationCurve or None
    clipped : int
        Rows whose prediction is closer than 1e-6 to 0 or 1; the fits take it as 1e-6 from there.
    absent : mapping of str to str
        Why ``in_the_large``, ``line`` or ``curve`` is None.
    """

    in_the_large: float | None
    line: tuple[float, float] | None
    curve: CalibrationCurve | None
    clipped: int
    absent: Mapping[str, str]


def fit_in_the_large(
    probability: np.ndarray, outcome: np.ndarray, *, rows: np.ndarray | None = None
) -> LogisticFit | None:
    """Fit the intercept a of ``logit P(y = 1) = a + offset(logit p)``.

    Parameters
    ----------
    probability, outcome : float arrays, shape (n,)
    rows : float array, shape (n,), optional
        Rows, or weights, of each line; ``outcome`` then counts events among them.

    Returns
    -------
    LogisticFit or None
        Its coefficient is 0 for a calibrated model and above 0 where the model predicts too
        little; None where only one outcome occurs.

    Examples
    --------
    >>> fit_in_the_large(np.full(10, 0.5), np.array([1.0, 0] * 5)).coefficients.round(9).tolist()
    [0.0]
    """
    return fit_logistic(np.ones((outcome.size, 1)), outcome, rows=rows, offset=logit(probability))


def fit_line(
    probability: np.ndarray, outcome: np.ndarray, *, rows: np.ndarray | None = None
) -> LogisticFit | None:
    """Fit intercept and slope of a logistic regression of the outcome on the logit.

    Returns
    -------
    LogisticFit or None
        Coefficients are intercept and slope; None where only one outcome occurs, predictions are
        all the same, or they separate the outcomes.

    Examples
    --------
    >>> p, y = np.repeat([0.2, 0.8], 10), np.array([1, 1] + [0] * 8 + [1] * 8 + [0] * 2)
    >>> fit_line(p, y).coefficients.round(6).tolist()
    [0.0, 1.0]
    """
    score = logit(probability)
    columns = np.column_stack([np.ones_like(score), score])
    return fit_logistic(columns, outcome, rows=rows, start=np.array([0.0, 1.0]))


def calibrate(rows: RankedRows) -> Calibration:
    """Fit all levels of calibration on rows.

    Rows with the same prediction are taken together, which changes nothing.

    Examples
    --------
    >>> from hrob_assets.risk.statistics import rank_rows
    >>> p = np.tile(np.linspace(0.05, 0.95, 19), 20)
    >>> y = np.concatenate([np.arange(20) / 20 < q for q in p[:19]]).reshape(19, 20).T.ravel()
    >>> found = calibrate(rank_rows(np.arange(380), p, y))
    >>> round(abs(found.in_the_large), 3), round(found.line[1], 3), found.absent
    (0.0, 1.0, {})
    >>> alike = calibrate(rank_rows(np.arange(20), np.full(20, 0.5), np.tile([0, 1], 10)))
    >>> round(abs(alike.in_the_large), 3), alike.absent["line"]
    (0.0, 'all predictions are the same')
    """
    parts = ("in_the_large", "line", "curve")
    clipped = int(np.sum((rows.probability < CLIP) | (rows.probability > 1 - CLIP)))
    if not 0 < rows.events < rows.rows:
        return Calibration(None, None, None, clipped, dict.fromkeys(parts, ONE_OUTCOME))
    starts = np.flatnonzero(np.diff(rows.probability, prepend=np.inf))
    counts = np.diff(np.append(starts, rows.rows)).astype(np.float64)
    events = np.add.reduceat(rows.outcome.astype(np.float64), starts)
    probability = rows.probability[starts]
    large = fit_in_the_large(probability, events, rows=counts)
    absent = {} if large else {"in_the_large": NO_MAXIMUM}
    line = curve = None
    if starts.size == 1:
        absent |= {"line": ALL_ALIKE, "curve": ALL_ALIKE}
    else:
        line = fit_line(probability, events, rows=counts)
        curve = _curve(rows, probability, events, counts)
        absent |= {} if line else {"line": NO_MAXIMUM}
        absent |= {} if curve else {"curve": NO_MAXIMUM}
    return Calibration(
        float(large.coefficients[0]) if large else None,
        (float(line.coefficients[0]), float(line.coefficients[1])) if line else None,
        curve,
        clipped,
        absent,
    )


def _curve(
    rows: RankedRows, probability: np.ndarray, events: np.ndarray, counts: np.ndarray
) -> CalibrationCurve | None:
    score = logit(probability)
    spline = spline_for(logit(rows.probability), min(rows.events, rows.rows - rows.events))
    basis = spline.basis(score)
    fitted = fit_logistic(basis, events, rows=counts, start=np.eye(1, basis.shape[1], 1)[0])
    if fitted is None:
        return None
    distance = np.abs(expit(basis @ fitted.coefficients) - probability)
    low, high = (float(x) for x in logit(np.quantile(rows.probability, _SHOWN_RANGE)))
    grid = expit(np.linspace(low, high, CURVE_POINTS))
    return CalibrationCurve(
        weighted_distances(distance, counts),
        grid,
        expit(spline.basis(logit(grid)) @ fitted.coefficients),
        spline,
        fitted.coefficients,
    )
