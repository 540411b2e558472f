"""The three kinds of source give the same tables, and each way to be unreadable has its error."""

import gzip
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import duckdb
import polars as pl
import pytest

from hrob_assets.resources.sources.source_database import SourceTable, open_source
from hrob_assets.risk.errors import ContractError, SourceError
from hrob_assets.risk.sources.omop import OMOP_TABLES
from hrob_assets.risk.sources.staging import stage
from hrob_assets_tests.paths import TESTS

DATA = TESTS / "data" / "synthea27nj_omop54.zip"
STAGED_FILES = (
    "persons.parquet",
    "coverage.parquet",
    "encounters.parquet",
    "events.parquet",
    "quarantine.parquet",
)
LAGS = {"visit": 3, "condition": 14, "procedure": 14, "drug": 2, "coverage": 30}
PERSON = "person_id,gender_concept_id,year_of_birth\n1,8532,1990\n2,8507,1985\n"
VISIT = (
    "visit_occurrence_id,person_id,visit_concept_id,visit_start_date\n"
    "10,1,9202,2023-03-01\n11,2,9201,2023-03-02\n"
)


@pytest.fixture(scope="session")
def synthea(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("synthea")
    names = {f"{table.name.upper()}.csv" for table in OMOP_TABLES}
    with zipfile.ZipFile(DATA) as archive:
        for name in names & set(archive.namelist()):
            archive.extract(name, folder)
    return folder


@pytest.fixture(scope="session")
def synthea_staged(synthea, tmp_path_factory) -> dict[str, bytes]:
    return staged_bytes(str(synthea), tmp_path_factory.mktemp("from_folder"))


def staged_bytes(location: str, folder: Path) -> dict[str, bytes]:
    open_source(location).snapshot(folder / "snapshot")
    stage(folder / "snapshot", folder / "staged", known_lag_days=LAGS)
    return {name: (folder / "staged" / name).read_bytes() for name in STAGED_FILES}


def read_all(synthea: Path) -> dict[str, duckdb.DuckDBPyRelation]:
    return {path.stem: duckdb.read_csv(str(path), header=True) for path in synthea.glob("*.csv")}


@pytest.fixture(scope="session")
def synthea_postgres(postgres, synthea) -> str:
    from adbc_driver_postgresql import dbapi  # noqa: PLC0415  # loads a native driver

    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA cdm")
        for name, relation in read_all(synthea).items():
            cursor.adbc_ingest(name, relation.to_arrow_table(), mode="create", db_schema_name="cdm")
        connection.commit()
    return postgres


def write_folder(folder: Path, **tables: str) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in ({"person": PERSON, "visit_occurrence": VISIT} | tables).items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return str(folder)


def snapshot(location: str, folder: Path) -> list[SourceTable]:
    return open_source(location).snapshot(folder / "snapshot")


# --- the same tables from every kind of source ---


def test_synthea_gives_every_row_of_the_third_party_source(synthea, tmp_path):
    tables = snapshot(str(synthea), tmp_path)

    assert {table.name: table.rows for table in tables} == {
        "person": 28,
        "observation_period": 28,
        "visit_occurrence": 1791,
        "condition_occurrence": 470,
        "procedure_occurrence": 1649,
        "drug_exposure": 883,
        "measurement": 10040,
        "observation": 8099,
        "death": 3,
        "payer_plan_period": 0,
        "concept": 2294,
    }
    assert all(table.found for table in tables)
    assert all(table.size_bytes > 0 for table in tables)


def test_staging_synthea_loses_no_row(synthea, tmp_path):
    snapshot(str(synthea), tmp_path)

    result = stage(tmp_path / "snapshot", tmp_path / "staged", known_lag_days={})

    events = pl.read_parquet(result.path("events"))
    assert result.rows["quarantine"] == 0
    assert dict(events.group_by("domain").len().sort("domain").iter_rows()) == {
        "condition": 470,
        "death": 3,
        "drug": 883,
        "measurement": 10040,
        "observation": 8099,
        "procedure": 1649,
        "visit": 1791 + 13,  # thirteen stays have a discharge
    }
    assert set(events["vocabulary"]) == {"SNOMED", "LOINC", "RxNorm", "Visit", "Death"}


def test_a_duckdb_file_gives_the_same_bytes_as_the_folder(synthea, synthea_staged, tmp_path):
    path = tmp_path / "cdm.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE SCHEMA omop")
        for name, relation in read_all(synthea).items():
            connection.register("frame", relation.to_arrow_table())
            connection.execute(f'CREATE TABLE omop."{name}" AS FROM frame')

    assert staged_bytes(str(path), tmp_path) == synthea_staged


