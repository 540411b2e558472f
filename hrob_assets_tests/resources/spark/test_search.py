"""On Spark a search has the trials of a search in this process."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hrob_assets.resources.spark.features import open_session
from hrob_assets.resources.spark.job import SparkJobError
from hrob_assets.resources.spark.search import _try_all, search_on_spark
from hrob_assets.resources.spark.search_task import SearchTask, take_folds, written_folds
from hrob_assets.resources.storage.trial_file import TrialFolder
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.training.tuning.plan import SearchPlan
from hrob_assets.risk.training.tuning.search import prepared_folds, search
from hrob_assets.risk.use_case import Tuning
from hrob_assets_tests import spark
from hrob_assets_tests.risk.models.test_base import DESIGN, rows

pytestmark = [pytest.mark.xdist_group("spark"), spark.SOCKETS]  # one session for all

TUNING = Tuning(trials=3, folds=2, maximum_rows=1000)
ALONE = SearchPlan("logistic_regression", TUNING, seed=4)
TOGETHER = replace(ALONE, at_a_time=2)


@pytest.fixture(scope="module")
def session():
    spark.require()
    found = open_session(spark.SPARK)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def folds():
    return prepared_folds(rows(800), design=DESIGN, family=ALONE.family, tuning=TUNING, seed=4)


def searched(session, folds, folder, plan):
    task = SearchTask(plan, trials=folder / "trials", tag="tag", folds=folder / "folds")
    with written_folds(folds, task.folds):
        found = search_on_spark(session, task)
        assert not task.folds.exists()  # no row of a person stays on the disk while trials run
    return found


@pytest.mark.parametrize("plan", [ALONE, TOGETHER])
def test_trials_are_those_of_this_process(session, folds, tmp_path, plan):
    found = searched(session, folds, tmp_path, plan)

    assert found == search(folds, plan)
    assert all(trial.seconds > 0 for trial in found)
    assert TrialFolder(tmp_path / "trials").start("tag", ())[1] == list(found)


def test_a_search_goes_on_from_the_trials_that_are_kept(session, folds, tmp_path):
    whole = search(folds, TOGETHER)
    kept = TrialFolder(tmp_path / "trials")
    kept.start("tag", ())
    for trial in whole[:1]:
        kept.add(replace(trial, seconds=99.0))

    found = searched(session, folds, tmp_path, TOGETHER)

    assert found == whole
    assert [trial.seconds == 99.0 for trial in found] == [True, False, False]


def test_a_trial_that_fails_is_recorded_with_the_kind_of_its_error(session, folds, tmp_path):
    plan = replace(
        TOGETHER,
        family="hist_gradient_boosting",
        tuning=replace(TUNING, trials=2),
        earlier=({"max_iter": 0}, {"max_iter": 5}),
    )

    first, second = searched(session, folds, tmp_path, plan)

    assert (first.failure, first.log_loss) == ("InvalidParameterError", None)
    assert (second.failure, second.parameters) == (None, {"max_iter": 5})


def test_a_search_in_which_all_trials_fail_is_an_error(session, folds, tmp_path):
    broken = [replace(fold, fit_matrix=np.full_like(fold.fit_matrix, np.nan)) for fold in folds]

    with pytest.raises(ContractError, match="3 that failed with ValueError"):
        searched(session, broken, tmp_path, TOGETHER)


class Dies:
    """A fold that ends the process of the executor that opens it, for some or all parameters."""

    def __init__(self, fold, *, only=None) -> None:
        self.fold, self.only = fold, only
        self.fit_outcome = fold.fit_outcome
        self.held_out_matrix, self.held_out_outcome = fold.held_out_matrix, fold.held_out_outcome

    @property
    def fit_matrix(self):
        """End, or go on."""
        if self.only is None or sys._getframe(1).f_locals["parameters"] == self.only:
            os._exit(1)
        return self.fold.fit_matrix


def tried(session, folds, points):
    return list(_try_all(session, session.sparkContext.broadcast(folds), points, TOGETHER))


def test_a_point_that_ends_its_executor_twice_is_a_failed_trial(session, folds):
    bad, good = {"inverse_penalty": 0.5}, {"inverse_penalty": 0.02}

    found = tried(session, [Dies(folds[0], only=bad), folds[1]], [good, bad])

    assert [trial.failure for trial in found] == [None, "lost with its executor"]
    assert [trial.parameters for trial in found] == [good, bad]


def test_trials_that_are_all_lost_are_an_error_not_failed_trials(session, folds):
    with pytest.raises(SparkJobError, match="all that ran together were lost"):
        tried(session, [Dies(folds[0])], [{"inverse_penalty": 0.02}, {"inverse_penalty": 0.5}])


def test_folds_come_back_as_they_were(folds, tmp_path):
    task = SearchTask(TOGETHER, trials=tmp_path, tag="tag", folds=tmp_path / "folds")
    with written_folds(folds, task.folds):
        found = take_folds(task)

    for before, after in zip(folds, found, strict=True):
        assert after.terms == before.terms
        for name in ("fit_matrix", "fit_outcome", "held_out_matrix", "held_out_outcome"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_folds_that_are_not_whole_are_refused(folds, tmp_path):
    task = SearchTask(TOGETHER, trials=tmp_path, tag="tag", folds=tmp_path / "folds")
    with (
        written_folds(folds[:1], task.folds),
        pytest.raises(ContractError, match="found 1 of 2"),
    ):
        take_folds(task)


def test_what_spark_writes_of_folds_is_encrypted(session, folds):
    held = session.sparkContext.broadcast(folds)

    written = Path(held._path).read_bytes()

    assert len(written) > 1000
    assert folds[0].fit_matrix[0].tobytes() not in written
    assert b"age__years" not in written
    held.destroy()
