"""A small use case and a small model whose numbers can be checked in one's head."""

import copy
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.models.types.logistic_regression import build_model
from hrob_assets.risk.training.model import FittedModel
from hrob_assets.risk.use_case import UseCase, use_case_from

MONDAY = datetime(2024, 3, 4)
_VALUES = {
    "name": "example",
    "title": "An example",
    "question": "Who will come back?",
    "owner": "team:example",
    "goal": {"team": "the team", "event": "a visit", "action": "call", "benefit": "help"},
    "cohort": {
        "criteria": [{"name": "adult", "feature": "age__years", "at_least": 18}],
        "train_on": "eligible",
    },
    "outcome": {
        "name": "visit",
        "horizon_days": 60,
        "runout_days": 14,
        "requires_enrolment": True,
        "components": [{"name": "ed", "code_set": "ed_visit"}],
    },
    "split": {"validation_share": 0.25, "train_days": 365, "test_days": 100},
    "model": {
        "family": "logistic_regression",
        "seed": 7,
        "minimum_rows": 50,
        "minimum_events": 10,
        "tuning": {"trials": 3, "folds": 2, "maximum_rows": 1000},
    },
    "threshold": {"capacity_share": 0.1, "decimals": 2},
    "acceptance": {
        "minimum_auroc": 0.65,
        "maximum_auroc": 0.85,
        "maximum_absolute_calibration_factor": 0.02,
        "maximum_observed_over_expected": 1.25,
        "minimum_slope": 0.5,
        "maximum_slope": 2.0,
        "metric": "log_loss",
        "margin": 0.0005,
        "guard": "auroc",
        "non_inferiority": 0.01,
        "false_promotion_rate": 0.025,
        "fairness_margin": 0.02,
    },
    "fairness": {"groups": ["race"]},
    "scoring": {"cron": "0 11 * * 1", "reviews_per_week": 2, "reasons": 3},
    "monitoring": {
        "tolerance": 0.1,
        "alarm_weeks": 260,
        "groups": ["race"],
        "runout_share": 0.95,
        "cool_down_days": 28,
        "minimum_events": 100,
        "sudden_weeks": 4,
    },
}


def example_values() -> dict:
    """Parsed YAML of the example, to be changed at will."""
    return copy.deepcopy(_VALUES)


def example_use_case(**cohort: object) -> UseCase:
    """The example; keywords change its cohort."""
    values = example_values()
    values["cohort"] |= cohort
    return use_case_from(values)


def fitted(columns, coefficients, *, intercept=0.0, threshold=0.5, **more: object):
    """A model whose log-odds are ``intercept + coefficients . x`` (counts as log(1 + count))."""
    rules = dict.fromkeys(columns, ImputationRule("constant", 0.0))
    estimator = build_model(columns, rules, inverse_penalty=1.0)
    both = np.vstack([-np.ones(len(columns)), np.ones(len(columns))]).astype(np.float32)
    estimator.fit(both, np.array([0, 1]))  # mean 0 and deviation 1: scaling changes nothing
    estimator.named_steps["model"].coef_ = np.array([coefficients], dtype=np.float64)
    estimator.named_steps["model"].intercept_ = np.array([intercept], dtype=np.float64)
    return FittedModel(
        estimator=estimator,
        columns=tuple(columns),
        threshold=threshold,
        trials=(),
        training_rows=2,
        training_persons=2,
        training_events=1,
        **more,
    )


def feature_rows(*rows, columns=("x__last_value_ever",), week=MONDAY):
    """Rows of one week as (person, encounter, days until known, value of each column...)."""
    return pl.DataFrame(
        [
            (
                person,
                encounter,
                week + timedelta(days=7),
                week.date(),
                week + timedelta(days=known),
                *map(float, values),
            )
            for person, encounter, known, *values in rows
        ],
        schema={
            "person_id": pl.Int64,
            "encounter_id": pl.Int64,
            "prediction_time": pl.Datetime("us"),
            "week": pl.Date,
            "known_at": pl.Datetime("us"),
            **dict.fromkeys(columns, pl.Float32),
        },
        orient="row",
    )
