"""Scores of a year whose outcomes come late, and the ledger of them."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.monitoring.ledger import StagedTables, build_ledger
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS
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


AS_OF = START + 420 * DAY


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