def test_postgresql_gives_the_same_bytes_as_the_folder(synthea_postgres, synthea_staged, tmp_path):
    assert staged_bytes(synthea_postgres, tmp_path) == synthea_staged
    assert staged_bytes(f"{synthea_postgres}&schema=cdm", tmp_path) == synthea_staged


def test_mixed_compressed_and_parquet_files_give_the_same_bytes(synthea, synthea_staged, tmp_path):
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for position, path in enumerate(sorted(synthea.glob("*.csv"))):
        if position % 3 == 0:
            shutil.copy(path, mixed / path.name.lower())
        elif position % 3 == 1:
            (mixed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        else:
            duckdb.read_csv(str(path), header=True).write_parquet(
                str(mixed / f"{path.stem}.parquet")
            )

    assert staged_bytes(str(mixed), tmp_path) == synthea_staged


def test_delimiters_case_extra_columns_and_byte_order_marks_do_not_matter(tmp_path):
    location = write_folder(
        tmp_path / "source",
        person="\ufeffPERSON_ID;Extra;Year_Of_Birth\r\n1;é;1990\r\n2;;1985\r\n",
        visit_occurrence='visit_occurrence_id\tperson_id\tvisit_concept_id\tvisit_start_date\n'
        '10\t1\t"9202"\t2023-03-01 10:30:00\n',
    )  # fmt: skip

    tables = snapshot(location, tmp_path)

    person = pl.read_parquet(tmp_path / "snapshot" / "person.parquet")
    visit = pl.read_parquet(tmp_path / "snapshot" / "visit_occurrence.parquet")
    assert person.select("person_id", "year_of_birth").rows() == [(1, 1990), (2, 1985)]
    assert str(visit["visit_start_date"][0]) == "2023-03-01 10:30:00"
    assert "extra" not in person.columns
    assert tables[2].missing_columns == (
        "visit_start_datetime",
        "visit_end_date",
        "visit_end_datetime",
        "visit_source_value",
        "known_at",
    )


def test_missing_optional_tables_are_empty_with_their_columns(tmp_path):
    tables = snapshot(write_folder(tmp_path / "source"), tmp_path)

    by_name = {table.name: table for table in tables}
    death = pl.read_parquet(tmp_path / "snapshot" / "death.parquet")
    assert (by_name["death"].rows, by_name["death"].found) == (0, False)
    assert death.schema == {
        "person_id": pl.Int64,
        "death_date": pl.Datetime("us"),
        "death_datetime": pl.Datetime("us"),
        "cause_concept_id": pl.Int64,
        "cause_source_concept_id": pl.Int64,
        "cause_source_value": pl.String,
        "known_at": pl.Datetime("us"),
    }


def test_whole_numbers_written_as_decimals_and_missing_words_are_read(tmp_path):
    location = write_folder(
        tmp_path / "source", person="person_id,year_of_birth,month_of_birth\n1.0,1990.0,NA\n"
    )

    snapshot(location, tmp_path)

    person = pl.read_parquet(tmp_path / "snapshot" / "person.parquet")
    assert person.select("person_id", "year_of_birth", "month_of_birth").rows() == [(1, 1990, None)]


def test_progress_is_reported_table_by_table(tmp_path):
    seen = []

    tables = open_source(write_folder(tmp_path / "source")).snapshot(
        tmp_path / "snapshot", on_table=seen.append
    )

    assert seen == tables


# --- bad input: a clear error, and nothing lost ---


def test_missing_required_table(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "person.csv").write_text(PERSON)

    with pytest.raises(ContractError, match="must have the table visit_occurrence"):
        snapshot(str(tmp_path / "source"), tmp_path)
    assert not (tmp_path / "snapshot").exists()


def test_missing_required_column_names_the_nearest(tmp_path):
    location = write_folder(tmp_path / "source", person="persn_id,year_of_birth\n1,1990\n")

    with pytest.raises(ContractError, match=r"person_id; person\.csv .* mean 'persn_id'"):
        snapshot(location, tmp_path)


def test_wrong_type_counts_the_values_and_shows_none(tmp_path):
    rows = "".join(f"{n},1,9202,2023-03-0{n}\n" for n in range(1, 8))
    location = write_folder(
        tmp_path / "source",
        visit_occurrence="visit_occurrence_id,person_id,visit_concept_id,visit_start_date\n"
        f"{rows}8,1,9202,13/05/2023\n9,1,9202,soon\n",
    )

    with pytest.raises(ContractError) as caught:
        snapshot(location, tmp_path)
    assert "visit_occurrence.visit_start_date must be a date" in str(caught.value)
    assert "2 of 9 values are not" in str(caught.value)
    assert "soon" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert not (tmp_path / "snapshot").exists()


def test_a_fraction_is_not_a_whole_number(tmp_path):
    location = write_folder(tmp_path / "source", person="person_id,year_of_birth\n1.5,1990\n")

    with pytest.raises(ContractError, match="person_id must be a whole number; 1 of 1 values"):
        snapshot(location, tmp_path)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_wrong_encoding_names_the_file(encoding, tmp_path):
    location = write_folder(tmp_path / "source")
    text = "person_id,year_of_birth,race_source_value\n1,1990,métis\n"
    (tmp_path / "source" / "person.csv").write_bytes(text.encode(encoding))

    with pytest.raises(SourceError, match=r"person\.csv must be UTF-8"):
        snapshot(location, tmp_path)


def test_rows_with_too_many_fields_are_not_skipped(tmp_path):
    location = write_folder(tmp_path / "source", person="person_id,year_of_birth\n1,1990\n2,3,4\n")

    with pytest.raises(SourceError, match=r"person\.csv must be a readable table; .* at line 3"):
        snapshot(location, tmp_path)


def test_empty_folder(tmp_path):
    (tmp_path / "source").mkdir()

    with pytest.raises(SourceError, match="must hold OMOP tables"):
        snapshot(str(tmp_path / "source"), tmp_path)


def test_empty_file(tmp_path):
    location = write_folder(tmp_path / "source", death="")

    with pytest.raises(SourceError, match=r"death\.csv must start with a line of column names"):
        snapshot(location, tmp_path)


def test_a_table_in_two_files(tmp_path):
    location = write_folder(tmp_path / "source")
    (tmp_path / "source" / "PERSON.parquet").write_bytes(b"")

    with pytest.raises(ContractError, match=r"person is in both PERSON.parquet and person.csv"):
        snapshot(location, tmp_path)


def test_a_column_that_occurs_twice(tmp_path):
    location = write_folder(
        tmp_path / "source", person="person_id,PERSON_ID,year_of_birth\n1,1,1990\n"
    )

    with pytest.raises(ContractError, match=r"person_id once; person.csv has it twice"):
        snapshot(location, tmp_path)


def test_a_damaged_parquet_file(tmp_path):
    location = write_folder(tmp_path / "source")
    (tmp_path / "source" / "death.parquet").write_bytes(b"PAR1 and then nothing")

    with pytest.raises(SourceError, match=r"death\.parquet must be a readable Parquet file"):
        snapshot(location, tmp_path)


def test_another_kind_of_file():
    with pytest.raises(SourceError, match=r"is another kind of file\. Unpack"):
        open_source(str(DATA))


def test_a_duckdb_file_that_another_process_writes(tmp_path):
    path = tmp_path / "cdm.duckdb"
    code = f"import duckdb, time; c = duckdb.connect({str(path)!r}); print(1, flush=True); "
    writer = subprocess.Popen(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", code + "time.sleep(60)"], stdout=subprocess.PIPE
    )
    try:
        writer.stdout.readline()
        with pytest.raises(SourceError, match="another process is writing to it"):
            snapshot(str(path), tmp_path)
    finally:
        writer.kill()
        writer.communicate()


def test_a_file_that_duckdb_did_not_write(tmp_path):
    (tmp_path / "cdm.duckdb").write_bytes(b"something else" * 1000)

    with pytest.raises(SourceError, match="it cannot be opened"):
        snapshot(str(tmp_path / "cdm.duckdb"), tmp_path)


def test_an_unreachable_database_is_reported_soon_and_without_the_password(tmp_path):
    started = time.monotonic()

    with pytest.raises(SourceError) as caught:
        snapshot("postgresql://reader:s3cret%21@127.0.0.1:1/cdm", tmp_path)
    assert time.monotonic() - started < 10
    assert "127.0.0.1:1/cdm must be reachable" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert not (tmp_path / "snapshot").exists()


def test_a_schema_without_omop_tables(synthea_postgres, tmp_path):
    with pytest.raises(SourceError, match=r"The schema 'cdmm' must hold .* Did you mean 'cdm'"):
        snapshot(f"{synthea_postgres}&schema=cdmm", tmp_path)


def test_a_failure_leaves_the_earlier_snapshot_as_it_was(tmp_path):
    location = write_folder(tmp_path / "source")
    snapshot(location, tmp_path)
    before = (tmp_path / "snapshot" / "person.parquet").read_bytes()
    write_folder(tmp_path / "source", death="person_id,death_date\n1,never\n")

    with pytest.raises(ContractError):
        snapshot(location, tmp_path)

    assert (tmp_path / "snapshot" / "person.parquet").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["snapshot", "source"]


def run_script(code: str, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip


KILLED = """
import os, signal, sys
from pathlib import Path
from hrob_assets.resources.sources.source_database import open_source
open_source(sys.argv[1]).snapshot(
    Path(sys.argv[2]), on_table=lambda table: os.kill(os.getpid(), signal.SIGKILL)
)
"""


def test_a_process_killed_while_writing_leaves_no_half_snapshot(tmp_path):
    location = write_folder(tmp_path / "source")

    killed = run_script(KILLED, location, tmp_path / "snapshot")

    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "snapshot").exists()
    assert len(list(tmp_path.glob(".snapshot.partial-*"))) == 1
    assert len(snapshot(location, tmp_path)) == 11
    assert sorted(path.name for path in tmp_path.iterdir()) == ["snapshot", "source"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from hrob_assets.risk.errors import SourceError
from hrob_assets.resources.sources.source_database import open_source
from hrob_assets.risk.sources.staging import stage
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    if sys.argv[3] == "snapshot":
        open_source(sys.argv[1]).snapshot(Path(sys.argv[2]))
    else:
        stage(Path(sys.argv[1]), Path(sys.argv[2]), known_lag_days={})
except SourceError as error:
    print(error)
"""


def test_a_full_disk_is_named_and_leaves_nothing(synthea, tmp_path):
    found = run_script(FULL_DISK, synthea, tmp_path / "snapshot", "snapshot")

    assert "the disk is full or not writable" in found.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_staging_leaves_nothing(synthea, tmp_path):
    snapshot(str(synthea), tmp_path)

    found = run_script(FULL_DISK, tmp_path / "snapshot", tmp_path / "staged", "staged")

    assert "the disk is full or not writable" in found.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot"]
