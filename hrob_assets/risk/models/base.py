"""What a family of models must offer, and how one is found by its name."""

# Scikit-learn has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol, cast

import numpy as np
from sklearn.pipeline import Pipeline

from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.risk.models.design_matrix import Design
from hrob_assets.risk.models.types import family_names

Value = float | int
Parameters = Mapping[str, Value]


@dataclass(frozen=True)
class Range:
    """Values that a hyperparameter may take, both ends included.

    Parameters
    ----------
    kind : str
        ``uniform``, ``loguniform`` or ``integer``.
    low, high : float
    """

    kind: Literal["uniform", "loguniform", "integer"]
    low: float
    high: float

    def holds(self, value: object) -> bool:
        """Whether a value may be tried.

        Examples
        --------
        >>> Range("integer", 1, 5).holds(3), Range("integer", 1, 5).holds(2.5)
        (True, False)
        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        whole = self.kind != "integer" or float(value).is_integer()
        return whole and self.low <= value <= self.high


class Family(Protocol):
    """A module of `hrob_assets.risk.models.types`.

    Attributes
    ----------
    SPACE : mapping of str to Range
        What is searched; empty where nothing is to be chosen.
    EXACT_REASONS : bool
        Whether the contributions add up to the log-odds for every row and are the model's own
        terms; where not, reasons say that they are approximate.
    REVIEWED_TYPES : frozenset of str
        Types beyond those that skops trusts by itself which a model file may hold; all were read.
    """

    SPACE: Mapping[str, Range]
    EXACT_REASONS: bool
    REVIEWED_TYPES: frozenset[str]

    def build_preparation(self, design: Design) -> Pipeline:
        """Everything before the classifier, unfitted; its first step is ``impute``."""
        ...

    def build_classifier(self, parameters: Parameters, *, seed: int) -> Any:
        """The classifier with its hyperparameters, unfitted."""
        ...

    def fit_classifier(self, classifier: Any, prepared: np.ndarray, outcome: np.ndarray) -> Any:
        """Fit on prepared rows (float32) and return the classifier; alike on any machine."""
        ...

    def row_probabilities(self, classifier: Any, prepared: np.ndarray) -> np.ndarray:
        """Probability of each row, float64, to the bit the same whatever the other rows."""
        ...

    def row_contributions(self, classifier: Any, prepared: np.ndarray) -> np.ndarray:
        """Log-odds that each term adds against the training mean, (n_rows, n_terms)."""
        ...

    def prepared_names(self, preparation: Pipeline, columns: Sequence[str]) -> list[str]:
        """Column, or what else stands, behind each prepared column."""
        ...


def family_of(name: str) -> Family:
    """Find a family by the name of its file.

    Raises
    ------
    ConfigurationError
        If there is none of that name.

    Examples
    --------
    >>> sorted(family_of("logistic_regression").SPACE)
    ['inverse_penalty']
    """
    names = family_names()
    if name not in names:
        msg = (
            f"a family must be a file of risk/models/types (found {name!r}). {nearest(name, names)}"
        )
        raise ConfigurationError(msg)
    return cast("Family", import_module(f"hrob_assets.risk.models.types.{name}"))


def fit_pipeline(
    family: Family,
    design: Design,
    parameters: Parameters,
    *,
    matrix: np.ndarray,
    outcome: np.ndarray,
    seed: int,
) -> Pipeline:
    """Fit preparation and classifier; the last step of the result is ``model``.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_rows, n_columns)
        From `design_matrix`.
    outcome : ndarray of 0/1, shape (n_rows,)
    """
    preparation = family.build_preparation(design)
    prepared = np.asarray(preparation.fit_transform(matrix, outcome), dtype=np.float32)
    classifier = family.build_classifier(parameters, seed=seed)
    family.fit_classifier(classifier, prepared, outcome)
    return Pipeline([*preparation.steps, ("model", classifier)])


def prepare(estimator: Pipeline, matrix: np.ndarray) -> np.ndarray:
    """Prepare a design matrix as the estimator was fitted; float32, (n_rows, n_terms)."""
    return np.asarray(estimator[:-1].transform(matrix), dtype=np.float32)
