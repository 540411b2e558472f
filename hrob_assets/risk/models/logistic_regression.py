"""L2 logistic regression: the transparent family, and how its columns are prepared."""

# Scikit-learn has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from scipy.special import expit
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.selection import ImputationRule

_MAXIMUM_ITERATIONS = 5000
_TOLERANCE = 1e-5
_LARGEST_GRADIENT = 1e-4
_LOGGED = ("__count_", "__days_since_last_")


def design_matrix(features: pl.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Turn feature columns into the matrix that a model sees.

    Counts and recencies are long-tailed, so they enter as ``log(1 + x)``. Training and scoring
    both call this function, and it has no state.

    Parameters
    ----------
    features : DataFrame
        One row per encounter, with at least `columns`.
    columns : sequence of str
        In the order of the model.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_columns)
        Null becomes NaN.

    Raises
    ------
    ContractError
        If a column is missing.

    Examples
    --------
    >>> design_matrix(pl.DataFrame({"ed__count_30d": [0.0, None]}), ["ed__count_30d"]).tolist()
    [[0.0], [nan]]
    """
    absent = [name for name in columns if name not in features.columns]
    if absent:
        msg = (
            f"the model needs {len(absent)} columns that the features lack, the first is "
            f"{absent[0]!r}; materialise the features with the catalogue of the model"
        )
        raise ContractError(msg)
    expressions = [
        pl.col(name).cast(pl.Float32).log1p()
        if _enters_as_logarithm(name)
        else pl.col(name).cast(pl.Float32)
        for name in columns
    ]
    frame = features.select(expressions).fill_null(float("nan"))
    return np.ascontiguousarray(frame.to_numpy(), dtype=np.float32)


def build_preprocessor(
    columns: Sequence[str], rules: Mapping[str, ImputationRule]
) -> ColumnTransformer:
    """Imputation by rule and column, unfitted; missing indicators come last in each block.

    A constant is stated in the unit of the feature, and enters as the feature does.

    Parameters
    ----------
    columns : sequence of str
    rules : mapping of column to ImputationRule
        As `read_imputation` gives them.

    Returns
    -------
    ColumnTransformer
    """
    blocks: dict[tuple[str, float | None, bool], list[int]] = {}
    for position, name in enumerate(columns):
        rule = rules[name]
        value = rule.value
        if value is not None and _enters_as_logarithm(name):
            value = float(np.log1p(np.float32(value)))
        blocks.setdefault((rule.method, value, rule.indicator), []).append(position)
    transformers = [
        (
            f"{method}_{number}",
            SimpleImputer(
                strategy=method,
                fill_value=value,
                add_indicator=indicator,
                keep_empty_features=True,
            ),
            positions,
        )
        for number, ((method, value, indicator), positions) in enumerate(blocks.items())
    ]
    return ColumnTransformer(transformers, verbose_feature_names_out=False)


def _enters_as_logarithm(column: str) -> bool:
    return any(part in column for part in _LOGGED)


def build_model(
    columns: Sequence[str], rules: Mapping[str, ImputationRule], *, inverse_penalty: float
) -> Pipeline:
    """Imputation, scaling and L2 logistic regression, unfitted.

    The unpenalised intercept keeps the mean prediction at the training prevalence.

    Parameters
    ----------
    inverse_penalty : float
        ``C`` of scikit-learn; smaller means a stronger penalty.
    """
    return Pipeline(
        [
            ("impute", build_preprocessor(columns, rules)),
            ("scale", StandardScaler()),
            ("model", build_classifier(inverse_penalty=inverse_penalty)),
        ]
    )


def build_classifier(*, inverse_penalty: float) -> LogisticRegression:
    """Return the classifier alone, for columns that are already imputed and scaled.

    A step of L-BFGS costs as much as the matrix has cells, one of Newton-Cholesky that times the
    number of columns; with the tolerance here both end at the same objective.
    """
    return LogisticRegression(
        C=inverse_penalty, solver="lbfgs", max_iter=_MAXIMUM_ITERATIONS, tol=_TOLERANCE
    )


def fit_classifier(
    classifier: LogisticRegression, prepared: np.ndarray, outcome: np.ndarray
) -> LogisticRegression:
    """Fit a classifier to its optimum.

    Parameters
    ----------
    classifier : LogisticRegression
        With ``warm_start`` it begins where its last fit ended.
    prepared : ndarray of float64, shape (n_rows, n_terms)
        Imputed and scaled. In float32 the loss is too coarse for the search to end at the optimum.
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
    >>> fit_classifier(build_classifier(inverse_penalty=1.0), x, y).coef_.round(1).tolist()
    [[0.7]]
    """
    with warnings.catch_warnings():
        # Rounding can stop the line search at the optimum; what counts is the gradient, below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(prepared, outcome)
    residual = classifier.predict_proba(prepared)[:, 1] - outcome
    penalty = classifier.coef_[0] / (classifier.C * outcome.size)
    slope = residual @ prepared / outcome.size + penalty
    steepest = max(float(np.abs(slope).max()), abs(float(residual.mean())))
    if not steepest <= _LARGEST_GRADIENT:
        msg = (
            f"the fit must end where the gradient is at most {_LARGEST_GRADIENT:g} (found "
            f"{steepest:.2g} after {classifier.n_iter_[0]} steps); look for columns with values "
            "far beyond the others"
        )
        raise ContractError(msg)
    return classifier


def term_names(model: Pipeline, columns: Sequence[str]) -> list[str]:
    """Column behind each coefficient; ``missing <column>`` for an indicator."""
    names = model.named_steps["impute"].get_feature_names_out(list(columns))
    return [str(name).replace("missingindicator_", "missing ") for name in names]


def contributions(model: Pipeline, matrix: np.ndarray) -> np.ndarray:
    """Log-odds that each term adds against the training mean.

    Parameters
    ----------
    model : Pipeline, fitted
    matrix : ndarray, shape (n_rows, n_columns)
        From `design_matrix`.

    Returns
    -------
    ndarray, shape (n_rows, n_terms)
        In the order of `term_names`; a row's sum plus the intercept is its log-odds.
    """
    standardised = model[:-1].transform(matrix)
    return standardised * model.named_steps["model"].coef_[0]


def probabilities(model: Pipeline, matrix: np.ndarray) -> np.ndarray:
    """Probability of the outcome for each row, to the bit the same whatever the other rows.

    A matrix product adds up a row's terms in an order that depends on how many rows there are;
    here each row is added up by itself, so that one week scored alone and the same week in a
    backfill agree.

    Parameters
    ----------
    model : Pipeline, fitted
    matrix : ndarray, shape (n_rows, n_columns)
        From `design_matrix`.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
    """
    terms = contributions(model, matrix).sum(axis=1, dtype=np.float64)
    return expit(terms + float(model.named_steps["model"].intercept_[0]))
