"""Real patients as OMOP tables: exact rows of a small archive, invariants, and clear refusals."""

import zipfile
from datetime import date, datetime, timedelta
from importlib import resources
from pathlib import Path

import polars as pl
import pytest

from hrob_assets.datasets.diabetes130 import (
    DATA_MEMBER,
    DRUGS,
    HEADER,
    MAPPING_MEMBER,
    OUTCOME_CODE,
    diabetes130_tables,
    place_on_pseudo_calendar,
    primary_group,
    write_diabetes130,
)
from hrob_assets.risk.errors import ContractError, SourceError
from hrob_assets.risk.vocabulary.code_set_files import read_code_sets

MAPPING = """admission_type_id,description
1,Emergency
,
discharge_disposition_id,description
1,Discharged to home
11,Expired
13,Hospice / home
,
admission_source_id,description
7, Emergency Room
"""
DEFAULT = {
    **dict.fromkeys(DRUGS, "No"),
    "race": "Caucasian",
    "gender": "Female",
    "age": "[70-80)",
    "weight": "?",
    "admission_type_id": "1",
    "discharge_disposition_id": "1",
    "admission_source_id": "7",
    "time_in_hospital": "3",
    "payer_code": "?",
    "medical_specialty": "?",
    "num_lab_procedures": "41",
    "num_procedures": "0",
    "num_medications": "9",
    "number_outpatient": "0",
    "number_emergency": "0",
    "number_inpatient": "0",
    "diag_1": "428",
    "diag_2": "?",
    "diag_3": "?",
    "number_diagnoses": "1",
    "max_glu_serum": "None",
    "A1Cresult": "None",
    "change": "No",
    "diabetesMed": "No",
    "readmitted": "NO",
}
FIRST = {
    "encounter_id": "100",
    "patient_nbr": "7",
    "insulin": "Up",
    "diag_1": "38",
    "diag_2": "250.83",
    "number_inpatient": "3",
    "payer_code": "MC",
    "A1Cresult": ">8",
    "readmitted": "<30",
}
SECOND = {
    "encounter_id": "200",
    "patient_nbr": "9",
    "race": "Hispanic",
    "gender": "Male",
    "discharge_disposition_id": "11",
}
THIRD = {"encounter_id": "300", "patient_nbr": "7", "time_in_hospital": "2", "readmitted": ">30"}
STAYS = (THIRD, FIRST, SECOND)  # not in order, as in the published file


def _archive(
    folder: Path, stays: tuple[dict[str, str], ...] = STAYS, header: tuple[str, ...] = HEADER
) -> Path:
    rows = [",".join(header)]
    rows += [",".join({**DEFAULT, **stay}.get(name, "") for name in header) for stay in stays]
    path = folder / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(DATA_MEMBER, "\r\n".join(rows) + "\r\n")
        archive.writestr(MAPPING_MEMBER, MAPPING)
    return path


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> dict[str, pl.DataFrame]:
    return diabetes130_tables(_archive(tmp_path_factory.mktemp("archive")))


def _codes(tables: dict[str, pl.DataFrame], name: str, word: str) -> list[tuple[str, str, str]]:
    concept = tables["concept"]
    joined = tables[name].join(
        concept, left_on=f"{word}_source_concept_id", right_on="concept_id", maintain_order="left"
    )
    return joined.select(
        pl.col("visit_occurrence_id").cast(pl.String), "vocabulary_id", "concept_code"
    ).rows()


def test_discharges_are_spread_evenly_by_rank_of_the_encounter_id(tables):
    visits = tables["visit_occurrence"].select(
        "visit_occurrence_id", "person_id", "visit_start_date", "visit_end_date", "known_at"
    )

    assert visits.rows() == [
        (100, 7, date(1999, 1, 1), date(1999, 1, 4), datetime(1999, 1, 4)),
        (200, 9, date(2002, 4, 30), date(2002, 5, 3), datetime(2002, 5, 3)),
        (300, 7, date(2005, 8, 29), date(2005, 8, 31), datetime(2005, 8, 31)),
    ]


