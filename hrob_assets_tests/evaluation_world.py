"""Made-up predictions of patients with several rows, groups and an effect of each patient."""

from datetime import date, datetime

import numpy as np
import polars as pl

from hrob_assets.risk.evaluation.analysis import AntiClassification, Metric
from hrob_assets.risk.evaluation.evaluate import ReportOptions, evaluate_scores
from hrob_assets.risk.evaluation.fairness import shares_by_group
from hrob_assets.risk.evaluation.report import EvaluationReport, Subject

GROUPS = ("race", "gender")


def scores_of_a_world(*, patients: int = 1500, seed: int = 20260105) -> pl.DataFrame:
    """Scores of encounters over two years: the model predicts too much for one group."""
    rng = np.random.default_rng(seed)
    race = rng.choice(["White", "Black", "Asian", "Unknown"], patients, p=[0.6, 0.3, 0.09, 0.01])
    gender = rng.choice(["female", "male"], patients)
    level = rng.normal(-2.4, 0.7, patients)
    person = np.repeat(np.arange(patients), rng.integers(1, 7, patients))
    score = level[person] + rng.normal(0, 0.5, person.size)
    hidden = rng.normal(0, 0.4, patients)[person] - 0.5 * (race[person] == "Black")
    outcome = rng.random(person.size) < 1 / (1 + np.exp(-score - hidden))
    number = np.arange(person.size) - np.searchsorted(person, person)  # 0 for her first row
    day = rng.integers(0, 400, patients)[person] + 60 * number
    start = np.datetime64(datetime(2023, 1, 2), "us")
    return pl.DataFrame(
        {
            "person_id": person,
            "encounter_id": np.arange(person.size),
            "prediction_time": start + day.astype("timedelta64[D]"),
            "probability": 1 / (1 + np.exp(-score)),
            "outcome": outcome,
            "person_seen": person % 3 > 0,
            "race": race[person],
            "gender": gender[person],
        }
    )


def example_report(replicates: int = 200) -> EvaluationReport:
    """A complete report of made-up predictions, with every part filled."""
    scores = scores_of_a_world()
    groups = {name: scores[name].to_numpy() for name in GROUPS}
    lacking = scores["encounter_id"].to_numpy() % 5 == 0
    gap = Metric(0.001, -0.002, 0.004, "patient-cluster bootstrap")
    return evaluate_scores(
        scores,
        subject=Subject(
            "example", "Made-up predictions", "a visit within 60 days", "3", "test period",
            date(2023, 1, 2), date(2024, 12, 31), 0.2, "model", 0.1,
        ),
        options=ReportOptions(
            groups=GROUPS, replicates=replicates, seed=7, era_boundary=date(2024, 1, 1)
        ),
        missing=tuple(shares_by_group("bmi__last_value_365d", lacking, groups)),
        anti_classification=AntiClassification(("race__black", "race__white"), gap, gap, gap),
    )  # fmt: skip
