"""Prenatal care and earlier pregnancies: all against a plain reference, and examples to read."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets.risk.features.build.build import build_features
from hrob_assets.risk.features.build.pregnancy_measures import pregnancy_measures
from hrob_assets.risk.features.catalogue.measures import CODED_MEASURES, MEASURES
from hrob_assets.risk.features.kernel.facts import Facts
from hrob_assets.risk.pregnancy import known_pregnancies
from hrob_assets_tests.risk.features.timelines import (
    CODE_SETS,
    DAY,
    EVERYTHING,
    FACTS,
    T,
    coverage_of,
    events_of,
    rows_of,
    three_persons,
)
from hrob_assets_tests.risk.pregnancy.pregnancy_reference import measures_at
from hrob_assets_tests.risk.pregnancy.test_pregnancy import (
    DAY_ZERO,
    random_rows,
    random_signatures,
    statements_by_person,
)

WEEK_20, VISIT, PREECLAMPSIA, BIRTH = FACTS[6], FACTS[-2], FACTS[-1], FACTS[4]
SERIES = {"prenatal_visit": "visit"} | {
    name: measure
    for measure, names in CODED_MEASURES["earlier_pregnancies"].items()
    for name in names
}


def random_coded(seed, *, persons):
    """Coded facts: (person, series, occurred, known) by person and time."""
    rng = np.random.default_rng(seed)
    names = list(SERIES)
    coded = []
    for person in range(persons):
        for _ in range(int(rng.integers(0, 40))):
            day = int(rng.integers(0, 1700))
            series = 0 if rng.random() < 0.6 else int(rng.integers(0, len(names)))
            for _ in range(1 + (rng.random() < 0.2)):  # two claims of one day
                occurred = DAY_ZERO + timedelta(days=day, hours=int(rng.choice([0, 9])))
                known = occurred + timedelta(days=int(rng.choice([-1, 0, 1, 7, 30, 90])))
                coded.append((person, series, occurred, known))
    return sorted(coded, key=lambda one: (one[0], one[2]))


def facts_of(coded, persons):
    epoch = np.datetime64("1970-01-01", "us")
    occurred, known = (
        np.array([one[i] for one in coded], "datetime64[us]") - epoch for i in (2, 3)
    )
    occurred, known = occurred.astype(np.int64), known.astype(np.int64)
    return Facts(
        np.searchsorted([one[0] for one in coded], np.append(persons, persons[-1] + 1)),
        np.array([one[1] for one in coded], np.int32),
        occurred,
        np.maximum(occurred, known),
        np.full(len(coded), np.nan),
        np.zeros(len(coded), np.uint8),
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_measures_of_random_timelines_are_those_of_the_plain_reference(seed):
    persons = 60
    signatures = random_signatures(seed, persons=persons)
    coded = random_coded(seed, persons=persons)
    rows = random_rows(seed, persons=persons, count=1200).sort("person_id", "prediction_time")
    facts = facts_of(coded, rows["person_id"].unique().sort().to_numpy())

    found = pregnancy_measures(rows, known_pregnancies(rows, signatures), facts, list(SERIES))

    told = statements_by_person(signatures)
    names = list(SERIES.values())
    expected = pl.DataFrame(
        [
            measures_at(
                told.get(person, []),
                [(names[one[1]], one[2], one[3]) for one in coded if one[0] == person],
                time,
            )
            for person, time in rows.rows()
        ],
        infer_schema_length=None,
    ).cast(pl.Float64)
    actual = found.select(expected.columns).cast(pl.Float64)
    assert_frame_equal(expected, actual, abs_tol=1e-9)
    constant = {name for name in actual.columns if actual[name].n_unique() == 1}
    assert constant <= {
        "earlier_pregnancies__many_births",
        "earlier_pregnancies__interval_over_5_years",
    }


def test_every_measure_of_the_catalogue_is_given_and_none_else_is_read_from_codes():
    rows = random_rows(1, persons=1, count=1)
    nothing = facts_of([(0, 0, DAY_ZERO, DAY_ZERO)], rows["person_id"].to_numpy())
    known = known_pregnancies(rows, random_signatures(1, persons=2))
    found = pregnancy_measures(rows, known, nothing, list(SERIES))

    named = [f"{family}__{one}" for family, many in MEASURES["pregnancy"].items() for one in many]
    assert set(named) <= set(found.columns)
    assert set(CODED_MEASURES) <= set(MEASURES["pregnancy"])


def features(*events, days=0):
    """Features of person 1 some days after T; events are (fact, days before T, days known)."""
    told = [(1, fact, T - ago * DAY, T - seen * DAY) for fact, ago, seen in events]
    return build_features(
        rows_of([(1, T + days * DAY, "office", 1)]),
        persons=three_persons(),
        coverage=coverage_of([]),
        events=events_of(told),
        catalogue=EVERYTHING,
        code_sets=CODE_SETS,
    ).row(0, named=True)


def care(*events, days=0):
    found = features(*events, days=days)
    return {
        name: found[f"prenatal_care__{name}"] for name in MEASURES["pregnancy"]["prenatal_care"]
    }


def test_care_that_began_early_and_kept_its_visits_is_adequate():
    visits = [(VISIT, ago, ago) for ago in (80, 52, 24)]  # at 9, 13 and 17 weeks
    found = care((WEEK_20, 1, 1), *visits)

    assert (found["visits"], found["expected_visits"]) == (3, 4)  # due: 6, 10, 14 and 18 weeks
    assert (found["month_began"], found["first_visit_days"]) == (3, 64)
    assert found["expected_since_first"] == 4
    assert (found["share_since_first"], found["intermediate"]) == (0.75, 1)
    assert (found["days_since_last_visit"], found["longest_gap_days"]) == (24, 28)
    assert found["days_overdue"] == 0

    one_more = care((WEEK_20, 1, 1), *visits, (VISIT, 10, 10))
    assert (one_more["adequate"], one_more["intermediate"]) == (1, 0)


def test_two_claims_of_one_day_are_one_visit_and_one_known_later_is_none():
    found = care((WEEK_20, 1, 1), (VISIT, 24, 24), (VISIT, 24, 20), (VISIT, 10, 0))

    assert found["visits"] == 1


def test_without_a_visit_care_is_inadequate_only_when_it_would_be_late():
    late, early = care((WEEK_20, 1, 1)), care((WEEK_20, -39, -39))
    assert (late["no_visit_yet"], late["began_late"], late["inadequate"]) == (1, 1, 1)
    assert (late["visits"], late["share_of_expected"], late["share_since_first"]) == (0, 0, None)
    assert early["no_visit_yet"] == 0  # not yet known

    young = care((WEEK_20, -29, 1))
    assert young["no_visit_yet"] == 0  # dated in the future: no history


def test_outside_an_episode_numbers_are_null_and_flags_0():
    found = care((VISIT, 24, 24))

    assert {found[name] for name in ("visits", "expected_visits", "days_overdue")} == {None}
    assert {found[name] for name in ("no_visit_yet", "inadequate", "adequate")} == {0}


def test_a_visit_before_the_pregnancy_is_not_of_its_care():
    assert care((WEEK_20, 1, 1), (VISIT, 144, 144))["visits"] == 1
    assert care((WEEK_20, 1, 1), (VISIT, 145, 145))["visits"] == 0


def test_a_complication_counts_as_earlier_when_it_was_in_an_earlier_pregnancy():
    earlier = ((BIRTH, 500, 500), (PREECLAMPSIA, 505, 505))
    now = ((WEEK_20, 1, 1), (PREECLAMPSIA, 5, 5))
    name = "earlier_pregnancies__preeclampsia"

    assert features(*earlier, *now)[name] == 1
    assert features(*earlier[:1], *now)[name] == 0
    assert features(*earlier[1:], *now)[name] == 0  # no pregnancy is known there
    assert features(*earlier[:1], (PREECLAMPSIA, 458, 458), *now)[name] == 1  # 42 days after it
    assert features(*earlier[:1], (PREECLAMPSIA, 457, 457), *now)[name] == 0


def test_many_births_and_the_interval_since_the_last():
    births = [(BIRTH, 2000 + 400 * number, 2000) for number in range(5)]

    def at(*events):
        found = features(*events, (WEEK_20, 1, 1))
        names = ("births", "many_births", "no_birth", "interval_over_5_years",
                 "interval_under_18_months")  # fmt: skip
        return tuple(found[f"earlier_pregnancies__{name}"] for name in names)

    assert at(*births) == (5, 1, 0, 1, 0)
    assert at(*births[1:]) == (4, 0, 0, 1, 0)
    assert at((BIRTH, 144 + 547, 600)) == (1, 0, 0, 0, 1)
    assert at((BIRTH, 144 + 548, 600)) == (1, 0, 0, 0, 0)
    assert at() == (0, 0, 1, 0, 0)


def test_the_due_date_and_what_comes_after_it():
    def at(days):
        found = features((WEEK_20, 1, 1), days=days)
        names = ("weeks_to_due_date", "past_due_date", "late_term", "post_term")
        return tuple(found[f"pregnancy__{name}"] for name in names)

    assert at(136) == (0, 1, 0, 0)  # 144 days at T, 280 days 136 days later
    assert at(135)[1:] == (0, 0, 0)
    assert at(143) == (-1, 1, 1, 0)
    assert at(150) == (-2, 1, 0, 1)
