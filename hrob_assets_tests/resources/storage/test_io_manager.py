import os
from datetime import date

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets.resources.storage.io_manager import (
    ParquetIOManager,
    Storage,
    refuse,
    withdraw_refusal,
)
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.files.parquet import DEFINITION, write_parquet

WEEKLY = dg.WeeklyPartitionsDefinition("2024-03-04", day_offset=1, fmt="%Y-%m-%d")
FIRST, SECOND, THIRD = "2024-03-04", "2024-03-11", "2024-03-18"
ROWS = pl.DataFrame(
    {"week": [date(2024, 3, 4), date(2024, 3, 18), date(2024, 3, 4)], "person_id": [1, 2, 3]}
)


def weekly_asset(frame):
    @dg.asset(partitions_def=WEEKLY, backfill_policy=dg.BackfillPolicy.single_run())
    def weekly():
        return frame

    return weekly


@dg.asset(partitions_def=WEEKLY, backfill_policy=dg.BackfillPolicy.single_run())
def doubled(weekly: pl.LazyFrame):
    return weekly.with_columns(pl.col("person_id") * 2)


@dg.asset
def everything(weekly: pl.LazyFrame):
    return weekly.sort("person_id")


def materialise(root, assets, *, weeks=None, selection=None):
    tags = {}
    if weeks:
        tags = {
            "dagster/asset_partition_range_start": weeks[0],
            "dagster/asset_partition_range_end": weeks[1],
        }
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            assets,
            instance=instance,
            resources={"io_manager": ParquetIOManager(root)},
            tags=tags,
            selection=selection,
        )


def files(root, asset="weekly"):
    return sorted(path.name for path in (root / "assets" / asset).iterdir())


def test_one_run_of_several_weeks_writes_one_file_a_week_also_for_an_empty_week(tmp_path):
    materialise(tmp_path, [weekly_asset(ROWS)], weeks=(FIRST, THIRD))

    assert files(tmp_path) == [f"{week}.parquet" for week in (FIRST, SECOND, THIRD)]
    folder = tmp_path / "assets" / "weekly"
    assert pl.read_parquet(folder / f"{FIRST}.parquet")["person_id"].to_list() == [1, 3]
    assert_frame_equal(pl.read_parquet(folder / f"{SECOND}.parquet"), ROWS.clear())
    assert pl.read_parquet(folder / f"{THIRD}.parquet")["person_id"].to_list() == [2]


def test_a_lazy_frame_is_written_like_a_frame(tmp_path):
    materialise(tmp_path, [weekly_asset(ROWS.lazy())], weeks=(FIRST, THIRD))

    assert len(files(tmp_path)) == 3


def test_a_week_that_is_made_again_replaces_only_its_own_file(tmp_path):
    materialise(tmp_path, [weekly_asset(ROWS)], weeks=(FIRST, THIRD))
    materialise(tmp_path, [weekly_asset(ROWS.clear())], weeks=(THIRD, THIRD))

    stored = pl.read_parquet(tmp_path / "assets" / "weekly")
    assert sorted(stored["person_id"]) == [1, 3]


def test_rows_of_a_foreign_week_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ContractError, match=r"rows of its own weeks only .found 1 rows of other"):
        materialise(tmp_path, [weekly_asset(ROWS)], weeks=(FIRST, SECOND))

    assert not (tmp_path / "assets").exists()


def test_a_weekly_asset_without_the_week_is_refused(tmp_path):
    with pytest.raises(ContractError, match="must return the column 'week'"):
        materialise(tmp_path, [weekly_asset(ROWS.drop("week"))], weeks=(FIRST, THIRD))


def test_weeks_pass_from_asset_to_asset(tmp_path):
    materialise(tmp_path, [weekly_asset(ROWS), doubled], weeks=(FIRST, THIRD))

    assert sorted(pl.read_parquet(tmp_path / "assets" / "doubled")["person_id"]) == [2, 4, 6]


def test_an_asset_of_all_weeks_takes_the_weeks_that_exist(tmp_path):
    source = weekly_asset(ROWS)
    materialise(tmp_path, [source], weeks=(FIRST, THIRD))
    (tmp_path / "assets" / "weekly" / f"{SECOND}.parquet").unlink()

    materialise(tmp_path, [source, everything], selection=[everything])

    stored = pl.read_parquet(tmp_path / "assets" / "everything.parquet")
    assert stored["person_id"].to_list() == [1, 2, 3]


def test_a_week_that_was_never_made_is_not_taken_for_an_empty_one(tmp_path):
    source = weekly_asset(ROWS)
    materialise(tmp_path, [source], weeks=(FIRST, THIRD))
    (tmp_path / "assets" / "weekly" / f"{SECOND}.parquet").unlink()

    with pytest.raises(ContractError, match=r"weekly must have all 3 weeks .* 2024-03-11"):
        materialise(tmp_path, [source, doubled], weeks=(FIRST, THIRD), selection=[doubled])

    assert not (tmp_path / "assets" / "doubled").exists()


