"""From features and labels to a tuned, fitted model with a frozen threshold."""

# Scikit-learn and Hyperopt have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from hrob_assets.risk.errors import ConfigurationError, ContractError, TooSmallError
from hrob_assets.risk.features.selection import ImputationRule
from hrob_assets.risk.models.logistic_regression import (
    build_classifier,
    build_model,
    build_preprocessor,
    design_matrix,
    fit_classifier,
    probabilities,
    term_names,
)
from hrob_assets.risk.recalibration import UNCHANGED, Recalibration
from hrob_assets.risk.small_cells import in_words
from hrob_assets.risk.split import Periods, SplitPlan, person_fraction
from hrob_assets.risk.use_case import ModelSpec, Threshold, Tuning, UseCase

TRAINING_COLUMNS = (
    "person_id",
    "encounter_id",
    "prediction_time",
    "week",
    "split",
    "person_seen",
    "eligible",
    "label",
)
_SMALLEST_INVERSE_PENALTY = 1e-5
_LARGEST_INVERSE_PENALTY = 1.0


@dataclass(frozen=True)
class Trial:
    """One tried hyperparameter: cross-validated log loss, mean and per fold."""

    inverse_penalty: float
    log_loss: float
    fold_log_losses: tuple[float, ...]


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
    recalibration : Recalibration
        Of the estimator's probabilities; identity unless the model was updated.
    comparator : FittedModel, optional
        The free comparator, fitted on the same training rows, that the model must beat.
    """

    estimator: Pipeline
    columns: tuple[str, ...]
    threshold: float
    trials: tuple[Trial, ...]
    training_rows: int
    training_persons: int
    training_events: int
    recalibration: Recalibration = UNCHANGED
    comparator: "FittedModel | None" = None


def assemble_training_set(
    features: pl.LazyFrame,
    cohort: pl.LazyFrame,
    labels: pl.LazyFrame,
    *,
    use_case: UseCase,
    plan: SplitPlan,
    columns: Sequence[str],
) -> pl.DataFrame:
    """Rows with a ripe outcome, their split and their features.

    Validation and test have eligible rows only; training has what the use case says.

    Parameters
    ----------
    features, cohort, labels : LazyFrame
        The weekly tables, all weeks.
    use_case : UseCase
    plan : SplitPlan
        From `split.plan_split`.
    columns : sequence of str
        Feature columns.

    Returns
    -------
    DataFrame
        `TRAINING_COLUMNS` and `columns`, sorted by prediction time and encounter.
    """
    key = ["person_id", "encounter_id", "prediction_time"]
    start, end = plan.bounds.train_start, plan.bounds.test_end
    rows = (
        labels.filter(
            pl.col("label").is_not_null(),
            pl.col("prediction_time") >= start,
            pl.col("prediction_time") < end,
        )
        .select(*key, "week", "label")
        .join(cohort.select(*key, "eligible"), on=key)
        .sort("prediction_time", "encounter_id")
        .collect()
    )
    split = plan.assign(rows)
    wanted = pl.col("eligible")
    if use_case.cohort.train_on == "all":
        wanted = wanted | (pl.col("split") == "train")
    kept = split.filter(pl.col("split").is_not_null() & wanted)
    matrix = features.select(*key, *columns)
    joined = kept.lazy().join(matrix, on=key, how="inner", maintain_order="left")
    return joined.select(*TRAINING_COLUMNS, *columns).collect()


def require_ripe(
    labels: pl.LazyFrame, bounds: Periods, *, missing_weeks: Sequence[date], use_case_name: str
) -> None:
    """Raise `ContractError` where weeks of the periods have no labels or rows are pending.

    Parameters
    ----------
    labels : LazyFrame
        ``prediction_time`` and ``label_status`` of all weeks that were made.
    bounds : Periods
    missing_weeks : sequence of date
        Mondays of the weeks whose labels were never made.
    use_case_name : str

    Examples
    --------
    >>> from datetime import datetime
    >>> bounds = Periods(*(datetime(2022 + year, 6, 1) for year in range(4)))
    >>> schema = {"prediction_time": pl.Datetime("us"), "label_status": pl.String}
    >>> none = pl.LazyFrame(schema=schema)
    >>> require_ripe(none, bounds, missing_weeks=[date(2023, 1, 2)], use_case_name="falls")
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ContractError: all weeks of the training and test periods must have...
    """
    first = bounds.train_start.date() - timedelta(days=7)
    missing = [week for week in missing_weeks if first <= week < bounds.test_end.date()]
    pending = (
        _within(labels, bounds)
        .filter(pl.col("label_status") == "pending")
        .select(pl.col("prediction_time").dt.truncate("1w").n_unique())
        .collect()
        .item()
    )
    if missing or pending:
        msg = (
            "all weeks of the training and test periods must have ripe labels (found "
            f"{len(missing)} weeks without labels and {pending} weeks with pending rows); "
            f"run ripen_{use_case_name} for them, or let the periods end earlier"
        )
        raise ContractError(msg)


def censored_rows(labels: pl.LazyFrame, bounds: Periods) -> int:
    """Count the rows of the periods that no label can be given, because they were lost."""
    return (
        _within(labels, bounds)
        .filter(pl.col("label_status") == "censored")
        .select(pl.len())
        .collect()
        .item()
    )


def _within(labels: pl.LazyFrame, bounds: Periods) -> pl.LazyFrame:
    when = pl.col("prediction_time")
    return labels.filter(when >= bounds.train_start, when < bounds.test_end)


def require_enough(training_set: pl.DataFrame, model: ModelSpec) -> None:
    """Raise `TooSmallError` unless each split can carry a model.

    Examples
    --------
    >>> from hrob_assets.risk.use_case import Tuning
    >>> empty = pl.DataFrame(schema={"split": pl.String, "label": pl.Boolean})
    >>> tuning = Tuning(trials=1, folds=2, maximum_rows=1000)
    >>> require_enough(empty, ModelSpec("logistic_regression", tuning, seed=1))
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.TooSmallError: training needs at least 1000 rows with 100 events...
    """
    counts = {
        name: (part.height, int(part["label"].sum()))
        for name in ("train", "validation", "test")
        for part in [training_set.filter(pl.col("split") == name)]
    }
    rows, events = counts["train"]
    enough = rows >= model.minimum_rows and model.minimum_events <= events < rows
    both_classes = all(0 < counts[name][1] < counts[name][0] for name in ("validation", "test"))
    if enough and both_classes:
        return
    found = ", ".join(
        f"{name} {in_words(n)} rows with {in_words(e)} events" for name, (n, e) in counts.items()
    )
    msg = (
        f"training needs at least {model.minimum_rows} rows with {model.minimum_events} events, "
        f"and both outcomes in validation and test (found: {found}). Load a longer history, "
        "or score with a champion that was trained elsewhere."
    )
    raise TooSmallError(msg)


def train_model(
    training_set: pl.DataFrame,
    *,
    columns: Sequence[str],
    rules: Mapping[str, ImputationRule],
    model: ModelSpec,
    threshold: Threshold,
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

    Returns
    -------
    FittedModel

    Raises
    ------
    TooSmallError
        If the rows cannot carry a model, naming counts found and needed.
    """
    require_enough(training_set, model)
    return fit_model(training_set, columns=columns, rules=rules, model=model, threshold=threshold)


