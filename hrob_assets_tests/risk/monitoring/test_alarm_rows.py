from functools import partial

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.monitoring.alarm import AlarmRule, compute_e_values
from hrob_assets.risk.monitoring.alarm_rows import alarm_rows
from hrob_assets.risk.monitoring.ledger import ledger_of_known_outcomes
from hrob_assets.risk.monitoring.reporting_delay import fixed_runout
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS
from hrob_assets_tests.risk.monitoring.ledger_world import AS_OF, DAY, START, ledger, world


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
