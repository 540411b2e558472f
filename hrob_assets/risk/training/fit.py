"""From a training set to a tuned, fitted model with a frozen threshold."""

# Scikit-learn and Hyperopt have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from hrob_assets.risk.features import ImputationRule
from hrob_assets.risk.models import (
    Design,
    Parameters,
    design_matrix,
    family_of,
    fit_calibration,
    fit_pipeline,
)
from hrob_assets.risk.training.model import FittedModel
from hrob_assets.risk.training.predict import predict, validation_probability
from hrob_assets.risk.training.threshold import capacity_threshold, simulate_list_sizes
from hrob_assets.risk.training.training_set import require_enough
from hrob_assets.risk.training.tuning.plan import SearchEngine, Trial, TrialLog, chosen_parameters
from hrob_assets.risk.training.tuning.search import tune
from hrob_assets.risk.use_case import COMPARATOR_FAMILY, FamilySpec, ModelSpec, Threshold, UseCase


def train_model(
    training_set: pl.DataFrame,
    *,
    columns: Sequence[str],
    rules: Mapping[str, ImputationRule],
    model: ModelSpec,
    threshold: Threshold,
    family: FamilySpec | None = None,
    comparator: Design | None = None,
    log: TrialLog | None = None,
    earlier: Sequence[Parameters] = (),
    engine: SearchEngine | None = None,
) -> FittedModel:
    """Tune, fit on all training rows, and freeze the threshold on the validation patients.

    Parameters
    ----------
    training_set : DataFrame
        From `assemble_training_set`.
    columns : sequence of str
    rules : mapping of column to ImputationRule
    model : ModelSpec
    threshold : Threshold
    family : FamilySpec, optional
        The default family of `model` where none is given.
    comparator : Design, optional
        Of the free comparator, which is fitted beside the model on the same rows.
    log : TrialLog, optional
    earlier : sequence of mapping
    engine : SearchEngine, optional
        As `tune`.

    Returns
    -------
    FittedModel

    Raises
    ------
    TooSmallError
        If the rows cannot carry a model, naming counts found and needed.
    """
    require_enough(training_set, model)
    fitted = fit_model(
        training_set,
        columns=columns,
        rules=rules,
        model=model,
        threshold=threshold,
        family=family,
        log=log,
        earlier=earlier,
        engine=engine,
    )
    if comparator is None:
        return fitted
    beside = fit_comparator(training_set, comparator, model=model, threshold=threshold)
    return replace(fitted, comparator=beside)


def fit_model(
    training_set: pl.DataFrame,
    *,
    columns: Sequence[str],
    rules: Mapping[str, ImputationRule],
    model: ModelSpec,
    threshold: Threshold,
    family: FamilySpec | None = None,
    log: TrialLog | None = None,
    earlier: Sequence[Parameters] = (),
    engine: SearchEngine | None = None,
) -> FittedModel:
    """Tune and fit on the training rows, set the threshold on the validation rows; as above.

    One thread computes the sums, so that the model does not depend on the number of cores.
    """
    spec = family or model.families[0]
    design = Design(tuple(columns), rules)
    trials = tune(
        training_set.filter(pl.col("split") == "train"),
        design=design,
        family=spec.name,
        tuning=model.tuning_of(spec),
        seed=model.seed,
        log=log,
        earlier=earlier,
        engine=engine,
    )
    return fit_design(
        training_set, design, family=spec, trials=trials, seed=model.seed, threshold=threshold
    )


def fit_comparator(
    training_set: pl.DataFrame, design: Design, *, model: ModelSpec, threshold: Threshold
) -> FittedModel:
    """Fit the free comparator: a published score and plain columns, recalibrated on these rows."""
    return fit_design(
        training_set,
        design,
        family=FamilySpec(COMPARATOR_FAMILY),
        trials=(),
        seed=model.seed,
        threshold=threshold,
    )


def fit_design(
    training_set: pl.DataFrame,
    design: Design,
    *,
    family: FamilySpec,
    trials: tuple[Trial, ...],
    seed: int,
    threshold: Threshold,
) -> FittedModel:
    """Fit with the parameters of the best trial, calibrate, and set the threshold.

    Calibration and threshold use the same validation patients. So that the threshold is not set
    on probabilities that were fitted to these very outcomes, it is the quantile of probabilities
    that were each calibrated on the patients of the other four fifths.
    """
    train = training_set.filter(pl.col("split") == "train")
    validation = training_set.filter(pl.col("split") == "validation")
    outcome = train["label"].to_numpy().astype(np.int8)
    with threadpool_limits(1):
        estimator = fit_pipeline(
            family_of(family.name),
            design,
            chosen_parameters(trials),
            matrix=design_matrix(train, design.columns),
            outcome=outcome,
            seed=seed,
        )
    fitted = FittedModel(
        estimator=estimator,
        columns=design.columns,
        threshold=float("nan"),
        trials=trials,
        training_rows=train.height,
        training_persons=train["person_id"].n_unique(),
        training_events=int(outcome.sum()),
        family=family.name,
        calibration_kind=family.calibration,
    )
    raw, observed = predict(fitted, validation), validation["label"].to_numpy().astype(np.int8)
    calibrated = replace(fitted, calibration=fit_calibration(family.calibration, raw, observed))
    honest = validation_probability(calibrated, validation)
    return replace(calibrated, threshold=capacity_threshold(honest, threshold))


def with_list_size(model: FittedModel, rows: pl.DataFrame, use_case: UseCase) -> FittedModel:
    """The model with the length of the weekly lists that its threshold implies."""
    validation = rows.filter(pl.col("split") == "validation")
    size = simulate_list_sizes(
        validation,
        validation_probability(model, validation),
        threshold=model.threshold,
        validation_share=use_case.split.validation_share,
        capacity=use_case.scoring.reviews_per_week,
        seed=use_case.model.seed,
    )
    return replace(model, list_size=size)
