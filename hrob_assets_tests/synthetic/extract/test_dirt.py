from datetime import datetime

import polars as pl
import pytest

from hrob_assets_tests.synthetic.conftest import KEYS

STARTS = {
    "visit_occurrence": "visit_start_datetime",
    "condition_occurrence": "condition_start_datetime",
    "procedure_occurrence": "procedure_datetime",
    "drug_exposure": "drug_exposure_start_datetime",
    "measurement": "measurement_datetime",
    "observation": "observation_datetime",
}
EXTRACT = datetime(2026, 1, 5)


@pytest.mark.parametrize("table", sorted(STARTS))
def test_one_to_two_percent_of_the_rows_are_faulty(world, table):
    faulty = world.truth["truth_dirty"].filter(pl.col("table") == table).height

    assert 0.008 < faulty / world.tables[table].height < 0.03


@pytest.mark.parametrize("table", sorted(STARTS))
def test_each_listed_fault_is_in_the_table(world, table):
    start = pl.col(STARTS[table])
    births = world.tables["person"].select("person_id", "birth_datetime").unique("person_id")
    rows = (
        world.truth["truth_dirty"]
        .filter(pl.col("table") == table)
        .join(world.tables[table], left_on="row_id", right_on=KEYS[table])
        .join(births, on="person_id", how="left")
    )
    signs = {
        "before_birth": start < pl.col("birth_datetime"),
        "after_extract": start > EXTRACT,
        "unknown_person": pl.col("person_id") > 9_000_000_000,
        "missing_date": start.is_null(),
        "known_before_occurred": pl.col("known_at") < start,
    }

    for fault, sign in signs.items():
        found = rows.filter(pl.col("fault") == fault)
        assert found.height > 0, fault
        assert found.select(sign.all()).item(), fault


def test_duplicate_keys_repeat_a_whole_row(world):
    frame = world.tables["measurement"]
    keys = world.truth["truth_dirty"].filter(
        (pl.col("table") == "measurement") & (pl.col("fault") == "duplicate_key")
    )["row_id"]

    twice = frame.filter(pl.col("measurement_id").is_in(keys.implode()))

    assert twice.height == 2 * len(keys)
    assert twice.unique().height == len(keys)


def test_no_other_key_is_repeated(world):
    frame = world.tables["visit_occurrence"]
    listed = world.truth["truth_dirty"].filter(
        (pl.col("table") == "visit_occurrence") & (pl.col("fault") == "duplicate_key")
    )["row_id"]

    repeated = frame.filter(pl.col("visit_occurrence_id").is_duplicated())

    assert set(repeated["visit_occurrence_id"]) == set(listed)
