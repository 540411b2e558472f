"""The columns that a model trains on: the selection file, then quality, then importance."""

# Scikit-learn, SciPy and threadpoolctl have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from scipy.special import expit
from threadpoolctl import threadpool_limits

from hrob_assets.risk.features import (
    FeatureColumn,
    FeatureSelection,
    ImputationRule,
    kept_columns,
    rules_of_record,
    screen_columns,
    screen_importance,
)
from hrob_assets.risk.models import Design, Parameters, build_classifier, fit_classifier
from hrob_assets.risk.statistics import row_log_loss
from hrob_assets.risk.training.training_set import fingerprint
from hrob_assets.risk.training.tuning.plan import Fold, SearchPlan, best_trial
from hrob_assets.risk.training.tuning.search import prepared_folds, search
from hrob_assets.risk.use_case import ModelSpec

_SHUFFLES = 5
_LINEAR = "logistic_regression"  # its log-odds are a sum over families, whatever is trained


def select_features(
    train: pl.DataFrame,
    *,
    candidates: Sequence[FeatureColumn],
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
    model: ModelSpec,
) -> pl.DataFrame:
    """Judge every column on the training rows.

    Parameters
    ----------
    train : DataFrame
        The training rows only, ordered by time: ``person_id``, ``label`` and the columns that the
        selection file keeps.
    candidates : sequence of FeatureColumn
        All columns of the catalogue.
    selection : FeatureSelection
    rules : mapping of column to ImputationRule
    model : ModelSpec
        Folds, seed and search of the importance, where a rule asks for it.

    Returns
    -------
    DataFrame
        The record, `SCREEN_RECORD_SCHEMA`, one row per candidate.
    """
    record = screen_columns(train, candidates=candidates, selection=selection, rules=rules)
    if not selection.screening.asks_importance:
        return record
    kept = set(kept_columns(record))
    importance = family_importance(
        train,
        columns=[column for column in candidates if column.name in kept],
        rules=rules_of_record(record, rules),
        model=model,
    )
    return screen_importance(record, importance, selection.screening)


def family_importance(
    train: pl.DataFrame,
    *,
    columns: Sequence[FeatureColumn],
    rules: Mapping[str, ImputationRule],
    model: ModelSpec,
) -> dict[str, float]:
    """Rise of the log loss per row when a family is shuffled, on patients not fitted on.

    Windows and aggregations of one code set stand in for each other: shuffled alone, each would
    look unimportant. So all columns of a family, and their missing indicators, are shuffled
    together. The model is the logistic one: same folds, search and best penalty as in training.

    Parameters
    ----------
    train : DataFrame
        ``person_id``, ``label`` and `columns`.
    columns : sequence of FeatureColumn
    rules : mapping of column to ImputationRule
    model : ModelSpec

    Returns
    -------
    dict of str to float
        Of each family of `columns`, the mean over folds and shuffles; about 0 when it says nothing
        that the others do not say.
    """
    families = {column.name: column.family for column in columns}
    names = list(dict.fromkeys(families.values()))
    generator = np.random.default_rng(model.seed)
    with threadpool_limits(1, user_api="blas"):
        folds = prepared_folds(
            train,
            design=Design(tuple(families), rules),
            family=_LINEAR,
            tuning=model.tuning,
            seed=model.seed,
        )
        trials = search(folds, SearchPlan(_LINEAR, model.tuning, model.seed))
        best = best_trial(trials).parameters
        rises = [_rises(fold, best, _members(fold, families, names), generator) for fold in folds]
    return dict(zip(names, map(float, np.mean(rises, axis=0)), strict=True))


def selection_tag(
    rows: pl.DataFrame, selection: FeatureSelection, rules: Mapping[str, ImputationRule]
) -> str:
    """Short hash of all that a record was made from, but the values of the features.

    Parameters
    ----------
    rows : DataFrame
        `TRAINING_COLUMNS` of the training set.
    selection : FeatureSelection
    rules : mapping of column to ImputationRule
    """
    said = repr(
        (
            selection.columns,
            sorted(selection.dropped.items()),
            selection.screening,
            sorted(rules.items()),
        )
    )
    return hashlib.sha256((said + fingerprint(rows)).encode()).hexdigest()[:16]


def _members(fold: Fold, families: Mapping[str, str], names: Sequence[str]) -> np.ndarray:
    """1 where a term belongs to a family, shape (n_terms, n_families)."""
    family = [families[term.removeprefix("missing ")] for term in fold.terms]
    return (np.array(family)[:, None] == np.array(names)).astype(np.float64)


def _rises(
    fold: Fold, parameters: Parameters, members: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Rise of the held-out log loss by family, shape (n_families,).

    The log-odds are a sum over families, so a shuffled family is its part of the sum in another
    order.
    """
    classifier = build_classifier(parameters)
    fit_classifier(classifier, fold.fit_matrix, fold.fit_outcome)
    parts = fold.held_out_matrix @ (members * classifier.coef_[0][:, None])
    log_odds = parts.sum(axis=1) + np.asarray(classifier.intercept_)[0]
    before = _loss(log_odds, fold.held_out_outcome)
    rises = np.zeros(members.shape[1])
    for _ in range(_SHUFFLES):
        order = generator.permutation(log_odds.size)
        for family in range(rises.size):
            part = parts[:, family]
            rises[family] += _loss(log_odds - part + part[order], fold.held_out_outcome) - before
    return rises / _SHUFFLES


def _loss(log_odds: np.ndarray, outcome: np.ndarray) -> float:
    return float(row_log_loss(expit(log_odds), outcome).mean())
