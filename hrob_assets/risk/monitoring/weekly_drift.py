"""What changed in one week before any outcome is known: drift, worklist and the mean risk.

Nothing here feeds the alarm; see `drift`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.monitoring.drift import (
    DRIFT,
    DriftPeriods,
    code_changes,
    column_drift,
    delay_changes,
    volumes,
)
from hrob_assets.risk.statistics import seed_of
from hrob_assets.risk.tables import Column, Table
from hrob_assets.risk.training import FittedModel, contributions, term_names

_RECENT_WEEKS, _REFERENCE_WEEKS = 4, 52
WEEKLY_DRIFT = Table(
    "weekly_drift",
    "One row per week and examined column.",
    ("week", "kind", "column"),
    (Column("week", pl.Date, f"Monday of the last of {_RECENT_WEEKS} weeks."), *DRIFT.columns),
)
_OTHER = "other"
_TOO_LITTLE = 0.005
_MOST = 5


@dataclass(frozen=True)
class DriftInputs:
    """Rows and events that are compared.

    Parameters
    ----------
    reference : DataFrame
        Rows on which the model was evaluated: ``person_id``, ``probability``, the groups and the
        columns of the model.
    recent : DataFrame
        Rows that were scored in the recent weeks, with the same columns.
    events : DataFrame
        Staged events that became known in the two periods: ``vocabulary``, ``code``, ``domain``,
        ``occurred_at``, ``known_at``.
    """

    reference: pl.DataFrame
    recent: pl.DataFrame
    events: pl.DataFrame


@dataclass(frozen=True)
class RiskShift:
    """The shift of the mean log odds, split by group of features.

    Parameters
    ----------
    total : float, log odds
    by_group : dict of str to float
        Adds up to the total; largest first.
    """

    total: float
    by_group: Mapping[str, float]

    @property
    def sentence(self) -> str:
        """The shift in one sentence.

        Examples
        --------
        >>> RiskShift(0.12, {"labs": 0.1, "utilisation": 0.05, "age": -0.03}).sentence
        'The mean log odds rose by 0.12: labs +0.10, utilisation +0.05, age -0.03.'
        """
        if abs(self.total) < _TOO_LITTLE and not self._named:
            return "The mean log odds did not change."
        way = "rose" if self.total >= 0 else "fell"
        parts = ", ".join(f"{name} {value:+.2f}" for name, value in self._named)
        return f"The mean log odds {way} by {abs(self.total):.2f}: {parts or 'many small shifts'}."

    @property
    def _named(self) -> list[tuple[str, float]]:
        return [(name, x) for name, x in self.by_group.items() if abs(x) >= _TOO_LITTLE][:_MOST]


@dataclass(frozen=True)
class WeeklyDrift:
    """What changed up to one week.

    Parameters
    ----------
    week : date
    columns : DataFrame
        `WEEKLY_DRIFT`.
    codes, volumes, delays : DataFrame
        As `code_changes`, `volumes` (by domain) and `delay_changes`.
    shift : RiskShift, optional
        Of the mean log-odds, by group of features; None without rows to compare.
    """

    week: date
    columns: pl.DataFrame
    codes: pl.DataFrame
    volumes: pl.DataFrame
    delays: pl.DataFrame
    shift: RiskShift | None


def drift_periods(week: date) -> DriftPeriods:
    """The recent weeks up to and including this one, and the year before them.

    Examples
    --------
    >>> found = drift_periods(date(2024, 3, 4))
    >>> found.recent[0].date().isoformat(), found.reference[1] == found.recent[0]
    ('2024-02-12', True)
    """
    recent = recent_weeks(week, count=_RECENT_WEEKS)
    return DriftPeriods((recent[0] - timedelta(weeks=_REFERENCE_WEEKS), recent[0]), recent)


def drift_of_week(
    week: date,
    inputs: DriftInputs,
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
    inputs : DriftInputs
    model : FittedModel
    groups : tuple of str
        Columns of the population mix.
    group_of_column : mapping of str to str
        Feature group of each column.
    """
    seed = seed_of("drift", week.isoformat())
    reference, recent = inputs.reference, inputs.recent
    compared = [
        column_drift(reference, recent, columns=columns, kind=kind, seed=seed)
        for kind, columns in (
            ("score", ("probability",)),
            ("population", groups),
            ("feature", model.columns),
        )
    ]
    periods = drift_periods(week)
    delays = inputs.events.select(
        pl.col("domain").alias("kind"), pl.col("occurred_at").alias("started_at"), "known_at"
    )
    columns = pl.concat(compared).with_columns(pl.lit(week).alias("week"))
    return WeeklyDrift(
        week,
        columns.select(WEEKLY_DRIFT.schema.keys()),
        code_changes(inputs.events, periods),
        volumes(inputs.events, periods, by="domain"),
        delay_changes(delays, periods),
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


def contributions_by_group(
    contributions: np.ndarray, group_of_term: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Sums of the log odds that the terms of a linear model add, by group of features.

    Parameters
    ----------
    contributions : ndarray of float, shape (n_rows, n_terms)
        Of `contributions` of the model.
    group_of_term : sequence of str
        Feature group of each term.

    Returns
    -------
    ndarray of float, shape (n_rows, n_groups), and the names of the groups, sorted
    """
    names = sorted(set(group_of_term))
    belongs = np.array([[group == name for name in names] for group in group_of_term], dtype=float)
    return contributions @ belongs, names


def risk_shift(reference: np.ndarray, recent: np.ndarray, names: Sequence[str]) -> RiskShift:
    """Split the shift of the mean log odds of a linear model by group of features.

    Parameters
    ----------
    reference, recent : ndarray of float, shape (n_rows, n_groups)
        Of `contributions_by_group`.
    names : sequence of str
    """
    moved = recent.mean(axis=0) - reference.mean(axis=0)
    order = np.argsort(-np.abs(moved), kind="stable")
    return RiskShift(float(moved.sum()), {names[int(i)]: float(moved[i]) for i in order})


def recent_weeks(last: date, *, count: int) -> tuple[datetime, datetime]:
    """The period of so many weeks that ends with the week of a Monday.

    Examples
    --------
    >>> [day.date().isoformat() for day in recent_weeks(date(2024, 3, 4), count=2)]
    ['2024-02-26', '2024-03-11']
    """
    end = datetime(last.year, last.month, last.day) + timedelta(days=7)
    return end - timedelta(weeks=count), end


def worklist_sizes(scores: pl.DataFrame, *, reviews_per_week: int) -> pl.DataFrame:
    """High-risk patients of each week, against how many can be reviewed.

    Parameters
    ----------
    scores : DataFrame
        ``week``, ``person_id`` and ``high_risk``.
    reviews_per_week : int

    Returns
    -------
    DataFrame
        ``week``, ``rows``, ``people`` (patients at high risk), ``capacity`` and
        ``over_capacity`` (patients).
    """
    return (
        scores.group_by("week")
        .agg(rows=pl.len(), people=pl.col("person_id").filter(pl.col("high_risk")).n_unique())
        .with_columns(capacity=pl.lit(reviews_per_week))
        .with_columns(
            over_capacity=(pl.col("people").cast(pl.Int64) - reviews_per_week).clip(lower_bound=0)
        )
        .sort("week")
    )


IF_CALIBRATED = "expected if still calibrated"


def expected_if_calibrated(rows: pl.DataFrame) -> pl.DataFrame:
    """Expected outcomes of weeks without mature ones, if the predictions were still calibrated.

    By construction this cannot show that they are not. It is for planning and never enters the
    alarm.

    Parameters
    ----------
    rows : DataFrame
        ``week``, ``probability`` and ``high_risk`` of pending rows.

    Returns
    -------
    DataFrame
        ``week``, ``rows``, ``events``, ``positive_predictive_value``, ``sensitivity`` and
        ``label`` (always "expected if still calibrated"). Null where the denominator is 0.

    References
    ----------
    NannyML, *Confidence-based performance estimation*.

    Examples
    --------
    >>> rows = pl.DataFrame({"week": [date(2024, 1, 1)] * 3, "probability": [0.5, 0.3, 0.2],
    ...     "high_risk": [True, False, False]})
    >>> expected_if_calibrated(rows).row(0)[2:5]
    (1.0, 0.5, 0.5)
    """
    high = pl.col("probability").filter(pl.col("high_risk"))
    return (
        rows.group_by("week")
        .agg(
            rows=pl.len(),
            events=pl.col("probability").sum(),
            positive_predictive_value=high.mean(),
            sensitivity=pl.when(pl.col("probability").sum() > 0).then(
                high.sum() / pl.col("probability").sum()
            ),
        )
        .with_columns(label=pl.lit(IF_CALIBRATED))
        .sort("week")
    )
