from datetime import datetime, timedelta
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.risk.cohort.labels import label_rows
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.monitoring.alarm import AlarmRule, compute_e_values
from hrob_assets.risk.monitoring.alarm_rows import alarm_rows
from hrob_assets.risk.monitoring.ledger import (
    OUTCOME_LEDGER,
    StagedTables,
    build_ledger,
    current_ledger,
    ledger_as_of,
    ledger_of_known_outcomes,
)
from hrob_assets.risk.monitoring.reporting_delay import fixed_runout
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS, ROW_KEY
from hrob_assets.risk.use_case import Monitoring, Outcome, OutcomeComponent
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet

START = datetime(2023, 1, 2)  # a Monday
DAY = timedelta(days=1)
CODE_SETS = {"ed_visit": CodeSet("ed_visit", (Code("Visit", "emergency", "ED visit", "test"),))}
ED = Outcome(
    name="ED visit",
    horizon_days=60,
    runout_days=30,
    components=(OutcomeComponent(name="ed", code_set="ed_visit"),),
    requires_enrolment=True,
)
MONITORING = Monitoring(
    tolerance=0.1,
    alarm_weeks=260,
    groups=("race",),
    runout_share=0.95,
    cool_down_days=28,
    minimum_events=10,
    sudden_weeks=4,
)


