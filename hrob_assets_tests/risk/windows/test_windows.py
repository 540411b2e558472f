"""Where time is cut: boundaries by example, the two forms against each other by property."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.risk import windows
from hrob_assets.risk.windows import DAY_US

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
T = datetime(2024, 3, 4)  # a Monday

near_midnight = st.builds(
    lambda day, offset: T + day * DAY + offset,
    st.integers(-40, 40),
    st.sampled_from([timedelta(0), MICROSECOND, -MICROSECOND, timedelta(hours=7)]),
)


def facts(*pairs: tuple[datetime, datetime]):
    """One person's facts from (occurred_at, known_at)."""
    return pl.LazyFrame(
        {
            "person_id": [7] * len(pairs),
            "encounter_id": range(100, 100 + len(pairs)),
            "fact": range(len(pairs)),
            "occurred_at": [pair[0] for pair in pairs],
            "known_at": [pair[1] for pair in pairs],
        },
        schema={
            "person_id": pl.Int64,
            "encounter_id": pl.Int64,
            "fact": pl.Int64,
            "occurred_at": pl.Datetime("us"),
            "known_at": pl.Datetime("us"),
        },
    )


def row_at(time):
    return pl.LazyFrame(
        {"person_id": [7], "encounter_id": [1], "prediction_time": [time]},
        schema_overrides={"prediction_time": pl.Datetime("us")},
    )


def prediction_time(occurred_at, known_at):
    return pl.select(windows.prediction_time(pl.lit(occurred_at), pl.lit(known_at))).item()


@pytest.mark.parametrize(
    ("occurred_at", "known_at", "expected"),
    [
        (datetime(2024, 3, 1, 9), datetime(2024, 3, 1, 9), datetime(2024, 3, 2)),
        (datetime(2024, 3, 1), datetime(2024, 3, 1), datetime(2024, 3, 2)),
        (datetime(2024, 3, 1, 23, 59, 59, 999999), datetime(2024, 2, 1), datetime(2024, 3, 2)),
        (datetime(2024, 3, 1, 9), datetime(2024, 4, 9, 12), datetime(2024, 4, 10)),
        (datetime(2024, 3, 1, 9), datetime(2024, 2, 1), datetime(2024, 3, 2)),
    ],
)
def test_prediction_time_is_the_first_midnight_after_occurrence_and_knowledge(
    occurred_at, known_at, expected
):
    assert expected == prediction_time(occurred_at, known_at)


def test_a_fact_without_a_date_of_knowledge_is_never_available():
    nothing = pl.lit(None, dtype=pl.Datetime("us"))

    assert pl.select(windows.available_at(pl.lit(T), nothing)).item() is None
    assert pl.select(windows.available_at(nothing, pl.lit(T))).item() is None


@pytest.mark.parametrize(
    ("time", "monday"),
    [
        (datetime(2024, 3, 4), date(2024, 2, 26)),
        (datetime(2024, 3, 5), date(2024, 3, 4)),
        (datetime(2024, 3, 11), date(2024, 3, 4)),
        (datetime(2024, 1, 1), date(2023, 12, 25)),
    ],
)
def test_week_of_a_monday_midnight_is_the_week_that_ends_there(time, monday):
    assert monday == pl.select(windows.week_of(pl.lit(time))).item()


def test_history_is_strictly_before_the_prediction_time_in_both_clocks():
    events = facts(
        (T - DAY, T - MICROSECOND),  # happened and known: history
        (T - DAY, T),  # known at t: not yet
        (T - MICROSECOND, T - DAY),  # known early, happened just before: history
        (T, T - DAY),  # announced, happens at t: not history
    )

    assert windows.history(events, row_at(T)).collect()["fact"].to_list() == [0, 2]


def test_history_keeps_the_row_key_and_names_the_encounter_of_the_fact_apart():
    events = facts((T - DAY, T - DAY))

    expected = pl.DataFrame(
        {
            "person_id": [7],
            "encounter_id": [1],
            "prediction_time": [T],
            "event_encounter_id": [100],
            "fact": [0],
            "occurred_at": [T - DAY],
            "known_at": [T - DAY],
        }
    )
    assert expected.equals(windows.history(events, row_at(T)).collect())


def test_history_of_one_person_has_no_facts_of_another():
    events = facts((T - DAY, T - DAY)).with_columns(person_id=pl.lit(8, pl.Int64))

    assert windows.history(events, row_at(T)).collect().is_empty()


def test_follow_up_takes_the_first_moment_of_the_horizon_and_not_the_moment_after_it():
    events = facts(
        (T - MICROSECOND, T),
        (T, T),
        (T + 60 * DAY - MICROSECOND, T + 60 * DAY),
        (T + 60 * DAY, T + 60 * DAY),
    )
    found = windows.follow_up(events, row_at(T), horizon_days=60, runout_days=90)

    assert found.collect()["fact"].to_list() == [1, 2]


