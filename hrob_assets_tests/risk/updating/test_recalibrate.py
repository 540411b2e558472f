"""The smallest update that is enough, in worlds whose change is known."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.evaluation.differences import paired_mean_difference
from hrob_assets.risk.evaluation.measures import Draw
from hrob_assets.risk.models.recalibration import Recalibration
from hrob_assets.risk.statistics import row_log_loss
from hrob_assets.risk.training.model import CrossFit
from hrob_assets.risk.training.predict import judged_probability, judged_rows, predict
from hrob_assets.risk.training.update_split import judges
from hrob_assets.risk.updating.closed_test import fit_update
from hrob_assets.risk.updating.recalibrate import (
    combined,
    independent_rows,
    recalibrate_fit,
    update_champion,
)
from hrob_assets.risk.use_case import Threshold
from hrob_assets_tests.example import fitted

COLUMNS = ("a__last_value_ever", "b__last_value_ever")
GROUPS = {"a__last_value_ever": "labs", "b__last_value_ever": "vitals"}
CHANGE = datetime(2024, 1, 1)
THRESHOLD = Threshold(capacity_share=0.1, decimals=3)
SEED = 7


def champion():
    """Log-odds ``-1.5 + 0.8 a + 0.8 b``."""
    return fitted(COLUMNS, [0.8, 0.8], intercept=-1.5, threshold=0.4)


def rows(*, shift=0.0, a=0.8, b=0.8, persons=4000, seed=3):
    """One row per person within 20 weeks after the change; splits by person."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, persons))
    day = rng.integers(0, 140, persons)
    truth = -1.5 + shift + a * x + b * z
    moment = [CHANGE + timedelta(days=int(d)) for d in day]
    return pl.DataFrame(
        {
            "person_id": np.arange(persons),
            "encounter_id": np.arange(persons),
            "prediction_time": pl.Series(moment, dtype=pl.Datetime("us")),
            "week": [m.date() - timedelta(days=m.weekday()) for m in moment],
            "split": splits(np.arange(persons)),
            "eligible": True,
            "label": rng.random(persons) < 1 / (1 + np.exp(-truth)),
            "a__last_value_ever": x.astype(np.float32),
            "b__last_value_ever": z.astype(np.float32),
        }
    )


def splits(person):
    """Of persons: a quarter set the threshold; of the others those judge whom the hash chooses."""
    judge = judges(pl.Series(person), seed=SEED)
    return np.where(person % 4 == 0, "validation", np.where(judge, "test", "train"))


def update(frame, model=None, *, sudden_weeks=4):
    return update_champion(
        frame,
        model or champion(),
        changed_since=CHANGE,
        horizon_days=60,
        group_of_column=GROUPS,
        threshold=THRESHOLD,
        sudden_weeks=sudden_weeks,
        seed=SEED,
    )


def test_a_world_that_has_not_changed_asks_for_nothing():
    found = update(rows())

    assert found.choice.update == "none"
    assert found.challenger is None


def test_a_shift_of_the_base_rate_asks_for_another_intercept_and_gets_it():
    found = update(rows(shift=0.5))

    assert found.choice.update == "intercept"
    assert found.challenger.recalibration.slope == 1.0
    assert found.challenger.recalibration.intercept == pytest.approx(0.5, abs=0.2)
    assert found.pace.kind == "sudden"


@pytest.mark.parametrize("sudden_weeks", [1, 2, 3, 4])
def test_an_update_in_the_third_week_after_a_change_is_made_without_a_pace(sudden_weeks):
    soon = rows(shift=0.5).filter(pl.col("prediction_time") < CHANGE + timedelta(weeks=3))

    assert update(soon, sudden_weeks=sudden_weeks).pace is None


def test_a_change_of_the_weights_asks_for_a_new_fit():
    found = update(rows(a=1.6, b=0.0))

    assert found.choice.update == "refit"
    assert found.challenger is None


def test_labels_before_the_change_have_no_part_in_it():
    frame = rows(shift=0.5)
    before = frame.with_columns(
        pl.col("prediction_time") - pl.duration(days=400),
        pl.col("person_id") + 10_000,
        pl.col("encounter_id") + 10_000,
        ~pl.col("label"),
        split=pl.lit("train"),
    )

    expected, found = update(frame), update(pl.concat([frame, before]))

    assert found.challenger.recalibration == expected.challenger.recalibration
    assert found.challenger.cross_fit == expected.challenger.cross_fit
    assert found.challenger.threshold == expected.challenger.threshold


def flipped(frame, *splits_to_flip):
    """The frame with more outcomes in some splits; few, so that the same update is chosen."""
    flip = pl.col("split").is_in(splits_to_flip) & (pl.col("person_id") % 50 == 1)
    return frame.with_columns(label=pl.col("label") | flip)


