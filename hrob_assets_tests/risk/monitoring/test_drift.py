from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2

from hrob_assets.risk.monitoring.drift import (
    DRIFT,
    DriftPeriods,
    code_changes,
    column_drift,
    delay_changes,
    index_by_chance,
    volumes,
)

START = datetime(2024, 1, 1)
PERIODS = DriftPeriods(
    (START, START + timedelta(days=300)), (START + timedelta(days=300), START + timedelta(days=330))
)


def test_the_point_by_chance_agrees_with_its_large_sample_form():
    counts = np.full(10, 1000)

    found = index_by_chance(counts, 5000, 1500, seed=1)

    assert found == pytest.approx(chi2.ppf(0.95, 9) * (1 / 5000 + 1 / 1500), rel=0.08)


@pytest.mark.parametrize("other", [0.0, 2.0])
def test_a_column_that_was_constant_and_is_not_any_more_has_drifted(other):
    before = pl.DataFrame({"person_id": np.arange(1000), "x": np.ones(1000)})
    now = before.with_columns(x=pl.when(pl.col("person_id") < 800).then(other).otherwise(1.0))

    found = column_drift(before, now, columns=["x"], kind="feature", seed=1).row(0, named=True)

    # by hand: (0.8 - 1e-4) ln(0.8 / 1e-4) + (0.2 - 1) ln(0.2 / 1)
    assert found["psi"] == pytest.approx(8.4763, abs=1e-3)
    assert found["drifted"] is True


def test_a_constant_that_stays_has_not_moved():
    rows = pl.DataFrame({"person_id": np.arange(1000), "x": np.ones(1000)})

    found = column_drift(rows, rows, columns=["x"], kind="feature", seed=1).row(0, named=True)

    assert (found["psi"], found["drifted"]) == (0.0, False)


def test_no_change_is_beyond_chance_as_often_as_declared_and_never_called_drift():
    rng = np.random.default_rng(1)
    frame = {f"x{n}": rng.normal(size=4000) for n in range(100)}
    rows = pl.DataFrame({"person_id": np.arange(4000), **frame})

    found = column_drift(rows[:3000], rows[3000:], columns=list(frame), kind="feature", seed=1)

    DRIFT.check(found)
    assert 1 <= (found["psi"] > found["psi_by_chance"]).sum() <= 12
    assert not found["drifted"].any()


def test_moved_values_missing_values_and_new_levels_are_drift():
    rng = np.random.default_rng(2)
    reference = pl.DataFrame(
        {
            "person_id": np.arange(2000),
            "moved": rng.normal(size=2000),
            "missing": rng.normal(size=2000),
            "payer": rng.choice(["Medicaid", "Medicare"], 2000),
            "same": rng.normal(size=2000),
        }
    )
    recent = pl.DataFrame(
        {
            "person_id": np.arange(800),
            "moved": rng.normal(0.6, 1, size=800),
            "missing": np.where(rng.random(800) < 0.4, None, rng.normal(size=800)).astype(float),
            "payer": rng.choice(["Medicaid", "Self-pay"], 800),
            "same": rng.normal(size=800),
        }
    ).with_columns(pl.col("missing").fill_nan(None))

    found = column_drift(reference, recent, columns=reference.columns[1:], kind="feature", seed=1)

    assert dict(found.select("column", "drifted").iter_rows()) == {
        "moved": True, "missing": True, "payer": True, "same": False,
    }  # fmt: skip
    assert found.filter(column="missing")["recent_missing"].item() == pytest.approx(0.4, abs=0.05)


def test_rows_of_the_same_person_do_not_count_as_many():
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(30), 40)
    rows = pl.DataFrame({"person_id": person, "x": np.repeat(rng.normal(size=30), 40)})

    found = column_drift(rows[:600], rows[600:], columns=["x"], kind="feature", seed=1)

    assert found["psi_by_chance"].item() > 1  # fifteen persons against fifteen say nothing


def test_few_persons_tell_nothing():
    rows = pl.DataFrame({"person_id": range(20), "x": range(20)})

    found = column_drift(rows[:15], rows[15:], columns=["x"], kind="feature", seed=1)

    assert found.select("psi", "drifted", "recent_missing").row(0) == (None, None, None)


def events(*codes):
    """Codes as (code, per day before, per day now)."""
    frames = []
    for code, before, now in codes:
        day = np.concatenate(
            [np.repeat(np.arange(300), before), np.repeat(np.arange(300, 330), now)]
        )
        frames.append(
            pl.DataFrame(
                {
                    "vocabulary": "ICD10CM",
                    "code": code,
                    "domain": "condition",
                    "known_at": [START + timedelta(days=int(d)) for d in day],
                }
            )
        )
    return pl.concat(frames)


def test_codes_that_came_and_went_are_named_and_rare_ones_are_not():
    rare = events(("Z99", 1, 0))[:20]  # 2 expected now: none is no surprise
    found = code_changes(
        pl.concat([events(("F329", 2, 0), ("F32A", 0, 2), ("I10", 3, 3)), rare]), PERIODS
    )

    assert found.select("code", "change").rows() == [("F32A", "new"), ("F329", "retired")]


def test_volumes_are_compared_with_the_rate_before():
    found = volumes(events(("I10", 3, 6)), PERIODS, by="domain").row(0, named=True)

    assert found["expected"] == pytest.approx(90)
    assert found["ratio"] == pytest.approx(2.0)


def test_a_longer_delay_is_seen():
    known = events(("I10", 2, 2)).select("known_at", kind=pl.lit("claim"))
    late = (pl.col("known_at") >= START + timedelta(days=300)).cast(pl.Int64) * 30
    delays = known.with_columns(started_at=pl.col("known_at") - pl.duration(days=10 + late))

    found = delay_changes(delays, PERIODS).row(0, named=True)

    assert (found["median_before"], found["median_now"]) == (10.0, 40.0)
