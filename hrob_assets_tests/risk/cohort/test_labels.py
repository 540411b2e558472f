from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
import pytest

from hrob_assets.risk.cohort.labels import label_rows
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS
from hrob_assets.risk.use_case import Outcome, OutcomeComponent
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet

T = datetime(2024, 3, 1)
CODE_SETS = {
    name: CodeSet(name, (Code(vocabulary, code, name, "test"),))
    for name, vocabulary, code in [
        ("ed_visit", "Visit", "emergency"),
        ("preterm", "ICD10CM", "Z3A30"),
        ("delivery", "ICD10CM", "O80"),
    ]
}
ED = Outcome(
    name="ED visit",
    horizon_days=60,
    runout_days=30,
    components=(OutcomeComponent(name="ed", code_set="ed_visit"),),
    requires_enrolment=True,
)
LATE = T + timedelta(days=90)


def rows(encounter_id=1):
    return pl.DataFrame(
        {
            "person_id": [7],
            "encounter_id": [encounter_id],
            "prediction_time": [T],
            "week": [T.date()],
        },
        schema_overrides={"prediction_time": pl.Datetime("us")},
    )


def events(*facts):
    """Facts as (code, vocabulary, occurred day, known day, encounter)."""
    return pl.LazyFrame(
        [
            (
                7, "visit", n, encounter, vocabulary, code, None, None, None, None,
                T + timedelta(days=occurred), T + timedelta(days=known),
            )
            for n, (code, vocabulary, occurred, known, encounter) in enumerate(facts)
        ],
        schema=EVENTS.schema, orient="row",
    )  # fmt: skip


def coverage(*spans):
    """Spans as (first day, day of the end, known day, known day of the end or nothing)."""
    return pl.LazyFrame(
        [
            (
                7,
                T + timedelta(days=start),
                None if end is None else T + timedelta(days=end),
                "Medicaid",
                T + timedelta(days=known),
                None if end is None else T + timedelta(days=max([end, known, *end_known])),
            )
            for start, end, known, *end_known in spans
        ],
        schema=COVERAGE.schema,
        orient="row",
    )


def person(death=None):
    at = None if death is None else T + timedelta(days=death)
    return pl.LazyFrame(
        [(7, datetime(1990, 1, 1).date(), "female", "White", "Unknown", at, at)],
        schema=PERSONS.schema,
        orient="row",
    )


def label(facts=(), **world: object):
    found = labelled(facts, **world)
    return found["label"].item(), found["label_status"].item()


def labelled(facts=(), *, spans=((-100, None, -100),), death=None, as_of=LATE, outcome=ED):
    return label_rows(
        rows(),
        events=events(*facts),
        coverage=coverage(*spans),
        persons=person(death),
        outcome=outcome,
        code_sets=CODE_SETS,
        as_of=as_of,
    )


@pytest.mark.parametrize(
    ("day", "expected"), [(-1, False), (0, True), (59, True), (59.99, True), (60, False)]
)
def test_an_outcome_counts_from_the_prediction_time_to_the_day_before_the_horizon_ends(
    day, expected
):
    found = label([("emergency", "Visit", day, max(day, 0), 2)])

    assert found == (expected, "mature")


@pytest.mark.parametrize(("known", "expected"), [(89.9, True), (90, False)])
def test_an_outcome_counts_only_when_known_before_the_run_out_ends(known, expected):
    found = label([("emergency", "Visit", 10, known, 2)])

    assert found == (expected, "mature")


def test_a_row_is_pending_until_the_run_out_has_passed_even_with_an_event():
    found = label([("emergency", "Visit", 10, 10, 2)], as_of=LATE - timedelta(days=1))

    assert found == (None, "pending")


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(-100, None, -100)], (False, "mature")),
        ([(-100, 60, -100)], (False, "mature")),
        ([(-100, 59, -100)], (None, "censored")),
        ([(-100, 20, -100), (20, None, 30)], (False, "mature")),
        ([(-100, 20, -100), (23, None, 30)], (None, "censored")),
        ([(-100, 20, -100), (20, None, 95)], (None, "censored")),
        ([(-100, 20, -100, 89)], (None, "censored")),
        ([(-100, 20, -100, 90)], (False, "mature")),
        ([], (None, "censored")),
    ],
    ids=[
        "open",
        "to the end",
        "left",
        "two spans",
        "gap",
        "known too late",
        "end known in time",
        "end known too late",
        "never",
    ],
)
def test_a_member_who_is_not_enrolled_through_the_horizon_is_censored(spans, expected):
    assert label(spans=spans) == expected


