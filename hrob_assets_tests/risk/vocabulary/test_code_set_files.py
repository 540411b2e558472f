import re
import shutil
from pathlib import Path

import pytest

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.vocabulary.code_set_files import read_code_sets
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet
from hrob_assets_tests.paths import DEFS

HEADER = "vocabulary,code,name,source\n"


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def error_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read_code_sets([write(tmp_path, "abruption", text)])
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
    found = read_code_sets([tmp_path])["abruption"]

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
    assert read_code_sets([tmp_path])["hemoglobin"].codes == (
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
        for code in read_code_sets([tmp_path])["hemoglobin"].codes
    ]

    assert limits == [(1.0, 25.0), (15.5, None)]


def test_ranges_by_trimester_are_read_and_an_empty_one_has_no_bound(tmp_path):
    write(
        tmp_path,
        "lab",
        "vocabulary,code,name,source,low,high,low_1,high_1,low_2\n"
        "LOINC,1,A,L,12,17,11,14,10.5\nLOINC,2,A,L,12,17,,,\n",
    )
    pregnant, alike = read_code_sets([tmp_path])["lab"].codes

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
        read_code_sets([tmp_path])["abruption"]


SHIPPED = sorted(DEFS.glob("**/code_sets/*.csv"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_each_shipped_code_set_is_valid(path, tmp_path):
    shutil.copy(path, tmp_path)

    assert read_code_sets([tmp_path])[path.stem].codes
