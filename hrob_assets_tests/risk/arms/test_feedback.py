from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from hrob_assets.risk.arms.feedback import (
    contamination,
    flag_feedback,
    in_silent_arm,
    learning_rows,
    readable_rows,
)
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.use_case import SilentArm

T = datetime(2024, 1, 1)
DAY = timedelta(days=1)
QUARTER = SilentArm(share=0.25, signed_off_by="Medical director")


def rows(size=4000, *, seed=1):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "person_id": np.arange(size),
            "prediction_time": T,
            "ripe_at": T + 90 * DAY,
            "high_risk": rng.random(size) < 0.3,
        }
    )


def test_a_row_is_contaminated_when_somebody_acted_before_its_outcome_could_be_seen():
    actions = pl.DataFrame(
        {
            "person_id": [0, 1, 2, 3],
            "reviewed_at": [T + DAY, T + 2 * DAY, T - DAY, None],
            "acted_at": [T + 3 * DAY, None, T - DAY, T + 91 * DAY],
        }
    )

    found = flag_feedback(rows(5), actions)

    assert found["contaminated"].to_list() == [True, False, False, False, False]
    assert found["reviewed_at"].to_list() == [T + DAY, T + 2 * DAY, None, None, None]
    assert flag_feedback(rows(5), None)["contaminated"].any() is False


def test_arms_are_stable_and_have_their_share():
    people = pl.Series(range(20_000))

    arm = in_silent_arm(people, QUARTER, salt="secret")

    assert abs(arm.mean() - 0.25) < 0.01
    assert in_silent_arm(people.reverse(), QUARTER, salt="secret").reverse().equals(arm)
    assert not in_silent_arm(people, QUARTER, salt="other").equals(arm)


def test_of_the_silent_arm_all_rows_are_read_and_of_nobody_else_any():
    marked = flag_feedback(rows(), None)

    found = readable_rows(marked, QUARTER, salt="s")

    silent = in_silent_arm(marked["person_id"], QUARTER, salt="s")
    assert found.drop("silent").equals(marked.filter(silent))
    assert 0 < found["high_risk"].sum() < found.height


def test_a_person_who_was_on_the_list_before_is_not_read_by_a_later_row_of_low_risk():
    """The model is true; on the half that was listed first, nurses halve the later risk, too."""
    rng = np.random.default_rng(3)
    size = 40_000
    first = rng.random(size) < 0.5
    silent = in_silent_arm(pl.Series(range(size)), QUARTER, salt="s").to_numpy()
    truth = np.where(first & ~silent, 0.1, 0.2)
    later = pl.DataFrame(
        {
            "person_id": np.arange(size),
            "prediction_time": T + 20 * DAY,
            "ripe_at": T + 110 * DAY,
            "high_risk": False,
            "probability": 0.2,
            "label": rng.random(size) < truth,
        }
    )

    read = readable_rows(flag_feedback(later, None), QUARTER, salt="s")

    assert read["label"].sum() / read["probability"].sum() == pytest.approx(1.0, abs=0.05)


def test_what_nurses_do_shows_as_over_prediction_unless_calibration_is_read_on_the_silent_arm():
    rng = np.random.default_rng(3)
    marked = flag_feedback(rows(40_000), None)
    silent = in_silent_arm(marked["person_id"], QUARTER, salt="s")
    p = np.where(marked["high_risk"], 0.4, 0.1)
    helped = marked["high_risk"].to_numpy() & ~silent.to_numpy()
    y = rng.random(p.size) < np.where(helped, p * 0.7, p)
    told = marked.with_columns(probability=p, label=y)

    read = readable_rows(told, QUARTER, salt="s")

    naive = told["label"].sum() / told["probability"].sum()
    honest = read["label"].sum() / read["probability"].sum()
    assert naive < 0.9
    assert honest == pytest.approx(1.0, abs=0.05)


def test_without_a_silent_arm_all_rows_are_read_and_the_contamination_is_told():
    actions = pl.DataFrame({"person_id": range(4000), "reviewed_at": T, "acted_at": T})
    found = readable_rows(flag_feedback(rows(), actions), SilentArm())

    assert found.height == 4000
    assert "acted on" in contamination(found, SilentArm())
    assert "of the silent arm" in contamination(found, QUARTER)
    assert (
        contamination(readable_rows(flag_feedback(rows(), None), SilentArm()), SilentArm()) is None
    )


def test_a_silent_arm_needs_a_signature_and_a_secret():
    with pytest.raises(ValidationError, match="must be signed off"):
        SilentArm(share=0.1)
    with pytest.raises(ContractError, match="must depend on a secret"):
        in_silent_arm(pl.Series([1]), QUARTER, salt="")


CHANGE = T + 100 * DAY
NOBODY = SilentArm()


def learnt(actions=None, *, arm=NOBODY, changed_since=CHANGE, accepted_by=None):
    frame = pl.concat(
        [rows().select("person_id").with_columns(prediction_time=pl.lit(T + n * DAY))
         for n in (0, 100, 130)]
    )  # fmt: skip
    found = learning_rows(
        frame,
        actions,
        arm=arm,
        salt="s",
        ripe_after_days=90,
        changed_since=changed_since,
        accepted_by=accepted_by,
    )
    return frame, found


def acted(day, persons=40):
    return pl.DataFrame(
        {"person_id": range(persons), "reviewed_at": None, "acted_at": T + day * DAY},
        schema_overrides={"reviewed_at": pl.Datetime("us")},
    )


def test_an_update_learns_since_the_change_from_persons_of_the_silent_arm_alone():
    frame, found = learnt(acted(101), arm=QUARTER)

    silent = in_silent_arm(frame["person_id"], QUARTER, salt="s")
    assert found.rows.equals(frame.filter((pl.col("prediction_time") < CHANGE) | silent))
    assert 0 < found.acted_on < 40


def test_an_update_from_rows_that_were_acted_on_needs_somebody_who_answers_for_it():
    with pytest.raises(ContractError, match=r"found 40 rows .* silent arm, .*hrob/accept_acted_on"):
        learnt(acted(101))

    frame, found = learnt(acted(101), accepted_by="Dr A. Example")
    assert found.rows.equals(frame)
    assert found.acted_on == 40


@pytest.mark.parametrize("actions", [None, acted(10), acted(95)])
def test_an_update_takes_all_rows_where_nobody_acted_since_the_change(actions):
    frame, found = learnt(actions)

    assert found.rows.equals(frame)


@pytest.mark.parametrize("arm", [NOBODY, QUARTER])
def test_a_training_keeps_all_rows_and_tells_how_many_were_acted_on(arm):
    frame, found = learnt(acted(131), arm=arm, changed_since=None)

    assert found.rows.equals(frame)
    assert found.acted_on == 80
