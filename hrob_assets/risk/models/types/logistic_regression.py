"""L2 logistic regression: the transparent family."""

# Scikit-learn and SciPy have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features import ImputationRule
from hrob_assets.risk.models.base import Parameters, Range
from hrob_assets.risk.models.design_matrix import Design, build_preprocessor, imputed_names

SPACE: Mapping[str, Range] = {"inverse_penalty": Range("loguniform", 1e-5, 1.0)}
EXACT_REASONS = True
REVIEWED_TYPES = frozenset({"numpy.dtype"})
_MAXIMUM_STEPS = 500
_FIRST_STEPS = 6
_LARGEST_GRADIENT = 1e-4
_CURVED_GRADIENT = 1e-6
_CURVATURE_ROWS = 40_000
_BLOCK_ROWS = 2048


def build_preparation(design: Design) -> Pipeline:
    """Imputation and scaling, unfitted."""
    return Pipeline(
        [
            ("impute", build_preprocessor(design.columns, design.rules)),
            ("scale", StandardScaler()),
        ]
    )


def build_classifier(parameters: Parameters, *, seed: int = 0) -> LogisticRegression:
    """Return the classifier alone, for columns that are already imputed and scaled.

    Parameters
    ----------
    parameters : mapping
        ``inverse_penalty`` is the ``C`` of scikit-learn; smaller means a stronger penalty.
    seed : int
        Nothing is drawn.
    """
    return LogisticRegression(
        C=parameters["inverse_penalty"], max_iter=_MAXIMUM_STEPS, random_state=seed
    )


def build_model(
    columns: Sequence[str], rules: Mapping[str, ImputationRule], *, inverse_penalty: float
) -> Pipeline:
    """Imputation, scaling and L2 logistic regression, unfitted.

    The unpenalised intercept keeps the mean prediction at the training prevalence.
    """
    preparation = build_preparation(Design(tuple(columns), rules))
    classifier = build_classifier({"inverse_penalty": inverse_penalty})
    return Pipeline([*preparation.steps, ("model", classifier)])


def fit_classifier(classifier: Any, prepared: np.ndarray, outcome: np.ndarray) -> Any:
    """Fit a classifier to its optimum.

    L-BFGS on coordinates in which the loss is nearly round: those of the curvature of a sample of
    rows at the sample's own optimum. Windows of one idea are almost copies of each other; in their
    own coordinates the search would take hundreds of steps, in these it takes about ten. Sums are
    in float64, over blocks of rows that stay in the cache.

    Parameters
    ----------
    classifier : LogisticRegression
        Its ``C`` and ``max_iter`` are read.
    prepared : ndarray of float32 or float64, shape (n_rows, n_terms)
        Imputed and scaled.
    outcome : ndarray of 0/1, shape (n_rows,)

    Returns
    -------
    LogisticRegression
        The same classifier, fitted.

    Raises
    ------
    ContractError
        If the gradient of the mean penalised loss is not close to zero in every term.

    Examples
    --------
    >>> x, y = np.array([[-1.0], [0.0], [1.0]]), np.array([0, 1, 1])
    >>> fit_classifier(build_classifier({"inverse_penalty": 1.0}), x, y).coef_.round(1).tolist()
    [[0.7]]
    """
    penalty = 1 / (classifier.C * outcome.size)
    weights, gradient, steps = _optimum(
        prepared, outcome.astype(np.float64), penalty, steps=classifier.max_iter
    )
    steepest = float(np.abs(gradient).max())
    if not steepest <= _LARGEST_GRADIENT:
        msg = (
            f"the fit must end where the gradient is at most {_LARGEST_GRADIENT:g} (found "
            f"{steepest:.2g} after {steps} steps); look for columns with values "
            "far beyond the others"
        )
        raise ContractError(msg)
    classifier.coef_ = weights[None, :-1].copy()
    classifier.intercept_ = weights[-1:].copy()
    classifier.classes_ = np.array([0, 1], dtype=np.int8)
    classifier.n_iter_ = np.array([steps], dtype=np.int32)
    classifier.n_features_in_ = prepared.shape[1]
    return classifier


def row_probabilities(classifier: Any, prepared: np.ndarray) -> np.ndarray:
    """Probability of the outcome for each row, to the bit the same whatever the other rows.

    A matrix product adds up a row's terms in an order that depends on how many rows there are;
    here each row is added up by itself, so that one week scored alone and the same week in a
    backfill agree.
    """
    terms = row_contributions(classifier, prepared).sum(axis=1, dtype=np.float64)
    return expit(terms + float(classifier.intercept_[0]))


