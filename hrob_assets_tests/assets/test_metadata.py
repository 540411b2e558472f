import polars as pl
import pytest

from hrob_assets.assets.metadata import described, markdown_table
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