def fit_model(
    training_set: pl.DataFrame,
    *,
    columns: Sequence[str],
    rules: Mapping[str, ImputationRule],
    model: ModelSpec,
    threshold: Threshold,
) -> FittedModel:
    """Fit on the training rows and set the threshold on the validation rows; as `train_model`.

    One thread computes the sums, so that the model does not depend on the number of cores.
    """
    train = training_set.filter(pl.col("split") == "train")
    outcome = train["label"].to_numpy().astype(np.int8)
    with threadpool_limits(1, user_api="blas"):
        trials = tune(train, columns=columns, rules=rules, tuning=model.tuning, seed=model.seed)
        best = min(trials, key=lambda trial: trial.log_loss)
        estimator = build_model(columns, rules, inverse_penalty=best.inverse_penalty)
        prepared = estimator[:-1].fit_transform(design_matrix(train, columns)).astype(np.float64)
        fit_classifier(estimator.named_steps["model"], prepared, outcome)
    validation = training_set.filter(pl.col("split") == "validation")
    fitted = FittedModel(
        estimator=estimator,
        columns=tuple(columns),
        threshold=float("nan"),
        trials=trials,
        training_rows=train.height,
        training_persons=train["person_id"].n_unique(),
        training_events=int(outcome.sum()),
    )
    return replace(fitted, threshold=capacity_threshold(predict(fitted, validation), threshold))


