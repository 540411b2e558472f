"""Trials of a search on Spark, with Hyperopt's `SparkTrials`.

Runs in the Spark program (`hrob_assets.resources.spark.program`) and on its executors, never in a
process of Dagster.
"""

import logging
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from pyspark import Broadcast
from pyspark.sql import SparkSession

from hrob_assets.resources.spark.job import SparkJobError
from hrob_assets.resources.spark.search_task import SearchTask, take_folds
from hrob_assets.resources.storage.trial_file import TrialFolder, trial_from
from hrob_assets.risk.models import Parameters
from hrob_assets.risk.training import Fold, SearchPlan, Trial, search, try_parameters

_PLACE = "place"


def search_on_spark(session: SparkSession, task: SearchTask) -> tuple[Trial, ...]:
    """Try hyperparameters on the executors and keep each trial, after those that are kept.

    Points are drawn here, `SearchPlan.at_a_time` together, so that the same seed gives the same
    trials whichever ends first. The folds are broadcast: executors read no file of ours.

    Parameters
    ----------
    session : SparkSession
        With a Spark context, so not of Spark Connect.
    task : SearchTask

    Returns
    -------
    tuple of Trial

    Raises
    ------
    SparkJobError
        If trials were lost with their executors; the next start goes on after those before them.
    ContractError
        If all trials failed.
    """
    trials = TrialFolder(task.trials)
    begun, done = trials.start(task.tag, task.plan.earlier)
    plan = replace(task.plan, earlier=tuple(begun))
    folds = session.sparkContext.broadcast(take_folds(task))
    try:
        return search(
            (),
            plan,
            log=trials,
            done=done,
            try_all=lambda points: _try_all(session, folds, points, plan),
        )
    finally:
        folds.destroy()


def _try_all(
    session: SparkSession,
    folds: Broadcast[list[Fold]],
    points: Sequence[Parameters],
    plan: SearchPlan,
) -> Iterator[Trial]:
    """Trials in the order of their points; one that is lost twice while others end has failed.

    Else a point that takes more memory than there is would end every start of the search.
    """
    found = _try_together(session, folds, points, plan)
    for point, trial in zip(points, found, strict=True):
        again = trial or _try_together(session, folds, [point], plan)[0]
        if again is None and not any(found):
            msg = (
                "trials must end on their executors (all that ran together were lost); look at "
                "the logs of the executors and start again, the trials before them are kept"
            )
            raise SparkJobError(msg)
        yield again or Trial(dict(point), None, (), failure="lost with its executor")


def _try_together(
    session: SparkSession,
    folds: Broadcast[list[Fold]],
    points: Sequence[Parameters],
    plan: SearchPlan,
) -> list[Trial | None]:
    """Hyperopt deals out the places of the points; each is one Spark task. None: it was lost."""
    from hyperopt import STATUS_FAIL, STATUS_OK, SparkTrials, fmin, hp  # noqa: PLC0415 - slow
    from hyperopt.exceptions import AllTrialsFailed  # noqa: PLC0415

    def attempt(point: dict[str, Any]) -> dict[str, Any]:
        os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # a forest would take all cores of the executor
        since = time.perf_counter()
        trial = try_parameters(folds.value, points[point[_PLACE]], plan)
        timed = replace(trial, seconds=round(time.perf_counter() - since, 3))
        status = STATUS_OK if trial.failure is None else STATUS_FAIL
        return {"status": status, "loss": trial.log_loss, "trial": asdict(timed)}

    logging.getLogger("hyperopt-spark").setLevel(logging.CRITICAL)  # it tells what errors say
    with warnings.catch_warnings(), suppress(AllTrialsFailed):  # of these; the search decides
        warnings.simplefilter("ignore")  # of its threads; an error there would stop them silently
        trials = SparkTrials(parallelism=len(points), spark_session=session)
        fmin(
            attempt,
            {_PLACE: hp.randint(_PLACE, len(points))},
            algo=_in_order,
            max_evals=len(points),
            max_queue_len=len(points),
            trials=trials,
            rstate=np.random.default_rng(0),
            verbose=False,
            show_progressbar=False,
            return_argmin=False,
        )
    documents = {each["tid"]: each for each in trials._dynamic_trials}  # noqa: SLF001 - all states
    told = [documents[number]["result"].get("trial") for number in range(len(points))]
    return [None if values is None else trial_from(values) for values in told]


def _in_order(new_ids: Sequence[int], domain: Any, trials: Any, _seed: int) -> list[dict[str, Any]]:
    """Hyperopt's algorithm that gives the next places."""
    places = [{_PLACE: [number]} for number in new_ids]
    miscs = [
        {"tid": n, "cmd": domain.cmd, "workdir": domain.workdir, "idxs": {_PLACE: [n]}, "vals": at}
        for n, at in zip(new_ids, places, strict=True)
    ]
    results = [domain.new_result() for _ in new_ids]
    return trials.new_trial_docs(new_ids, [None] * len(new_ids), results, miscs)
