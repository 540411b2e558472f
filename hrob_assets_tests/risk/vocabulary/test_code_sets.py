import re
from pathlib import Path
from time import process_time

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets.risk.errors import ConfigurationError, ContractError
from hrob_assets.risk.vocabulary.code_sets import (
    Code,
    CodeSet,
    match_codes,
    read_code_set,
    read_code_sets,
)
from hrob_assets_tests.paths import DEFS

HEADER = "vocabulary,code,name,source\n"


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def error_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read_code_set("abruption", [write(tmp_path, "abruption", text)])
    return str(raised.value)


def test_icd_codes_match_by_prefix_and_others_exactly_unless_the_row_says_otherwise(tmp_path):
    write(
        tmp_path,
        "abruption",
        "vocabulary,code,name,source,match\n"
        "ICD10CM,O45,Abruption,CDC,\n"
        "ICD9CM,6412,Abruption,CDC,prefix\n"
        "SNOMED,415105001,Placental abruption,SNOMED CT,\n",
    )
    found = read_code_set("abruption", [tmp_path])

    assert found == CodeSet(
        "abruption",
        (
            Code("ICD10CM", "O45", "Abruption", "CDC", match="prefix"),
            Code("ICD9CM", "6412", "Abruption", "CDC", match="prefix"),
            Code("SNOMED", "415105001", "Placental abruption", "SNOMED CT", match="exact"),
        ),
    )
    assert found.vocabularies == ("ICD10CM", "ICD9CM", "SNOMED")


def test_units_ranges_and_weeks_are_read_as_numbers(tmp_path):
    write(
        tmp_path,
        "hemoglobin",
        "vocabulary,code,name,source,unit,factor,low,high,weeks\n"
        "LOINC,718-7,Hemoglobin,LOINC,g/L,0.1,12,15.5,\n"
        "LOINC,718-7,Hemoglobin,LOINC,g/dL,,12,,7.5\n",
    )
    assert read_code_set("hemoglobin", [tmp_path]).codes == (
        Code("LOINC", "718-7", "Hemoglobin", "LOINC", unit="g/L", factor=0.1, low=12.0, high=15.5),
        Code("LOINC", "718-7", "Hemoglobin", "LOINC", unit="g/dL", factor=1.0, low=12.0, weeks=7.5),
    )


def test_the_limits_of_what_can_be_recorded_are_read_as_numbers(tmp_path):
    write(
        tmp_path,
        "hemoglobin",
        "vocabulary,code,name,source,low,high,plausible_low,plausible_high\n"
        "LOINC,718-7,Hemoglobin,LOINC,12,15.5,1,25\n"
        "LOINC,718-8,Hemoglobin,LOINC,,15.5,15.5,\n",
    )
    limits = [
        (code.plausible_low, code.plausible_high)
        for code in read_code_set("hemoglobin", [tmp_path]).codes
    ]

    assert limits == [(1.0, 25.0), (15.5, None)]


def test_ranges_by_trimester_are_read_and_an_empty_one_has_no_bound(tmp_path):
    write(
        tmp_path,
        "lab",
        "vocabulary,code,name,source,low,high,low_1,high_1,low_2\n"
        "LOINC,1,A,L,12,17,11,14,10.5\nLOINC,2,A,L,12,17,,,\n",
    )
    pregnant, alike = read_code_set("lab", [tmp_path]).codes

    assert pregnant.trimester_limits == (11.0, 14.0, 10.5, None, None, None)
    assert alike.trimester_limits == (12.0, 17.0, 12.0, 17.0, 12.0, 17.0)
    assert (pregnant.by_trimester, alike.by_trimester) == (True, False)


def test_a_later_folder_replaces_the_code_set_of_the_same_name(tmp_path):
    shared = write(tmp_path / "shared", "asthma", HEADER + "ICD10CM,J45,Asthma,shared\n")
    write(shared, "copd", HEADER + "ICD10CM,J44,COPD,shared\n")
    own = write(tmp_path / "own", "asthma", HEADER + "ICD10CM,J4550,Severe asthma,own\n")

    found = read_code_sets([shared, own])

    assert {name: [code.code for code in found[name].codes] for name in found} == {
        "asthma": ["J4550"],
        "copd": ["J44"],
    }


