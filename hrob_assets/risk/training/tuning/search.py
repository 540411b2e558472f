"""The search for hyperparameters: each trial depends on those before it only."""

# Scikit-learn and Hyperopt have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from hrob_assets.risk.errors import HrobError
from hrob_assets.risk.models import Design, Family, Parameters, design_matrix, family_of
from hrob_assets.risk.statistics import person_fraction
from hrob_assets.risk.training.tuning.hyperopt_points import inside_space, next_points
from hrob_assets.risk.training.tuning.plan import (
    Fold,
    SearchEngine,
    SearchPlan,
    Trial,
    TrialLog,
    best_trial,
    most_trials,
)
from hrob_assets.risk.use_case import Tuning

_PROGRESS = 1e-5


_CODE = ("models", "statistics", "training")


_LIBRARIES = ("hyperopt", "numba", "numpy", "scikit-learn", "scipy")


_CAUGHT = (HrobError, ValueError, ArithmeticError, RuntimeError, MemoryError)


def tune(
    train: pl.DataFrame,
    *,
    design: Design,
    family: str,
    tuning: Tuning,
    seed: int,
    log: TrialLog | None = None,
    earlier: Sequence[Parameters] = (),
    engine: SearchEngine | None = None,
) -> tuple[Trial, ...]:
    """Search a family's space with Hyperopt's TPE by patient-grouped cross-validated log loss.

    Preparation is fitted once per fold, on its training part only; on a large training set the
    search sees a fixed sample of whole persons.

    Parameters
    ----------
    train : DataFrame
        ``person_id``, ``label`` and the columns of the design.
    design : Design
    family : str
    tuning : Tuning
    seed : int
    log : TrialLog, optional
        Trials of the same search that it holds are not run again.
    earlier : sequence of mapping
        Best parameters of earlier trainings, tried first where the space still has them.
    engine : SearchEngine, optional
        Where the trials run; it keeps them in the same place as `log`. None: in this process.

    Returns
    -------
    tuple of Trial
        In the order tried; the same seed gives the same trials.
    """
    space = family_of(family).SPACE
    known = tuple(point for point in earlier if inside_space(point, space))
    at_a_time = 1 if engine is None else engine.at_a_time
    plan = SearchPlan(family, tuning, seed, at_a_time, known)
    tag = _tag(train, design, plan)
    done: list[Trial] = []
    with nullcontext() if log is None else log.alone(tag):
        if log is not None:
            begun, done = log.start(tag, known)
            if _ended(done, plan) and all(trial.failure for trial in done):
                begun, done = log.start(tag, known, anew=True)  # what made them fail may be gone
            plan = replace(plan, earlier=tuple(begun))
        if _ended(done, plan):
            return tuple(done)
        folds = prepared_folds(train, design=design, family=family, tuning=tuning, seed=seed)
        if engine is not None:
            return engine.search(folds, plan, tag=tag)
        return search(folds, plan, log=log, done=done)


def search(
    folds: Sequence[Fold],
    plan: SearchPlan,
    *,
    log: TrialLog | None = None,
    done: Sequence[Trial] = (),
    try_all: Callable[[Sequence[Parameters]], Iterable[Trial]] | None = None,
) -> tuple[Trial, ...]:
    """Try hyperparameters on prepared folds, as `tune`, after the trials that are done.

    Parameters
    ----------
    folds : sequence of Fold
    plan : SearchPlan
    log : TrialLog, optional
    done : sequence of Trial
    try_all : callable, optional
        Tries points that were drawn together, and returns their trials in the same order. None
        tries one after the other with `try_parameters`.

    Returns
    -------
    tuple of Trial

    Raises
    ------
    ContractError
        If all trials failed.
    """
    trials = list(done)
    while not _ended(trials, plan):
        points = next_points(trials, plan)
        tried = (
            (try_parameters(folds, point, plan) for point in points)
            if try_all is None
            else try_all(points)
        )
        for trial in tried:
            given = len(trials) < len(plan.earlier)
            named = replace(trial, origin="earlier" if given else "search")
            trials.append(named if log is None else log.add(named))
    best_trial(trials)
    return tuple(trials)


