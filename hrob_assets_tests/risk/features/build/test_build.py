"""The feature store against its SQL form on random timelines, and its edges by example."""

import random
from datetime import datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hrob_assets.risk.errors import ConfigurationError, ContractError
from hrob_assets.risk.features.build.build import build_features, feature_blocks
from hrob_assets.risk.features.catalogue.catalogue import Catalogue
from hrob_assets.risk.features.catalogue.measures import MEASURES
from hrob_assets.risk.tables import COVERAGE, EVENTS
from hrob_assets_tests.risk.features.sql_oracle import build_features_sql
from hrob_assets_tests.risk.features.timelines import (
    CODE_SETS,
    CODED,
    DAY,
    EVERYTHING,
    FACTS,
    WITHOUT_PREGNANCY,
    T,
    coverage_of,
    drawn_coverage,
    drawn_events,
    drawn_rows,
    events_of,
    measured_families,
    pregnancies_of,
    rows_of,
    three_persons,
)

HEMOGLOBIN = FACTS[7]


def world(events=(), coverage=(), catalogue=WITHOUT_PREGNANCY):
    return {
        "persons": three_persons(),
        "coverage": coverage_of(list(coverage)),
        "events": events_of(list(events)),
        "catalogue": catalogue,
        "code_sets": CODE_SETS,
    }


def one_row(**given: object):
    """Features of person 1 at T."""
    return build_features(rows_of([(1, T, "office", 1)]), **world(**given)).row(0, named=True)


def assert_same_as_sql(rows, **given: object):
    known = pregnancies_of(rows, given["events"])
    expected = build_features_sql(rows, **given, pregnancies=known)
    actual = build_features(rows, **given)
    approximate = [name for name in expected.columns if "__mean_" in name or "__slope_" in name]

    assert_frame_equal(expected.drop(approximate), actual.drop(approximate), check_exact=True)
    assert_frame_equal(
        expected.select(approximate), actual.select(approximate), rel_tol=1e-5, abs_tol=1e-4
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn_events, drawn_coverage, drawn_rows)
def test_features_are_those_of_the_sql_form(events, coverage, rows):
    assert_same_as_sql(rows_of(rows), **world(events, coverage))


@pytest.mark.parametrize("seed", [1, 2])
def test_features_of_long_timelines_are_those_of_the_sql_form(seed):
    draw = random.Random(seed)  # noqa: S311 - a world, not a secret

    def moment():
        return T + draw.randrange(-500, 60) * DAY + draw.choice([0, 0, 0.3]) * DAY

    events = [(draw.randint(1, 3), draw.choice(FACTS), moment(), moment()) for _ in range(3000)]
    rows = [(draw.randint(1, 3), T - n * 7 * DAY, "home", 1) for n in range(-8, 40)]

    assert_same_as_sql(rows_of(rows), **world(events, catalogue=Catalogue(CODED)))


@settings(max_examples=10, deadline=None)
@given(drawn_events, drawn_coverage, drawn_rows, st.integers(1, 30), st.integers(1, 3))
def test_blocks_and_threads_do_not_change_a_byte(
    events, coverage, rows, events_per_block, n_threads
):
    given = world(events, coverage, catalogue=EVERYTHING)
    whole = build_features(rows_of(rows), **given, n_threads=1)
    parts = build_features(
        rows_of(rows), **given, n_threads=n_threads, events_per_block=events_per_block
    )

    assert_frame_equal(whole, parts, check_exact=True)


def test_rows_come_back_in_the_order_given_with_the_key_and_the_catalogue_as_columns():
    rows = rows_of([(3, T + DAY, "home", 1), (1, T, "home", 1), (3, T, "home", 1)])
    built = build_features(rows, **world(catalogue=EVERYTHING))

    assert built.columns == [
        "person_id",
        "encounter_id",
        "prediction_time",
        *EVERYTHING.column_names,
    ]
    assert built.select(rows.columns[:3]).equals(rows.select(rows.columns[:3]))
    assert set(built.dtypes[3:]) == {pl.Float32}


def test_no_rows_give_an_empty_frame_with_all_columns():
    built = build_features(rows_of([]), **world(catalogue=EVERYTHING))

    assert built.shape == (0, 3 + len(EVERYTHING.columns))


def test_blocks_follow_the_person_and_hold_all_rows_once():
    rows = rows_of([(3, T, "home", 1), (1, T, "home", 1), (2, T, "home", 1)])
    blocks = list(feature_blocks(rows, **world(), events_per_block=1))

    assert [block.rows["person_id"].to_list() for block in blocks] == [[1], [2], [3]]


