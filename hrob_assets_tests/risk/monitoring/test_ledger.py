from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.risk.cohort.labels import label_rows
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.monitoring.alarm_rows import alarm_rows
from hrob_assets.risk.monitoring.ledger import (
    OUTCOME_LEDGER,
    current_ledger,
    ledger_as_of,
    ledger_of_known_outcomes,
)
from hrob_assets.risk.monitoring.reporting_delay import fixed_runout
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets_tests.risk.monitoring.ledger_world import (
    AS_OF,
    CODE_SETS,
    DAY,
    ED,
    START,
    ledger,
    world,
)


def test_with_the_run_out_of_the_use_case_the_ledger_has_the_labels_that_training_has():
    scores, events, coverage, people = world(delay=3.0)

    found = ledger(scores, events, coverage, people, AS_OF)

    assert found.runouts["runout_days"].unique().to_list() == [30]
    expected = label_rows(
        scores,
        events=events.lazy(),
        coverage=coverage.lazy(),
        persons=people.lazy(),
        outcome=ED,
        code_sets=CODE_SETS,
        as_of=AS_OF,
    ).sort(ROW_KEY)
    rows = found.rows.sort(ROW_KEY)
    assert rows["label"].equals(expected["label"])
    assert rows["outcome_at"].equals(expected["outcome_at"])
    pending = expected["label_status"] == "pending"
    assert (rows["status"] == "pending").equals(pending)
    OUTCOME_LEDGER.check(found.rows)
    assert sum(found.counts().values()) == scores.height


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 50), day=st.integers(60, 420), late=st.integers(0, 200))
def test_rewriting_what_becomes_known_later_changes_nothing(seed, day, late):
    scores, events, coverage, people = world(seed)
    as_of = START + day * DAY
    unknown = pl.col("known_at") >= as_of
    rewritten = events.with_columns(
        pl.when(unknown)
        .then(pl.col("occurred_at") - late * DAY)
        .otherwise("occurred_at")
        .alias("occurred_at")
    )
    ends_unknown = pl.col("end_known_at") >= as_of
    moved = coverage.with_columns(
        pl.when(ends_unknown)
        .then(pl.col("ended_at") + late * DAY)
        .otherwise("ended_at")
        .alias("ended_at")
    )
    scored_later = scores.with_columns(
        pl.when(pl.col("prediction_time") > as_of)
        .then(0.9)
        .otherwise("probability")
        .alias("probability")
    )

    expected = ledger(scores, events, coverage, people, as_of)
    found = ledger(scored_later, rewritten, moved, people, as_of)
    without = ledger(scores, events.filter(~unknown), coverage, people, as_of)

    assert found.rows.equals(expected.rows)
    assert without.rows.equals(expected.rows)
    assert found.runouts.equals(expected.runouts)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 50), first=st.integers(60, 400), more=st.integers(1, 200))
def test_what_was_ripe_stays_as_it_was_and_so_does_its_evidence(seed, first, more):
    scores, events, coverage, people = world(seed)
    early, late = (
        ledger(scores, events, coverage, people, START + day * DAY) for day in (first, first + more)
    )

    frozen = ["label", "ripe_at", "ripe_week", "outcome_at"]
    ripe = early.rows.filter(pl.col("status") != "pending")
    later = ripe.select(ROW_KEY).join(late.rows, on=ROW_KEY, how="left", maintain_order="left")
    assert ripe.select(frozen).equals(later.select(frozen))
    one, other = alarm_rows(early), alarm_rows(late)
    whole = other.filter(pl.col("week") + timedelta(days=7) <= pl.lit(early.as_of))
    shown = [*ROW_KEY, "week", "label", "probability", "in_use"]
    assert one.select(shown).equals(whole.select(shown))


def test_an_outcome_that_becomes_known_after_the_run_out_is_a_revision():
    scores, events, coverage, people = world()
    row = scores.filter(pl.col("prediction_time") == scores["prediction_time"][20])[:1]
    at = row["prediction_time"][0]
    one = events[:1].with_columns(
        person_id=pl.lit(row["person_id"][0]), occurred_at=pl.lit(at + 5 * DAY),
        known_at=pl.lit(at + 100 * DAY),
    )  # fmt: skip
    spans = coverage.with_columns(ended_at=pl.lit(None, pl.Datetime("us")),
                                  end_known_at=pl.lit(None, pl.Datetime("us")))  # fmt: skip

    before = ledger(row, one, spans, people, at + 95 * DAY)
    after = ledger(row, one, spans, people, at + 101 * DAY)

    shown = ["status", "label", "label_now", "known_at"]
    assert before.rows.select(shown).row(0) == ("mature", False, False, None)
    assert after.rows.select(shown).row(0) == ("revised", False, True, at + 100 * DAY)


