"""Weekly files: the same bytes however the persons and the weeks are cut."""

from datetime import date, timedelta
from functools import partial

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets.components.catalogue import shared_catalogue
from hrob_assets.resources.sources.source_database import open_source
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.build.build import build_features
from hrob_assets.risk.features.build.weekly_files import (
    ROW_COLUMNS,
    write_week,
    write_weekly_features,
)
from hrob_assets.risk.sources.staging import stage
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.synthetic.world import WorldSpec, write_world

pytestmark = pytest.mark.xdist_group("weekly_files")  # one world for all

CATALOGUE, CODE_SETS = shared_catalogue(("high_risk_obstetrics", "oncology_ed_visit"))
WEEKS = [date(2024, 1, 1) + timedelta(weeks=number) for number in range(8)]
TABLES = ("persons", "coverage", "encounters", "events", "codes")


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(WorldSpec(seed=5, pregnancies=120, oncology_patients=60), folder / "world")
    open_source(str(folder / "world" / "omop")).snapshot(folder / "raw")
    stage(folder / "raw", folder / "staged", known_lag_days={}, threads=1)
    return {name: folder / "staged" / f"{name}.parquet" for name in TABLES}


write = partial(
    write_weekly_features, catalogue=CATALOGUE, code_sets=CODE_SETS, definition="d1", n_threads=1
)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_pass_over_all_weeks_and_a_pass_per_week_give_the_same_bytes(staged, tmp_path):
    write(WEEKS, staged=staged, folder=tmp_path / "years")
    for week in WEEKS:
        write([week], staged=staged, folder=tmp_path / "weeks")

    assert sorted(contents(tmp_path / "years")) == [f"{week}.parquet" for week in WEEKS]
    assert contents(tmp_path / "years") == contents(tmp_path / "weeks")


def test_neither_blocks_nor_threads_change_a_byte(staged, tmp_path):
    write(WEEKS, staged=staged, folder=tmp_path / "whole")
    write(WEEKS, staged=staged, folder=tmp_path / "cut", events_per_block=500, n_threads=3)

    assert contents(tmp_path / "whole") == contents(tmp_path / "cut")


def test_the_files_hold_the_features_of_each_encounter_once(staged, tmp_path):
    counts = write(WEEKS, staged=staged, folder=tmp_path)
    encounters = pl.read_parquet(staged["encounters"]).filter(pl.col("week").is_in(WEEKS))
    tables = {name: pl.read_parquet(staged[name]) for name in ("persons", "coverage", "events")}
    expected = build_features(
        encounters, **tables, catalogue=CATALOGUE, code_sets=CODE_SETS
    ).with_columns(encounters["week"], encounters["known_at"])

    found = pl.read_parquet(sorted(tmp_path.iterdir()))

    assert_frame_equal(found.sort(ROW_KEY), expected.sort(ROW_KEY), check_exact=True)
    assert counts["encounters"].to_list() == [
        encounters.filter(pl.col("week") == week).height for week in WEEKS
    ]


def test_a_week_without_encounters_is_an_empty_file_with_all_columns(staged, tmp_path):
    counts = write([date(2035, 1, 1)], staged=staged, folder=tmp_path)

    empty = pl.read_parquet(tmp_path / "2035-01-01.parquet")
    assert counts.row(0) == (date(2035, 1, 1), 0, 0)
    assert empty.height == 0
    assert set(empty.columns) == {*ROW_COLUMNS, *CATALOGUE.column_names}


def test_a_failure_leaves_the_files_as_they_were(staged, tmp_path):
    write(WEEKS[:1], staged=staged, folder=tmp_path / "features")
    before = contents(tmp_path / "features")
    nobody = tmp_path / "persons.parquet"
    pl.read_parquet(staged["persons"]).clear().write_parquet(nobody)

    with pytest.raises(ContractError, match="person must be in persons"):
        write(WEEKS, staged=staged | {"persons": nobody}, folder=tmp_path / "features")

    assert contents(tmp_path / "features") == before


def test_events_out_of_order_are_refused(staged, tmp_path):
    turned = tmp_path / "events.parquet"
    pl.read_parquet(staged["events"]).reverse().write_parquet(turned)

    with pytest.raises(ContractError, match="must be ordered by person_id"):
        write(WEEKS, staged=staged | {"events": turned}, folder=tmp_path / "features")


def test_rows_in_another_order_are_written_as_the_same_bytes(staged, tmp_path):
    write(WEEKS[:1], staged=staged, folder=tmp_path)
    path = tmp_path / f"{WEEKS[0]}.parquet"
    before = path.read_bytes()
    frame = pl.read_parquet(path)

    write_week(frame.reverse().select("week", pl.exclude("week")), path, definition="d1")

    assert path.read_bytes() == before