@pytest.mark.parametrize("facts", [[], [("emergency", "Visit", 10, 10, 2)]])
@pytest.mark.parametrize(
    ("spans", "death", "followed"),
    [
        ([(-100, None, -100)], None, True),
        ([(-100, 60, -100)], None, True),
        ([(-100, 59, -100)], None, False),
        ([(-100, 20, -100, 90)], None, True),
        ([(-100, 30, -100)], 30, True),
        ([(-100, 29, -100)], 30, True),
        ([(-100, 28, -100)], 30, False),
        ([(-100, None, -100)], 30, True),
        ([(-100, 30, -100)], 61, False),
        ([], 0.5, True),
    ],
)
def test_whether_a_person_was_followed_does_not_depend_on_the_outcome(
    facts, spans, death, followed
):
    assert labelled(facts, spans=spans, death=death)["followed"].item() is followed


def test_who_need_not_be_enrolled_is_always_followed_and_nobody_while_pending():
    free = replace(ED, requires_enrolment=False)

    assert labelled(spans=[], outcome=free)["followed"].item() is True
    assert labelled(as_of=LATE - timedelta(days=1))["followed"].item() is None


def test_an_event_before_disenrolment_is_an_event():
    found = label([("emergency", "Visit", 10, 10, 2)], spans=[(-100, 20, -100)])

    assert found == (True, "mature")


def test_a_death_without_the_outcome_is_censored_not_a_negative():
    assert label(death=30) == (None, "censored")
    assert label(death=61) == (False, "mature")


PRETERM = Outcome(
    name="preterm delivery",
    horizon_days=60,
    runout_days=30,
    components=(
        OutcomeComponent(name="preterm", code_set="delivery", same_encounter_code_set="preterm"),
    ),
    requires_enrolment=False,
)


def test_a_component_may_need_a_second_code_on_the_same_encounter():
    born = ("O80", "ICD10CM", 10, 12, 5)

    assert label([born], outcome=PRETERM) == (False, "mature")
    assert label([born, ("Z3A30", "ICD10CM", 10, 12, 6)], outcome=PRETERM) == (False, "mature")
    assert label([born, ("Z3A30", "ICD10CM", 10, 12, 5)], outcome=PRETERM) == (True, "mature")


def test_the_second_code_may_be_older_than_the_prediction_time():
    born = ("O80", "ICD10CM", 1, 12, 5)
    admitted = ("Z3A30", "ICD10CM", -1, -1, 5)

    assert label([born, admitted], outcome=PRETERM) == (True, "mature")


def test_a_delivery_before_the_prediction_time_is_no_outcome():
    born = ("O80", "ICD10CM", -1, 12, 5)

    assert label([born, ("Z3A30", "ICD10CM", 1, 12, 5)], outcome=PRETERM) == (False, "mature")


def test_the_second_code_must_be_known_when_the_label_is_ripe():
    born = ("O80", "ICD10CM", 10, 12, 5)

    assert label([born, ("Z3A30", "ICD10CM", 10, 95, 5)], outcome=PRETERM) == (False, "mature")


@pytest.mark.parametrize(("day", "expected"), [(9, True), (11, True), (12, False)])
def test_a_second_code_without_an_encounter_belongs_to_one_within_a_day(day, expected):
    born = ("O80", "ICD10CM", 10, 12, 5)

    found = label([born, ("Z3A30", "ICD10CM", day, 12, None)], outcome=PRETERM)

    assert found == (expected, "mature")


def test_a_component_may_count_only_events_of_the_index_encounter():
    outcome = Outcome(
        name="readmission",
        horizon_days=60,
        runout_days=30,
        components=(OutcomeComponent(name="ed", code_set="ed_visit", of_index_encounter=True),),
        requires_enrolment=False,
    )

    assert label([("emergency", "Visit", 10, 10, 2)], outcome=outcome) == (False, "mature")
    assert label([("emergency", "Visit", 10, 10, 1)], outcome=outcome) == (True, "mature")
