from datetime import datetime

import polars as pl
from polars.testing import assert_frame_equal

from hrob_assets.risk.tables import EVENTS
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet
from hrob_assets.risk.vocabulary.coded_events import is_abnormal, narrow_to_coded, select_coded

T = datetime(2024, 3, 1)
BLEEDING = CodeSet(
    "bleeding",
    (
        Code("ICD10CM", "O46", "Antepartum hemorrhage", "test", match="prefix"),
        Code("SNOMED", "34842007", "Antepartum hemorrhage", "test"),
    ),
)
ANY_O = CodeSet("obstetric", (Code("ICD10CM", "O", "Chapter XV", "test", match="prefix"),))


def events(*codes):
    """Events as (vocabulary, code, standard vocabulary, standard code)."""
    return pl.LazyFrame(
        [(7, "condition", number, 1, *code, None, None, T, T) for number, code in enumerate(codes)],
        schema=EVENTS.schema,
        orient="row",
    )


def found(*codes, sets=(BLEEDING,)):
    selected = select_coded(events(*codes), sets).collect()
    return sorted(selected.select("code", "code_set").rows())


def test_an_event_is_found_by_its_source_code():
    assert found(("ICD10CM", "O4691", None, None), ("ICD10CM", "O80", None, None)) == [
        ("O4691", "bleeding")
    ]


def test_an_event_is_found_by_its_standard_code_and_keeps_its_source_code():
    assert found(("None", "local 12", "SNOMED", "34842007")) == [("local 12", "bleeding")]


def test_an_event_that_matches_both_ways_is_found_once():
    assert found(("ICD10CM", "O4691", "SNOMED", "34842007")) == [("O4691", "bleeding")]


def test_a_code_of_another_vocabulary_does_not_match():
    assert found(("ICD9CM", "O4691", None, None), ("None", "34842007", "LOINC", "34842007")) == []


def test_an_event_may_belong_to_several_code_sets():
    assert found(("ICD10CM", "O4691", None, None), sets=(BLEEDING, ANY_O)) == [
        ("O4691", "bleeding"),
        ("O4691", "obstetric"),
    ]


def test_the_same_code_twice_at_the_same_moment_is_one_fact():
    assert len(found(*[("ICD10CM", "O4691", None, None)] * 2)) == 1


def test_the_events_of_a_code_set_alone_give_the_same_facts():
    all_events = events(
        ("ICD10CM", "O4691", "SNOMED", "34842007"),
        ("None", "local 12", "SNOMED", "34842007"),
        ("ICD10CM", "O80", None, None),
        ("ICD9CM", "O4691", None, None),
        ("ICD10CM", "O4691", None, None),
    )

    narrow = narrow_to_coded(all_events, [BLEEDING])

    assert narrow.collect()["source_row_id"].to_list() == [0, 4, 1]
    assert narrow.collect_schema() == all_events.collect_schema()
    assert_frame_equal(
        select_coded(narrow, [BLEEDING]).collect(),
        select_coded(all_events, [BLEEDING]).collect(),
        check_row_order=False,
    )


def test_no_events_give_no_facts():
    selected = select_coded(events(), [BLEEDING]).collect()

    assert selected.is_empty()
    assert selected.columns == [
        "person_id", "encounter_id", "code", "code_set", "occurred_at", "known_at", "number",
        "abnormal_by",
    ]  # fmt: skip


def test_a_value_is_in_the_unit_of_the_code_set_and_an_implausible_one_is_none():
    low = Code("LOINC", "718-7", "Hemoglobin", "x", unit="g/L", factor=0.1, low=11.0,
               plausible_low=1.0, plausible_high=25.0)  # fmt: skip
    rows = [("LOINC", "718-7", None, None)] * 3
    facts = events(*rows).with_columns(
        pl.Series("value", [95.0, 130.0, 9999.0]), pl.Series("unit", ["g/L", "G/L", "g/L"])
    )

    found = select_coded(facts, [CodeSet("hemoglobin", (low,))]).collect().sort("number")

    assert found["number"].to_list() == [None, 9.5, 13.0]
    assert found.select(is_abnormal(pl.lit(0)))["abnormal_by"].to_list() == [False, True, False]


def test_a_value_is_abnormal_by_the_range_of_the_trimester_where_there_is_one():
    usual = Code("LOINC", "718-7", "Hemoglobin", "x", low=12.0)
    pregnant = Code("LOINC", "718-7", "Hemoglobin", "x", low=12.0, low_1=11.0, low_2=10.5)
    facts = events(("LOINC", "718-7", None, None)).with_columns(value=pl.lit(10.7))

    def by_trimester(code):
        found = select_coded(facts, [CodeSet("hemoglobin", (code,))]).collect()
        return [found.select(is_abnormal(pl.lit(number))).item() for number in range(4)]

    assert by_trimester(usual) == [True, True, True, True]
    assert by_trimester(pregnant) == [True, True, False, False]
