"""From feature columns to the matrix that every family sees, and how its gaps are filled."""

# Scikit-learn has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer

from hrob_assets.risk.errors import ConfigurationError, ContractError, nearest
from hrob_assets.risk.features import ImputationRule
from hrob_assets.risk.models.points import PointRule, read_points
from hrob_assets.risk.use_case import UseCase

_LOGGED = ("__count_", "__days_since_last_")


@dataclass(frozen=True)
class Design:
    """What a model is made of: its columns, what fills their gaps, and its points if it has any.

    Parameters
    ----------
    columns : tuple of str
        In the order of the matrix.
    rules : mapping of column to ImputationRule
    points : tuple of PointRule
        Of a score that a family may add up; their columns are of `columns`.
    plain : tuple of str
        Columns that stand for themselves beside the score; of `columns`.
    """

    columns: tuple[str, ...]
    rules: Mapping[str, ImputationRule]
    points: tuple[PointRule, ...] = ()
    plain: tuple[str, ...] = ()


def comparator_design(
    use_case: UseCase,
    folder: Path,
    column_names: Sequence[str],
    rules: Mapping[str, ImputationRule],
) -> Design | None:
    """What the free comparator of a use case is made of; None where it has none.

    Parameters
    ----------
    use_case : UseCase
    folder : Path
        Of the use case; holds the CSV file of the score.
    column_names : sequence of str
        Of the catalogue.
    rules : mapping of column to ImputationRule

    Raises
    ------
    ConfigurationError
        If the comparator names a file or a column that does not exist.
    """
    comparator = use_case.model.comparator
    if comparator is None:
        return None
    for name in comparator.columns:
        if name not in column_names:
            msg = (
                f"the comparator of {use_case.name} must name columns of feature_mappings.yml "
                f"(found {name!r}). {nearest(name, column_names)}"
            )
            raise ConfigurationError(msg)
    points: tuple[PointRule, ...] = ()
    if comparator.score is not None:
        points = read_points(folder / comparator.score, column_names=column_names)
    scored = (name for rule in points for name in rule.columns)
    columns = tuple(dict.fromkeys([*scored, *comparator.columns]))
    return Design(columns, {n: rules[n] for n in columns}, points, comparator.columns)


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
        if enters_as_logarithm(name)
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
        if value is not None and enters_as_logarithm(name):
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


def imputed_names(imputation: ColumnTransformer, columns: Sequence[str]) -> list[str]:
    """Column behind each imputed one; ``missing <column>`` for an indicator."""
    names = imputation.get_feature_names_out(list(columns))
    return [str(name).replace("missingindicator_", "missing ") for name in names]


def enters_as_logarithm(column: str) -> bool:
    """Whether a column enters as ``log(1 + x)``.

    Examples
    --------
    >>> enters_as_logarithm("ed__count_30d"), enters_as_logarithm("age__years")
    (True, False)
    """
    return any(part in column for part in _LOGGED)
