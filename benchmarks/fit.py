"""The logistic fit: L-BFGS on rounded coordinates, as here, against scikit-learn's solvers."""

import warnings

import numpy as np
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks.measure import in_fresh_process, seconds_of
from benchmarks.report import Table
from hrob_assets.risk.models import build_classifier, fit_classifier

_ROWS, _COLUMNS, _WINDOWS = 200_000, 520, 4
_OURS = "lbfgs, rounded coordinates (ours)"


def run(scale: float) -> list[Table]:
    """Compare the fits in a process of their own."""
    return in_fresh_process(_compare, int(_ROWS * scale)).value


def _compare(n_rows: int) -> list[Table]:
    matrix, outcome = _problem(n_rows, np.random.default_rng(1))
    wide = matrix.astype(np.float64)
    fits = {
        _OURS: _Ours(build_classifier({"inverse_penalty": 1.0}), matrix, outcome),
        "lbfgs, float64, tolerance 1e-5": _Fit(
            LogisticRegression(tol=1e-5, max_iter=5000), wide, outcome
        ),
        "newton-cholesky, float32": _Fit(
            LogisticRegression(solver="newton-cholesky", tol=1e-5), matrix, outcome
        ),
        "lbfgs default, float64": _Fit(LogisticRegression(), wide, outcome),
    }
    with threadpool_limits(1, user_api="blas"):
        seconds = seconds_of(fits, repeats=1)
    objectives = {name: _objective(fit.model, wide, outcome) for name, fit in fits.items()}
    rows = [
        (
            name,
            f"{seconds[name]:.2f} s",
            f"{seconds[name] / seconds[_OURS]:.2f}",
            f"{fit.model.n_iter_[0]}",
            "yes" if fit.converged else "no",
            f"{objectives[name]:,.3f}",
            f"{objectives[name] / min(objectives.values()) - 1:.1e}",
        )
        for name, fit in fits.items()
    ]
    header = (
        "solver",
        "fit",
        "ratio",
        "iterations",
        "converged",
        "objective",
        "above the best, relative",
    )
    note = (
        f"{n_rows:,} rows x {_COLUMNS} columns: logarithms of counts in {_WINDOWS} nested windows, "
        f"standardised; {outcome.mean():.1%} with the outcome; C = 1. One thread of "
        "the linear algebra, as in training. Above best is relative. The objective is "
        "scikit-learn's, half the squared coefficients plus C times the summed log-loss, "
        "computed in float64; less is better."
    )
    return [Table(header, rows, note)]


class _Fit:
    """A fit that can be repeated; remembers whether the last one converged."""

    def __init__(self, model: LogisticRegression, matrix: np.ndarray, outcome: np.ndarray) -> None:
        self.model, self._data, self.converged = model, (matrix, outcome), False

    def __call__(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            self.model.fit(*self._data)
        self.converged = not any(w.category is ConvergenceWarning for w in caught)


class _Ours(_Fit):
    """Our own way to the optimum; it raises where it does not get there."""

    def __call__(self) -> None:
        fit_classifier(self.model, *self._data)
        self.converged = True


def _problem(n_rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Counts per idea in nested windows, as the feature store has them, and a rare outcome."""
    n_ideas = _COLUMNS // _WINDOWS
    rates = rng.lognormal(-1.5, 1.0, n_ideas) * rng.lognormal(0.0, 0.5, (n_rows, 1))
    rings = [rng.poisson(rates * share) for share in (0.02, 0.1, 0.3, 1.0)]
    matrix = np.log1p(np.cumsum(rings, axis=0)).transpose(1, 2, 0).reshape(n_rows, -1)
    matrix = StandardScaler().fit_transform(matrix).astype(np.float32)
    risk = matrix @ rng.normal(0, 0.08, _COLUMNS) - 3.0
    return matrix, (rng.random(n_rows) < expit(risk)).astype(np.int8)


def _objective(model: LogisticRegression, matrix: np.ndarray, outcome: np.ndarray) -> float:
    weights = model.coef_[0].astype(np.float64)
    log_odds = matrix @ weights + float(model.intercept_[0])
    loss = np.logaddexp(0.0, log_odds) - outcome * log_odds
    return float(0.5 * weights @ weights + model.C * loss.sum())
