"""Worlds of claims through the product's own ledger: what must not alarm, and what must.

Visits become known about ten days after they happen. Six years of 150 rows a week, one group in
three rows; in the third year something changes. Maturity, run-out and e-values are the product's.
"""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.monitoring import (
    AlarmRule,
    DriftPeriods,
    Ledger,
    StagedTables,
    alarm_rows,
    alarms_by_detector,
    build_ledger,
    code_changes,
    column_drift,
    compute_e_values,
)
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS
from hrob_assets.risk.use_case import Monitoring, Outcome, OutcomeComponent
from hrob_assets.risk.vocabulary import Code, CodeSet

SCENARIOS = (
    "no change",
    "delay of claims +30 days",
    "outcome code replaced (code set knows both)",
    "population mix",
    "under-coding of one group",
)
START = datetime(2020, 1, 6)
DAYS, CHANGE_DAY, HORIZON, PER_WEEK = 7 * 208, 7 * 104, 60, 150
CODES = {"visit": CodeSet("visit", (Code("V", "old", "a", "made"), Code("V", "new", "b", "made")))}
OUTCOME = Outcome(
    "visit", HORIZON, 30, (OutcomeComponent("ed", "visit"),), requires_enrolment=False
)
MONITORING = Monitoring(0.1, 260, ("race",), 0.95, 28, 100, 4)


def run_world(scenario: str, seed: int) -> dict[str, bool]:
    """Whether each detector alarms in one world, and whether drift of the input is seen."""
    scores, events = _world(scenario, seed)
    empty = [table.empty().lazy() for table in (COVERAGE, PERSONS)]
    ledger = build_ledger(
        scores, StagedTables(events.lazy(), *empty), outcome=OUTCOME, monitoring=MONITORING,
        code_sets=CODES, as_of=START + timedelta(days=DAYS),
    )  # fmt: skip
    race = scores.select("encounter_id", "race")
    rows = ledger.rows.join(race, on="encounter_id")
    chosen = alarm_rows(Ledger(rows, ledger.runouts, HORIZON, ledger.as_of))
    e_values = compute_e_values(chosen, AlarmRule(0.1, 260), groups=["race"])
    stands = alarms_by_detector(e_values)
    raised = {row["level"]: row["alarm"] for row in stands.iter_rows(named=True)}
    return {
        "all": raised["all"],
        "Black": raised["Black"],
        "White": raised["White"],
        "drift": _drift(scores, events),
        "runout": ledger.runouts["runout_days"][-1] > 45,
    }


def _drift(scores: pl.DataFrame, events: pl.DataFrame) -> bool:
    """Whether the mix of the population or the codes have moved."""
    at = START + timedelta(days=CHANGE_DAY)
    before, now = (scores.filter(part) for part in
                   (pl.col("prediction_time") < at, pl.col("prediction_time") >= at))  # fmt: skip
    mix = column_drift(before, now, columns=["race"], kind="population", seed=1)
    end = START + timedelta(days=DAYS)
    codes = code_changes(events, DriftPeriods((START, at), (end - timedelta(days=91), end)))
    return bool(mix["drifted"].any()) or codes.height > 0


def _world(scenario: str, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(seed)
    size = DAYS // 7 * PER_WEEK
    day = np.sort(rng.integers(0, DAYS, size))
    after = day >= CHANGE_DAY
    share = np.where(after & (scenario == "population mix"), 0.7, 1 / 3)
    black = rng.random(size) < share
    odds = rng.normal(-2.4, 0.9, size) + 0.3 * black
    true = odds - np.where(after & black & (scenario == "under-coding of one group"), 0.9, 0.0)
    event = rng.random(size) < 1 / (1 + np.exp(-true))
    occurred = day + rng.uniform(0, HORIZON, size)
    changed = occurred >= CHANGE_DAY
    delay = rng.exponential(10, size) + 30 * (changed & (scenario == "delay of claims +30 days"))
    new = changed & (scenario == "outcome code replaced (code set knows both)")

    def moments(days: np.ndarray) -> pl.Series:
        whole = np.datetime64(START, "us") + (days * 86_400_000_000).astype("timedelta64[us]")
        return pl.Series(whole)

    person = np.arange(size)  # one row each: independence is another test's matter
    scores = pl.DataFrame({
        "person_id": person, "encounter_id": person, "prediction_time": moments(day),
        "model_version": "1", "probability": 1 / (1 + np.exp(-odds)), "high_risk": False,
        "race": np.where(black, "Black", "White"),
    }).with_columns(week=pl.col("prediction_time").dt.truncate("1w").cast(pl.Date))  # fmt: skip
    claims = pl.DataFrame({
        "person_id": person, "domain": "visit", "source_row_id": person, "encounter_id": None,
        "vocabulary": "V", "code": np.where(new, "new", "old"), "standard_vocabulary": None,
        "standard_code": None, "value": None, "unit": None, "occurred_at": moments(occurred),
        "known_at": moments(occurred + delay),
    }).filter(pl.Series(event))  # fmt: skip
    return scores, claims.cast(pl.Schema(EVENTS.schema))
