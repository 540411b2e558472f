"""What a search of hyperparameters is: trials, folds and the plan that both engines follow."""

# Scikit-learn and Hyperopt have no types.
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.models import Parameters, family_of
from hrob_assets.risk.use_case import Tuning


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


def most_trials(plan: SearchPlan) -> int:
    """Trials of a search: one of a model type without hyperparameters."""
    return plan.tuning.trials if family_of(plan.family).SPACE else 1
