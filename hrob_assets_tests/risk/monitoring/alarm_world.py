"""Independent rows with mature outcomes, whose intercept shifts from one week on."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.monitoring.alarm import AlarmRule

MONDAY = date(2024, 1, 1)
RULE = AlarmRule(tolerance=0.1, alarm_weeks=260)
RISKS = 1 / (1 + np.exp(-np.random.default_rng(5).normal(-2.4, 0.9, 4000)))


def expit(x):
    return 1 / (1 + np.exp(-x))


def mature(weeks, per_week, *, shift=0.0, from_week=0, seed=1, version="1"):
    rng = np.random.default_rng(seed)
    p = rng.choice(RISKS, (weeks, per_week))
    moved = np.where(np.arange(weeks)[:, None] >= from_week, shift, 0.0)
    y = rng.random(p.shape) < expit(np.log(p / (1 - p)) + moved)
    week = np.repeat(np.arange(weeks), per_week)
    return pl.DataFrame(
        {
            "model_version": version,
            "week": [MONDAY + timedelta(weeks=int(w)) for w in week],
            "probability": p.ravel(),
            "label": y.ravel(),
            "in_use": True,
            "race": np.where(rng.random(week.size) < 0.3, "Black", "White"),
        }
    )