def world(seed=1, *, persons=60, delay=8.0):
    """Scores of a year, and staged tables in which some outcomes come late and some leave."""
    rng = np.random.default_rng(seed)
    scored = np.sort(rng.integers(0, 365, persons * 4))
    scores = pl.DataFrame(
        {
            "person_id": rng.integers(0, persons, scored.size),
            "encounter_id": np.arange(scored.size),
            "prediction_time": [START + int(d) * DAY for d in scored],
            "week": [START.date() + timedelta(days=int(d) // 7 * 7) for d in scored],
            "model_version": np.where(scored < 250, "1", "2"),
            "probability": rng.uniform(0.05, 0.4, scored.size),
            "high_risk": rng.random(scored.size) < 0.1,
        },
        schema_overrides={"prediction_time": pl.Datetime("us")},
    )
    visits = rng.integers(0, 450, persons * 2)
    known = visits + rng.exponential(delay, visits.size)
    events = pl.DataFrame(
        [
            (
                int(rng.integers(0, persons)), "visit", n, None, "Visit", "emergency", None, None,
                None, None, START + int(v) * DAY, START + float(k) * DAY,
            )
            for n, (v, k) in enumerate(zip(visits, known, strict=True))
        ],
        schema=EVENTS.schema, orient="row",
    )  # fmt: skip
    left = rng.integers(100, 2000, persons)
    coverage = pl.DataFrame(
        [
            (p, START - 100 * DAY, START + int(end) * DAY, "Medicaid", START - 100 * DAY,
             START + int(end + 20) * DAY)
            for p, end in enumerate(left)
        ],
        schema=COVERAGE.schema, orient="row",
    )  # fmt: skip
    people = pl.DataFrame(
        [(p, START.date(), "female", "White", "Unknown", None, None) for p in range(persons)],
        schema=PERSONS.schema,
        orient="row",
    )
    return scores, events, coverage, people


def ledger(scores, events, coverage, people, as_of):
    return build_ledger(
        scores,
        StagedTables(events.lazy(), coverage.lazy(), people.lazy()),
        outcome=ED,
        monitoring=MONITORING,
        code_sets=CODE_SETS,
        as_of=as_of,
    )


AS_OF = START + 420 * DAY


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


def slow_choice(rows, horizon_days):
    chosen, last = [], {}
    ordered = rows.sort("model_version", "person_id", "prediction_time", "encounter_id")
    for row in ordered.iter_rows(named=True):
        who = (row["model_version"], row["person_id"])
        if who not in last or row["prediction_time"] - last[who] >= horizon_days * DAY:
            chosen.append(row["encounter_id"])
            last[who] = row["prediction_time"]
    return set(chosen)


def test_evidence_is_of_one_row_per_person_and_horizon_chosen_before_outcomes_are_known():
    found = ledger(*world(persons=30), AS_OF)

    chosen = alarm_rows(found)

    expected = slow_choice(found.rows, 60)
    mature = found.rows.filter(pl.col("label").is_not_null() & pl.col("followed"))["encounter_id"]
    assert set(chosen["encounter_id"]) == expected & set(mature)
    gaps = chosen.sort("prediction_time").select(
        pl.col("prediction_time").diff().over("model_version", "person_id")
    )["prediction_time"]
    assert gaps.min() >= 60 * DAY
    assert chosen["label"].null_count() == 0


def leaving(seed=2, *, persons=6000):
    """True predictions of 0.2, outcomes evenly over the horizon; 30 % leave within it."""
    rng = np.random.default_rng(seed)
    happens, at = rng.random(persons) < 0.2, rng.uniform(0, 60, persons)
    left = rng.exponential(60 / -np.log(0.7), persons)
    seen = happens & (at < left)
    moment = pl.Series([START + int(d) * DAY for d in rng.integers(0, 300, persons)])
    scores = pl.DataFrame(
        {
            "person_id": np.arange(persons),
            "encounter_id": np.arange(persons),
            "prediction_time": moment,
            "week": moment.dt.truncate("1w").cast(pl.Date),
            "model_version": "1",
            "probability": 0.2,
            "high_risk": False,
        }
    )
    return scores, seen, [n * DAY for n in at], [n * DAY for n in left]


def leaving_in_a_file(*, outcome_at=True):
    scores, seen, at, left = leaving()
    moment = scores["prediction_time"]
    told = scores.drop("week").with_columns(
        pl.Series("outcome", seen),
        (moment + pl.Series([n if s else 65 * DAY for n, s in zip(at, seen, strict=True)])).alias(
            "known_at"
        ),
        (moment + pl.Series([n if n < 60 * DAY else None for n in left])).alias("censored_at"),
    )
    dated = told.with_columns(
        pl.when("outcome").then(moment + pl.Series(at)).alias("outcome_at")
    ) if outcome_at else told  # fmt: skip
    return ledger_of_known_outcomes(dated, horizon_days=60, runouts=fixed_runout(30), as_of=AS_OF)


def leaving_in_the_score_table():
    scores, seen, at, left = leaving()
    rows = list(zip(scores["person_id"], scores["prediction_time"], seen, at, left, strict=True))
    events = pl.DataFrame(
        [
            (n, "visit", n, None, "Visit", "emergency", None, None, None, None, t + a, t + a)
            for n, t, s, a, _ in rows if s
        ],
        schema=EVENTS.schema, orient="row",
    )  # fmt: skip
    spans = pl.DataFrame(
        [(n, START - DAY, t + lost, "Medicaid", START, t + lost) for n, t, _, _, lost in rows],
        schema=COVERAGE.schema, orient="row",
    )  # fmt: skip
    people = pl.DataFrame(
        [(n, START.date(), "female", "White", "Unknown", None, None) for n, *_ in rows],
        schema=PERSONS.schema, orient="row",
    )  # fmt: skip
    return ledger(scores, events, spans, people, AS_OF)


@pytest.mark.parametrize(
    "made",
    [leaving_in_a_file, leaving_in_the_score_table, partial(leaving_in_a_file, outcome_at=False)],
)
def test_true_predictions_of_persons_of_whom_many_leave_stay_true(made):
    found = made()

    labelled = found.rows.filter(pl.col("label").is_not_null())
    assert labelled["label"].sum() / labelled["probability"].sum() > 1.12
    chosen = alarm_rows(found)
    assert chosen["label"].sum() / chosen["probability"].sum() == pytest.approx(1.0, abs=0.06)
    told = compute_e_values(chosen, AlarmRule(tolerance=0.05, alarm_weeks=52))
    assert not told["alarm"].any()


def by_week(version_of_week, *, weeks=60, per_week=12, late=None):
    """Rows of known outcomes, each week other persons; `late` are (week, scored by, in week)."""
    lists = [(week, version_of_week(week), week + 1, per_week) for week in range(weeks)]
    lists += [(*each, 3) for each in (late or [])]
    rows = [
        (START + (7 * week + 1 + n % 6) * DAY, version, START + 7 * at * DAY)
        for week, version, at, size in lists
        for n in range(size)
    ]
    made = pl.DataFrame(
        rows,
        schema={
            "prediction_time": pl.Datetime("us"),
            "model_version": pl.String,
            "scored_at": pl.Datetime("us"),
        },
        orient="row",
    )
    number = pl.int_range(pl.len())
    monday = pl.col("prediction_time").dt.truncate("1w").cast(pl.Date)
    return made.with_columns(
        person_id=number, encounter_id=number, week=monday, probability=0.2, high_risk=False
    )


def in_a_file(rows, as_of):
    told = rows.drop("scored_at", "week").with_columns(
        outcome=pl.col("person_id") % 2 == 0, known_at=pl.col("prediction_time") + 70 * DAY
    )
    return ledger_of_known_outcomes(told, horizon_days=60, runouts=fixed_runout(30), as_of=as_of)


def in_the_score_table(rows, as_of):
    _, events, _, people = world()
    spans = pl.DataFrame(
        [(n, START, None, "Medicaid", START, None) for n in range(rows.height)],
        schema=COVERAGE.schema, orient="row",
    )  # fmt: skip
    return ledger(rows, events, spans, people, as_of)


def weeks_in_use(found, version):
    used = alarm_rows(found).filter(pl.col("in_use"), model_version=version)
    return {(week - START.date()).days // 7 for week in used["week"]}


@pytest.mark.parametrize("made", [in_a_file, in_the_score_table])
def test_a_version_that_comes_back_is_in_use_again(made):
    found = made(by_week(lambda week: "2" if 40 <= week < 45 else "1"), START + 60 * 7 * DAY)

    assert {40, 41, 42, 43, 44}.isdisjoint(weeks_in_use(found, "1"))
    assert weeks_in_use(found, "1") >= {*range(14, 40), *range(45, 52)}
    assert weeks_in_use(found, "2") == {53, 54, 55, 56, 57, 58} & weeks_in_use(found, "2")


@pytest.mark.parametrize("made", [in_a_file, in_the_score_table])
def test_rows_of_old_weeks_that_the_next_version_scores_late_take_nothing_from_the_first(made):
    def first_then_second(week):
        return "1" if week < 40 else "2"

    late = [(week, "2", 41) for week in (20, 37, 38, 39)]
    without = by_week(first_then_second)
    as_of = START + 60 * 7 * DAY

    found = made(by_week(first_then_second, late=late), as_of)

    assert weeks_in_use(found, "1") == weeks_in_use(made(without, as_of), "1")
    assert weeks_in_use(found, "1") >= set(range(14, 40))


def test_a_small_list_stays_of_the_version_that_made_it_however_many_rows_come_late():
    late = [(week, "2", 41) for week in (37, 38, 39)]
    small = by_week(lambda week: "1" if week < 40 else "2", per_week=2, late=late)

    found = in_the_score_table(small, START + 60 * 7 * DAY)

    assert weeks_in_use(found, "1") >= set(range(14, 40))


def test_a_version_is_in_use_until_the_next_one_makes_the_list():
    found = alarm_rows(ledger(*world(), AS_OF))

    replaced = START.date() + 36 * timedelta(weeks=1)  # most rows of week 35 are of version 1
    first = found.filter(model_version="1")
    assert first["in_use"].equals((first["week"] < replaced).alias("in_use"))
    assert found.filter(model_version="2")["in_use"].all()


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