def test_stays_of_a_person_never_touch():
    crowd = pl.DataFrame(
        {
            "encounter_id": range(3647 * 4),
            "patient_nbr": [1] * 3 + list(range(2, 3647 * 4 - 1)),
            "time_in_hospital": [4] * (3647 * 4),
        }
    )

    placed = place_on_pseudo_calendar(crowd).filter(pl.col("patient_nbr") == 1)

    assert placed.select("admitted_on", "discharged_on").rows() == [
        (date(1998, 12, 31), date(1999, 1, 4)),
        (date(1999, 1, 5), date(1999, 1, 9)),
        (date(1999, 1, 10), date(1999, 1, 14)),
    ]


def test_a_person_is_born_mid_decade_before_the_first_stay(tables):
    persons = tables["person"].select(
        "person_id",
        "year_of_birth",
        "gender_concept_id",
        "race_concept_id",
        "ethnicity_concept_id",
    )

    assert persons.rows() == [(7, 1924, 8532, 8527, 38003564), (9, 1927, 8507, 0, 38003563)]


def test_diagnoses_keep_their_position_and_get_their_zeros_back(tables):
    conditions = tables["condition_occurrence"].select(
        "visit_occurrence_id",
        "condition_status_source_value",
        "condition_status_concept_id",
        "condition_source_value",
        "condition_start_date",
    )

    assert conditions.rows() == [
        (100, "diag_1", 32902, "038", date(1999, 1, 4)),
        (100, "diag_2", 32908, "250.83", date(1999, 1, 4)),
        (200, "diag_1", 32902, "428", date(2002, 5, 3)),
        (300, "diag_1", 32902, "428", date(2005, 8, 31)),
    ]


def test_a_drug_that_was_not_given_has_no_row(tables):
    assert _codes(tables, "drug_exposure", "drug") == [("100", "UCI296", "insulin|Up")]


def test_counts_are_measurements(tables):
    first = tables["measurement"].filter(pl.col("visit_occurrence_id") == 100)

    assert first.select("measurement_source_value", "value_as_number").rows() == [
        ("num_lab_procedures", 41.0),
        ("num_medications", 9.0),
        ("num_procedures", 0.0),
        ("number_diagnoses", 1.0),
        ("number_emergency", 0.0),
        ("number_inpatient", 3.0),
        ("number_outpatient", 0.0),
        ("time_in_hospital", 3.0),
    ]


def test_other_facts_are_observations_with_the_value_in_the_code(tables):
    first = [
        code for stay, _, code in _codes(tables, "observation", "observation") if stay == "100"
    ]

    assert first == [
        "A1Cresult|>8",
        "READMITTED_WITHIN_30_DAYS",
        "admission_source|7",
        "admission_type|1",
        "age|[70-80)",
        "discharge_disposition|1",
        "number_inpatient|>=1",
        "number_inpatient|>=2",
        "number_inpatient|>=3",
        "payer|MC",
        "primary_icd9_category|038",
        "primary_icd9_group|other",
    ]


def test_a_missing_value_has_no_row(tables):
    third = [
        code for stay, _, code in _codes(tables, "observation", "observation") if stay == "300"
    ]

    assert third == [
        "admission_source|7",
        "admission_type|1",
        "age|[70-80)",
        "discharge_disposition|1",
        "primary_icd9_category|428",
        "primary_icd9_group|circulatory",
    ]


def test_the_outcome_is_on_day_15_of_its_own_stay_and_known_on_day_30(tables):
    outcome = tables["observation"].filter(
        pl.col("observation_source_value") == "READMITTED_WITHIN_30_DAYS"
    )

    assert outcome.select(
        "visit_occurrence_id", "person_id", "observation_date", "known_at"
    ).rows() == [(100, 7, date(1999, 1, 19), datetime(1999, 2, 3))]


def test_hospice_is_an_observation_and_not_a_death(tmp_path):
    stay = {**FIRST, "discharge_disposition_id": "13"}

    tables = diabetes130_tables(_archive(tmp_path, (stay,)))

    assert tables["death"].is_empty()
    assert ("100", "UCI296", "DISCHARGED_TO_HOSPICE") in _codes(
        tables, "observation", "observation"
    )


def test_death_is_on_the_day_of_the_discharge(tables):
    assert tables["death"].select("person_id", "death_date").rows() == [(9, date(2002, 5, 3))]


def test_a_death_that_a_later_stay_contradicts_is_left_out(tmp_path):
    stays = ({**FIRST, "discharge_disposition_id": "11"}, THIRD)

    assert diabetes130_tables(_archive(tmp_path, stays))["death"].is_empty()


