"""What Dagster shows of the staged tables, and what a failed expectation stops."""

import json
import os
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from hrob_assets.assets.data import staged
from hrob_assets.assets.data.feature_store import feature_store_definitions
from hrob_assets.assets.data.staged import staged_definitions
from hrob_assets.assets.keys import ENCOUNTER_FEATURES, RAW, STAGED, staged_key
from hrob_assets.assets.partitions import weekly_partitions
from hrob_assets.resources.sources.source_database import open_source
from hrob_assets.resources.storage.io_manager import ParquetIOManager, Storage
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.sources.validation import NEEDS_EARLIER_LOAD, SUITES

WEEK = "2023-02-27"  # a Monday
AGE = FeatureFamily(
    "age",
    "demographics",
    "person",
    None,
    (FeatureColumn("age__years", "age", "demographics", "person", measure="years"),),
    "-",
    "-",
)


def write_snapshot(root: Path, *, undated_conditions: int = 0) -> None:
    """Ten visits and twenty conditions of one person, of which some have no date."""
    source = root / "source"
    source.mkdir(exist_ok=True)
    people = {
        "person_id": [1],
        "year_of_birth": [1990],
        "gender_concept_id": [8532],
        "race_concept_id": [8527],
    }
    visits = {
        "visit_occurrence_id": range(1, 11),
        "person_id": [1] * 10,
        "visit_concept_id": [9202] * 10,
        "visit_start_date": [date(2023, 3, 1)] * 10,
    }
    dates = [None] * undated_conditions + [date(2023, 3, 1)] * (20 - undated_conditions)
    conditions = {
        "condition_occurrence_id": range(1, 21),
        "person_id": [1] * 20,
        "condition_source_value": ["O14.1"] * 20,
        "condition_start_date": dates,
    }
    pl.DataFrame(people).write_parquet(source / "person.parquet")
    pl.DataFrame(visits).write_parquet(source / "visit_occurrence.parquet")
    pl.DataFrame(conditions).write_parquet(source / "condition_occurrence.parquet")
    open_source(str(source)).snapshot(root / "assets" / RAW)


def definitions_of_both() -> dg.Definitions:
    return dg.Definitions.merge(
        staged_definitions(known_lag_days={}, as_of=None, owner="team:test"),
        feature_store_definitions(
            catalogue=Catalogue((AGE,)),
            code_sets={},
            weekly=weekly_partitions(date.fromisoformat(WEEK)),
            owner="team:test",
            threads=1,
        ),
    )


def refresh(root: Path, *, checked: bool = True) -> dg.ExecuteInProcessResult:
    """One run: staging, its checks, and the feature store."""
    definitions = definitions_of_both()
    return dg.materialize(
        [*definitions.assets, *(definitions.asset_checks if checked else ())],
        partition_key=WEEK,
        resources={"storage": Storage(data_root=str(root)), "io_manager": ParquetIOManager(root)},
        raise_on_error=False,
    )


def made(result: dg.ExecuteInProcessResult) -> set[dg.AssetKey]:
    return {event.materialization.asset_key for event in result.get_asset_materialization_events()}


def checks_of(result: dg.ExecuteInProcessResult, table: str) -> dict[str, tuple[bool, str]]:
    """(passed, observed) by the name of the check."""
    return {
        check.check_name: (check.passed, check.metadata["observed"].value)
        for check in result.get_asset_check_evaluations()
        if check.asset_key == staged_key(table)
    }


def failed(result: dg.ExecuteInProcessResult, table: str) -> set[str]:
    return {name for name, (passed, _) in checks_of(result, table).items() if not passed}


@pytest.fixture
def broken_events(monkeypatch):
    """Staging that forgets a column of the events."""
    honest = staged.stage

    def forgetful(*args: object, **options: object) -> object:
        result = honest(*args, **options)
        path = result.path("events")
        pl.read_parquet(path).drop("known_at").write_parquet(path)
        return result

    monkeypatch.setattr(staged, "stage", forgetful)


def test_clean_tables_pass_and_the_feature_store_is_built_in_the_same_run(tmp_path):
    write_snapshot(tmp_path)

    result = refresh(tmp_path)

    assert result.success
    assert ENCOUNTER_FEATURES in made(result)
    assert {table: set(checks_of(result, table)) for table in SUITES} == {
        table: {expectation.name for expectation in suite} for table, suite in SUITES.items()
    }
    assert {table: failed(result, table) for table in SUITES} == {table: set() for table in SUITES}


def test_only_what_needs_an_earlier_load_waits_for_one_and_says_so(tmp_path):
    write_snapshot(tmp_path)

    first, second = (checks_of(refresh(tmp_path), "events") for _ in range(2))
    waiting = {name for name, (_, observed) in first.items() if observed.startswith("not eval")}
    text = "not evaluated: there is no earlier load with rows to compare with"

    assert waiting == NEEDS_EARLIER_LOAD
    assert {first[name] for name in waiting} == {(True, text)}
    assert second["rows_per_previous_row_low"] == (True, "1")
    assert second["became_empty"] == (True, "0")


