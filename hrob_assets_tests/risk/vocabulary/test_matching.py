from time import process_time

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet
from hrob_assets.risk.vocabulary.matching import match_codes

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