def test_nobody_is_judged_by_a_fit_on_his_own_outcome():
    frame = rows(shift=0.5)
    changed = {name: update(flipped(frame, name)).challenger for name in ("train", "test")}
    challenger = update(frame).challenger
    judged = judged_rows(challenger, frame)
    assert set(judged["split"]) == {"train", "test"}

    for name, other in changed.items():
        own = (judged["split"] == name).to_numpy()
        same = judged_probability(other, judged) == judged_probability(challenger, judged)
        assert same[own].all()
        assert not same[~own].any()
        assert other.recalibration != challenger.recalibration  # it is fitted on both


def test_what_scores_people_is_fitted_on_all_who_judge():
    frame = rows(shift=0.5)

    found = update(frame).challenger

    judged = judged_rows(found, frame)
    assert predict(found, judged).mean() == pytest.approx(judged["label"].mean(), abs=1e-6)
    assert judged_probability(found, judged).mean() == pytest.approx(
        judged["label"].mean(), abs=0.02
    )


def test_the_choice_of_the_update_is_made_without_the_test_split():
    frame = rows(shift=0.5)
    extreme = frame.with_columns(label=pl.col("label") | (pl.col("split") == "test"))

    with pytest.raises(TooSmallError, match="an update needs 10"):
        update(extreme)  # chosen by the others, it cannot be fitted on rows that all have it


def gain(model, frame, *, seed):
    """Improvement in log loss with its interval, as the gate takes it."""
    judged = judged_rows(model, frame)
    outcome = judged["label"].to_numpy().astype(np.int8)
    both = (predict(champion(), judged), judged_probability(model, judged))
    first, second = (row_log_loss(p, outcome) for p in both)
    return paired_mean_difference(
        judged["person_id"].to_numpy(), outcome, first, second, draw=Draw(seed=seed)
    )


def recalibrated(frame):
    """An intercept update whether it is asked for or not, with its cross-fit."""
    judged = frame.filter(pl.col("split") != "validation")
    said = predict(champion(), judged)
    judge = judges(judged["person_id"], seed=SEED)
    of_judges, of_others = (
        fit_update("intercept", said[part], judged["label"].to_numpy()[part])
        for part in (~judge, judge)
    )
    cross = CrossFit(CHANGE.isoformat(), SEED, of_judges, of_others)
    return replace(champion(), cross_fit=cross)


def test_an_update_that_nothing_asks_for_is_found_better_no_more_often_than_declared():
    worlds = [rows(persons=1200, seed=seed) for seed in range(100)]

    better = [gain(recalibrated(frame), frame, seed=1).low > 0 for frame in worlds]

    assert sum(better) <= 5  # of 100 at 2.5 %; more would be chance in 4 of 100


def test_a_cross_fit_finds_a_real_gain_with_fewer_people():
    worlds = [rows(shift=0.45, persons=1200, seed=seed) for seed in range(40)]

    crossed = [gain(recalibrated(frame), frame, seed=1).low > 0 for frame in worlds]
    judged_by_some = []
    for frame in worlds:
        model = recalibrated(frame)
        some = frame.filter(pl.col("split") == "test")
        judged_by_some.append(gain(model, some, seed=1).low > 0)

    assert sum(crossed) > 1.4 * sum(judged_by_some)


def test_the_threshold_is_that_of_the_validation_rows_after_the_update():
    frame = rows(shift=0.5)

    challenger = update(frame).challenger

    validation = frame.filter(pl.col("split") == "validation")
    share = (predict(challenger, validation) >= challenger.threshold).mean()
    assert share == pytest.approx(0.1, abs=0.005)


def test_an_update_of_an_updated_model_is_exact():
    frame, once = rows(shift=0.5), update(rows(shift=0.5)).challenger

    again = update(frame, once)

    assert again.choice.update == "none"


def test_a_new_fit_is_brought_to_the_level_after_the_change():
    frame = rows(shift=0.7)

    found = recalibrate_fit(champion(), frame, horizon_days=60, threshold=THRESHOLD)

    validation = frame.filter(pl.col("split") == "validation")
    assert predict(found, validation).mean() == pytest.approx(validation["label"].mean(), abs=1e-6)


def test_too_few_events_are_told():
    with pytest.raises(TooSmallError, match="wait for more outcomes"):
        update(rows(persons=80))


def test_two_recalibrations_are_one():
    p = np.array([0.1, 0.5, 0.9])
    first, then = Recalibration(0.3, 0.8), Recalibration(-0.2, 1.4)

    np.testing.assert_allclose(combined(first, then).applied(p), then.applied(first.applied(p)))


def test_a_person_counts_once_per_horizon():
    days = [0, 59, 60, 61, 119, 120]
    frame = pl.DataFrame(
        {
            "person_id": [1] * 6,
            "encounter_id": list(range(6)),
            "prediction_time": [CHANGE + timedelta(days=d) for d in days],
        }
    )

    assert independent_rows(frame, horizon_days=60)["encounter_id"].to_list() == [0, 2, 5]