def test_events_read_from_parquet_give_the_same_features(tmp_path):
    given = world([(1, HEMOGLOBIN, T - DAY, T - DAY), (2, HEMOGLOBIN, T - DAY, T - DAY)])
    given["events"].write_parquet(tmp_path / "events.parquet", row_group_size=1)
    rows = rows_of([(2, T, "home", 1)])
    scanned = given | {"events": pl.scan_parquet(tmp_path / "events.parquet")}

    assert build_features(rows, **given).equals(build_features(rows, **scanned))


def test_a_value_is_brought_to_the_unit_of_the_code_set_before_it_is_judged():
    features = one_row(events=[(1, FACTS[9], T - DAY, T - DAY)])  # 155 g/L, range 11-15 g/dL

    assert features["hemoglobin__last_value_5d"] == 15.5
    assert features["hemoglobin__abnormal_any_5d"] == 1


def test_a_value_without_unit_is_not_guessed_when_the_code_set_asks_for_one():
    assert one_row(events=[(1, FACTS[10], T - DAY, T - DAY)])["hemoglobin__count_ever"] == 0


def test_an_event_whose_source_and_standard_code_both_match_counts_once():
    features = one_row(events=[(1, FACTS[1], T - DAY, T - DAY)])

    assert features["heart__count_ever"] == 1
    assert features["hypertension__count_ever"] == 1


def test_of_two_values_at_one_moment_the_later_known_is_the_last():
    late = (1, (*HEMOGLOBIN[:5], 9.0, "g/dL"), T - 2 * DAY, T - DAY)
    early = (1, HEMOGLOBIN, T - 2 * DAY, T - 2 * DAY)

    assert one_row(events=[late, early])["hemoglobin__last_value_5d"] == 9.0


def test_of_two_values_known_together_the_greater_source_row_is_the_last():
    moments = (T - 2 * DAY, T - 2 * DAY)
    events = events_of([(1, (*HEMOGLOBIN[:5], value, "g/dL"), *moments) for value in (9.0, 8.0)])
    backwards = world() | {"events": events.reverse()}

    built = build_features(rows_of([(1, T, "home", 1)]), **backwards)
    assert built["hemoglobin__last_value_5d"].to_list() == [8.0]


def test_a_value_that_is_not_finite_is_no_value():
    infinite = (1, (*HEMOGLOBIN[:5], float("inf"), "g/dL"), T - DAY, T - DAY)
    features = one_row(events=[infinite])

    assert features["hemoglobin__missing_5d"] == 1
    assert features["hemoglobin__abnormal_any_5d"] == 0
    assert features["hemoglobin__count_5d"] == 1


def hemoglobin_taken(days, value, *others, known=None):
    """Whether a value taken some days before T is abnormal, with other facts of the person."""
    taken = (1, (*HEMOGLOBIN[:5], value, "g/dL"), T - days * DAY, T - (known or days) * DAY)
    return one_row(events=[taken, *others])["hemoglobin__abnormal_any_ever"]


def weeks_20(days, *, known=None):
    return (1, FACTS[6], T - days * DAY, T - (known or days) * DAY)


@pytest.mark.parametrize(
    ("days", "value", "abnormal"),
    [
        (0, 15.5, 0),  # 20 weeks: second trimester, 9.5 to 16
        (45, 15.5, 0),  # 14 weeks, the first day of it: "20 weeks" is taken for 20 weeks 3 days
        (46, 15.5, 1),  # the day before: first trimester, 11 to 12
        (46, 11.5, 0),
        (-52, 10.0, 0),  # the last day of the second trimester
        (-53, 10.0, 1),  # third trimester, from 10.5
        (-53, 99.0, 0),  # not plausible: no value
        (143, 12.5, 1),  # the first day of the pregnancy
        (144, 12.5, 0),  # the day before the pregnancy: 11 to 15
    ],
)
def test_a_value_is_judged_by_the_trimester_in_which_it_was_taken(days, value, abnormal):
    found = hemoglobin_taken(100 + days, value, weeks_20(100))

    assert found == abnormal


def test_a_value_after_the_end_of_pregnancy_is_judged_as_outside_pregnancy():
    birth = (1, FACTS[4], T - 50 * DAY, T - 50 * DAY)
    during, after = (hemoglobin_taken(days, 10.0, weeks_20(180), birth) for days in (150, 49))

    assert (during, after) == (0, 1)


def test_a_pregnancy_that_becomes_known_later_judges_earlier_values_only_from_then_on():
    taken = (1, (*HEMOGLOBIN[:5], 10.0, "g/dL"), T - 20 * DAY, T - 20 * DAY)
    events = [taken, weeks_20(20, known=10)]
    rows = rows_of([(1, T - days * DAY, "office", 1) for days in (11, 10, 9)])
    built = build_features(rows, **world(events))

    assert built["hemoglobin__abnormal_any_30d"].to_list() == [1, 1, 0]


