"""Where the trials of a search run: this process, or a program on Spark beside it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from pydantic import TypeAdapter

from hrob_assets.resources.environment import Spark
from hrob_assets.resources.spark.job import require_spark, run_on_spark
from hrob_assets.resources.spark.search_task import SearchTask, written_folds
from hrob_assets.resources.storage.trial_file import TrialFolder
from hrob_assets.risk.training import Fold, SearchEngine, SearchPlan, Trial, best_trial

_FOLDS = ".folds"


class SparkSearch:
    """Trials on Spark, so many at a time as the environment says.

    Parameters
    ----------
    context : AssetExecutionContext
    trials : TrialFolder
        The program keeps each trial here.
    spark : Spark
    """

    def __init__(
        self, context: dg.AssetExecutionContext, trials: TrialFolder, spark: Spark
    ) -> None:
        self._context = context
        self._trials = trials
        self._spark = spark

    @property
    def at_a_time(self) -> int:
        """Number of trials that run together."""
        return self._spark.trials_at_a_time

    def search(self, folds: Sequence[Fold], plan: SearchPlan, *, tag: str) -> tuple[Trial, ...]:
        """Search in the program as `hrob_assets.risk.training.search` does; read what it kept.

        Raises
        ------
        SparkJobError
            If Spark lost a trial; those that were drawn before it are kept.
        ContractError
            If all trials failed.
        """
        require_spark(self._spark)
        self._remove_left_folds()
        place = self._folds(tag)
        task = SearchTask(plan, self._trials.folder.absolute(), tag, place.absolute())
        with written_folds(folds, place):
            run_on_spark(
                self._context,
                self._spark,
                "search",
                TypeAdapter(SearchTask).dump_json(task).decode(),
            )
        _, trials = self._trials.start(tag, plan.earlier)
        best_trial(trials)
        return tuple(trials)

    def _folds(self, tag: str) -> Path:
        return self._trials.folder / f".{tag}{_FOLDS}"

    def _remove_left_folds(self) -> None:
        """Remove what a run left that was killed before its program took it."""
        for left in self._trials.folder.glob(f".*{_FOLDS}"):
            if self._trials.is_free(left.name.removeprefix(".").removesuffix(_FOLDS)):
                shutil.rmtree(left, ignore_errors=True)


def search_engine(
    context: dg.AssetExecutionContext, trials: TrialFolder, spark: Spark | None
) -> SearchEngine | None:
    """The engine of the environment; None, which is this process, where no Spark is given."""
    return None if spark is None else SparkSearch(context, trials, spark)
