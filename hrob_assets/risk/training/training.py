"""From features and labels to a tuned, fitted model with a frozen threshold."""

# Scikit-learn and Hyperopt have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from hrob_assets.risk.disclosure import in_words
from hrob_assets.risk.errors import ContractError, TooSmallError
from hrob_assets.risk.features import ImputationRule
from hrob_assets.risk.models import (
    UNCHANGED,
    Calibration,
    Design,
    Parameters,
    Recalibration,
    Steps,
    design_matrix,
    family_of,
    fit_calibration,
    fit_pipeline,
    prepare,
)
from hrob_assets.risk.training.split import Periods, SplitPlan, judges
from hrob_assets.risk.training.threshold import ListSize, capacity_threshold, simulate_list_sizes
from hrob_assets.risk.training.tuning import SearchEngine, Trial, TrialLog, chosen_parameters, tune
from hrob_assets.risk.use_case import COMPARATOR_FAMILY, FamilySpec, ModelSpec, Threshold, UseCase

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
_CALIBRATION_FOLDS = 5
_EXPLAINED_ROWS = 1000


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

    Only rows that were followed, as in the evidence of the alarm: were of those who left only the
    rows with the outcome kept, a model would learn too high a risk. Validation and test have
    eligible rows only; training has what the use case says.

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

    Raises
    ------
    ContractError
        If the cohort or the features lack rows: a version would be judged without them, unseen.
    """
    key = ["person_id", "encounter_id", "prediction_time"]
    start, end = plan.bounds.train_start, plan.bounds.test_end
    rows = (
        labels.filter(
            pl.col("label").is_not_null() & pl.col("followed"),
            pl.col("prediction_time") >= start,
            pl.col("prediction_time") < end,
        )
        .select(*key, "week", "label")
        .join(cohort.select(*key, "eligible"), on=key, how="left")
        .sort("prediction_time", "encounter_id")
        .collect()
    )
    _require_each(rows.drop_nulls("eligible"), rows, "the cohort", use_case.name)
    split = plan.assign(rows)
    wanted = pl.col("eligible")
    if use_case.cohort.train_on == "all":
        wanted = wanted | (pl.col("split") == "train")
    kept = split.filter(pl.col("split").is_not_null() & wanted)
    matrix = features.select(*key, *columns)
    joined = kept.lazy().join(matrix, on=key, how="inner", maintain_order="left")
    found = joined.select(*TRAINING_COLUMNS, *columns).collect()
    _require_each(found, kept, "the feature store", use_case.name)
    return found


def _require_each(found: pl.DataFrame, rows: pl.DataFrame, table: str, use_case_name: str) -> None:
    if found.height != rows.height:
        msg = (
            f"{table} must have each row of the labels once (found {in_words(found.height)} rows "
            f"for {in_words(rows.height)}); build the features of all weeks, run "
            f"ripen_{use_case_name} for them, and make the training set again"
        )
        raise ContractError(msg)


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
    """Count the rows of the periods that are left out because their persons left or died."""
    return (
        _within(labels, bounds)
        .filter((pl.col("label_status") == "censored") | ~pl.col("followed"))
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


def slope_of(model: FittedModel) -> float:
    """What calibration and recalibration multiply each term by; steps of a calibration have none.

    Examples
    --------
    >>> calibrated = FittedModel(None, (), 0.5, (), 1, 1, 1, calibration=Recalibration(0.1, 0.5))
    >>> slope_of(replace(calibrated, recalibration=Recalibration(0.2, 0.8)))
    0.4
    """
    slope = 1.0 if isinstance(model.calibration, Steps) else model.calibration.slope
    return slope * model.recalibration.slope


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


def with_columns_of(
    rows: pl.DataFrame, training_set: pl.LazyFrame, columns: Sequence[str]
) -> pl.DataFrame:
    """The rows with some more columns of the training set that they were selected from."""
    missing = [name for name in columns if name not in rows.columns]
    if not missing:
        return rows
    return pl.concat([rows, training_set.select(missing).collect()], how="horizontal")


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
