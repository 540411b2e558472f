from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.monitoring.weekly_drift import (
    contributions_by_group,
    expected_if_calibrated,
    risk_shift,
    worklist_sizes,
)

START = datetime(2024, 1, 1)


def test_people_on_the_list_are_counted_once_and_against_capacity():
    scores = pl.DataFrame(
        {
            "week": [date(2024, 1, 1)] * 4,
            "person_id": [1, 1, 2, 3],
            "high_risk": [True, True, True, False],
        }
    )

    found = worklist_sizes(scores, reviews_per_week=1).row(0, named=True)

    assert (found["rows"], found["people"], found["over_capacity"]) == (4, 2, 1)


def test_the_expectation_is_labelled_and_sees_no_outcome():
    rows = pl.DataFrame(
        {"week": [date(2024, 1, 1)], "probability": [0.2], "high_risk": [True], "label": [True]}
    )

    found = expected_if_calibrated(rows)
    other = expected_if_calibrated(rows.with_columns(label=pl.lit(value=False)))

    assert found.equals(other)
    assert found["label"].to_list() == ["expected if still calibrated"]


def test_the_shift_of_the_mean_risk_adds_up_over_groups():
    rng = np.random.default_rng(4)
    before, now = rng.normal(size=(500, 3)), rng.normal(size=(400, 3)) + np.array((0.5, 0.0, -0.2))
    parts, names = zip(
        *(contributions_by_group(part, ["labs", "labs", "age"]) for part in (before, now)),
        strict=True,
    )

    found = risk_shift(*parts, names[0])

    assert found.total == pytest.approx(now.sum(axis=1).mean() - before.sum(axis=1).mean())
    assert sum(found.by_group.values()) == pytest.approx(found.total)
    assert found.sentence.startswith("The mean log odds rose by")
    assert "labs +" in found.sentence
