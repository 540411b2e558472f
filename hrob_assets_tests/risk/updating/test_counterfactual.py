from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.reporting.pages.replay import replay_page
from hrob_assets.risk.updating.counterfactual import NEVER, UPDATED, LivedMonday, compare_histories

START = date(2024, 1, 1)
WEEKS, PER_WEEK, CHANGE = 40, 50, 15


def rows(*, updated=True):
    """The risk doubles in week 15; from week 20 on an updated version knows it."""
    rng = np.random.default_rng(1)
    week = np.arange(WEEKS * PER_WEEK) // PER_WEEK
    truth = np.where(week < CHANGE, 0.2, 0.4)
    knows = updated & (week >= CHANGE + 5)
    return pl.DataFrame(
        {
            "person_id": np.arange(week.size),
            "ripe_week": [START + timedelta(weeks=int(number)) for number in week],
            "label": rng.random(week.size) < truth,
            "high_risk": False,
            "model_version": np.where(knows, "2", "1"),
            "probability": np.where(knows, 0.4, 0.2),
            "never_updated": 0.2,
            "never_updated_high_risk": False,
        }
    )


MONDAYS = (
    LivedMonday(START, "1"),
    LivedMonday(
        START + timedelta(weeks=18), "1", ("everybody: under-prediction",), "intercept", "2"
    ),
)


def compared(**changes: bool):
    return compare_histories(rows(**changes), use_case="falls", mondays=MONDAYS)


def test_the_updated_history_comes_back_to_one_and_the_other_does_not():
    last = compared().calibration.filter(pl.col("week") == START + timedelta(weeks=WEEKS - 1))

    ratio = dict(last.select("history", "observed_expected").iter_rows())
    assert ratio[UPDATED] == pytest.approx(1.0, abs=0.1)
    assert ratio[NEVER] == pytest.approx(2.0, abs=0.2)


def test_each_history_has_the_high_risk_rows_of_its_own_threshold():
    told = rows().with_columns(high_risk=pl.col("label"), never_updated_high_risk=~pl.col("label"))

    found = compare_histories(told, use_case="falls", mondays=MONDAYS).calibration
    last = found.filter(pl.col("week") == found["week"].max())

    ppv = dict(last.select("history", "positive_predictive_value").iter_rows())
    assert ppv == {UPDATED: 1.0, NEVER: 0.0}


def test_what_the_updates_saved_is_beyond_chance():
    saved = compared().log_loss_difference

    assert saved.low > 0


def test_without_an_update_nothing_is_compared():
    assert compared(updated=False).log_loss_difference is None


def test_the_page_tells_what_happened_on_which_monday():
    page = replay_page(compared(), title="Falls", world="A small world", drift="Planted: x2")

    assert "everybody: under-prediction" in page
    assert "version 2" in page
    assert "Planted: x2" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_page_of_a_quiet_replay_says_so():
    quiet = compare_histories(rows(updated=False), use_case="falls", mondays=MONDAYS[:1])

    page = replay_page(quiet, title="Falls", world="A small world", drift="")

    assert "On no Monday was there an alarm" in page
    assert "none was asked for" in page