def predict(model: FittedModel, features: pl.DataFrame) -> np.ndarray:
    """Probability of the outcome for each row, whatever the other rows; float64, (n_rows,)."""
    if features.is_empty():
        return np.empty(0)
    matrix = design_matrix(features, model.columns)
    return model.recalibration.applied(probabilities(model.estimator, matrix))


def comparator_probability(model: FittedModel, features: pl.DataFrame) -> pl.Series:
    """Probability by the comparator that the model carries; null where it carries none."""
    name = "comparator_probability"
    if model.comparator is None:
        return pl.repeat(None, features.height, dtype=pl.Float64, eager=True).alias(name)
    return pl.Series(name, predict(model.comparator, features))


def capacity_threshold(probability: np.ndarray, threshold: Threshold) -> float:
    """Probability from which on the capacity share of validation encounters lies, rounded.

    Raises
    ------
    ConfigurationError
        If rounding leaves a threshold of 0 or 1, which would call everybody or nobody high risk.

    Examples
    --------
    >>> capacity_threshold(np.linspace(0, 1, 1001), Threshold(capacity_share=0.1))
    0.9
    """
    exact = float(np.quantile(probability, 1 - threshold.capacity_share, method="higher"))
    rounded = round(exact, threshold.decimals)
    if not 0 < rounded < 1:
        msg = (
            f"the threshold must lie between 0 and 1 (found {exact:.6g}, rounded to {rounded}); "
            "raise threshold.decimals"
        )
        raise ConfigurationError(msg)
    return rounded


def tune(
    train: pl.DataFrame,
    *,
    columns: Sequence[str],
    rules: Mapping[str, ImputationRule],
    tuning: Tuning,
    seed: int,
) -> tuple[Trial, ...]:
    """Search the penalty with Hyperopt's TPE by patient-grouped cross-validated log loss.

    Preparation is fitted once per fold, on its training part only; on a large training set the
    search sees a fixed sample of whole persons.

    Returns
    -------
    tuple of Trial
        In the order tried; the same seed gives the same trials.
    """
    return search(
        prepared_folds(train, columns=columns, rules=rules, tuning=tuning, seed=seed),
        tuning=tuning,
        seed=seed,
    )


def search(folds: Sequence["Fold"], *, tuning: Tuning, seed: int) -> tuple[Trial, ...]:
    """Try penalties on prepared folds, as `tune`; each fold starts where the last trial ended."""
    from hyperopt import STATUS_OK, Trials, fmin, hp, tpe  # noqa: PLC0415 - slow to import

    tried: list[Trial] = []

    def objective(inverse_penalty: float) -> dict[str, object]:
        losses = tuple(_fold_log_loss(fold, inverse_penalty) for fold in folds)
        tried.append(Trial(inverse_penalty, float(np.mean(losses)), losses))
        return {"loss": tried[-1].log_loss, "status": STATUS_OK}

    fmin(
        objective,
        hp.loguniform(
            "inverse_penalty", np.log(_SMALLEST_INVERSE_PENALTY), np.log(_LARGEST_INVERSE_PENALTY)
        ),
        algo=tpe.suggest,
        max_evals=tuning.trials,
        trials=Trials(),
        rstate=np.random.default_rng(seed),
        show_progressbar=False,
        verbose=False,
    )
    return tuple(tried)


