"""The export is valid by the schemas of the standard, complete, and cannot leak by its time."""

import json
from datetime import date, datetime, timedelta

import meds
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hrob_assets.risk.errors import ConfigurationError, ContractError, SourceError
from hrob_assets.risk.exports.meds import COLUMNS, KNOWN, OCCURRED, export_meds
from hrob_assets.risk.tables import EVENTS, PERSONS
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet

PERSON = ("female", "White", "Unknown")
CODE_SETS = {
    "preeclampsia": CodeSet(
        "preeclampsia", (Code("ICD10CM", "O14", "Pre-eclampsia", "CDC", match="prefix"),)
    ),
    "hemoglobin": CodeSet(
        "hemoglobin", (Code("LOINC", "718-7", "Hemoglobin", "LOINC", unit="g/dL"),)
    ),
}
PERSONS_ROWS = pl.DataFrame(
    [
        (1, date(1990, 5, 4), *PERSON, None, None),
        (2, date(1992, 1, 1), *PERSON, datetime(2024, 4, 1), datetime(2024, 5, 20)),
        (3, date(2000, 2, 3), *PERSON, None, None),
    ],
    PERSONS.schema,
    orient="row",
)
EVENTS_ROWS = pl.DataFrame(
    [
        (1, "condition", 11, 5, "ICD10CM", "O141", "SNOMED", "398254007", None, None,
         datetime(2024, 1, 1), datetime(2024, 3, 1)),
        (1, "measurement", 12, None, "LOINC", "718-7", None, None, 10.1, "g/dL",
         datetime(2024, 2, 1), datetime(2024, 2, 1, 8)),
        (2, "visit", 13, 6, "Visit", "emergency", None, None, None, None,
         datetime(2024, 3, 1), datetime(2024, 3, 2)),
        (2, "drug", 14, 6, "RxNorm", "1", None, None, None, None,
         datetime(2024, 3, 3), datetime(2024, 3, 2)),
    ],
    EVENTS.schema,
    orient="row",
)  # fmt: skip


@pytest.fixture
def exported(tmp_path):
    def export(**options: object):
        given = {"persons": PERSONS_ROWS, "events": EVENTS_ROWS, "code_sets": CODE_SETS}
        export_meds(tmp_path / "meds", **given | options)
        return tmp_path / "meds"

    return export


def rows_of(folder):
    """All rows of all shards, shard after shard."""
    return pl.concat(pl.read_parquet(path) for path in sorted(folder.glob("data/*/*.parquet")))


def test_every_file_is_valid_by_the_schemas_of_the_standard(exported):
    folder = exported()
    for path in folder.glob("data/**/*.parquet"):
        meds.DataSchema.validate(pq.read_table(path))
    codes = pq.read_table(folder / meds.code_metadata_filepath)
    splits = pq.read_table(folder / meds.subject_splits_filepath)
    described = json.loads((folder / meds.dataset_metadata_filepath).read_text("utf-8"))

    meds.CodeMetadataSchema.validate(codes)
    meds.SubjectSplitSchema.validate(splits)
    meds.DatasetMetadataSchema.validate(described)
    assert described["meds_version"] == meds.__version__
    named = {
        *described["raw_source_id_columns"],
        *described["code_modifier_columns"],
        *described["other_extension_columns"],
    }
    assert named == set(COLUMNS) - {"subject_id", "time", "code", "numeric_value"}


@pytest.mark.parametrize("clock", [KNOWN, OCCURRED])
@pytest.mark.parametrize("events_per_shard", [1, 2, 1_000])
def test_a_subject_is_in_one_shard_and_ordered_by_time(exported, clock, events_per_shard):
    folder = exported(clock=clock, events_per_shard=events_per_shard)
    shards = [pl.read_parquet(path) for path in folder.glob("data/*/*.parquet")]
    where = pl.concat(
        shard.select("subject_id").unique().with_columns(shard=pl.lit(number))
        for number, shard in enumerate(shards)
    )

    assert where["subject_id"].is_unique().all()
    for shard in shards:
        assert_frame_equal(
            shard, shard.sort("subject_id", "time", nulls_last=False, maintain_order=True)
        )