def test_payer_lasts_until_the_next_payer_is_known(tables):
    spans = tables["payer_plan_period"].select(
        "person_id",
        "payer_plan_period_start_date",
        "payer_plan_period_end_date",
        "payer_source_value",
    )

    assert spans.rows() == [
        (7, date(1999, 1, 1), date(2005, 8, 30), "MC"),
        (9, date(2002, 4, 30), date(2009, 2, 26), "Unknown"),
        (7, date(2005, 8, 31), date(2009, 2, 26), "Unknown"),
    ]


def test_everybody_is_observed_until_60_days_after_the_calendar(tables):
    periods = tables["observation_period"].select(
        "person_id", "observation_period_start_date", "observation_period_end_date"
    )

    assert periods.rows() == [
        (7, date(1999, 1, 1), date(2009, 2, 26)),
        (9, date(2002, 4, 30), date(2009, 2, 26)),
    ]


def test_concepts_are_local_and_described_by_the_mapping(tables):
    concept = tables["concept"]
    names = dict(concept.select("concept_code", "concept_name").rows())

    assert concept["concept_id"].to_list() == list(
        range(2_000_000_001, 2_000_000_001 + concept.height)
    )
    assert set(concept["vocabulary_id"]) == {"ICD9CM", "UCI296"}
    assert names["admission_source|7"] == "Emergency Room"


@pytest.mark.parametrize(
    ("table", "word", "start"),
    [
        ("condition_occurrence", "condition", "condition_start_date"),
        ("drug_exposure", "drug", "drug_exposure_start_date"),
        ("measurement", "measurement", "measurement_date"),
        ("observation", "observation", "observation_date"),
    ],
)
def test_all_but_the_outcome_is_dated_and_known_at_the_discharge(tables, table, word, start):
    discharge = dict(tables["visit_occurrence"].select("visit_occurrence_id", "known_at").rows())
    facts = (
        tables[table]
        .filter(pl.col(f"{word}_source_value") != "READMITTED_WITHIN_30_DAYS")
        .select("visit_occurrence_id", pl.col(start).cast(pl.Datetime("us")), "known_at")
    )

    assert facts.height > 0
    assert [row for row in facts.rows() if row[1:] != (discharge[row[0]],) * 2] == []


def test_the_outcome_is_never_before_the_prediction_time(tables):
    outcome = tables["observation"].filter(
        pl.col("observation_source_value") == "READMITTED_WITHIN_30_DAYS"
    )
    known = tables["visit_occurrence"].select("visit_occurrence_id", discharge="known_at")
    rows = outcome.join(known, on="visit_occurrence_id").select("discharge", "observation_date")

    assert [day >= (discharge + timedelta(days=1)).date() for discharge, day in rows.rows()] == [
        True
    ]


def test_every_encounter_is_one_visit(tables):
    assert sorted(tables["visit_occurrence"]["visit_occurrence_id"]) == [100, 200, 300]


def test_the_same_archive_gives_the_same_bytes(tmp_path):
    archive = _archive(tmp_path)
    counts = write_diabetes130(archive, tmp_path / "one")
    write_diabetes130(archive, tmp_path / "two")
    write_diabetes130(archive, tmp_path / "two")  # replaces its own earlier folder

    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == two
    assert sorted(one) == sorted(f"{name}.parquet" for name in counts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "one", "two"]
    assert counts == {
        "person": 2,
        "observation_period": 2,
        "visit_occurrence": 3,
        "condition_occurrence": 4,
        "drug_exposure": 1,
        "measurement": 24,
        "observation": 24,
        "death": 1,
        "payer_plan_period": 3,
        "concept": 27,
    }


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    target = tmp_path / "home"
    target.mkdir()
    (target / "thesis.txt").write_text("ten years of work")

    with pytest.raises(SourceError, match="must be new or hold only tables of this adapter"):
        write_diabetes130(_archive(tmp_path), target)
    assert (target / "thesis.txt").read_text() == "ten years of work"


def test_a_missing_archive_is_a_source_error(tmp_path):
    with pytest.raises(SourceError, match="must be the archive of Diabetes 130; there is none"):
        write_diabetes130(tmp_path / "no.zip", tmp_path / "omop")


