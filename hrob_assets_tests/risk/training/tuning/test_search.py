import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from hrob_assets.resources.storage.trial_file import TrialFolder
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.models.base import family_of
from hrob_assets.risk.training.tuning import search as tuning
from hrob_assets.risk.training.tuning.plan import SearchPlan, Trial, best_trial
from hrob_assets.risk.training.tuning.search import search, try_parameters, tune
from hrob_assets.risk.use_case import Tuning
from hrob_assets_tests.risk.models.test_base import DESIGN, rows

TUNING = Tuning(trials=8, folds=2, maximum_rows=1000)
FAMILY = "logistic_regression"


class Killed(BaseException):
    """The process ends here."""


def tuned(**changes: object):
    values = {"design": DESIGN, "family": FAMILY, "tuning": TUNING, "seed": 4, **changes}
    return tune(rows(800), **values)


def test_every_value_tried_lies_in_the_space():
    trials = tuned(family="hist_gradient_boosting", tuning=replace(TUNING, trials=5))

    space = family_of("hist_gradient_boosting").SPACE
    assert all(space[k].holds(v) for trial in trials for k, v in trial.parameters.items())


@pytest.mark.parametrize("killed_after", [1, 4, 7])
def test_a_search_that_was_killed_goes_on_to_the_same_best_trial(
    tmp_path, monkeypatch, killed_after
):
    whole = tuned()
    folder = TrialFolder(tmp_path)
    calls = []

    def dies(*arguments):
        calls.append(1)
        if len(calls) > killed_after:
            raise Killed
        return try_parameters(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(tuning, "try_parameters", dies)
        with pytest.raises(Killed):
            tuned(log=folder)

    (path,) = tmp_path.glob("*.jsonl")
    with path.open("a") as file:
        file.write('{"parameters": {"inverse_pen')  # it was killed while it wrote
    resumed = tuned(log=TrialFolder(tmp_path))

    assert resumed == whole
    assert best_trial(resumed) == best_trial(whole)


def test_a_search_that_ended_is_not_run_again(tmp_path, monkeypatch):
    first = tuned(log=TrialFolder(tmp_path))

    monkeypatch.setattr(tuning, "prepared_folds", None)

    assert tuned(log=TrialFolder(tmp_path)) == first


def test_another_seed_or_other_rows_are_another_search(tmp_path):
    for seed, frame in ((4, rows(800)), (5, rows(800)), (4, rows(800, seed=8))):
        tune(
            frame,
            design=DESIGN,
            family=FAMILY,
            tuning=replace(TUNING, trials=1),
            seed=seed,
            log=TrialFolder(tmp_path),
        )

    assert len(list(tmp_path.glob("*.jsonl"))) == 3


def test_earlier_best_parameters_are_tried_first_where_the_space_has_them():
    earlier = [{"inverse_penalty": 0.02}, {"inverse_penalty": 50.0}, {"depth": 3}]

    trials = tuned(earlier=earlier)

    assert [trial.origin for trial in trials] == ["earlier", *["search"] * 7]
    assert trials[0].parameters == {"inverse_penalty": 0.02}


def test_what_a_resumed_search_began_with_stays(tmp_path):
    begun = TrialFolder(tmp_path).start("tag", [{"inverse_penalty": 0.02}])
    resumed = TrialFolder(tmp_path).start("tag", [{"inverse_penalty": 0.9}])

    assert begun == resumed == ([{"inverse_penalty": 0.02}], [])


def broken(_fold, _family, parameters, _seed):
    if parameters["inverse_penalty"] < 0.01:
        msg = "of a person"
        raise ValueError(msg)
    return 0.3 - parameters["inverse_penalty"] / 100


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(monkeypatch):
    monkeypatch.setattr(tuning, "_fold_log_loss", broken)

    trials = search([object()], SearchPlan(FAMILY, TUNING, seed=1))

    failed = [trial for trial in trials if trial.failure is not None]
    assert 0 < len(failed) < len(trials) == 8
    assert {trial.failure for trial in failed} == {"ValueError"}
    assert all(trial.log_loss is None for trial in failed)
    assert best_trial(trials).log_loss is not None


def test_a_search_in_which_all_trials_fail_is_an_error_without_what_they_said(monkeypatch):
    def fails(*_):
        msg = "person 7"
        raise ValueError(msg)

    monkeypatch.setattr(tuning, "_fold_log_loss", fails)

    with pytest.raises(ContractError, match="8 that failed with ValueError") as raised:
        search([object()], SearchPlan(FAMILY, TUNING, seed=1))

    assert "person 7" not in str(raised.value)


def test_a_search_ends_early_when_nothing_better_comes(monkeypatch):
    losses = iter([0.5, 0.4, 0.41, 0.42, 0.43, 0.1])
    monkeypatch.setattr(tuning, "_fold_log_loss", lambda *_: next(losses))

    trials = search([object()], SearchPlan(FAMILY, replace(TUNING, patience=3), seed=1))

    assert [trial.log_loss for trial in trials] == [0.5, 0.4, 0.41, 0.42, 0.43]


class Together:
    """An engine in this process that keeps what it is asked, batch by batch."""

    at_a_time = 3

    def __init__(self, folder, killed_after=None) -> None:
        self.folder, self.killed_after, self.batches = TrialFolder(folder), killed_after, []

    def search(self, folds, plan, *, tag):
        """All trials, on from those that are kept."""
        begun, done = self.folder.start(tag, plan.earlier)
        return search(
            folds,
            replace(plan, earlier=tuple(begun)),
            log=self,
            done=done,
            try_all=lambda points: self._all(folds, points, plan),
        )

    def add(self, trial):
        """Keep a trial, or end before it is kept."""
        if self.killed_after == 0:
            raise Killed
        self.killed_after = None if self.killed_after is None else self.killed_after - 1
        return self.folder.add(trial)

    def _all(self, folds, points, plan):
        self.batches.append(len(points))
        return [try_parameters(folds, point, plan) for point in points]


def together(folder, killed_after=None, **changes: object):
    engine = Together(folder, killed_after)
    return tuned(log=engine.folder, engine=engine, **changes), engine.batches


def test_trials_that_run_together_do_not_know_of_one_another(tmp_path):
    alone = tuned()
    trials, batches = together(tmp_path)

    assert batches == [3, 3, 2]
    assert trials[:3] == alone[:3]  # the first ones are random in both
    assert trials != alone
    assert len({str(trial.parameters) for trial in trials}) == 8


@pytest.mark.parametrize("killed_after", [1, 2, 3, 5, 7])
def test_a_search_that_was_killed_among_trials_that_run_together_goes_on_to_the_same_end(
    tmp_path, killed_after
):
    whole, _ = together(tmp_path / "whole", earlier=[{"inverse_penalty": 0.02}])
    with pytest.raises(Killed):
        together(tmp_path / "killed", killed_after, earlier=[{"inverse_penalty": 0.02}])

    resumed, batches = together(tmp_path / "killed")

    assert resumed == whole
    assert sum(batches) == 8 - killed_after
    assert [trial.origin for trial in resumed] == ["earlier", *["search"] * 7]


def test_a_search_together_ends_early_between_its_batches_only(monkeypatch):
    losses = iter([0.4, 0.5, 0.6, 0.5, 0.1, 0.6, 0.5, 0.5, 0.5])
    monkeypatch.setattr(tuning, "_fold_log_loss", lambda *_: next(losses))
    plan = SearchPlan(FAMILY, replace(TUNING, trials=12, patience=3), seed=1, at_a_time=3)

    trials = search([object()], plan)

    assert len(trials) == 9  # after the fourth there were three without a better one already


def test_a_search_in_which_all_failed_begins_anew(tmp_path, monkeypatch):
    def fails(*_):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(tuning, "_fold_log_loss", fails)
        with pytest.raises(ContractError, match="MemoryError"):
            tuned(log=TrialFolder(tmp_path))

    assert tuned(log=TrialFolder(tmp_path)) == tuned()


def test_trials_of_other_code_are_not_those_of_this(tmp_path, monkeypatch):
    tuned(log=TrialFolder(tmp_path))
    monkeypatch.setattr(tuning, "_code", lambda: b"other")
    monkeypatch.setattr(tuning, "_fold_log_loss", lambda *_: 0.25)

    assert {trial.log_loss for trial in tuned(log=TrialFolder(tmp_path))} == {0.25}


def test_of_two_that_search_the_same_one_waits_and_finds_the_trials_done(tmp_path, monkeypatch):
    begun, fits = threading.Event(), []

    def slowly(*arguments):
        begun.set()
        fits.append(1)
        time.sleep(0.02)
        return try_parameters(*arguments)

    monkeypatch.setattr(tuning, "try_parameters", slowly)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(tuned, log=TrialFolder(tmp_path))
        assert begun.wait(20)
        second = pool.submit(tuned, log=TrialFolder(tmp_path))

        assert first.result(60) == second.result(60)

    assert len(fits) == 8


def test_a_loss_that_is_no_number_is_a_failed_trial(monkeypatch):
    losses = iter([0.5, np.nan, 0.4])
    monkeypatch.setattr(tuning, "_fold_log_loss", lambda *_: next(losses))

    trials = search([object()], SearchPlan(FAMILY, replace(TUNING, trials=3), seed=1))

    assert [trial.failure for trial in trials] == [None, "not a number", None]


def test_a_family_without_parameters_has_one_trial():
    trials = tuned(family="comorbidity_score")

    assert len(trials) == 1
    assert trials[0].parameters == {}


def test_the_first_of_equal_trials_is_the_best():
    trials = [Trial({"a": n}, 0.3, ()) for n in range(3)]

    assert best_trial(trials).parameters == {"a": 0}