def test_a_name_that_no_folder_has_is_an_error_with_the_nearest_name(tmp_path):
    write(tmp_path, "hemoglobin", HEADER + "LOINC,718-7,Hemoglobin,LOINC\n")

    with pytest.raises(ConfigurationError, match="Did you mean 'hemoglobin'"):
        read_code_set("hemoglobn", [tmp_path])


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="must be a folder of code sets"):
        read_code_sets([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vocabulary,code,name\nICD10CM,O45,Abruption\n", "line 1: .*missing: source"),
        ("vocabulary,code,name,sauce\n", "line 1: .*'sauce'. Did you mean 'source'"),
        (HEADER, "line 1: must hold at least one code"),
        (HEADER + "ICD10CM,O45,Abruption\n", "line 2: must have as many fields"),
        (HEADER + "ICD10CM,O45,Abruption,CDC,x\n", "line 2: must have as many fields"),
        (HEADER + "ICD10CM,O45,Abruption,\n", "line 2: source must not be empty"),
        (HEADER + "ICD10CM,O45,,CDC\n", "line 2: name must not be empty"),
        (HEADER + "ICD10CM,O45.0,Abruption,CDC\n", "line 2: .*'O45.0'. Write 'O450'"),
        (HEADER + "ICD10CM,o45,Abruption,CDC\n", "line 2: .*'o45'. Write 'O45'"),
        (HEADER + "SNOMED,1 ,Abruption,CDC\n", "line 2: code must not have blanks"),
        (HEADER + "ICD10,O45,Abruption,CDC\n", "line 2: .*'ICD10'. Did you mean 'ICD10"),
        (
            HEADER + "ICD10CM,O45,A,CDC\nICD10CM,O44,B,CDC\n",
            "line 3: rows must be sorted",
        ),
        (
            HEADER + "ICD10CM,O45,A,CDC\nICD10CM,O45,B,CDC\n",
            "line 3: .*ICD10CM O45 is also on line 2",
        ),
        (
            "vocabulary,code,name,source,unit\nLOINC,1,A,L,g/dL\nLOINC,1,A,L,G/DL\n",
            "line 3: .*LOINC 1 is also on line 2",
        ),
        (
            "vocabulary,code,name,source,match\nLOINC,1,A,L,prefixes\n",
            "line 2: .*'prefixes'. Did you mean 'prefix'",
        ),
        (
            "vocabulary,code,name,source,low,high\nLOINC,1,A,L,5,4\n",
            "line 2: low must be at most high; found low 5.0 and high 4.0",
        ),
        (
            "vocabulary,code,name,source,low,plausible_low\nLOINC,1,A,L,5,0\nLOINC,2,A,L,5,6\n",
            "line 3: plausible_low must be at most low; found plausible_low 6.0 and low 5.0",
        ),
        (
            "vocabulary,code,name,source,high,plausible_high\nLOINC,1,A,L,5,4\n",
            "line 2: high must be at most plausible_high; found high 5.0 and plausible_high 4.0",
        ),
        (
            "vocabulary,code,name,source,low,plausible_high\nLOINC,1,A,L,5,4\n",
            "line 2: low must be at most plausible_high",
        ),
        (
            "vocabulary,code,name,source,low_2,high_2\nLOINC,1,A,L,5,4\n",
            "line 2: low_2 must be at most high_2; found low_2 5.0 and high_2 4.0",
        ),
        (
            "vocabulary,code,name,source,plausible_low,plausible_high\nLOINC,1,A,L,5,4\n",
            "line 2: plausible_low must be at most plausible_high",
        ),
        (
            "vocabulary,code,name,source,plausible_low\nLOINC,1,A,L,none\n",
            "line 2: plausible_low must be a number; found 'none'",
        ),
        (
            'vocabulary,code,name,source,low\nLOINC,1,A,L,"1,5"\n',
            "line 2: low must be a number; found '1,5'",
        ),
        (
            "vocabulary,code,name,source,factor\nLOINC,1,A,L,-1\n",
            "line 2: factor must be positive",
        ),
        (
            "vocabulary,code,name,source,factor\nLOINC,1,A,L,0\n",
            "line 2: factor must be positive",
        ),
        (
            "vocabulary,code,name,source,low\nLOINC,1,A,L,nan\n",
            "line 2: low must be a number; found 'nan'",
        ),
    ],
)
def test_a_bad_file_is_an_error_with_the_line(tmp_path, text, expected):
    message = error_of(tmp_path, text)

    assert "abruption.csv, " in message
    assert re.search(expected, message)


def test_a_file_that_is_not_utf8_is_an_error(tmp_path):
    (tmp_path / "abruption.csv").write_bytes(HEADER.encode() + b"ICD10CM,O45,D\xe9collement,CDC\n")

    with pytest.raises(ConfigurationError, match="must be UTF-8"):
        read_code_set("abruption", [tmp_path])


HEMOGLOBIN = CodeSet(
    "hemoglobin",
    (
        Code(
            "LOINC",
            "718-7",
            "Hemoglobin",
            "LOINC",
            unit="g/dL",
            low=12.0,
            plausible_low=1.0,
            plausible_high=25.0,
        ),
        Code("LOINC", "718-7", "Hemoglobin", "LOINC", unit="g/L", factor=0.1, low=12.0),
    ),
)


def matched(codes: list[tuple], *code_sets: CodeSet) -> list[tuple]:
    frame = pl.DataFrame(
        codes,
        schema={"vocabulary": pl.String, "code": pl.String, "unit": pl.String},
        orient="row",
    )
    return match_codes(frame, code_sets).rows()