def row_contributions(classifier: Any, prepared: np.ndarray) -> np.ndarray:
    """Log-odds that each term adds against the training mean.

    Returns
    -------
    ndarray, shape (n_rows, n_terms)
        A row's sum plus the intercept is its log-odds.
    """
    return prepared * classifier.coef_[0]


def prepared_names(preparation: Pipeline, columns: Sequence[str]) -> list[str]:
    """Column behind each coefficient; ``missing <column>`` for an indicator."""
    return imputed_names(preparation.named_steps["impute"], columns)


def _optimum(
    matrix: np.ndarray, outcome: np.ndarray, penalty: float, *, steps: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Weights (the intercept last), the gradient there and the number of steps.

    The curvature is first that of the prevalence, and after a few steps that of the place reached.
    Large problems take it from every n-th row. (A start from the optimum of these rows alone is
    worse: they are too few for many columns.)
    """
    sample = matrix[:: max(matrix.shape[0] // _CURVATURE_ROWS, 1)]
    weights, mean = np.zeros(matrix.shape[1] + 1), outcome.mean()
    weights[-1] = np.log(mean / (1 - mean)) if 0 < mean < 1 else 0.0
    taken = 0
    for most in (_FIRST_STEPS, steps):
        left = min(most, steps - taken)
        if left == 0:  # of which SciPy makes one
            break
        curvature = _curvature(sample, weights, penalty)
        weights, more = _descended(weights, curvature, matrix, outcome, penalty, steps=left)
        taken += more
    return weights, _loss_and_gradient(weights, matrix, outcome, penalty)[1], taken


def _descended(
    start: np.ndarray,
    curvature: np.ndarray,
    matrix: np.ndarray,
    outcome: np.ndarray,
    penalty: float,
    *,
    steps: int,
) -> tuple[np.ndarray, int]:
    """Weights after at most some steps of L-BFGS on rounded coordinates, and the steps taken."""
    root = cholesky(curvature, lower=True)

    def loss(rounded: np.ndarray) -> tuple[float, np.ndarray]:
        weights = solve_triangular(root, rounded, lower=True, trans=1)
        value, gradient = _loss_and_gradient(weights, matrix, outcome, penalty)
        return value, solve_triangular(root, gradient, lower=True)

    found = minimize(
        loss,
        root.T @ start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": steps, "ftol": 0.0, "gtol": _CURVED_GRADIENT, "maxcor": 20},
    )
    weights = solve_triangular(root, found.x, lower=True, trans=1)
    return weights, int(found.nit)


def _loss_and_gradient(
    weights: np.ndarray, matrix: np.ndarray, outcome: np.ndarray, penalty: float
) -> tuple[float, np.ndarray]:
    """Mean log loss plus half the penalty times the squared coefficients, and its gradient."""
    loss, gradient = 0.0, np.zeros_like(weights)
    for start in range(0, outcome.size, _BLOCK_ROWS):
        block = matrix[start : start + _BLOCK_ROWS].astype(np.float64, copy=False)
        observed = outcome[start : start + _BLOCK_ROWS]
        log_odds = block @ weights[:-1] + weights[-1]
        loss += float((np.logaddexp(0.0, log_odds) - observed * log_odds).sum())
        residual = expit(log_odds) - observed
        gradient[:-1] += residual @ block
        gradient[-1] += residual.sum()
    coefficients = weights[:-1]
    gradient /= outcome.size
    gradient[:-1] += penalty * coefficients
    return loss / outcome.size + 0.5 * penalty * float(coefficients @ coefficients), gradient


def _curvature(matrix: np.ndarray, weights: np.ndarray, penalty: float) -> np.ndarray:
    """Second derivative of the loss over rows, a little rounder where it is flat."""
    n_terms = weights.size
    total = np.zeros((n_terms, n_terms))
    for start in range(0, matrix.shape[0], _BLOCK_ROWS):
        block = matrix[start : start + _BLOCK_ROWS].astype(np.float64, copy=False)
        block = np.column_stack([block, np.ones(block.shape[0])])
        probability = expit(block @ weights)
        block *= np.sqrt(probability * (1 - probability))[:, None]
        total += block.T @ block
    total /= matrix.shape[0]
    total[np.diag_indices(n_terms - 1)] += penalty
    total[np.diag_indices(n_terms)] += 1e-9 + 1e-6 * np.trace(total) / n_terms
    return total