@pytest.mark.parametrize("clock", [KNOWN, OCCURRED])
def test_events_are_read_back_as_they_were(exported, clock):
    found = rows_of(exported(clock=clock)).drop_nulls("source_row_id")
    parts = pl.col("code").str.splitn("//", 3).struct
    standard = pl.col("standard_code").str.splitn("//", 2).struct
    again = found.select(
        "domain", "source_row_id", "encounter_id", "unit", "occurred_at", "known_at",
        person_id="subject_id",
        value=pl.col("numeric_value"),
        vocabulary=parts.field("field_0"),
        code=parts.field("field_1"),
        standard_vocabulary=standard.field("field_0"),
        standard_code=standard.field("field_1"),
    ).select(EVENTS.schema.keys())  # fmt: skip

    assert_frame_equal(
        again.sort("source_row_id"),
        EVENTS_ROWS.with_columns(pl.col("value").cast(pl.Float32)).sort("source_row_id"),
    )


def test_persons_are_static_rows_births_and_deaths(exported):
    own = rows_of(exported()).filter(pl.col("source_row_id").is_null(), pl.col("subject_id") == 2)

    assert own.select("time", "code").rows() == [
        (None, "GENDER//female"),
        (None, "RACE//White"),
        (None, "ETHNICITY//Unknown"),
        (datetime(1992, 1, 1), "MEDS_BIRTH"),
        (datetime(2024, 5, 20), "MEDS_DEATH"),
    ]


def test_known_time_is_the_later_of_occurrence_and_knowledge(exported):
    known = rows_of(exported()).drop_nulls("source_row_id").sort("source_row_id")
    occurred = rows_of(exported(clock=OCCURRED, replace=True)).drop_nulls("source_row_id")

    assert known["time"].to_list() == [
        datetime(2024, 3, 1),
        datetime(2024, 2, 1, 8),
        datetime(2024, 3, 2),
        datetime(2024, 3, 3),
    ]
    assert (occurred["time"] == occurred["occurred_at"]).all()


@settings(deadline=None)  # each example writes files
@given(
    moments=st.lists(st.tuples(st.integers(0, 60), st.integers(-5, 40)), min_size=1, max_size=8),
    cut=st.integers(0, 60),
)
def test_nothing_that_was_not_known_lies_before_a_cut_by_time(tmp_path_factory, moments, cut):
    start = datetime(2024, 1, 1)
    events = pl.concat([EVENTS_ROWS[:1]] * len(moments)).with_columns(
        source_row_id=pl.int_range(pl.len()),
        occurred_at=pl.Series([start + timedelta(days=day) for day, _ in moments]),
        known_at=pl.Series([start + timedelta(days=day + lag) for day, lag in moments]),
    )
    folder = tmp_path_factory.mktemp("cut") / "meds"
    export_meds(folder, persons=PERSONS_ROWS, events=events, code_sets={})
    cut_at = start + timedelta(days=cut)
    before = rows_of(folder).drop_nulls("source_row_id").filter(pl.col("time") < cut_at)

    usable = events.filter(pl.col("occurred_at") < cut_at, pl.col("known_at") < cut_at)
    assert sorted(before["source_row_id"]) == sorted(usable["source_row_id"])


def test_codes_have_the_names_and_parents_that_are_known(exported):
    codes = pl.read_parquet(exported() / "metadata" / "codes.parquet")

    assert codes.filter(~pl.col("code").str.contains("GENDER|RACE|ETHNICITY|MEDS")).rows() == [
        ("ICD10CM//O141", "Pre-eclampsia", ["ICD10CM//O14", "SNOMED//398254007"]),
        ("LOINC//718-7//g/dL", "Hemoglobin", None),
        ("RxNorm//1", None, None),
        ("Visit//emergency", None, None),
    ]


def test_every_code_of_the_data_is_described_once(exported):
    folder = exported()
    codes = pl.read_parquet(folder / "metadata" / "codes.parquet")["code"]

    assert codes.is_unique().all()
    assert set(rows_of(folder)["code"]) <= set(codes)


def test_an_existing_folder_stays_unless_it_may_be_replaced(exported):
    folder = exported()
    (folder / "mine").touch()

    with pytest.raises(SourceError, match="must not exist yet"):
        exported()
    assert (folder / "mine").exists()
    assert not (exported(replace=True) / "mine").exists()


def test_a_failed_export_leaves_nothing(tmp_path):
    strangers = EVENTS_ROWS.with_columns(person_id=pl.lit(9, pl.Int64))

    with pytest.raises(ContractError, match="4 of them are of others"):
        export_meds(tmp_path / "meds", persons=PERSONS_ROWS, events=strangers, code_sets=CODE_SETS)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_clock_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="Did you mean 'known'"):
        export_meds(
            tmp_path / "meds", persons=PERSONS_ROWS, events=EVENTS_ROWS, code_sets={}, clock="knwon"
        )


def test_equal_tables_give_equal_bytes(exported):
    def contents(folder):
        return {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    assert contents(exported()) == contents(exported(replace=True))
