from datetime import date, datetime

import polars as pl
import pytest

from hrob_assets.risk.cohort.groups import group_rows
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.tables import COVERAGE, PERSONS

T = datetime(2024, 3, 2)
ROWS = pl.DataFrame(
    {"person_id": [7, 8], "encounter_id": [1, 2], "prediction_time": [T, T], "week": [0, 0]}
)


def persons(**changes: object):
    values = {
        "person_id": 7,
        "birth_date": date(1990, 5, 1),
        "gender": "female",
        "race": "Asian",
        "ethnicity": "Unknown",
        "death_at": None,
        "death_known_at": None,
    } | changes
    return pl.LazyFrame([values], schema=PERSONS.schema)


def coverage(*spans):
    """Spans as (start, payer, known, end, end known)."""
    rows = [
        {
            "person_id": 7,
            "started_at": start,
            "payer": payer,
            "known_at": known,
            "ended_at": end,
            "end_known_at": end_known,
        }
        for start, payer, known, end, end_known in spans
    ]
    return pl.LazyFrame(rows, schema=COVERAGE.schema)


def payers(*spans):
    found = group_rows(ROWS, groups=["payer"], persons=persons(), coverage=coverage(*spans))
    return found["payer"].to_list()


def test_rows_keep_their_order_and_columns_and_nobody_is_null():
    found = group_rows(ROWS, groups=["race", "gender"], persons=persons(), coverage=coverage())

    assert found.columns == [*ROWS.columns, "race", "gender"]
    assert found.rows()[0][-2:] == ("Asian", "female")
    assert found.rows()[1][-2:] == ("Unknown", "Unknown")


@pytest.mark.parametrize(
    ("born", "band"),
    [
        (date(2006, 3, 2), "18-24"),
        (date(2006, 3, 4), "under 18"),
        (date(1949, 1, 1), "75 and over"),
    ],
)
def test_age_is_that_of_the_prediction_time(born, band):
    found = group_rows(
        ROWS, groups=["age_band"], persons=persons(birth_date=born), coverage=coverage()
    )

    assert found["age_band"].to_list() == [band, "Unknown"]


def test_payer_is_that_of_the_span_that_started_last():
    old = (datetime(2023, 1, 1), "Commercial", datetime(2023, 1, 1), None, None)
    new = (datetime(2024, 1, 1), "Medicaid", datetime(2024, 1, 5), None, None)

    assert payers(new, old) == ["Medicaid", "Not covered"]


def test_a_span_that_becomes_known_later_is_not_seen():
    old = (datetime(2023, 1, 1), "Commercial", datetime(2023, 1, 1), None, None)
    new = (datetime(2024, 1, 1), "Medicaid", T, None, None)

    assert payers(new, old)[0] == "Commercial"


@pytest.mark.parametrize(
    ("end_known", "payer"),
    [(datetime(2024, 2, 2), "Not covered"), (T, "Medicaid"), (None, "Medicaid")],
)
def test_an_end_counts_from_when_it_is_known(end_known, payer):
    span = (datetime(2024, 1, 1), "Medicaid", datetime(2024, 1, 5), datetime(2024, 2, 1), end_known)

    assert payers(span)[0] == payer


@pytest.mark.parametrize(
    ("percentile", "fourth"),
    [(25.0, "1-25 (least deprived)"), (26.0, "26-50"), (100.0, "76-100 (most deprived)")],
)
def test_area_deprivation_is_a_fourth_of_the_percentile(percentile, fourth):
    features = ROWS.head(1).lazy().with_columns(area_deprivation__last_value_ever=percentile)

    found = group_rows(
        ROWS,
        groups=["area_deprivation"],
        persons=persons(),
        coverage=coverage(),
        features=features,
    )

    assert found["area_deprivation"].to_list() == [fourth, "Unknown"]


def test_a_group_whose_source_is_missing_is_refused():
    with pytest.raises(ContractError, match="must have the feature area_deprivation__last_value"):
        group_rows(ROWS, groups=["area_deprivation"], persons=persons(), coverage=coverage())


def test_an_unknown_group_names_the_nearest():
    with pytest.raises(ContractError, match="Did you mean 'payer'"):
        group_rows(ROWS, groups=["payr"], persons=persons(), coverage=coverage())
