"""Gradient boosting of small trees on histograms; reasons are approximate."""

# Scikit-learn and SciPy have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportPrivateUsage=false

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from hrob_assets.risk.models.base import Parameters, Range
from hrob_assets.risk.models.design_matrix import Design, build_preprocessor, imputed_names
from hrob_assets.risk.models.tree_paths import Tree, node_means, path_contributions

SPACE: Mapping[str, Range] = {
    "learning_rate": Range("loguniform", 0.03, 0.3),
    "max_iter": Range("integer", 20, 100),
    "max_leaf_nodes": Range("integer", 3, 15),
    "min_samples_leaf": Range("integer", 20, 200),
    "l2_regularization": Range("loguniform", 0.1, 100.0),
    "max_features": Range("uniform", 0.05, 0.5),
}
EXACT_REASONS = False
REVIEWED_TYPES = frozenset(
    {
        "numpy.dtype",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    }
)


def build_preparation(design: Design) -> Pipeline:
    """Imputation, unfitted: the rules of the use case hold for every family."""
    return Pipeline([("impute", build_preprocessor(design.columns, design.rules))])


def build_classifier(parameters: Parameters, *, seed: int) -> Any:
    """Return the ensemble, unfitted; its parameters have the names of scikit-learn."""
    whole = ("max_iter", "max_leaf_nodes", "min_samples_leaf")
    named = {k: int(v) if k in whole else float(v) for k, v in parameters.items()}
    fixed = {"max_bins": 63, "early_stopping": False, "random_state": seed}
    return HistGradientBoostingClassifier().set_params(**named, **fixed)


def fit_classifier(classifier: Any, prepared: np.ndarray, outcome: np.ndarray) -> Any:
    """Fit all rounds; how many there are is searched like the other parameters."""
    return classifier.fit(prepared, outcome)


def row_probabilities(classifier: Any, prepared: np.ndarray) -> np.ndarray:
    """Logistic function of the sum of a row's leaves, round by round."""
    return expit(classifier.decision_function(prepared).astype(np.float64))


def row_contributions(classifier: Any, prepared: np.ndarray) -> np.ndarray:
    """Changes of the log-odds along the paths of all trees.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_terms)
        Sums up to log-odds of the row minus log-odds of the roots.
    """
    trees = [_tree(predictor) for (predictor,) in classifier._predictors]  # noqa: SLF001 - no other way
    return path_contributions(prepared, trees)


def prepared_names(preparation: Pipeline, columns: Sequence[str]) -> list[str]:
    """Column behind each prepared one; ``missing <column>`` for an indicator."""
    return imputed_names(preparation.named_steps["impute"], columns)


def _tree(predictor: Any) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    left = np.where(leaf, -1, nodes["left"].astype(np.int64))
    right = np.where(leaf, -1, nodes["right"].astype(np.int64))
    return Tree(
        column=nodes["feature_idx"].astype(np.int64),
        left=left,
        right=right,
        bound=nodes["num_threshold"].astype(np.float64),
        value=node_means(left, right, nodes["count"], nodes["value"]),
    )