def test_a_row_with_a_unit_matches_only_this_unit_in_any_letter_case():
    found = matched(
        [
            ("LOINC", "718-7", "G/DL"),
            ("LOINC", "718-7", "g/l"),
            ("LOINC", "718-7", "mmol/L"),
            ("LOINC", "718-7", None),
        ],
        HEMOGLOBIN,
    )
    ranges = (12.0, None) * 4
    assert found == [
        ("LOINC", "718-7", "G/DL", "hemoglobin", 1.0, *ranges, 1.0, 25.0, None),
        ("LOINC", "718-7", "g/l", "hemoglobin", 0.1, *ranges, None, None, None),
    ]


def test_a_row_without_a_unit_matches_any_unit_but_gives_way_to_one_with_it():
    weight = CodeSet(
        "weight",
        (
            Code("LOINC", "29463-7", "Weight", "LOINC"),
            Code("LOINC", "29463-7", "Weight", "LOINC", unit="lb", factor=0.45359237),
        ),
    )
    found = matched(
        [("LOINC", "29463-7", "lb"), ("LOINC", "29463-7", "kg"), ("LOINC", "29463-7", None)],
        weight,
    )
    assert [(unit, factor) for _, _, unit, _, factor, *_ in found] == [
        (None, 1.0),
        ("kg", 1.0),
        ("lb", 0.45359237),
    ]


def test_the_longest_prefix_of_a_code_set_gives_its_weeks():
    age = CodeSet(
        "gestational_age",
        (
            Code("ICD10CM", "Z3A", "Weeks of gestation", "ICD-10-CM", match="prefix"),
            Code("ICD10CM", "Z3A28", "28 weeks", "ICD-10-CM", match="prefix", weeks=28.0),
        ),
    )
    found = matched([("ICD10CM", "Z3A28", None), ("ICD10CM", "Z3A00", None)], age)

    assert [(code, weeks) for _, code, *_, weeks in found] == [("Z3A00", None), ("Z3A28", 28.0)]


def test_a_prefix_matches_longer_codes_of_its_vocabulary_only_and_exact_matches_nothing_longer():
    code_set = CodeSet(
        "asthma",
        (
            Code("ICD10CM", "J45", "Asthma", "ICD-10-CM", match="prefix"),
            Code("SNOMED", "195967001", "Asthma", "SNOMED CT"),
        ),
    )
    found = matched(
        [
            ("ICD10CM", "J4520", None),
            ("ICD10CM", "J45", None),
            ("ICD10CM", "J4", None),
            ("ICD9CM", "J45", None),
            ("SNOMED", "1959670011", None),
            ("SNOMED", "195967001", None),
        ],
        code_set,
    )
    assert [row[:2] for row in found] == [
        ("ICD10CM", "J45"),
        ("ICD10CM", "J4520"),
        ("SNOMED", "195967001"),
    ]


def test_a_code_may_belong_to_many_code_sets_and_repeated_codes_count_once():
    one = CodeSet("eclampsia", (Code("ICD10CM", "O15", "E", "C", match="prefix"),))
    two = CodeSet("severe", (Code("ICD10CM", "O150", "E", "C", match="exact"),))
    found = matched([("ICD10CM", "O150", None)] * 3, two, one)

    assert [row[3] for row in found] == ["eclampsia", "severe"]


def test_codes_without_a_unit_column_are_codes_whose_unit_is_not_stated():
    frame = pl.DataFrame({"vocabulary": ["ICD10CM"], "code": ["J45"]})
    asthma = CodeSet("asthma", (Code("ICD10CM", "J45", "A", "I", match="prefix"),))

    assert_frame_equal(
        match_codes(frame, [asthma]),
        match_codes(frame.with_columns(unit=pl.lit(None, pl.String)), [asthma]),
    )


def test_codes_without_a_vocabulary_are_an_error():
    with pytest.raises(ContractError, match="vocabulary is missing"):
        match_codes(pl.DataFrame({"vocab": ["ICD10CM"], "code": ["J45"]}), [HEMOGLOBIN])


def test_no_codes_or_no_code_sets_give_an_empty_table_of_the_same_shape():
    nothing = pl.DataFrame(schema={"vocabulary": pl.String, "code": pl.String})
    some = pl.DataFrame({"vocabulary": ["ICD10CM"], "code": ["J45"]})

    assert match_codes(nothing, [HEMOGLOBIN]).schema == match_codes(some, []).schema
    assert match_codes(some, []).height == 0


def test_300_code_sets_over_20_000_codes_match_within_a_second():
    code_sets = [
        CodeSet(
            f"set_{number}",
            tuple(
                Code("ICD10CM", f"{letter}{number:03d}"[:3], "n", "s", match="prefix")
                for letter in "ABCDEFGHIJ"
            ),
        )
        for number in range(300)
    ]
    codes = pl.DataFrame(
        {
            "vocabulary": ["ICD10CM"] * 20_000,
            "code": [f"{'ABCDEFGHIJKLMNOPQRST'[n % 20]}{n:06d}" for n in range(20_000)],
        }
    )
    started = process_time()
    found = match_codes(codes, code_sets)

    assert process_time() - started < 1.0
    assert found["code_set"].n_unique() > 0


SHIPPED = sorted(DEFS.glob("**/code_sets/*.csv"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_each_shipped_code_set_is_valid(path):
    assert read_code_set(path.stem, [path.parent]).codes
