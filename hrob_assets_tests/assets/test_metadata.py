import math

import polars as pl
import pytest

from hrob_assets.assets.metadata import described, markdown_table, plotted_counts, safe_calibration
from hrob_assets.risk.tables import PERSONS


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0"), (1, "<11"), (10, "<11"), (11, "11"), (12_345, "12,345")]
)
def test_counts_of_fewer_than_eleven_are_not_shown(count, shown):
    table = pl.DataFrame({"step": ["adult"], "persons": [count]})

    assert markdown_table(table).md_str.splitlines()[2] == f"| adult | {shown} |"


def test_what_is_said_of_a_table_is_its_contract():
    found = described(PERSONS.empty(), PERSONS)

    assert found["dagster/row_count"] == 0
    columns = {column.name: column for column in found["dagster/column_schema"].columns}
    assert list(columns) == list(PERSONS.schema)
    assert columns["death_at"].constraints.nullable
    assert not columns["birth_date"].constraints.nullable
    assert "Date of birth" in columns["birth_date"].description


@pytest.mark.parametrize(("rows", "shown"), [(0, {0}), (10, set()), (11, {11})])
def test_a_small_row_count_is_left_out(rows, shown):
    frame = pl.DataFrame({"person_id": range(rows)})

    assert {value for key, value in described(frame).items() if key == "dagster/row_count"} == shown


def test_small_weeks_are_gaps_in_a_plot():
    points = plotted_counts([40, 5, 0, 7, 60])

    assert [None if math.isnan(point) else point for point in points] == [40, None, 0, None, 60]


def test_observed_risk_of_a_bin_with_few_events_is_not_shown():
    table = pl.DataFrame(
        {
            "bin": [1, 2, 3],
            "rows": [100, 100, 100],
            "mean_predicted": [0.1, 0.2, 0.3],
            "observed": [0.03, 0.2, 0.4],
        }
    )

    found = safe_calibration(table)

    assert found["observed"].to_list() == [None, None, 0.4]
    assert markdown_table(found).md_str.splitlines()[2] == "| 1 | 100 | 0.1000 | suppressed |"