HEMOGLOBIN_VALUES = ("last_value", "min", "max", "mean", "slope", "missing", "abnormal_any")


def hemoglobin_of(*values: tuple[int, float | None]) -> dict[str, float | None]:
    """Features of the last 30 days from (days before T, value in g/dL)."""
    events = [
        (1, (*HEMOGLOBIN[:5], value, "g/dL"), T - days * DAY, T - days * DAY)
        for days, value in values
    ]
    features = one_row(events=events)
    names = (*HEMOGLOBIN_VALUES, "count", "any", "days_since_last")
    return {name: features[f"hemoglobin__{name}_30d"] for name in names}


@pytest.mark.parametrize("absurd", [9999.0, 25.1, 0.9, -13.5])
def test_a_value_outside_the_plausible_limits_is_no_value_but_its_event_counts(absurd):
    plausible = hemoglobin_of((9, 12.0), (5, 13.0))
    with_absurd = hemoglobin_of((9, 12.0), (5, 13.0), (2, absurd))
    alone = hemoglobin_of((2, absurd))

    assert {name: with_absurd[name] for name in HEMOGLOBIN_VALUES} == {
        name: plausible[name] for name in HEMOGLOBIN_VALUES
    }
    assert with_absurd == hemoglobin_of((9, 12.0), (5, 13.0), (2, None))
    assert (with_absurd["count"], with_absurd["days_since_last"]) == (3, 2)
    assert (alone["missing"], alone["abnormal_any"], alone["any"]) == (1, 0, 1)
    assert alone["last_value"] is None


@pytest.mark.parametrize("limit", [1.0, 25.0])
def test_a_value_at_a_plausible_limit_is_a_value(limit):
    features = hemoglobin_of((2, limit))

    assert features["last_value"] == limit
    assert (features["missing"], features["abnormal_any"]) == (0, 1)


def test_plausible_limits_are_in_the_unit_of_the_code_set():
    in_grams_per_litre = [(1, (*HEMOGLOBIN[:5], 155.0, "g/L"), T - DAY, T - DAY)]

    assert one_row(events=in_grams_per_litre)["hemoglobin__last_value_5d"] == 15.5


def test_implausible_values_are_none_in_the_sql_form_too():
    rows = rows_of([(1, T, "home", 1)])
    given = world([(1, fact, T - DAY, T - DAY) for fact in FACTS[15:19]])
    built = build_features_sql(rows, **given).row(0, named=True)

    assert_same_as_sql(rows, **given)
    assert (built["hemoglobin__missing_5d"], built["hemoglobin__count_5d"]) == (1, 3)
    assert (built["glucose__missing_5d"], built["glucose__abnormal_any_5d"]) == (1, 0)


@pytest.mark.parametrize(
    ("person", "time", "years"),
    [
        (3, datetime(2024, 3, 4), 24.0),
        (3, datetime(2024, 3, 3), 23 + 365 / 366),
        (2, datetime(2024, 2, 29), 28.0),
        (2, datetime(2023, 3, 1), 27 + 1 / 366),
    ],
)
def test_age_is_whole_on_a_birthday_and_grows_by_the_day(person, time, years):
    built = build_features(rows_of([(person, time, "home", 1)]), **world())

    assert built["age__years"].to_list() == pytest.approx([years], rel=1e-6)


def coverage_at_t(*spans, family="coverage"):
    features = one_row(
        coverage=[
            (
                1,
                T + s * DAY,
                None if e is None else T + e * DAY,
                payer,
                T + k * DAY,
                None if e is None else T + max([e, k, *end_known]) * DAY,
            )
            for s, e, payer, k, *end_known in spans
        ],
        catalogue=Catalogue(measured_families("coverage")),
    )
    return [features[f"{family}__{name}"] for name in MEASURES["coverage"][family]]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        # enrolled, days of the last 365, gaps, days since start, medicaid, payer unknown
        ([], [0, 0, 0, None, 0, 0]),
        ([(-100, None, "Medicaid", -100)], [1, 100, 0, 100, 1, 0]),
        ([(-100, 0, "Unknown", -100)], [1, 100, 0, 100, 0, 1]),
        ([(-100, -1, "Medicaid", -100)], [0, 99, 1, None, 0, 0]),
        ([(-100, None, "Medicaid", 0)], [0, 0, 0, None, 0, 0]),
        ([(0, None, "Medicaid", -100)], [0, 0, 0, None, 0, 0]),
        ([(-800, -500, "A", -800), (-60, 9, "B", -60)], [1, 60, 1, 60, 0, 0]),
        ([(-800, -400, "A", -800), (-400, None, "B", -400)], [1, 365, 0, 800, 0, 0]),
        ([(-90, -30, "A", -90), (-60, -40, "A", -60), (-10, 5, "A", -10)], [1, 70, 1, 10, 0, 0]),
        ([(-800, -500, "A", -800)], [0, 0, 1, None, 0, 0]),
        ([(-100, -30, "Medicaid", -100, -1)], [0, 70, 1, None, 0, 0]),
        ([(-100, -30, "Medicaid", -100, 0)], [1, 100, 0, 100, 1, 0]),
    ],
)
def test_coverage_is_told_by_the_spans_known_at_the_prediction_time(spans, expected):
    assert coverage_at_t(*spans) == expected


