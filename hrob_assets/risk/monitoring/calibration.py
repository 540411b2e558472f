"""Calibration week by week, on mature outcomes only, with a nowcast of weeks that are pending.

Intervals are linearised with patients as clusters (normal approximation): a series of weeks, by
subgroup, needs hundreds of them. An evaluation uses the patient bootstrap (`evaluation`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import SMALLEST_CELL
from hrob_assets.risk.monitoring.ledger import Ledger
from hrob_assets.risk.monitoring.reporting_delay import completion_by_age
from hrob_assets.risk.statistics import (
    Z,
    cluster_robust_covariance,
    clustered_products,
    fit_logistic,
    logit,
)
from hrob_assets.risk.tables import Column, Table

CALIBRATION_ESTIMATES = (
    "calibration_factor",
    "observed_expected",
    "intercept",
    "slope",
    "positive_predictive_value",
    "brier",
)
FEWEST_EVENTS = 10
"""Rows with the outcome, rows without it, and patients, below which there is no interval."""
_EPOCH = date(1970, 1, 1)

_bounds = [
    Column(f"{name}{part}", pl.Float64, "95 % interval where it has one.", nullable=True)
    for name in CALIBRATION_ESTIMATES
    for part in ("", "_low", "_high")
]
WEEKLY_CALIBRATION = Table(
    "weekly_calibration",
    "One row per group, subgroup and week in which outcomes became mature.",
    ("group", "level", "week"),
    (
        Column("group", pl.String, "Column of the group, or all."),
        Column("level", pl.String, "Subgroup, or all."),
        Column("week", pl.Date, "Monday of the last week of the window."),
        Column("window_weeks", pl.Int64, "Weeks whose mature outcomes are pooled."),
        Column("rows", pl.Int64, "Rows with a mature outcome."),
        Column("persons", pl.Int64, "Patients among them."),
        Column("expected", pl.Float64, "Sum of the probabilities."),
        Column("events", pl.Int64, "Rows with the outcome."),
        *_bounds,
    ),
)


def estimate_weekly_calibration(
    rows: pl.DataFrame,
    *,
    groups: Sequence[str] = (),
    window_weeks: int = 13,
    since: date | None = None,
) -> pl.DataFrame:
    """Calibration of mature outcomes, in windows that end with each week.

    Parameters
    ----------
    rows : DataFrame
        Of the ledger, with the groups: ``person_id``, ``ripe_week``, ``probability``, ``label``,
        ``high_risk``; rows without a label are left out.
    groups : sequence of str
        Columns; null is the subgroup ``Unknown``.
    window_weeks : int
        Weeks whose mature outcomes are pooled, at most.
    since : date, optional
        Monday of the first week to report; None for all.

    Returns
    -------
    DataFrame
        `WEEKLY_CALIBRATION`; a subgroup with fewer than 11 patients in a window is left out there.
    """
    overall = list(_windows(_in_order(rows), "all", "all", window_weeks, since))
    frames = [
        estimate_subgroup_calibration(rows, group, window_weeks=window_weeks, since=since)
        for group in groups
    ]
    return pl.concat([pl.DataFrame(overall, schema=WEEKLY_CALIBRATION.schema), *frames])


def estimate_subgroup_calibration(
    rows: pl.DataFrame, group: str, *, window_weeks: int, since: date | None = None
) -> pl.DataFrame:
    """Calibration of each subgroup of one group; as `estimate_weekly_calibration`."""
    named = _in_order(rows).with_columns(pl.col(group).fill_null("Unknown"))
    found: list[dict[str, Any]] = []
    for subgroup in sorted(named[group].unique()):
        part = named.filter(pl.col(group) == subgroup)
        found += _windows(part, group, str(subgroup), window_weeks, since)
    return pl.DataFrame(found, schema=WEEKLY_CALIBRATION.schema)


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a label, sorted, so that sums do not depend on the order they came in."""
    mature = rows.filter(pl.col("label").is_not_null())
    return mature.sort("ripe_week", "person_id", "probability")


def _windows(
    part: pl.DataFrame, group: str, subgroup: str, window_weeks: int, since: date | None
) -> Iterator[dict[str, Any]]:
    day = part["ripe_week"].cast(pl.Int64).to_numpy()
    columns = _arrays(part)
    earliest = day.min(initial=0) if since is None else (since - _EPOCH).days
    for last in sorted(set(day[day >= earliest].tolist())):
        first = last - 7 * (window_weeks - 1)
        inside = slice(*np.searchsorted(day, [first, last + 1]).tolist())
        predictions = LabelledPredictions(*(column[inside] for column in columns))
        if predictions.persons >= SMALLEST_CELL:
            yield {
                "group": group,
                "level": subgroup,
                "week": _EPOCH + timedelta(days=last),
                "window_weeks": window_weeks,
                "rows": predictions.outcome.size,
                "persons": predictions.persons,
                "expected": float(predictions.probability.sum()),
                "events": int(predictions.outcome.sum()),
                **estimate_calibration(predictions),
            }