def try_parameters(folds: Sequence[Fold], parameters: Parameters, plan: SearchPlan) -> Trial:
    """One trial: fit on each fold, and judge on what it holds out.

    An error of the fit is recorded with its kind, never with its words.
    """
    family = family_of(plan.family)
    losses: tuple[float, ...] = ()
    failure = None
    try:
        with threadpool_limits(1):  # on small folds, threads that wait for each other cost more
            losses = tuple(_fold_log_loss(fold, family, parameters, plan.seed) for fold in folds)
    except _CAUGHT as error:
        failure = type(error).__name__
    mean = float(np.mean(losses)) if losses else None
    if mean is not None and not np.isfinite(mean):
        mean, failure = None, "not a number"
    return Trial(dict(parameters), log_loss=mean, fold_log_losses=losses, failure=failure)


def prepared_folds(
    train: pl.DataFrame, *, design: Design, family: str, tuning: Tuning, seed: int
) -> list[Fold]:
    """Patient-grouped folds of the training rows, or of a fixed sample of their persons.

    The same rows and the same seed give the same folds, whatever the columns and the family.

    Returns
    -------
    list of Fold
        Imputation and scaling are fitted on the fitting part of each.
    """
    train = _sample_of_persons(train, tuning, seed)
    matrix = design_matrix(train, design.columns)
    outcome = train["label"].to_numpy().astype(np.int8)
    groups = train["person_id"].to_numpy()
    folds: list[Fold] = []
    for fit, held_out in GroupKFold(tuning.folds).split(matrix, outcome, groups):
        preparation = family_of(family).build_preparation(design)
        fitted = np.asarray(preparation.fit_transform(matrix[fit]), dtype=np.float32)
        others = np.asarray(preparation.transform(matrix[held_out]), dtype=np.float32)
        folds.append(
            Fold(
                fit_matrix=fitted,
                fit_outcome=outcome[fit],
                held_out_matrix=others,
                held_out_outcome=outcome[held_out],
                terms=tuple(family_of(family).prepared_names(preparation, design.columns)),
            )
        )
    return folds


def _ended(trials: Sequence[Trial], plan: SearchPlan) -> bool:
    """Whether enough was tried, or the last trials brought nothing better."""
    if len(trials) >= most_trials(plan):
        return True
    patience = plan.tuning.patience
    if patience is None or len(trials) % plan.at_a_time:
        return False
    losses = [float("inf") if t.log_loss is None else t.log_loss for t in trials]
    before, lately = losses[:-patience], losses[-patience:]
    return bool(before) and min(lately) > min(before) - _PROGRESS and np.isfinite(min(before))


def _fold_log_loss(fold: Fold, family: Family, parameters: Parameters, seed: int) -> float:
    classifier = family.build_classifier(parameters, seed=seed)
    family.fit_classifier(classifier, fold.fit_matrix, fold.fit_outcome)
    probability = family.row_probabilities(classifier, fold.held_out_matrix)
    return float(log_loss(fold.held_out_outcome, probability, labels=[0, 1]))


def _tag(train: pl.DataFrame, design: Design, plan: SearchPlan) -> str:
    """Hash of all that the trials depend on but those before them."""
    digest = sha256(_code())
    values = train.select("person_id", "label", *design.columns)
    digest.update(values.hash_rows(seed=1).to_numpy().tobytes())
    said = (
        design.columns,
        [(name, design.rules[name]) for name in design.columns],
        design.points,
        design.plain,
        plan.family,
        sorted(family_of(plan.family).SPACE.items()),
        plan.tuning,
        plan.seed,
        plan.at_a_time,
    )
    digest.update(repr(said).encode())
    return digest.hexdigest()[:16]


@cache
def _code() -> bytes:
    """Code that fits and evaluates trials, and the versions of its libraries."""
    risk = Path(__file__).parents[2]
    files = [path for name in _CODE for path in sorted((risk / name).rglob("*.py"))]
    hashes = [sha256(path.read_bytes()).hexdigest() for path in files]
    return repr([hashes, [(name, version(name)) for name in _LIBRARIES]]).encode()


def _sample_of_persons(train: pl.DataFrame, tuning: Tuning, seed: int) -> pl.DataFrame:
    if train.height <= tuning.maximum_rows:
        return train
    share = tuning.maximum_rows / train.height
    return train.filter(person_fraction(train["person_id"], seed + 1) < share)
