"""The sliding-window kernel: single facts at the edges, and all against a naive walk."""

import math
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.features.kernel.availability import order_by_availability
from hrob_assets.risk.features.kernel.facts import Facts
from hrob_assets.risk.features.kernel.plan import SeriesColumn, plan_columns
from hrob_assets.risk.features.kernel.slide import Rows, slide
from hrob_assets.risk.features.kernel.walk import COUNTED, VALUED, Pregnancies
from hrob_assets.risk.windows import DAY_US, is_history, window_start_us

NAN = math.nan
WINDOWS = (5, 30, None)
ALL_COLUMNS = [
    SeriesColumn(series, aggregation, window)
    for series in range(2)
    for aggregation in COUNTED + VALUED
    for window in WINDOWS
]


def one_person(*facts, t_days, columns):
    """Each column at times in days, for facts (occurred, available, value, abnormal) in days."""
    facts = sorted(facts, key=lambda fact: fact[0])
    return slide(
        Facts(
            np.array([0, len(facts)]),
            np.zeros(len(facts), np.int32),
            np.array([round(fact[0] * DAY_US) for fact in facts], np.int64),
            np.array([round(fact[1] * DAY_US) for fact in facts], np.int64),
            np.array([fact[2] for fact in facts], np.float64),
            np.array([fact[3] for fact in facts], np.uint8),
        ),
        Rows(np.array([0, len(t_days)]), np.array(t_days, np.int64) * DAY_US),
        plan_columns([SeriesColumn(0, *column) for column in columns], n_series=1),
    ).tolist()


def test_a_fact_at_the_prediction_time_is_not_counted_and_one_just_before_is():
    counts = one_person(
        (100, 100, NAN, False),
        (100 - 1e-10, 100 - 1e-10, NAN, False),
        t_days=[100],
        columns=[("count", None)],
    )

    assert counts == [[1.0]]


def test_the_first_moment_of_a_window_is_inside_and_the_moment_before_is_outside():
    counts = one_person(
        (70, 70, NAN, False),
        (70 - 1e-9, 70, NAN, False),
        t_days=[100],
        columns=[("count", 30), ("count", 31), ("count", None)],
    )

    assert counts == [[1.0], [2.0], [2.0]]


def test_a_fact_known_late_enters_when_known_and_only_windows_that_still_hold_it():
    counts = one_person(
        (10, 40, NAN, False),
        t_days=[11, 40, 41, 101],
        columns=[("count", 5), ("count", 90), ("any", None), ("days_since_last", None)],
    )

    assert counts[:3] == [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    np.testing.assert_array_equal(counts[3], [NAN, NAN, 31.0, 91.0])


def test_an_older_fact_known_later_does_not_become_the_last_one():
    values = one_person(
        (20, 21, 9.0, False),
        (10, 30, 7.0, True),
        t_days=[25, 35],
        columns=[("last_value", None), ("days_since_last", None), ("abnormal_any", None)],
    )

    assert values == [[9.0, 9.0], [5.0, 15.0], [0.0, 1.0]]


def test_values_of_a_window_give_their_range_mean_and_slope_per_day():
    values = one_person(
        (90, 90, 10.0, False),
        (94, 94, 14.0, False),
        (96, 96, NAN, False),
        (1, 1, 99.0, False),
        t_days=[100],
        columns=[(aggregation, 30) for aggregation in ("min", "max", "mean", "slope", "missing")],
    )

    assert values == [[10.0], [14.0], [12.0], [1.0], [0.0]]


def test_a_slope_needs_two_distinct_times():
    slopes = one_person(
        (90, 90, 10.0, False), (90, 91, 14.0, False), t_days=[100], columns=[("slope", None)]
    )

    np.testing.assert_array_equal(slopes, [[NAN]])


def test_a_fact_without_value_counts_but_leaves_the_value_missing():
    columns = one_person(
        (90, 90, NAN, False), t_days=[100], columns=[("count", 30), ("missing", 30), ("mean", 30)]
    )

    np.testing.assert_array_equal(columns, [[1.0], [1.0], [NAN]])


def test_a_person_without_facts_gets_the_defaults():
    columns = one_person(
        t_days=[1, 2],
        columns=[("any", 5), ("count", None), ("abnormal_any", 5), ("missing", 5), ("min", 5)],
    )

    np.testing.assert_array_equal(columns, [[0, 0], [0, 0], [0, 0], [1, 1], [NAN, NAN]])


def test_an_unknown_aggregation_is_named_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"'slpoe'.*Did you mean 'slope'"):
        plan_columns([SeriesColumn(0, "slpoe", 30)], n_series=1)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(0, 5), max_size=200))
def test_order_by_availability_is_a_stable_sort_for_few_facts_and_for_many(available):
    order = order_by_availability(np.array(available, np.int64), np.array([0, len(available)]))

    assert order.tolist() == sorted(range(len(available)), key=available.__getitem__)


