from datetime import datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets.risk.cohort.eligibility import attrition, select_cohort
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.use_case import Criterion

CRITERIA = (
    Criterion(name="adult", feature="age__years", at_least=18),
    Criterion(name="not old", feature="age__years", below=55),
    Criterion(name="enrolled", feature="coverage__enrolled", at_least=1),
)


def rows(*persons):
    """Rows as (person, age, enrolled)."""
    return pl.DataFrame(
        [
            (person, number, datetime(2024, 3, 5), datetime(2024, 3, 4).date(), age, enrolled)
            for number, (person, age, enrolled) in enumerate(persons)
        ],
        schema={
            "person_id": pl.Int64,
            "encounter_id": pl.Int64,
            "prediction_time": pl.Datetime("us"),
            "week": pl.Date,
            "age__years": pl.Float32,
            "coverage__enrolled": pl.Float32,
        },
        orient="row",
    )


@pytest.mark.parametrize(
    ("age", "enrolled", "first_unmet"),
    [
        (18, 1, None),
        (17.99, 1, "adult"),
        (54.99, 1, None),
        (55, 1, "not old"),
        (30, 0, "enrolled"),
        (60, 0, "not old"),
        (None, 1, "adult"),
        (30, None, "enrolled"),
    ],
)
def test_the_first_criterion_that_is_not_met_is_named(age, enrolled, first_unmet):
    found = select_cohort(rows((7, age, enrolled)), CRITERIA)

    assert found.select("eligible", "first_unmet").row(0) == (first_unmet is None, first_unmet)


def test_rows_stay_in_their_order_and_number():
    given = rows((3, 10, 1), (1, 30, 1), (2, 80, 0), (1, 31, 1))

    found = select_cohort(given, CRITERIA)

    assert_frame_equal(found.drop("eligible", "first_unmet"), given.select(given.columns[:4]))
    assert found["eligible"].to_list() == [False, True, False, True]


def test_no_rows_give_an_empty_cohort_with_the_same_columns():
    found = select_cohort(rows(), CRITERIA)

    assert found.schema == select_cohort(rows((1, 30, 1)), CRITERIA).schema
    assert found.is_empty()


def test_a_criterion_that_names_an_unknown_feature_is_refused_with_the_nearest_one():
    wrong = (Criterion(name="adult", feature="age__year", at_least=18),)

    with pytest.raises(ConfigurationError, match=r"'adult' must name a feature .*'age__years'"):
        select_cohort(rows((7, 30, 1)), wrong)


def test_attrition_counts_what_remains_after_each_criterion():
    cohort = select_cohort(rows((1, 30, 1), (1, 31, 0), (2, 10, 1), (3, 90, 1)), CRITERIA)

    assert attrition(cohort, CRITERIA).rows() == [
        ("all encounters", 4, 3),
        ("adult", 3, 2),
        ("not old", 2, 1),
        ("enrolled", 1, 1),
    ]


def test_attrition_ends_with_the_eligible_rows():
    cohort = select_cohort(rows(*((n, n, n % 2) for n in range(80))), CRITERIA)

    assert attrition(cohort, CRITERIA)["encounters"][-1] == cohort["eligible"].sum() == 18