def test_a_file_that_is_no_zip_is_a_source_error(tmp_path):
    path = tmp_path / "archive.zip"
    path.write_bytes(b"encounter_id,patient_nbr")

    with pytest.raises(SourceError, match="must be a zip archive"):
        write_diabetes130(path, tmp_path / "omop")
    assert not (tmp_path / "omop").exists()


def test_a_damaged_member_is_a_source_error(tmp_path):
    path = _archive(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[200] ^= 0xFF
    path.write_bytes(bytes(damaged))

    with pytest.raises(SourceError, match="must be whole; it is damaged"):
        write_diabetes130(path, tmp_path / "omop")


def test_a_missing_member_is_a_source_error(tmp_path):
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dataset_diabetes/diabetic_dat.csv", "x")

    with pytest.raises(SourceError, match=r"diabetic_data\.csv; it is missing. Did you mean"):
        write_diabetes130(path, tmp_path / "omop")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER[:-1], r"must have the columns readmitted; not found"),
        ((*HEADER[:-1], "readmited"), r"columns readmitted; not found. Did you mean 'readmited'"),
        ((*HEADER, "extra"), r"50 published columns; found extra besides"),
        ((HEADER[1], HEADER[0], *HEADER[2:]), r"found them in another order"),
    ],
)
def test_a_changed_header_is_a_contract_error(tmp_path, header, message):
    with pytest.raises(ContractError, match=message):
        write_diabetes130(_archive(tmp_path, header=header), tmp_path / "omop")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number_inpatient": "two"}, "number_inpatient .* whole numbers; 1 rows do not"),
        ({"num_procedures": "-1"}, "num_procedures .* at least 0; 1 rows do not"),
        ({"time_in_hospital": "0"}, "time_in_hospital .* at least 1; 1 rows do not"),
        ({"readmitted": "maybe"}, "readmitted .* one of <30, >30, NO; 1 rows do not"),
        ({"insulin": "Sideways"}, "insulin .* one of No, Steady, Up, Down; 1 rows do not"),
        ({"gender": "?"}, "gender .* a value in each row; 1 rows do not"),
        ({"encounter_id": "200"}, "encounter_id .* a new number in each row; 2 rows do not"),
    ],
)
def test_a_value_that_cannot_be_is_a_contract_error(tmp_path, change, message):
    stays = ({**FIRST, **change}, SECOND, THIRD)

    with pytest.raises(ContractError, match=message):
        write_diabetes130(_archive(tmp_path, stays), tmp_path / "omop")


def test_an_archive_without_encounters_is_a_contract_error(tmp_path):
    with pytest.raises(ContractError, match="at least one encounter; it has none"):
        write_diabetes130(_archive(tmp_path, ()), tmp_path / "omop")


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("389", "other"),
        ("390", "circulatory"),
        ("459.9", "circulatory"),
        ("785", "circulatory"),
        ("460", "respiratory"),
        ("786.5", "respiratory"),
        ("520", "digestive"),
        ("787", "digestive"),
        ("249", "other"),
        ("250.02", "diabetes"),
        ("251", "other"),
        ("800", "injury"),
        ("999", "injury"),
        ("710", "musculoskeletal"),
        ("580", "genitourinary"),
        ("629", "genitourinary"),
        ("788", "genitourinary"),
        ("140", "neoplasms"),
        ("239", "neoplasms"),
        ("E878", "other"),
        (None, None),
    ],
)
def test_primary_diagnoses_are_grouped_as_published(code, group):
    assert pl.select(primary_group(pl.lit(code, dtype=pl.String))).item() == group


def test_the_code_sets_of_the_use_case_name_codes_that_the_adapter_writes():
    folder = resources.files("hrob_assets") / "defs" / "hospital_readmission" / "code_sets"
    code_sets = read_code_sets([Path(str(folder))])
    codes = [code.code for each in code_sets.values() for code in each.codes]
    stems = {code.split("|")[0] for code in codes if "|" in code}

    assert [code.code for code in code_sets["uci_readmitted_30_days"].codes] == [OUTCOME_CODE]
    assert stems == {
        *DRUGS,
        "A1Cresult",
        "admission_source",
        "admission_type",
        "age",
        "change",
        "diabetesMed",
        "discharge_disposition",
        "max_glu_serum",
        "medical_specialty",
        "number_emergency",
        "number_inpatient",
        "number_outpatient",
        "payer",
        "primary_icd9_category",
        "primary_icd9_group",
    }