day = st.integers(0, 60).map(lambda days: days * DAY_US)
moment = st.builds(lambda us, offset: us + offset, day, st.sampled_from([0, 0, 1, -1, 7]))
fact = st.tuples(
    moment,
    st.one_of(st.just(0), moment),  # 0: known as it happens
    st.integers(0, 1),
    st.one_of(st.just(NAN), st.integers(-9, 9).map(float)),
    st.integers(0, 15),
)
known_pregnancy = st.tuples(st.integers(-230, 60), st.integers(0, 300))  # first day, days more
row = st.tuples(day, st.lists(known_pregnancy, max_size=2))
person = st.tuples(st.lists(fact, max_size=12), st.lists(row, max_size=5))


def judged(fact, pregnancies):
    """Whether a value is abnormal by the range of the last pregnancy that holds its day."""
    today = fact[0] // DAY_US
    ages = [today - first for first, more in pregnancies if first <= today <= first + more]
    trimester = 0 if not ages else 1 if ages[-1] < 98 else 2 if ages[-1] < 196 else 3
    return not math.isnan(fact[3]) and bool(fact[4] & (1 << trimester))


def naive(facts, t_us, pregnancies, column):
    """One cell by the definition; facts in order of occurrence."""
    inside = [
        fact
        for fact in facts
        if fact[2] == column.series
        and is_history(max(fact[0], fact[1]), t_us)
        and (column.window_days is None or fact[0] >= window_start_us(t_us, column.window_days))
    ]
    values = [fact[3] for fact in inside if not math.isnan(fact[3])]
    moments_us = [fact[0] for fact in inside if not math.isnan(fact[3])]
    return {
        "any": lambda: float(bool(inside)),
        "count": lambda: float(len(inside)),
        "abnormal_any": lambda: float(any(fact[4] & 1 for fact in inside)),
        "abnormal_by_trimester": lambda: float(any(judged(fact, pregnancies) for fact in inside)),
        "missing": lambda: float(not values),
        "days_since_last": lambda: t_us // DAY_US - inside[-1][0] // DAY_US if inside else NAN,
        "last_value": lambda: values[-1] if values else NAN,
        "min": lambda: min(values, default=NAN),
        "max": lambda: max(values, default=NAN),
        "mean": lambda: math.fsum(values) / len(values) if values else NAN,
        "slope": lambda: naive_slope(moments_us, values),
    }[column.aggregation]()


def naive_slope(moments_us, values):
    if len(set(moments_us)) < 2:
        return NAN
    days = [Fraction(us, DAY_US) for us in moments_us]
    levels = [Fraction(value) for value in values]
    centre, level = sum(days) / len(days), sum(levels) / len(levels)
    above = sum((d - centre) * (v - level) for d, v in zip(days, levels, strict=True))
    return float(above / sum((d - centre) ** 2 for d in days))


@settings(deadline=None)  # the first call compiles
@given(st.lists(person, max_size=4), st.sampled_from([1, 2]))
def test_every_cell_is_what_the_definition_says(persons, n_threads):
    timelines = [sorted(facts, key=lambda fact: fact[0]) for facts, _ in persons]
    rows_of = [sorted(rows, key=lambda row: row[0]) for _, rows in persons]
    flat = [fact for facts in timelines for fact in facts]
    facts = Facts(
        np.cumsum([0, *map(len, timelines)]),
        np.array([fact[2] for fact in flat], np.int32),
        np.array([fact[0] for fact in flat], np.int64),
        np.array([max(fact[0], fact[1]) for fact in flat], np.int64),
        np.array([fact[3] for fact in flat], np.float64),
        np.array([fact[4] for fact in flat], np.uint8),
    )
    all_rows = [*chain(*rows_of)]
    known = [*chain(*(pregnancies for _, pregnancies in all_rows))]
    ends = np.cumsum([0, *(len(pregnancies) for _, pregnancies in all_rows)])
    rows = Rows(
        np.cumsum([0, *map(len, rows_of)]), np.array([t_us for t_us, _ in all_rows], np.int64)
    )
    pregnancies = Pregnancies(
        ends[:-1],
        ends[1:],
        np.array([first for first, _ in known], np.int64),
        np.array([first + more for first, more in known], np.int64),
    )

    plan = plan_columns(ALL_COLUMNS, n_series=2)
    actual = slide(facts, rows, plan, n_threads=n_threads, pregnancies=pregnancies).T

    expected = [
        [naive(timeline, t_us, known_then, column) for column in ALL_COLUMNS]
        for timeline, rows_then in zip(timelines, rows_of, strict=True)
        for t_us, known_then in rows_then
    ]
    np.testing.assert_allclose(
        actual, np.array(expected).reshape(actual.shape), rtol=1e-5, atol=1e-5
    )
