from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.arms.interventions import (
    flag_interventions,
    intervention_caution,
    learning_rows,
)
from hrob_assets.risk.arms.silent_arm import evaluable_rows, in_silent_arm
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


def test_a_row_was_acted_on_if_the_action_came_before_its_outcome_was_mature():
    actions = pl.DataFrame(
        {
            "person_id": [0, 1, 2, 3],
            "reviewed_at": [T + DAY, T + 2 * DAY, T - DAY, None],
            "acted_at": [T + 3 * DAY, None, T - DAY, T + 91 * DAY],
        }
    )

    found = flag_interventions(rows(5), actions)

    assert found["acted_on"].to_list() == [True, False, False, False, False]
    assert found["reviewed_at"].to_list() == [T + DAY, T + 2 * DAY, None, None, None]
    assert flag_interventions(rows(5), None)["acted_on"].any() is False


def test_without_a_silent_arm_all_rows_are_evaluable_with_a_caution():
    actions = pl.DataFrame({"person_id": range(4000), "reviewed_at": T, "acted_at": T})
    found = evaluable_rows(flag_interventions(rows(), actions), SilentArm())

    assert found.height == 4000
    assert "acted on" in intervention_caution(found, SilentArm())
    assert "of the silent arm" in intervention_caution(found, QUARTER)
    untouched = flag_interventions(rows(), None)
    assert intervention_caution(untouched, SilentArm()) is None


CHANGE = T + 100 * DAY
NOBODY = SilentArm()


def learned(actions=None, *, arm=NOBODY, changed_since=CHANGE, accepted_by=None):
    frame = pl.concat(
        [rows().select("person_id").with_columns(prediction_time=pl.lit(T + n * DAY))
         for n in (0, 100, 130)]
    )  # fmt: skip
    found = learning_rows(
        frame,
        actions,
        arm=arm,
        salt="s",
        mature_after_days=90,
        changed_since=changed_since,
        accepted_by=accepted_by,
    )
    return frame, found


def acted(day, persons=40):
    return pl.DataFrame(
        {"person_id": range(persons), "reviewed_at": None, "acted_at": T + day * DAY},
        schema_overrides={"reviewed_at": pl.Datetime("us")},
    )


def test_an_update_learns_since_the_change_only_from_patients_of_the_silent_arm():
    frame, found = learned(acted(101), arm=QUARTER)

    silent = in_silent_arm(frame["person_id"], QUARTER, salt="s")
    assert found.rows.equals(frame.filter((pl.col("prediction_time") < CHANGE) | silent))
    assert 0 < found.acted_on < 40


def test_an_update_from_rows_that_were_acted_on_needs_somebody_responsible():
    with pytest.raises(ContractError, match=r"found 40 rows .* silent arm, .*hrob/accept_acted_on"):
        learned(acted(101))

    frame, found = learned(acted(101), accepted_by="Dr A. Example")
    assert found.rows.equals(frame)
    assert found.acted_on == 40


@pytest.mark.parametrize("actions", [None, acted(10), acted(95)])
def test_an_update_takes_all_rows_where_nobody_acted_since_the_change(actions):
    frame, found = learned(actions)

    assert found.rows.equals(frame)


@pytest.mark.parametrize("arm", [NOBODY, QUARTER])
def test_a_training_keeps_all_rows_and_counts_those_that_were_acted_on(arm):
    frame, found = learned(acted(131), arm=arm, changed_since=None)

    assert found.rows.equals(frame)
    assert found.acted_on == 80
