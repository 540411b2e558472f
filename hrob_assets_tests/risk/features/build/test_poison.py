"""Whatever becomes known at or after the prediction time changes no byte of any feature."""

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrob_assets.risk.features.build.build import build_features
from hrob_assets_tests.risk.features.timelines import (
    CODE_SETS,
    DAY,
    EVERYTHING,
    FACTS,
    MICROSECOND,
    T,
    coverage_of,
    days_around,
    drawn_coverage,
    drawn_events,
    events_of,
    moments,
    person_ids,
    rows_of,
    three_persons,
)

ROWS = rows_of([(person, T, "office", 3) for person in (1, 2, 3)])

late = st.sampled_from([T, T + MICROSECOND, T + 7 * DAY])
late_pairs = st.one_of(st.tuples(moments, late), st.tuples(late, moments), st.tuples(late, late))
late_events = st.lists(
    st.builds(
        lambda person, fact, pair: (person, fact, *pair),
        person_ids,
        st.sampled_from(FACTS),
        late_pairs,
    ),
    min_size=1,
    max_size=12,
)
late_spans = st.lists(
    st.builds(
        lambda person, pair, end, payer, end_known: (
            person,
            pair[0],
            end,
            payer,
            pair[1],
            end_known,
        ),
        person_ids,
        late_pairs,
        st.one_of(st.none(), moments),
        st.sampled_from(["Medicaid", "Unknown", "Other"]),
        st.one_of(st.none(), moments),
    ),
    max_size=6,
)


def features(events, coverage, death_at=None):
    return build_features(
        ROWS,
        persons=three_persons(death_at),
        coverage=coverage_of(coverage),
        events=events_of(events),
        catalogue=EVERYTHING,
        code_sets=CODE_SETS,
    )


def bytes_of(frame):
    """Every feature to the bit, nulls included."""
    columns = frame.select(EVERYTHING.column_names)
    nulls = columns.select(pl.all().is_null()).to_numpy()
    values = columns.fill_null(0).to_numpy()
    return {
        name: (nulls[:, place].tobytes(), values[:, place].tobytes())
        for place, name in enumerate(columns.columns)
    }


def seen(events):
    return [event for event in events if max(event[2], event[3]) < T]


def seen_spans(coverage):
    return [span for span in coverage if max(span[1], span[4]) < T]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn_events, drawn_coverage, late_events, late_spans, st.one_of(st.none(), late))
def test_adding_what_is_known_later_changes_no_byte(
    events, coverage, poison_events, poison_spans, death_at
):
    clean = features(seen(events), seen_spans(coverage))
    poisoned = features(
        [*poison_events[1:], *seen(events), *poison_events[:1]],
        [*poison_spans, *seen_spans(coverage)],
        death_at,
    )

    assert bytes_of(clean) == bytes_of(poisoned)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn_events, drawn_coverage, st.data())
def test_rewriting_what_is_known_later_changes_no_byte(events, coverage, data):
    other_facts = st.sampled_from(FACTS)
    rewritten = [
        event
        if event in seen([event])
        else (event[0], data.draw(other_facts), *data.draw(late_pairs))
        for event in events
    ]

    assert bytes_of(features(events, coverage)) == bytes_of(features(rewritten, coverage))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    drawn_coverage,
    st.one_of(st.tuples(st.none(), st.none()), late_pairs),
)
def test_an_end_of_coverage_that_lies_or_is_known_in_the_future_is_not_seen(coverage, other_end):
    rewritten = [
        span
        if None not in span and max(span[2], span[5]) < T
        else (person, start, other_end[0], payer, known, other_end[1])
        for span in coverage
        for person, start, _, payer, known, _ in [span]
    ]

    assert bytes_of(features([], coverage)) == bytes_of(features([], rewritten))


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(FACTS[:7]), days_around)
def test_the_poison_would_be_tasted_one_moment_earlier(fact, days):
    known_in_time = (1, fact, min(T - MICROSECOND, T + days * DAY), T - MICROSECOND)
    known_too_late = (*known_in_time[:3], T)
    of_pregnancy = {"pregnancy", "prenatal_care", "earlier_pregnancies"}
    families = {"J45": set()}.get(fact[2], {"heart", "hypertension", *of_pregnancy})

    clean, poisoned = bytes_of(features([], [])), bytes_of(features([known_too_late], []))
    tasted = bytes_of(features([known_in_time], []))
    assert clean == poisoned
    assert {name.split("__")[0] for name in clean if clean[name] != tasted[name]} <= families
    assert (clean != tasted) == bool(families)
