"""The command `hrob export-meds` on a data root."""

import os
from unittest import mock

import polars as pl
import pytest
from click.testing import CliRunner

from hrob_assets.cli import main
from hrob_assets.resources.storage.io_manager import refuse
from hrob_assets_tests.risk.exports.test_meds import EVENTS_ROWS, PERSONS_ROWS


@pytest.fixture
def data_root(tmp_path):
    staged = tmp_path / "root" / "assets" / "staged"
    staged.mkdir(parents=True)
    PERSONS_ROWS.write_parquet(staged / "persons.parquet")
    EVENTS_ROWS.write_parquet(staged / "events.parquet")
    return tmp_path / "root"


@pytest.fixture
def export(data_root, tmp_path):
    def run(*options):
        arguments = ["export-meds", str(tmp_path / "out"), "--data-root", str(data_root), *options]
        with mock.patch.dict(os.environ):
            return CliRunner().invoke(main, arguments)

    return run


def test_the_command_says_what_it_wrote(export, tmp_path):
    found = export()

    assert found.exit_code == 0, found.output
    assert "Wrote 17 rows of 3 persons and 9 codes in" in found.output
    assert (tmp_path / "out" / "metadata" / "dataset.json").exists()


def test_time_is_when_a_fact_was_known_unless_told_otherwise(export, tmp_path):
    def times():
        shards = sorted((tmp_path / "out").glob("data/*/*.parquet"))
        rows = pl.concat(pl.read_parquet(path) for path in shards).drop_nulls("source_row_id")
        return rows.select(
            known=(pl.col("time") == pl.max_horizontal("occurred_at", "known_at")).all(),
            occurred=(pl.col("time") == pl.col("occurred_at")).all(),
        ).row(0)

    export()
    assert times() == (True, False)
    export("--time", "occurred", "--overwrite")
    assert times() == (False, True)


def test_an_existing_folder_is_an_error_of_one_line(export):
    export()
    found = export()

    assert found.exit_code == 1
    assert "must not exist yet" in found.output
    assert "Traceback" not in found.output


def test_tables_that_failed_their_checks_are_not_exported(export, data_root, tmp_path):
    refuse(data_root / "assets" / "staged", "events", rows=4, failed=["codes are known"])
    found = export()

    assert found.exit_code == 1
    assert "must have passed their critical checks" in found.output
    assert not (tmp_path / "out").exists()