def fingerprint(frame: pl.DataFrame) -> str:
    """Hash of a frame's column names, types and values; the same rows give the same hash.

    Examples
    --------
    >>> fingerprint(pl.DataFrame({"a": [1]})) == fingerprint(pl.DataFrame({"a": [1]}))
    True
    """
    digest = hashlib.sha256()
    for series in frame.iter_columns():
        digest.update(f"{series.name}:{series.dtype}:{series.len()};".encode())
        values = series.cast(pl.String) if series.dtype == pl.Categorical else series
        for buffer in _buffers(values):
            digest.update(buffer)
    return digest.hexdigest()


def training_set_tag(training_set: pl.DataFrame) -> str:
    """Short fingerprint by which a model version names what it was trained on.

    Examples
    --------
    >>> len(training_set_tag(pl.DataFrame({"a": [1]})))
    16
    """
    return fingerprint(training_set)[:16]


def _buffers(series: pl.Series) -> list[bytes]:
    nulls = np.packbits(series.is_null().to_numpy()).tobytes()
    if series.dtype == pl.String:
        filled = series.fill_null("")
        lengths = filled.str.len_bytes().to_numpy().tobytes()
        return [nulls, lengths, "".join(filled.to_list()).encode()]
    if series.dtype.is_float():
        return [nulls, series.fill_null(0.0).to_numpy().tobytes()]
    physical = series.to_physical()
    zero = False if physical.dtype == pl.Boolean else 0
    return [nulls, physical.fill_null(zero).to_numpy().tobytes()]


@dataclass(frozen=True)
class Fold:
    """Prepared parts of one fold, and a classifier that starts where the last fit ended.

    Parameters
    ----------
    fit_matrix, held_out_matrix : ndarray, shape (n_rows, n_terms)
        float64 and float32.
    fit_outcome, held_out_outcome : ndarray of 0/1, shape (n_rows,)
    terms : tuple of str
        As `term_names`.
    classifier : LogisticRegression
    """

    fit_matrix: np.ndarray
    fit_outcome: np.ndarray
    held_out_matrix: np.ndarray
    held_out_outcome: np.ndarray
    terms: tuple[str, ...]
    classifier: LogisticRegression


def _fold_log_loss(fold: Fold, inverse_penalty: float) -> float:
    fold.classifier.set_params(C=inverse_penalty)
    fit_classifier(fold.classifier, fold.fit_matrix, fold.fit_outcome)
    probability = fold.classifier.predict_proba(fold.held_out_matrix)[:, 1]
    return float(log_loss(fold.held_out_outcome, probability, labels=[0, 1]))


def prepared_folds(
    train: pl.DataFrame,
    *,
    columns: Sequence[str],
    rules: Mapping[str, ImputationRule],
    tuning: Tuning,
    seed: int,
) -> list[Fold]:
    """Patient-grouped folds of the training rows, or of a fixed sample of their persons.

    The same rows and the same seed give the same folds, whatever the columns.

    Returns
    -------
    list of Fold
        Imputation and scaling are fitted on the fitting part of each.
    """
    train = _sample_of_persons(train, tuning, seed)
    matrix = design_matrix(train, columns)
    outcome = train["label"].to_numpy().astype(np.int8)
    groups = train["person_id"].to_numpy()
    folds: list[Fold] = []
    for fit, held_out in GroupKFold(tuning.folds).split(matrix, outcome, groups):
        prepare = Pipeline(
            [("impute", build_preprocessor(columns, rules)), ("scale", StandardScaler())]
        )
        fitted = prepare.fit_transform(matrix[fit])
        folds.append(
            Fold(
                fit_matrix=fitted.astype(np.float64),
                fit_outcome=outcome[fit],
                held_out_matrix=prepare.transform(matrix[held_out]),
                held_out_outcome=outcome[held_out],
                terms=tuple(term_names(prepare, columns)),
                classifier=build_classifier(inverse_penalty=1.0).set_params(warm_start=True),
            )
        )
    return folds


def _sample_of_persons(train: pl.DataFrame, tuning: Tuning, seed: int) -> pl.DataFrame:
    if train.height <= tuning.maximum_rows:
        return train
    share = tuning.maximum_rows / train.height
    return train.filter(person_fraction(train["person_id"], seed + 1) < share)