def _arrays(part: pl.DataFrame) -> tuple[np.ndarray, ...]:
    weight = part["weight"].to_numpy() if "weight" in part.columns else np.ones(part.height)
    return (
        part["person_id"].to_numpy(),
        part["probability"].to_numpy(),
        part["label"].to_numpy().astype(np.float64),
        part["high_risk"].to_numpy(),
        weight,
    )


@dataclass(frozen=True)
class LabelledPredictions:
    """Predictions with mature outcomes, arrays of shape (n_rows,)."""

    person: np.ndarray
    probability: np.ndarray
    outcome: np.ndarray
    high_risk: np.ndarray
    weight: np.ndarray

    @property
    def persons(self) -> int:
        """Distinct patients."""
        return np.unique(self.person).size


def estimate_calibration(rows: LabelledPredictions) -> dict[str, float | None]:
    """`CALIBRATION_ESTIMATES` with their bounds; None where there is too little data for them.

    Examples
    --------
    >>> p, y = np.full(400, 0.25), np.tile([1.0, 0, 0, 0], 100)
    >>> patients = np.arange(400)
    >>> found = estimate_calibration(LabelledPredictions(patients, p, y, p > 0.2, np.ones(400)))
    >>> found["observed_expected"], round(found["observed_expected_low"], 3)
    (1.0, 0.844)
    """
    p, y, w = rows.probability, rows.outcome, rows.weight
    _, cluster = np.unique(rows.person, return_inverse=True)
    every = np.ones(y.size, dtype=np.bool_)
    enough, high = _enough(y, cluster, every), _enough(y, cluster, rows.high_risk)
    mean = {
        "calibration_factor": (p - y, w, enough),
        "positive_predictive_value": (y, w * rows.high_risk, high),
        "brier": (np.square(p - y), w, enough),
    }
    found: dict[str, float | None] = {}
    for name, (value, weight, has) in mean.items():
        found |= _with_bounds(name, *_mean(value, weight, cluster), enough=has)
    found |= _ratio(p, y, w, cluster, enough=enough)
    return found | _regressions(p, y, w, cluster, enough=enough)


def _enough(y: np.ndarray, cluster: np.ndarray, among: np.ndarray) -> bool:
    """Whether the rows among some have enough events, non-events and patients for an interval."""
    part = y[among.astype(np.bool_)]
    persons = np.unique(cluster[among.astype(np.bool_)]).size
    return min(float(part.sum()), float((1 - part).sum()), persons) >= FEWEST_EVENTS


def _with_bounds(
    name: str, value: float, error: float, *, enough: bool, logarithm: bool = False
) -> dict[str, float | None]:
    if not np.isfinite(value):
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    bounds = value + np.array([-1, 1]) * Z * error
    if logarithm:
        value, bounds = float(np.exp(value)), np.exp(bounds)
    has = enough and bool(np.isfinite(bounds).all())
    low, high = (float(b) if has else None for b in bounds)
    return {name: float(value), f"{name}_low": low, f"{name}_high": high}