CHURN = (
    "gaps_730d",
    "days_uncovered_365d",
    "longest_gap_days_1825d",
    "payer_changes_365d",
    "days_since_gap",
    "new_member",
    "returned",
    "two_payers",
)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], (0, 0, 0, 0, None, 0, 0, 0)),
        ([(-60, None, "A", -60)], (0, 0, 0, 0, None, 1, 0, 0)),
        ([(-90, None, "A", -90)], (0, 0, 0, 0, None, 0, 0, 0)),
        ([(-800, -500, "A", -800), (-60, 9, "B", -60)], (1, 305, 440, 1, 60, 0, 1, 0)),
        ([(-800, -100, "A", -800)], (1, 100, 100, 0, 0, 0, 0, 0)),
        ([(-800, None, "A", -800), (-100, None, "B", -100)], (0, 0, 0, 1, None, 0, 0, 1)),
        ([(-900, -800, "A", -900), (-790, 5, "A", -790)], (0, 0, 10, 0, 790, 0, 0, 0)),
    ],
)
def test_churn_is_told_by_the_spans_known_at_the_prediction_time(spans, expected):
    found = dict(
        zip(
            MEASURES["coverage"]["coverage_churn"],
            coverage_at_t(*spans, family="coverage_churn"),
            strict=True,
        )
    )

    assert tuple(found[name] for name in CHURN) == expected


def test_an_emergency_that_became_a_stay_is_both():
    built = build_features(
        rows_of([(1, T, "emergency_inpatient", 3)]),
        **world(catalogue=Catalogue(measured_families("encounter"))),
    )

    assert built.row(0)[3:] == (1, 1, 0, 0, 0, 3)


def test_an_event_without_a_date_of_knowledge_is_refused():
    events = events_of([(1, HEMOGLOBIN, T - DAY, None)])

    with pytest.raises(ContractError, match="1 of 1 rows lack one"):
        build_features(rows_of([(1, T, "home", 1)]), **(world() | {"events": events}))


def test_a_row_of_an_unknown_person_is_refused():
    with pytest.raises(ContractError, match="1 of 2 rows are without"):
        build_features(rows_of([(1, T, "home", 1), (9, T, "home", 1)]), **world())


def test_rows_without_a_key_column_are_refused():
    with pytest.raises(ContractError, match="prediction_time"):
        build_features(rows_of([]).drop("prediction_time"), **world())


def test_rows_without_a_class_are_refused_when_it_is_asked_for():
    with pytest.raises(ContractError, match="encounter_class"):
        build_features(rows_of([(1, T, "home", 1)]).drop("encounter_class"), **world())


def test_a_code_set_that_is_not_given_is_named_with_the_nearest():
    given = world() | {"code_sets": {"hemoglobine": CODE_SETS["hemoglobin"]}}

    with pytest.raises(ConfigurationError, match="Did you mean 'hemoglobine'"):
        build_features(rows_of([]), **(given | {"catalogue": Catalogue(CODED[2:3])}))


def test_pregnancy_features_have_no_sql_form():
    with pytest.raises(ConfigurationError, match="pregnancy"):
        build_features_sql(rows_of([]), **world(catalogue=EVERYTHING))


def test_empty_tables_give_the_defaults():
    built = build_features(
        rows_of([(1, T, "home", 1)]),
        persons=three_persons(),
        coverage=COVERAGE.empty().lazy(),
        events=EVENTS.empty().lazy(),
        catalogue=EVERYTHING,
        code_sets=CODE_SETS,
    ).row(0, named=True)

    assert built["heart__count_ever"] == 0
    assert built["heart__missing_ever"] == 1
    assert built["heart__mean_ever"] is None
    assert built["pregnancy__is_pregnant"] == 0
    assert built["pregnancy__trimester"] is None
