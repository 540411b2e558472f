"""A published score and a few columns, recalibrated by logistic regression: the free comparator."""

# Scikit-learn has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from hrob_assets.risk.features import ImputationRule
from hrob_assets.risk.models.base import Parameters, Range
from hrob_assets.risk.models.design_matrix import (
    Design,
    build_preprocessor,
    enters_as_logarithm,
    imputed_names,
)
from hrob_assets.risk.models.types import logistic_regression

SPACE: Mapping[str, Range] = {}
EXACT_REASONS = True
REVIEWED_TYPES = frozenset({"numpy.dtype", f"{__name__}.PointScore"})
SCORE = "comorbidity_score"
"""Name of the term that adds up the points."""
_INVERSE_PENALTY = 100.0
_HALF = 0.5


class PointScore(TransformerMixin, BaseEstimator):
    """Add up points; the score comes first, then the columns that stand for themselves.

    Parameters
    ----------
    positions, bounds, points, rules : list
        One entry per asked column: its place, the value from which it counts (as it enters),
        its points, and the number of its rule. Of one rule the points count once.
    others : list of int
        Places of the columns that are kept as they are.
    """

    def __init__(
        self,
        positions: list[int],
        bounds: list[float],
        points: list[float],
        rules: list[int],
        others: list[int],
    ) -> None:
        self.positions, self.bounds, self.points = positions, bounds, points
        self.rules, self.others = rules, others

    def fit(self, _matrix: np.ndarray, _outcome: object = None) -> Self:
        """Learn nothing."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """There is nothing to fit."""
        return True

    def transform(self, matrix: np.ndarray) -> np.ndarray:
        """Score and kept columns, float32, shape (n_rows, 1 + n_others) or (n_rows, n_others)."""
        kept = matrix[:, self.others]
        if not self.rules:
            return kept
        score = np.zeros(matrix.shape[0], dtype=np.float32)
        for rule in dict.fromkeys(self.rules):
            asked = [place for place, number in enumerate(self.rules) if number == rule]
            met = np.zeros(matrix.shape[0], dtype=bool)
            for place in asked:
                met |= matrix[:, self.positions[place]] >= self.bounds[place]
            score += np.float32(self.points[asked[0]]) * met
        return np.column_stack([score, kept]).astype(np.float32)


def build_preparation(design: Design) -> Pipeline:
    """Points, imputation and scaling, unfitted; a missing value reaches no points."""
    asked = [
        (design.columns.index(name), _bound(name, rule.at_least), rule.points, number)
        for number, rule in enumerate(design.points)
        for name in rule.columns
    ]
    others = [design.columns.index(name) for name in design.plain]
    score = PointScore(
        positions=[entry[0] for entry in asked],
        bounds=[entry[1] for entry in asked],
        points=[entry[2] for entry in asked],
        rules=[entry[3] for entry in asked],
        others=others,
    )
    names = _names(design.plain, scored=bool(design.points))
    filled = {name: replace(design.rules[name], indicator=False) for name in design.plain}
    filled[SCORE] = ImputationRule("constant", 0.0)
    return Pipeline(
        [
            ("points", score),
            (
                "impute",
                build_preprocessor(names, filled),
            ),
            ("scale", StandardScaler()),
        ]
    )


def build_classifier(parameters: Parameters, *, seed: int) -> LogisticRegression:  # noqa: ARG001 - nothing is chosen
    """Return a logistic regression with next to no penalty, unfitted."""
    return logistic_regression.build_classifier({"inverse_penalty": _INVERSE_PENALTY}, seed=seed)


fit_classifier = logistic_regression.fit_classifier
row_probabilities = logistic_regression.row_probabilities
row_contributions = logistic_regression.row_contributions


def prepared_names(preparation: Pipeline, columns: Sequence[str]) -> list[str]:
    """``comorbidity_score`` and the columns that stand for themselves."""
    points: PointScore = preparation.named_steps["points"]
    plain = [columns[place] for place in points.others]
    return imputed_names(
        preparation.named_steps["impute"], _names(plain, scored=bool(points.rules))
    )


def _names(plain: Sequence[str], *, scored: bool) -> list[str]:
    return [*([SCORE] if scored else []), *plain]


def _bound(column: str, at_least: float) -> float:
    """The value from which a column counts, as it enters; logarithms are of whole numbers."""
    if enters_as_logarithm(column):
        return float(np.log1p(at_least - _HALF))
    return at_least
