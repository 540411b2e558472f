"""On Spark a search has the trials of a search in this process."""

import os
from dataclasses import replace

import numpy as np
import pytest

from hrob_assets.resources.search_task import SearchTask, take_folds, written_folds
from hrob_assets.resources.spark_features import open_session
from hrob_assets.resources.spark_job import SparkJobError
from hrob_assets.resources.spark_search import _try_together, search_on_spark
from hrob_assets.resources.trial_file import TrialFolder
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.tuning import SearchPlan, prepared_folds, search
from hrob_assets.risk.use_case import Tuning
from hrob_assets_tests import spark
from hrob_assets_tests.risk.test_family import DESIGN, rows

pytestmark = pytest.mark.xdist_group("spark")  # one session for all

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
    """A fold that ends the process of the executor that opens it."""

    @property
    def fit_matrix(self):
        """End."""
        os._exit(1)


def test_a_trial_that_is_lost_with_its_executor_is_an_error_not_a_failed_trial(session):
    held = session.sparkContext.broadcast([Dies()])

    with pytest.raises(SparkJobError, match="one was lost"):
        _try_together(session, held, [{"inverse_penalty": 0.02}], ALONE)


def test_folds_come_back_as_they_were(folds, tmp_path):
    with written_folds(folds, tmp_path / "folds"):
        found = take_folds(tmp_path / "folds")

    for before, after in zip(folds, found, strict=True):
        assert after.terms == before.terms
        for name in ("fit_matrix", "fit_outcome", "held_out_matrix", "held_out_outcome"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