@pytest.mark.parametrize("downstream", [doubled, everything])
def test_an_asset_that_was_never_made_is_a_clear_error(tmp_path, downstream):
    weeks = (FIRST, THIRD) if downstream is doubled else None

    with pytest.raises(ContractError, match=r"weekly must have .* materialise"):
        materialise(tmp_path, [weekly_asset(ROWS), downstream], weeks=weeks, selection=[downstream])


def test_an_unpartitioned_asset_that_was_never_made_is_a_clear_error(tmp_path):
    @dg.asset
    def after(everything: pl.LazyFrame):
        return everything

    with pytest.raises(ContractError, match=r"everything\.parquet must have been materialised"):
        materialise(
            tmp_path,
            [weekly_asset(ROWS), everything, after],
            selection=[after],
        )


def written(tmp_path):
    path = tmp_path / "table.parquet"
    write_parquet(pl.DataFrame({"a": [1]}), path)
    return path


def test_a_write_that_is_cut_short_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = written(tmp_path)

    def half(_frame, target, **_: object):
        target.write_bytes(b"PAR1 half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", half)
    with pytest.raises(OSError, match="No space left"):
        write_parquet(pl.DataFrame({"a": [2]}), path)

    assert pl.read_parquet(path)["a"].to_list() == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def test_a_run_that_is_killed_before_the_move_leaves_the_old_file(tmp_path, monkeypatch):
    path = written(tmp_path)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_parquet(pl.DataFrame({"a": [2]}), path)

    assert pl.read_parquet(path)["a"].to_list() == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def test_a_week_that_cannot_be_written_leaves_all_files_readable(tmp_path, monkeypatch):
    materialise(tmp_path, [weekly_asset(ROWS)], weeks=(FIRST, THIRD))
    moves, move = [], os.replace

    def second_fails(source, target):
        moves.append(target)
        if len(moves) == 2:
            raise OSError(28, "No space left on device")
        move(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="No space left"):
        materialise(tmp_path, [weekly_asset(ROWS)], weeks=(FIRST, THIRD))

    assert len(files(tmp_path)) == 3
    assert sorted(pl.read_parquet(tmp_path / "assets" / "weekly")["person_id"]) == [1, 2, 3]


def test_the_path_of_an_asset_is_its_key(tmp_path):
    storage = Storage(data_root=str(tmp_path))

    assert storage.asset_path(dg.AssetKey(["staged", "events"])) == (
        tmp_path / "assets" / "staged" / "events"
    )


@dg.asset(key=["staged", "events"])
def events():
    return pl.DataFrame({"a": [1]})


@dg.asset(ins={"events": dg.AssetIn(["staged", "events"])})
def reader(events: pl.LazyFrame):
    return events


def test_a_refused_folder_is_not_read_until_every_refusal_is_withdrawn(tmp_path):
    materialise(tmp_path, [events])
    folder = tmp_path / "assets" / "staged"
    refuse(folder, "events", rows=1, failed=["repeated_keys", "row_count"])
    refuse(folder, "persons", rows=0, failed=["row_count"])

    text = r"staged must have passed .* \(events: repeated_keys, row_count; persons: row_count\)"
    with pytest.raises(ContractError, match=text):
        materialise(tmp_path, [events, reader], selection=[reader])
    withdraw_refusal(folder, "events")
    with pytest.raises(ContractError, match=r"failed \(persons: row_count\)"):
        materialise(tmp_path, [events, reader], selection=[reader])
    withdraw_refusal(folder, "persons")
    materialise(tmp_path, [events, reader], selection=[reader])

    assert pl.read_parquet(tmp_path / "assets" / "reader.parquet")["a"].to_list() == [1]
    assert files(tmp_path, "staged") == ["events.parquet"]


def defined(frame, definition):
    @dg.asset(
        name="weekly",
        partitions_def=WEEKLY,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={DEFINITION: definition},
    )
    def weekly():
        return frame

    return weekly


def test_weeks_of_two_definitions_are_not_read_as_one_table(tmp_path):
    late = ROWS.filter(pl.col("week") == date(2024, 3, 18))
    new = defined(late, "new")
    materialise(tmp_path, [defined(ROWS, "old")], weeks=(FIRST, THIRD))
    materialise(tmp_path, [new], weeks=(THIRD, THIRD))

    with pytest.raises(ContractError, match=r"of weekly .*2 of 3 weeks were built with others"):
        materialise(tmp_path, [new, everything], selection=[everything])


def test_weeks_of_one_definition_are_read(tmp_path):
    asset = defined(ROWS, "same")
    materialise(tmp_path, [asset], weeks=(FIRST, THIRD))

    assert materialise(tmp_path, [asset, everything], selection=[everything]).success
