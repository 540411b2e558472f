"""The search for hyperparameters: each trial depends on those before it only."""

# Scikit-learn and Hyperopt have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from hrob_assets.risk.errors import ContractError, HrobError
from hrob_assets.risk.models import Design, Family, Parameters, Range, design_matrix, family_of
from hrob_assets.risk.statistics import person_fraction
from hrob_assets.risk.use_case import Tuning

_FEWEST_RANDOM, _MOST_RANDOM = 3, 20
_PROGRESS = 1e-5
_CODE = ("models", "statistics", "training")
_LIBRARIES = ("hyperopt", "numba", "numpy", "scikit-learn", "scipy")
_CAUGHT = (HrobError, ValueError, ArithmeticError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class Trial:
    """One tried set of hyperparameters: cross-validated log loss, mean and per fold.

    Parameters
    ----------
    parameters : mapping of str to number
    log_loss : float, optional
        None when the trial failed.
    fold_log_losses : tuple of float
    seconds : float
        Time that it took, where a log has a clock; says nothing about equality.
    failure : str, optional
        Kind of the error that ended it.
    origin : str
        ``search``, or ``earlier`` when the parameters were the best of an earlier training.
    """

    parameters: Parameters
    log_loss: float | None
    fold_log_losses: tuple[float, ...]
    seconds: float = field(default=0.0, compare=False)
    failure: str | None = None
    origin: Literal["search", "earlier"] = "search"


class TrialLog(Protocol):
    """Where trials are kept as they end, so that a search that was cut short goes on."""

    def alone(self, tag: str) -> AbstractContextManager[None]:
        """Wait until no other process searches under this tag, and let none meanwhile."""
        ...

    def start(
        self, tag: str, earlier: Sequence[Parameters], *, anew: bool = False
    ) -> tuple[list[Parameters], list[Trial]]:
        """Return what a search of this tag began with and its trials, or begin one."""
        ...

    def add(self, trial: Trial) -> Trial:
        """Keep a trial for good before the next one starts; return it with its seconds."""
        ...


@dataclass(frozen=True)
class SearchPlan:
    """What decides the trials of a search, beside its rows.

    Parameters
    ----------
    family : str
    tuning : Tuning
    seed : int
    at_a_time : int
        So many trials are drawn before one of them is tried: 1, or more where they run together.
    earlier : tuple of mapping
        Tried first.
    """

    family: str
    tuning: Tuning
    seed: int
    at_a_time: int = 1
    earlier: tuple[Parameters, ...] = ()


@dataclass(frozen=True)
class Fold:
    """Prepared parts of one fold.

    Parameters
    ----------
    fit_matrix, held_out_matrix : ndarray of float32, shape (n_rows, n_terms)
    fit_outcome, held_out_outcome : ndarray of 0/1, shape (n_rows,)
    terms : tuple of str
        What stands behind each column.
    """

    fit_matrix: np.ndarray
    fit_outcome: np.ndarray
    held_out_matrix: np.ndarray
    held_out_outcome: np.ndarray
    terms: tuple[str, ...]


class SearchEngine(Protocol):
    """Where the trials of a search run, if not in this process."""

    @property
    def at_a_time(self) -> int:
        """Number of trials that run together."""
        ...

    def search(self, folds: Sequence[Fold], plan: SearchPlan, *, tag: str) -> tuple[Trial, ...]:
        """Do as `search`, on from the trials that are kept under a tag, and keep all there."""
        ...


def best_trial(trials: Sequence[Trial]) -> Trial:
    """Return the trial with the lowest log loss; of equals the first.

    Raises
    ------
    ContractError
        If all failed.

    Examples
    --------
    >>> best_trial([Trial({"a": 1}, 0.3, ()), Trial({"a": 2}, None, (), failure="ValueError")])
    Trial(parameters={'a': 1}, log_loss=0.3, fold_log_losses=(), ...)
    """
    ended = [(trial.log_loss, trial) for trial in trials if trial.log_loss is not None]
    if not ended:
        kinds = ", ".join(sorted({str(trial.failure) for trial in trials}))
        msg = f"one trial at least must succeed (found {len(trials)} that failed with {kinds})"
        raise ContractError(msg)
    return min(ended, key=lambda pair: pair[0])[1]


def chosen_parameters(trials: Sequence[Trial]) -> Parameters:
    """Parameters of the best trial; none where there was no search."""
    return best_trial(trials).parameters if trials else {}


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
    known = tuple(point for point in earlier if _in_space(point, space))
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
        points = _next_points(trials, plan)
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
    if len(trials) >= _most_trials(plan):
        return True
    patience = plan.tuning.patience
    if patience is None or len(trials) % plan.at_a_time:
        return False
    losses = [float("inf") if t.log_loss is None else t.log_loss for t in trials]
    before, lately = losses[:-patience], losses[-patience:]
    return bool(before) and min(lately) > min(before) - _PROGRESS and np.isfinite(min(before))


def _most_trials(plan: SearchPlan) -> int:
    return plan.tuning.trials if family_of(plan.family).SPACE else 1


def _next_points(trials: Sequence[Trial], plan: SearchPlan) -> list[Parameters]:
    """What is tried next, up to the end of those that are drawn together.

    Those of a search that was cut short among them are drawn from what was known at their start.
    """
    number = len(trials)
    start = number - number % plan.at_a_time
    end = min(start + plan.at_a_time, _most_trials(plan))
    space = family_of(plan.family).SPACE
    return [
        plan.earlier[each]
        if each < len(plan.earlier)
        else _suggested(space, trials[:start], plan, number=each)
        for each in range(number, end)
    ]


def _fold_log_loss(fold: Fold, family: Family, parameters: Parameters, seed: int) -> float:
    classifier = family.build_classifier(parameters, seed=seed)
    family.fit_classifier(classifier, fold.fit_matrix, fold.fit_outcome)
    probability = family.row_probabilities(classifier, fold.held_out_matrix)
    return float(log_loss(fold.held_out_outcome, probability, labels=[0, 1]))


def _suggested(
    space: Mapping[str, Range], trials: Sequence[Trial], plan: SearchPlan, *, number: int
) -> dict[str, float | int]:
    """Hyperopt's point of a number; it depends on these trials, the seed and the number only."""
    if not space:
        return {}
    from hyperopt import Trials, tpe  # noqa: PLC0415 - slow to import
    from hyperopt.base import Domain  # noqa: PLC0415

    domain = Domain(_nothing, {name: _hyperopt(name, r) for name, r in space.items()})
    history = Trials()
    history.insert_trial_docs([_document(n, trial, domain) for n, trial in enumerate(trials)])
    history.refresh()
    random = min(_MOST_RANDOM, max(_FEWEST_RANDOM, plan.tuning.trials // 3))
    draw = int(np.random.default_rng([plan.seed, number]).integers(2**31 - 1))
    (document,) = tpe.suggest([number], domain, history, draw, n_startup_jobs=random)
    values = {name: value[0] for name, value in document["misc"]["vals"].items()}
    return {name: _number(values[name], space[name]) for name in space}


def _nothing(_point: object) -> float:
    return 0.0


def _number(value: float, limits: Range) -> float | int:
    bounded = min(max(float(value), limits.low), limits.high)
    return round(bounded) if limits.kind == "integer" else bounded


def _hyperopt(name: str, limits: Range) -> Any:
    from hyperopt import hp  # noqa: PLC0415 - slow to import

    if limits.kind == "loguniform":
        return hp.loguniform(name, np.log(limits.low), np.log(limits.high))
    form = hp.uniformint if limits.kind == "integer" else hp.uniform
    return form(name, limits.low, limits.high)


def _document(number: int, trial: Trial, domain: Any) -> dict[str, Any]:
    """One trial as Hyperopt keeps it."""
    from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK  # noqa: PLC0415 - slow to import

    failed = trial.log_loss is None
    return {
        "state": JOB_STATE_DONE,
        "tid": number,
        "spec": None,
        "result": {"status": STATUS_FAIL} if failed else {
            "status": STATUS_OK, "loss": trial.log_loss,
        },
        "misc": {
            "tid": number,
            "cmd": domain.cmd,
            "workdir": domain.workdir,
            "idxs": {name: [number] for name in trial.parameters},
            "vals": {name: [value] for name, value in trial.parameters.items()},
        },
        "exp_key": None,
        "owner": None,
        "version": 0,
        "book_time": None,
        "refresh_time": None,
    }  # fmt: skip


def _in_space(point: Parameters, space: Mapping[str, Range]) -> bool:
    return set(point) == set(space) and all(space[n].holds(v) for n, v in point.items())


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
    risk = Path(__file__).parents[1]
    files = [path for name in _CODE for path in sorted((risk / name).rglob("*.py"))]
    hashes = [sha256(path.read_bytes()).hexdigest() for path in files]
    return repr([hashes, [(name, version(name)) for name in _LIBRARIES]]).encode()


def _sample_of_persons(train: pl.DataFrame, tuning: Tuning, seed: int) -> pl.DataFrame:
    if train.height <= tuning.maximum_rows:
        return train
    share = tuning.maximum_rows / train.height
    return train.filter(person_fraction(train["person_id"], seed + 1) < share)
