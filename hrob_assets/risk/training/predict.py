"""What a fitted model says of rows, and what contributed to it."""

# Scikit-learn and Hyperopt have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
from sklearn.model_selection import GroupKFold

from hrob_assets.risk.models import (
    UNCHANGED,
    design_matrix,
    family_of,
    fit_calibration,
    prepare,
)
from hrob_assets.risk.training.model import FittedModel, slope_of
from hrob_assets.risk.training.update_split import judges

_CALIBRATION_FOLDS = 5


_EXPLAINED_ROWS = 1000


def validation_probability(model: FittedModel, validation: pl.DataFrame) -> np.ndarray:
    """Probabilities of the validation rows, none calibrated on its own patient's outcome.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
        As `predict`, but each fifth of the patients is calibrated on the other four.
    """
    if model.calibration_kind == "none":
        return predict(model, validation)
    raw = predict(replace(model, calibration=UNCHANGED, recalibration=UNCHANGED), validation)
    observed = validation["label"].to_numpy().astype(np.int8)
    honest = np.empty_like(raw)
    folds = GroupKFold(_CALIBRATION_FOLDS).split(raw, observed, validation["person_id"].to_numpy())
    for others, own in folds:
        found = fit_calibration(model.calibration_kind, raw[others], observed[others])
        honest[own] = found.applied(raw[own])
    return model.recalibration.applied(honest)


def predict(model: FittedModel, features: pl.DataFrame) -> np.ndarray:
    """Probability of the outcome for each row, whatever the other rows; float64, (n_rows,)."""
    if features.is_empty():
        return np.empty(0)
    prepared = prepare(model.estimator, design_matrix(features, model.columns))
    classifier = model.estimator.named_steps["model"]
    found = family_of(model.family).row_probabilities(classifier, prepared)
    return model.recalibration.applied(model.calibration.applied(found))


def judged_rows(model: FittedModel, training_set: pl.DataFrame) -> pl.DataFrame:
    """Rows that judge a version: of the test split, and with a cross-fit of all it is fitted on."""
    test = pl.col("split") == "test"
    if model.cross_fit is None:
        return training_set.filter(test)
    since = pl.col("prediction_time") >= datetime.fromisoformat(model.cross_fit.since)
    others = (pl.col("split") == "train") & pl.col("eligible") & since
    return training_set.filter(test | others)


def judged_probability(model: FittedModel, rows: pl.DataFrame) -> np.ndarray:
    """What a version is judged by: `predict`, or with a cross-fit the fit on other persons.

    Parameters
    ----------
    model : FittedModel
    rows : DataFrame
        ``person_id`` and the columns of the model.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
    """
    cross = model.cross_fit
    if cross is None:
        return predict(model, rows)
    before = predict(replace(model, recalibration=UNCHANGED), rows)
    return np.where(
        judges(rows["person_id"], seed=cross.seed),
        cross.of_judges.applied(before),
        cross.of_others.applied(before),
    )


def term_names(model: FittedModel) -> list[str]:
    """What stands behind each term: a column, or ``missing <column>`` for an indicator."""
    return family_of(model.family).prepared_names(model.estimator[:-1], model.columns)


def contributions(model: FittedModel, features: pl.DataFrame) -> np.ndarray:
    """Log-odds that each term adds against the training mean, (n_rows, n_terms).

    In the order of `term_names`. Exact where `FittedModel.reasons_are_exact`; after isotonic
    calibration they are those before it.
    """
    prepared = prepare(model.estimator, design_matrix(features, model.columns))
    classifier = model.estimator.named_steps["model"]
    return family_of(model.family).row_contributions(classifier, prepared) * slope_of(model)


def comparator_probability(model: FittedModel, features: pl.DataFrame) -> pl.Series:
    """Probability by the comparator that the model carries; null where it carries none."""
    name = "comparator_probability"
    if model.comparator is None:
        return pl.repeat(None, features.height, dtype=pl.Float64, eager=True).alias(name)
    return pl.Series(name, predict(model.comparator, features))


def strongest_terms(model: FittedModel, rows: pl.DataFrame) -> list[tuple[str, float]]:
    """Terms by their mean absolute log-odds on validation rows, the strongest first."""
    validation = rows.filter(pl.col("split") == "validation").head(_EXPLAINED_ROWS)
    size = np.abs(contributions(model, validation)).mean(axis=0)
    pairs = zip(term_names(model), size.tolist(), strict=True)
    return sorted(pairs, key=lambda term: -term[1])
