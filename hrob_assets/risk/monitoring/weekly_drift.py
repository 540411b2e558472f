"""What moved in one week before any outcome is known; nothing of it feeds the alarm."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.monitoring.drift import (
    DRIFT,
    RiskShift,
    Stretches,
    code_changes,
    compare_columns,
    contributions_by_group,
    delay_changes,
    recent_weeks,
    risk_shift,
    volumes,
)
from hrob_assets.risk.statistics import seed_of
from hrob_assets.risk.tables import Column, Table
from hrob_assets.risk.training import FittedModel, contributions, term_names

RECENT_WEEKS, REFERENCE_WEEKS = 4, 52
WEEKLY_DRIFT = Table(
    "weekly_drift",
    "One row per week and column that was looked at.",
    ("week", "kind", "column"),
    (Column("week", pl.Date, f"Monday of the last of {RECENT_WEEKS} weeks."), *DRIFT.columns),
)
_OTHER = "other"


@dataclass(frozen=True)
class Inputs:
    """What is compared.

    Parameters
    ----------
    reference : DataFrame
        Rows by which the model was judged: ``person_id``, ``probability``, the groups and the
        columns of the model.
    recent : DataFrame
        Rows that were scored in the recent weeks, with the same columns.
    events : DataFrame
        Staged events that became known in the two stretches: ``vocabulary``, ``code``, ``domain``,
        ``occurred_at``, ``known_at``.
    """

    reference: pl.DataFrame
    recent: pl.DataFrame
    events: pl.DataFrame


@dataclass(frozen=True)
class WeeklyDrift:
    """What moved up to one week.

    Parameters
    ----------
    week : date
    columns : DataFrame
        `WEEKLY_DRIFT`.
    codes, volumes, delays : DataFrame
        As `drift.code_changes`, `drift.volumes` (by domain) and `drift.delay_changes`.
    shift : RiskShift, optional
        Of the mean log-odds, by group of features; None without rows to compare.
    """

    week: date
    columns: pl.DataFrame
    codes: pl.DataFrame
    volumes: pl.DataFrame
    delays: pl.DataFrame
    shift: RiskShift | None

    @property
    def drifted(self) -> list[str]:
        """Columns that moved beyond chance and by 0.1 or more."""
        return self.columns.filter("drifted")["column"].to_list()


def stretches_of(week: date) -> Stretches:
    """The recent weeks up to and with this one, and the year before them.

    Examples
    --------
    >>> found = stretches_of(date(2024, 3, 4))
    >>> found.recent[0].date().isoformat(), found.reference[1] == found.recent[0]
    ('2024-02-12', True)
    """
    recent = recent_weeks(week, count=RECENT_WEEKS)
    return Stretches((recent[0] - timedelta(weeks=REFERENCE_WEEKS), recent[0]), recent)


def drift_of_week(
    week: date,
    inputs: Inputs,
    model: FittedModel,
    *,
    groups: tuple[str, ...],
    group_of_column: Mapping[str, str],
) -> WeeklyDrift:
    """Compare the recent weeks up to one week with the reference.

    Parameters
    ----------
    week : date
        Monday.
    inputs : Inputs
    model : FittedModel
    groups : tuple of str
        Columns of the population mix.
    group_of_column : mapping of str to str
        Feature group of each column.
    """
    seed = seed_of("drift", week.isoformat())
    reference, recent = inputs.reference, inputs.recent
    compared = [
        compare_columns(reference, recent, columns=columns, kind=kind, seed=seed)
        for kind, columns in (
            ("score", ("probability",)),
            ("population", groups),
            ("feature", model.columns),
        )
    ]
    stretches = stretches_of(week)
    delays = inputs.events.select(
        pl.col("domain").alias("kind"), pl.col("occurred_at").alias("started_at"), "known_at"
    )
    columns = pl.concat(compared).with_columns(pl.lit(week).alias("week"))
    return WeeklyDrift(
        week,
        columns.select(WEEKLY_DRIFT.schema.keys()),
        code_changes(inputs.events, stretches),
        volumes(inputs.events, stretches, by="domain"),
        delay_changes(delays, stretches),
        _shift(model, reference, recent, group_of_column),
    )


def _shift(
    model: FittedModel,
    reference: pl.DataFrame,
    recent: pl.DataFrame,
    group_of_column: Mapping[str, str],
) -> RiskShift | None:
    if reference.is_empty() or recent.is_empty():
        return None
    terms = term_names(model)
    groups = [group_of_column.get(name.removeprefix("missing "), _OTHER) for name in terms]
    sums: list[np.ndarray] = []
    names: list[str] = []
    for rows in (reference, recent):
        found = contributions(model, rows)
        by_group, names = contributions_by_group(found, groups)
        sums.append(by_group)
    return risk_shift(sums[0], sums[1], names)