def test_follow_up_leaves_out_what_is_known_after_the_runout():
    events = facts((T, T + 150 * DAY - MICROSECOND), (T, T + 150 * DAY))
    found = windows.follow_up(events, row_at(T), horizon_days=60, runout_days=90)

    assert found.collect()["fact"].to_list() == [0]


@pytest.mark.parametrize(("horizon_days", "runout_days"), [(0, 90), (-1, 0), (60, -1)])
def test_follow_up_refuses_a_horizon_that_looks_back(horizon_days, runout_days):
    with pytest.raises(ValueError, match="horizon_days must be positive"):
        windows.follow_up(facts(), row_at(T), horizon_days=horizon_days, runout_days=runout_days)


@given(st.lists(st.tuples(near_midnight, near_midnight), max_size=12), near_midnight)
def test_no_fact_is_both_history_and_follow_up(pairs, time):
    past = windows.history(facts(*pairs), row_at(time)).collect()["fact"]
    future = windows.follow_up(
        facts(*pairs), row_at(time), horizon_days=60, runout_days=90
    ).collect()["fact"]

    assert set() == set(past) & set(future)


@given(st.lists(st.tuples(near_midnight, near_midnight), max_size=12), near_midnight)
def test_what_becomes_known_at_or_after_the_prediction_time_never_changes_history(pairs, time):
    seen = [pair for pair in pairs if max(pair) < time]

    everything = windows.history(facts(*pairs), row_at(time)).collect()
    only_seen = windows.history(facts(*seen), row_at(time)).collect()
    assert only_seen.drop("fact", "event_encounter_id").equals(
        everything.drop("fact", "event_encounter_id")
    )


@settings(deadline=None)  # the first call compiles
@given(near_midnight, near_midnight)
def test_an_encounter_is_history_of_its_own_prediction_time_and_of_no_midnight_before(
    occurred_at, known_at
):
    time = prediction_time(occurred_at, known_at)

    assert time == datetime(time.year, time.month, time.day)
    assert windows.history(facts((occurred_at, known_at)), row_at(time)).collect().height == 1
    assert windows.history(facts((occurred_at, known_at)), row_at(time - DAY)).collect().height == 0


def microseconds(time):
    return (time - datetime(1970, 1, 1)) // MICROSECOND


@settings(deadline=None)  # the first call compiles
@given(near_midnight, near_midnight, near_midnight, st.sampled_from([0, 5, 30]))
def test_polars_and_numba_forms_of_the_rules_agree(occurred_at, known_at, time, days):
    expressions = pl.select(
        available=windows.available_at(pl.lit(occurred_at), pl.lit(known_at)),
        history=windows.known_before(
            pl.lit(time), occurred_at=pl.lit(occurred_at), known_at=pl.lit(known_at)
        ),
        start=windows.window_start(pl.lit(time), days),
        days=windows.calendar_days(pl.lit(occurred_at), pl.lit(time)),
    ).row(0, named=True)
    available_us = microseconds(expressions["available"])

    assert expressions["history"] == windows.is_history(available_us, microseconds(time))
    assert microseconds(expressions["start"]) == windows.window_start_us(microseconds(time), days)
    days_between = (time.date() - occurred_at.date()).days
    assert expressions["days"] == days_between
    assert windows.days_before(microseconds(occurred_at), microseconds(time)) == days_between


def as_array(times):
    return np.array([microseconds(time) for time in times], np.int64)


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(st.lists(st.tuples(near_midnight, near_midnight), max_size=8), min_size=1, max_size=3),
    st.data(),
)
def test_cut_points_count_what_the_scalar_rules_let_through(persons, data):
    times = [sorted(data.draw(st.lists(near_midnight, max_size=4))) for _ in persons]
    occurred = [np.sort(as_array([pair[0] for pair in pairs])) for pairs in persons]
    available = [np.sort(as_array([max(pair) for pair in pairs])) for pairs in persons]
    event_start = np.cumsum([0, *[len(pairs) for pairs in persons]])
    row_start = np.cumsum([0, *[len(person_times) for person_times in times]])

    known_end, window_first = windows.cut_points(
        np.concatenate(available),
        np.concatenate(occurred),
        event_start,
        np.concatenate([as_array(person_times) for person_times in times]),
        row_start,
        np.array([5, 30, -1]),
    )

    expected_end, expected_first = [], []
    for person, person_times in enumerate(times):
        for t_us in as_array(person_times):
            known = sum(windows.is_history(us, t_us) for us in available[person])
            expected_end.append(event_start[person] + known)
            expected_first.append(
                [
                    event_start[person]
                    + sum(us < windows.window_start_us(t_us, days) for us in occurred[person])
                    for days in (5, 30)
                ]
                + [event_start[person]]
            )
    assert expected_end == known_end.tolist()
    assert expected_first == window_first.tolist()


def test_a_day_of_the_kernel_is_a_day_of_the_calendar():
    assert DAY / MICROSECOND == DAY_US