def _mean(value: np.ndarray, weight: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """Weighted mean and its standard error with clusters."""
    total = float(weight.sum())
    if total <= 0:
        return float("nan"), float("nan")
    mean = float(weight @ value) / total
    return mean, float(np.sqrt(clustered_products(weight * (value - mean), cluster)[0, 0])) / total


def _ratio(
    p: np.ndarray, y: np.ndarray, w: np.ndarray, cluster: np.ndarray, *, enough: bool
) -> dict[str, float | None]:
    """Observed over expected, with an interval on the scale of its logarithm."""
    observed, expected = float(w @ y), float(w @ p)
    if observed <= 0 or expected <= 0:
        ratio = observed / expected if expected > 0 else float("nan")
        return _with_bounds("observed_expected", ratio, float("nan"), enough=False)
    score = w * (y / observed - p / expected)
    error = float(np.sqrt(clustered_products(score, cluster)[0, 0]))
    value = float(np.log(observed / expected))
    return _with_bounds("observed_expected", value, error, enough=enough, logarithm=True)


def _regressions(
    p: np.ndarray, y: np.ndarray, w: np.ndarray, cluster: np.ndarray, *, enough: bool
) -> dict[str, float | None]:
    """Intercept with the logit as an offset, and the slope on the logit."""
    odds, one = logit(p), np.ones((p.size, 1))
    models = {"intercept": (one, odds), "slope": (np.column_stack([one, odds]), np.zeros(p.size))}
    found: dict[str, float | None] = {}
    for name, (design, offset) in models.items():
        fit = fit_logistic(design, w * y, rows=w, offset=offset)
        value = error = float("nan")
        if fit is not None:
            covariance = cluster_robust_covariance(
                fit, design, w * y, cluster, rows=w, offset=offset
            )
            value, error = float(fit.coefficients[-1]), float(np.sqrt(covariance[-1, -1]))
        found |= _with_bounds(name, value, error, enough=enough)
    return found


def nowcast_weeks(ledger: Ledger) -> pl.DataFrame:
    """Nowcast of weeks with pending rows: outcomes known so far, and how many to expect in total.

    A nowcast is for the reader only. It never enters the alarm.

    Returns
    -------
    DataFrame
        One row per scored week that is over and has pending rows: ``week``, ``rows``,
        ``expected`` (sum of the probabilities), ``events_so_far``, ``completion`` (share of a
        week's outcomes that is known at its age, estimated from earlier weeks; null where none is
        old enough) and ``events_nowcast`` (their quotient).
    """
    scored = ledger.rows
    weeks = scored["week"].unique().sort().to_list()
    facts = scored.filter(pl.col("known_at").is_not_null()).select("week", "known_at")
    completion = completion_by_age(facts, weeks=weeks, as_of=ledger.as_of)
    age = (
        (pl.lit(ledger.as_of) - pl.col("week").cast(pl.Datetime("us"))).dt.total_days() // 7
    ).alias("age_weeks")
    return (
        scored.group_by("week")
        .agg(
            rows=pl.len(),
            pending=(pl.col("status") == "pending").sum(),
            expected=pl.col("probability").sum(),
            events_so_far=pl.col("known_at").is_not_null().sum(),
        )
        .filter(
            pl.col("pending") > 0,
            pl.col("week").cast(pl.Datetime("us")) + timedelta(days=7) <= ledger.as_of,
        )
        .with_columns(age)
        .join(
            completion.filter(pl.col("completion") > 0).select("age_weeks", "completion"),
            on="age_weeks",
            how="left",
        )
        .with_columns((pl.col("events_so_far") / pl.col("completion")).alias("events_nowcast"))
        .select("week", "rows", "expected", "events_so_far", "completion", "events_nowcast")
        .sort("week")
    )


def censoring_sensitivity(ledger: Ledger) -> pl.DataFrame:
    """Observed over expected outcomes without censored rows, and weighted to represent them.

    The weights are the inverse probability of censoring. Patients are assumed to disenrol at a
    constant rate, so a row has the inverse of the chance to be observed until its outcome, or
    until the end of the horizon. An outcome without a date is placed in the middle of the horizon.

    Returns
    -------
    DataFrame
        Two rows: ``weights`` (none, inverse probability of censoring), ``rows``, ``censored``,
        ``observed_expected`` with bounds; null where there is too little.
    """
    mature = ledger.rows.filter(pl.col("status") != "pending")
    labelled = mature.filter(pl.col("label").is_not_null())
    days = float(ledger.horizon_days)
    waited = (pl.col("outcome_at") - pl.col("prediction_time")).dt.total_seconds() / 86_400
    observed_days = (
        labelled.select(pl.when(pl.col("label")).then(waited.fill_null(days / 2)).otherwise(days))
        .to_series()
        .to_numpy()
        .astype(np.float64)
    )
    lost = mature.height - labelled.height
    exposure = float(observed_days.sum()) + lost * days / 2
    rate = lost / exposure if exposure else 0.0
    forms = {
        "none": np.ones(observed_days.size),
        "inverse probability of censoring": np.exp(rate * observed_days),
    }
    found: list[dict[str, Any]] = []
    for name, weight in forms.items():
        arrays = _arrays(labelled.with_columns(pl.Series("weight", weight)))
        estimates = estimate_calibration(LabelledPredictions(*arrays)) if labelled.height else {}
        found.append(
            {"weights": name, "rows": labelled.height, "censored": lost}
            | {
                f"observed_expected{part}": estimates.get(f"observed_expected{part}")
                for part in ("", "_low", "_high")
            }
        )
    return pl.DataFrame(found, infer_schema_length=None)
