"""Random forest: interactions without a choice of them; reasons are approximate."""

# Scikit-learn and SciPy have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import logit
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline

from hrob_assets.risk.models.base import Parameters, Range
from hrob_assets.risk.models.design_matrix import Design, build_preprocessor, imputed_names
from hrob_assets.risk.models.tree_paths import Tree, path_contributions

SPACE: Mapping[str, Range] = {
    "min_samples_leaf": Range("integer", 10, 200),
    "max_features": Range("uniform", 0.02, 0.3),
    "max_samples": Range("uniform", 0.2, 0.8),
}
EXACT_REASONS = False
REVIEWED_TYPES = frozenset({"numpy.dtype", "sklearn.tree._tree.Tree"})
_TREES = 100
_SMALLEST = 1e-6


def build_preparation(design: Design) -> Pipeline:
    """Imputation, unfitted; trees need no scale."""
    return Pipeline([("impute", build_preprocessor(design.columns, design.rules))])


def build_classifier(parameters: Parameters, *, seed: int) -> Any:
    """Return the forest, unfitted; its parameters have the names of scikit-learn."""
    return RandomForestClassifier().set_params(
        n_estimators=_TREES,
        min_samples_leaf=int(parameters["min_samples_leaf"]),
        max_features=float(parameters["max_features"]),
        max_samples=float(parameters["max_samples"]),
        random_state=seed,
    )


def fit_classifier(classifier: Any, prepared: np.ndarray, outcome: np.ndarray) -> Any:
    """Fit on all cores; each tree has a seed of its own, so their number changes nothing."""
    classifier.set_params(n_jobs=-1).fit(prepared, outcome)
    return classifier.set_params(n_jobs=1)


def row_probabilities(classifier: Any, prepared: np.ndarray) -> np.ndarray:
    """Mean of the leaves, trees in their order on one thread, so that a row's sum is its own."""
    return classifier.predict_proba(prepared)[:, 1]


def row_contributions(classifier: Any, prepared: np.ndarray) -> np.ndarray:
    """Changes along the paths, as shares of the row's log-odds against those of the roots.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_terms)
        Sums up to log-odds of the row minus log-odds of the mean root.
    """
    trees = [_tree(each) for each in classifier.estimators_]
    shares = path_contributions(prepared, trees) / len(trees)
    root = float(np.mean([tree.value[0] for tree in trees]))
    probability = root + shares.sum(axis=1)
    return shares * _slope(root, probability)[:, None]


def prepared_names(preparation: Pipeline, columns: Sequence[str]) -> list[str]:
    """Column behind each prepared one; ``missing <column>`` for an indicator."""
    return imputed_names(preparation.named_steps["impute"], columns)


def _slope(root: float, probability: np.ndarray) -> np.ndarray:
    """Log-odds per unit of probability between root and row, shape (n_rows,)."""
    row = np.clip(probability, _SMALLEST, 1 - _SMALLEST)
    difference = row - root
    far = np.abs(difference) > _SMALLEST
    tangent = np.full(row.size, 1 / (root * (1 - root)))
    return np.divide(logit(row) - logit(root), difference, out=tangent, where=far)


def _tree(fitted: Any) -> Tree:
    tree = fitted.tree_
    return Tree(
        column=tree.feature.astype(np.int64),
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        bound=tree.threshold.astype(np.float64),
        value=np.ascontiguousarray(tree.value[:, 0, 1], dtype=np.float64),
    )
