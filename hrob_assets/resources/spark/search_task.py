"""A search of hyperparameters that is handed to another process, with its folds as files."""

import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.training import Fold, SearchPlan

_ARRAYS = ("fit_matrix", "fit_outcome", "held_out_matrix", "held_out_outcome", "terms")


@dataclass(frozen=True)
class SearchTask:
    """What another process needs to go on with a search.

    Parameters
    ----------
    plan : SearchPlan
    trials : Path
        Folder of the trials, where those that are done are read and the others are kept.
    tag : str
        Name of the search there.
    folds : Path
        Folder from `written_folds`, to be taken by `take_folds`.
    """

    plan: SearchPlan
    trials: Path
    tag: str
    folds: Path


@contextmanager
def written_folds(folds: Sequence[Fold], folder: Path) -> Generator[None]:
    """Write folds for the other process; whatever happens there, they do not stay.

    They hold rows of persons, without their names.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        for number, fold in enumerate(folds):
            arrays = {name: np.asarray(getattr(fold, name)) for name in _ARRAYS}
            np.savez(folder / f"{number:03d}.npz", allow_pickle=False, **arrays)
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def take_folds(task: SearchTask) -> list[Fold]:
    """Read the folds of a task in their order, and remove the files.

    Raises
    ------
    ContractError
        If there are not as many as the search has folds.
    """
    paths, wanted = sorted(task.folds.glob("*.npz")), task.plan.tuning.folds
    if len(paths) != wanted:
        msg = (
            f"a search must have all its folds (found {len(paths)} of {wanted}); start it again, "
            "the trials that were kept stay"
        )
        raise ContractError(msg)
    folds: list[Fold] = []
    for path in paths:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _ARRAYS}
        folds.append(Fold(**{**arrays, "terms": tuple(arrays["terms"].tolist())}))
    shutil.rmtree(task.folds)
    return folds