def test_longer_delays_lengthen_the_run_out_and_no_row_ripens_without_its_outcomes():
    scores, events, coverage, people = world(persons=200, delay=25.0)

    found = ledger(scores, events, coverage, people, AS_OF)

    assert found.runouts["runout_days"].max() > 45
    ripe = found.rows.filter(pl.col("ripe_at").is_not_null())
    least = pl.col("prediction_time") + pl.duration(days=90)
    assert ripe.filter(pl.col("ripe_at") < least).is_empty()
    assert found.mature_after_days() > 105


def test_a_row_scored_twice_is_refused():
    scores, events, coverage, people = world()

    with pytest.raises(ContractError, match="in the ledger once"):
        ledger(pl.concat([scores, scores[:3]]), events, coverage, people, AS_OF)


def test_nothing_scored_is_an_empty_ledger():
    scores, events, coverage, people = world()

    found = ledger(scores[:0], events, coverage, people, AS_OF)

    assert found.rows.is_empty()
    assert alarm_rows(found).is_empty()


T = datetime(2024, 1, 1)


def known(*rows, as_of=T + 200 * DAY):
    """Rows as (outcome, day known, day censored), all predicted on day 0."""
    frame = pl.DataFrame(
        [
            (n, n, T, "1", 0.1, False, outcome, None if k is None else T + k * DAY,
             None if c is None else T + c * DAY)
            for n, (outcome, k, c) in enumerate(rows)
        ],
        schema={
            "person_id": pl.Int64, "encounter_id": pl.Int64, "prediction_time": pl.Datetime("us"),
            "model_version": pl.String, "probability": pl.Float64, "high_risk": pl.Boolean,
            "outcome": pl.Boolean, "known_at": pl.Datetime("us"), "censored_at": pl.Datetime("us"),
        },
        orient="row",
    )  # fmt: skip
    return ledger_of_known_outcomes(frame, horizon_days=60, runouts=fixed_runout(30), as_of=as_of)


@pytest.mark.parametrize(
    ("row", "as_of_day", "status", "ripe_day"),
    [
        ((True, 10, None), 89, "pending", None),  # early outcomes wait for the others
        ((True, 10, None), 90, "mature", 90),
        ((False, 95, None), 95, "pending", None),  # known strictly before, or not known
        ((False, 95, None), 96, "mature", 95),
        ((True, 90, None), 90, "pending", None),
        ((None, 95, None), 200, "pending", None),
        ((False, None, None), 200, "pending", None),
        ((False, 60, 30), 200, "censored", 90),
        ((True, 20, 30), 200, "mature", 90),
        ((None, None, 30), 89, "pending", None),
        ((None, None, 30), 90, "censored", 90),
        ((False, 90, 61), 200, "mature", 90),
    ],
)
def test_status_of_a_row_whose_outcome_is_given(row, as_of_day, status, ripe_day):
    found = known(row, as_of=T + as_of_day * DAY).rows.row(0, named=True)

    assert found["status"] == status
    first = timedelta(microseconds=1) if row[1] == ripe_day else timedelta()
    assert found["ripe_at"] == (None if ripe_day is None else T + ripe_day * DAY + first)
    assert found["label"] == (row[0] if status == "mature" else None)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 50), first=st.integers(60, 400), more=st.integers(1, 200))
def test_an_earlier_ledger_can_be_cut_out_of_a_later_one(seed, first, more):
    scores, events, coverage, people = world(seed)
    early, late = (
        ledger(scores, events, coverage, people, START + day * DAY) for day in (first, first + more)
    )

    cut = ledger_as_of(late, early.as_of)

    told = [name for name in OUTCOME_LEDGER.schema if name not in {"label_now", "status"}]
    assert cut.rows.select(told).equals(early.rows.select(told))
    assert cut.runouts.equals(early.runouts)
    assert (
        alarm_rows(cut)
        .drop("label_now", "status")
        .equals(alarm_rows(early).drop("label_now", "status"))
    )


def test_a_ledger_cannot_be_cut_at_a_moment_that_it_does_not_reach():
    early = ledger(*world(), START + 100 * DAY)

    with pytest.raises(ContractError, match="build the ledger again"):
        ledger_as_of(early, START + 101 * DAY)


@pytest.mark.parametrize(
    ("day", "reaches"), [(98, 98), (99, 98), (104, 98), (97, 97), (105, None), (300, None)]
)
def test_a_ledger_serves_until_the_week_is_over_in_which_it_was_made(day, reaches):
    made = ledger(*world(), START + 98 * DAY)  # a Monday

    if reaches is None:
        with pytest.raises(ContractError, match="build the ledger again"):
            current_ledger(made, START + day * DAY)
    else:
        assert current_ledger(made, START + day * DAY).as_of == START + reaches * DAY


@pytest.mark.parametrize(
    ("row", "followed"),
    [
        ((False, 90, None), True),
        ((False, 90, 61), True),
        ((True, 20, None), True),
        ((True, 20, 30), False),  # left after the outcome was known
        ((True, 30, 30), True),  # the outcome ended the observation
        ((False, 60, 30), False),
        ((None, None, 30), False),
    ],
)
def test_who_left_was_not_followed_with_the_outcome_as_without(row, followed):
    assert known(row).rows["followed"].item() is followed