@pytest.mark.usefixtures("broken_events")
def test_a_table_without_a_column_fails_what_was_not_evaluated_and_blocks(tmp_path):
    write_snapshot(tmp_path)

    result = refresh(tmp_path)
    checks = checks_of(result, "events")
    text = "not evaluated: columns are missing or of the wrong type"
    evaluated = {
        "columns_missing",
        "columns_of_wrong_type",
        "row_count",
        "quarantine_share_warning",
        "quarantine_share_critical",
    }

    assert not result.success
    assert ENCOUNTER_FEATURES not in made(result)
    assert checks["columns_missing"] == (False, "1")
    assert checks["repeated_keys"] == (False, text)
    assert checks["known_vocabulary_share"] == (False, text)
    assert checks["became_empty"][0]
    assert {name for name, (_, observed) in checks.items() if observed == text} == {
        expectation.name for expectation in SUITES["events"]
    } - NEEDS_EARLIER_LOAD - evaluated


def test_a_critical_failure_in_one_table_stops_the_feature_store(tmp_path):
    write_snapshot(tmp_path, undated_conditions=10)

    result = refresh(tmp_path)

    assert failed(result, "events") == {"quarantine_share_warning", "quarantine_share_critical"}
    assert failed(result, "persons") | failed(result, "encounters") == set()
    assert not result.success
    assert staged_key("events") in made(result)
    assert ENCOUNTER_FEATURES not in made(result)


def test_a_warning_does_not_stop_the_feature_store(tmp_path):
    write_snapshot(tmp_path, undated_conditions=2)

    result = refresh(tmp_path)

    assert failed(result, "events") == {"quarantine_share_warning"}
    assert result.success
    assert ENCOUNTER_FEATURES in made(result)


def test_reasons_and_counts_of_the_quarantine_are_in_the_metadata(tmp_path):
    write_snapshot(tmp_path, undated_conditions=12)

    result = refresh(tmp_path)
    metadata = {
        event.materialization.asset_key.path[-1]: event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.materialization.asset_key.path[0] == STAGED
    }

    assert metadata["quarantine"]["dagster/row_count"].value == 12
    assert metadata["quarantine"]["rows by reason"].value.splitlines() == [
        "| table | reason | rows |",
        "| --- | --- | --- |",
        "| events | null date | 12 |",
    ]
    assert metadata["events"]["quarantined rows"].value == 12
    assert metadata["events"]["quarantine share"].value == 0.4
    assert metadata["encounters"]["quarantined rows"].value == 0


def only_features(root: Path) -> dg.ExecuteInProcessResult:
    """A run of another day that reads the staged tables as they are."""
    return dg.materialize(
        definitions_of_both().assets,
        selection=[ENCOUNTER_FEATURES],
        partition_key=WEEK,
        resources={"storage": Storage(data_root=str(root)), "io_manager": ParquetIOManager(root)},
    )


def compared_with(root: Path) -> int | None:
    load = pl.read_parquet(root / "assets" / STAGED / "load.parquet")
    return load.filter(pl.col("table_name") == "events")["previous_rows"].item()


def test_a_refused_load_is_read_by_no_other_run_until_the_next_staging(tmp_path):
    write_snapshot(tmp_path, undated_conditions=10)
    refresh(tmp_path)

    marker = tmp_path / "assets" / STAGED / "refused.json"
    assert json.loads(marker.read_text()) == {
        "events": {"rows": 20, "failed": ["quarantine_share_critical"]}
    }
    with pytest.raises(ContractError, match="events: quarantine_share_critical"):
        only_features(tmp_path)

    write_snapshot(tmp_path)
    assert refresh(tmp_path).success
    assert not marker.exists()
    assert only_features(tmp_path).success


def test_a_load_is_compared_with_the_last_that_was_accepted(tmp_path):
    seen = []
    for undated, checked in ((0, True), (10, True), (12, False), (1, True), (0, True)):
        write_snapshot(tmp_path, undated_conditions=undated)
        refresh(tmp_path, checked=checked)
        seen.append(compared_with(tmp_path))

    # the second is refused, the third never checked
    assert seen == [None, 30, 30, 30, 29]


def test_a_run_that_stops_when_the_tables_are_in_place_leaves_the_load_beside_them(
    tmp_path, monkeypatch
):
    write_snapshot(tmp_path)
    refresh(tmp_path)
    honest = staged.stage

    def stopped(*args: object, **options: object) -> None:
        honest(*args, **options)
        raise OSError(28, "No space left on device")

    write_snapshot(tmp_path, undated_conditions=2)
    with monkeypatch.context() as patched:
        patched.setattr(staged, "stage", stopped)
        assert not refresh(tmp_path).success
    folder = tmp_path / "assets" / STAGED
    rows = pl.read_parquet(folder / "load.parquet").filter(pl.col("table_name") == "events")

    assert rows["rows"].item() == pl.read_parquet(folder / "events.parquet").height == 28
    assert compared_with(tmp_path) == 30


def test_a_kill_between_the_two_renames_loses_no_counts(tmp_path):
    write_snapshot(tmp_path)
    refresh(tmp_path)
    folder = tmp_path / "assets" / STAGED
    folder.rename(folder.with_name(f".{STAGED}.earlier-{os.getpid()}"))

    refresh(tmp_path)

    assert compared_with(tmp_path) == 30


def test_a_domain_that_became_empty_stops_the_load_until_it_is_back(tmp_path):
    write_snapshot(tmp_path)
    refresh(tmp_path)
    conditions = tmp_path / "assets" / RAW / "condition_occurrence.parquet"
    whole = pl.read_parquet(conditions)
    whole.clear().write_parquet(conditions)

    for _ in range(2):  # the refused load is not what the next is compared with
        assert "domains_that_became_empty" in failed(refresh(tmp_path), "events")
    whole.write_parquet(conditions)
    assert refresh(tmp_path).success
