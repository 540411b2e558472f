"""A change of a fitted model's probabilities on the scale of log-odds: shift and stretch."""

# SciPy and scikit-learn have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.statistics import CLIP, expit, fit_line, logit


@dataclass(frozen=True)
class Recalibration:
    """New log-odds are ``intercept + slope * log-odds``; the default changes nothing.

    Parameters
    ----------
    intercept : float, log-odds
        What a row gains at a probability of one half.
    slope : float
        Below 1 pulls towards one half, above 1 away from it.

    Examples
    --------
    >>> bool(Recalibration().is_identity)
    True
    """

    intercept: float = 0.0
    slope: float = 1.0

    @property
    def is_identity(self) -> bool:
        """Whether probabilities stay as they are, to the bit."""
        return self.intercept == 0.0 and self.slope == 1.0

    def applied(self, probability: np.ndarray) -> np.ndarray:
        """Change probabilities, row by row.

        Parameters
        ----------
        probability : ndarray of float64, shape (n_rows,)

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            Where something changes, probabilities are first clipped to [1e-6, 1 - 1e-6].

        Examples
        --------
        >>> Recalibration(intercept=1.0).applied(np.array([0.5])).round(4).tolist()
        [0.7311]
        """
        if self.is_identity:
            return probability
        return expit(self.intercept + self.slope * logit(probability))


UNCHANGED = Recalibration()
"""The probabilities of the estimator as they are."""


@dataclass(frozen=True)
class Steps:
    """Probabilities by linear interpolation between points, as isotonic regression finds them.

    Parameters
    ----------
    before, after : tuple of float
        Ascending probabilities; beyond the ends the last value holds.

    Examples
    --------
    >>> Steps((0.0, 1.0), (0.1, 0.5)).applied(np.array([0.5])).round(9).tolist()
    [0.3]
    """

    before: tuple[float, ...]
    after: tuple[float, ...]

    def applied(self, probability: np.ndarray) -> np.ndarray:
        """Change probabilities, row by row; none becomes 0 or 1."""
        found = np.interp(probability, self.before, self.after)
        return np.clip(found, CLIP, 1 - CLIP)


Calibration = Recalibration | Steps


def calibration_from(values: dict[str, Any]) -> Calibration:
    """Build a calibration from what was stored of it."""
    if "before" in values:
        return Steps(tuple(values["before"]), tuple(values["after"]))
    return Recalibration(**values)


def fit_calibration(kind: str, probability: np.ndarray, outcome: np.ndarray) -> Calibration:
    """Learn how probabilities of patients that were not trained on must be changed.

    Parameters
    ----------
    kind : str
        ``none``, ``logistic`` (intercept and slope of the log-odds) or ``isotonic``.
    probability : ndarray of float, shape (n_rows,)
    outcome : ndarray of 0/1, shape (n_rows,)

    Examples
    --------
    >>> p, y = np.repeat([0.2, 0.6], 100), np.repeat([0, 1, 0, 1], [90, 10, 70, 30])
    >>> fit_calibration("logistic", p, y).applied(np.array([0.2, 0.6])).round(3).tolist()
    [0.1, 0.3]
    """
    if kind == "none":
        return UNCHANGED
    if kind == "isotonic":
        steps = IsotonicRegression(out_of_bounds="clip").fit(probability, outcome)
        before, after = steps.X_thresholds_.tolist(), steps.y_thresholds_.tolist()
        return Steps(tuple(before), tuple(after))
    return fit_recalibration(probability, outcome)


def fit_recalibration(probability: np.ndarray, outcome: np.ndarray) -> Recalibration:
    """Intercept and slope with the highest likelihood, by Newton's method.

    Raises
    ------
    ContractError
        If there is no best one: one outcome only, or probabilities that part the outcomes.

    Examples
    --------
    >>> found = fit_recalibration(np.repeat([0.2, 0.6], 50), np.tile([0, 1], 50))
    >>> bool(abs(found.slope) < 1e-9)
    True
    """
    found = fit_line(probability, outcome.astype(np.float64))
    if found is not None:
        return Recalibration(float(found.coefficients[0]), float(found.coefficients[1]))
    msg = (
        "intercept and slope must have a best value (found none: one outcome only, or "
        "probabilities that part the outcomes); use more validation patients"
    )
    raise ContractError(msg)
