"""A fitted model: everything that scoring needs, frozen with the version."""

# Scikit-learn and Hyperopt have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from sklearn.pipeline import Pipeline

from hrob_assets.risk.models import (
    UNCHANGED,
    Calibration,
    Parameters,
    Recalibration,
    Steps,
    family_of,
)
from hrob_assets.risk.training.threshold import ListSize
from hrob_assets.risk.training.tuning.plan import Trial, chosen_parameters


@dataclass(frozen=True)
class CrossFit:
    """How the persons on whom an update was fitted can judge it: by the fit on the others.

    Persons are in two parts by a hash (`split.judges`). The update of the version is fitted on
    both; what it says of a row when it is judged is the update fitted on the other part.

    Parameters
    ----------
    since : str
        Prediction time (ISO, UTC) of the first rows that the update was fitted on.
    seed : int
        Of the hash.
    of_judges, of_others : Recalibration
        For the rows of the persons who judge, and of the others.
    """

    since: str
    seed: int
    of_judges: Recalibration
    of_others: Recalibration


@dataclass(frozen=True)
class FittedModel:
    """A model and all that scoring needs beside it.

    Parameters
    ----------
    estimator : Pipeline
    columns : tuple of str
        Feature columns, in the order of the matrix.
    threshold : float
        High risk means probability >= threshold.
    trials : tuple of Trial
        In the order tried.
    training_rows, training_persons, training_events : int
    family : str
        Name of a file of `hrob_assets.risk.models.types`.
    calibration_kind : str
        ``none``, ``logistic`` or ``isotonic``.
    calibration : Recalibration or Steps
        Learnt on the validation patients, where the family needs it.
    recalibration : Recalibration
        Of the calibrated probabilities; identity unless the model was updated.
    list_size : ListSize, optional
        How long the weekly lists are that the threshold implies.
    comparator : FittedModel, optional
        The free comparator, fitted on the same training rows, that the model must beat.
    cross_fit : CrossFit, optional
        Of an update that is a recalibration.
    """

    estimator: Pipeline
    columns: tuple[str, ...]
    threshold: float
    trials: tuple[Trial, ...]
    training_rows: int
    training_persons: int
    training_events: int
    family: str = "logistic_regression"
    calibration_kind: str = "none"
    calibration: Calibration = UNCHANGED
    recalibration: Recalibration = UNCHANGED
    list_size: ListSize | None = None
    comparator: "FittedModel | None" = None
    cross_fit: CrossFit | None = None

    @property
    def parameters(self) -> Parameters:
        """Hyperparameters of the best trial; none where nothing was searched."""
        return chosen_parameters(self.trials)

    @property
    def reasons_are_exact(self) -> bool:
        """Whether the terms of a row add up to its log-odds."""
        return family_of(self.family).EXACT_REASONS and not isinstance(self.calibration, Steps)


def slope_of(model: FittedModel) -> float:
    """What calibration and recalibration multiply each term by; steps of a calibration have none.

    Examples
    --------
    >>> from dataclasses import replace
    >>> calibrated = FittedModel(None, (), 0.5, (), 1, 1, 1, calibration=Recalibration(0.1, 0.5))
    >>> slope_of(replace(calibrated, recalibration=Recalibration(0.2, 0.8)))
    0.4
    """
    slope = 1.0 if isinstance(model.calibration, Steps) else model.calibration.slope
    return slope * model.recalibration.slope


def with_columns_of(
    rows: pl.DataFrame, training_set: pl.LazyFrame, columns: Sequence[str]
) -> pl.DataFrame:
    """The rows with some more columns of the training set that they were selected from."""
    missing = [name for name in columns if name not in rows.columns]
    if not missing:
        return rows
    return pl.concat([rows, training_set.select(missing).collect()], how="horizontal")
