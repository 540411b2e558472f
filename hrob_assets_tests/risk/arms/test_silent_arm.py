from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

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


def test_an_arm_is_stable_and_has_its_share():
    people = pl.Series(range(20_000))

    arm = in_silent_arm(people, QUARTER, salt="secret")

    assert abs(arm.mean() - 0.25) < 0.01
    assert in_silent_arm(people.reverse(), QUARTER, salt="secret").reverse().equals(arm)
    assert not in_silent_arm(people, QUARTER, salt="other").equals(arm)


def test_all_rows_of_the_silent_arm_are_evaluable_and_no_other_row():
    marked = rows()

    found = evaluable_rows(marked, QUARTER, salt="s")

    silent = in_silent_arm(marked["person_id"], QUARTER, salt="s")
    assert found.drop("silent").equals(marked.filter(silent))
    assert 0 < found["high_risk"].sum() < found.height


def test_rows_of_low_risk_are_not_evaluable_outside_the_silent_arm():
    """Nurses halve the later risk of patients who were on an earlier worklist."""
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

    read = evaluable_rows(later, QUARTER, salt="s")

    assert read["label"].sum() / read["probability"].sum() == pytest.approx(1.0, abs=0.05)


def test_interventions_look_like_over_prediction_except_in_the_silent_arm():
    rng = np.random.default_rng(3)
    marked = rows(40_000)
    silent = in_silent_arm(marked["person_id"], QUARTER, salt="s")
    p = np.where(marked["high_risk"], 0.4, 0.1)
    helped = marked["high_risk"].to_numpy() & ~silent.to_numpy()
    y = rng.random(p.size) < np.where(helped, p * 0.7, p)
    all_rows = marked.with_columns(probability=p, label=y)

    read = evaluable_rows(all_rows, QUARTER, salt="s")

    naive = all_rows["label"].sum() / all_rows["probability"].sum()
    honest = read["label"].sum() / read["probability"].sum()
    assert naive < 0.9
    assert honest == pytest.approx(1.0, abs=0.05)


def test_a_silent_arm_needs_a_signature_and_a_secret():
    with pytest.raises(ValidationError, match="must be signed off"):
        SilentArm(share=0.1)
    with pytest.raises(ContractError, match="must depend on a secret"):
        in_silent_arm(pl.Series([1]), QUARTER, salt="")
