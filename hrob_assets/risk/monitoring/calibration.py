"""Calibration week by week, on ripe rows only, with a nowcast of the weeks that are not.

Intervals are linearised with persons as clusters (normal approximation): a series of weeks, by
group, needs hundreds of them. An evaluation has the patient bootstrap (`evaluation`).
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

FIGURES = (
    "calibration_factor",
    "observed_expected",
    "intercept",
    "slope",
    "positive_predictive_value",
    "brier",
)
FEWEST_EVENTS = 10
"""Rows with the outcome, without it, and persons, below which a figure has no interval."""
_EPOCH = date(1970, 1, 1)

_bounds = [
    Column(f"{figure}{part}", pl.Float64, "95 % interval where it has one.", nullable=True)
    for figure in FIGURES
    for part in ("", "_low", "_high")
]
WEEKLY_CALIBRATION = Table(
    "weekly_calibration",
    "One row per group, level and week in which outcomes became ripe.",
    ("group", "level", "week"),
    (
        Column("group", pl.String, "Column of the group, or all."),
        Column("level", pl.String, "Level, or all."),
        Column("week", pl.Date, "Monday of the last week of the window."),
        Column("window_weeks", pl.Int64, "Weeks of ripening that are taken together."),
        Column("rows", pl.Int64, "Ripe rows with a label."),
        Column("persons", pl.Int64, "Persons among them."),
        Column("expected", pl.Float64, "Sum of the probabilities."),
        Column("events", pl.Int64, "Rows with the outcome."),
        *_bounds,
    ),
)


def calibrate_weeks(
    rows: pl.DataFrame,
    *,
    groups: Sequence[str] = (),
    window_weeks: int = 13,
    since: date | None = None,
) -> pl.DataFrame:
    """Calibration of ripe rows, in windows that end with each week.

    Parameters
    ----------
    rows : DataFrame
        Of the ledger, with the groups: ``person_id``, ``ripe_week``, ``probability``, ``label``,
        ``high_risk``; rows without a label are left out.
    groups : sequence of str
        Columns; null is a level, ``Unknown``.
    window_weeks : int
        Weeks of ripening that are taken together, at most.
    since : date, optional
        Monday of the first week that is told; None for all.

    Returns
    -------
    DataFrame
        `WEEKLY_CALIBRATION`; a level with fewer than 11 persons in a window is left out there.
    """
    told: list[dict[str, Any]] = list(_windows(_in_order(rows), "all", "all", window_weeks, since))
    frames = [
        calibrate_levels(rows, group, window_weeks=window_weeks, since=since) for group in groups
    ]
    return pl.concat([pl.DataFrame(told, schema=WEEKLY_CALIBRATION.schema), *frames])


def calibrate_levels(
    rows: pl.DataFrame, group: str, *, window_weeks: int, since: date | None = None
) -> pl.DataFrame:
    """Calibration of each level of one group; as `calibrate_weeks`."""
    named = _in_order(rows).with_columns(pl.col(group).fill_null("Unknown"))
    told: list[dict[str, Any]] = []
    for level in sorted(named[group].unique()):
        part = named.filter(pl.col(group) == level)
        told += _windows(part, group, str(level), window_weeks, since)
    return pl.DataFrame(told, schema=WEEKLY_CALIBRATION.schema)


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    ripe = rows.filter(pl.col("label").is_not_null())
    return ripe.sort("ripe_week", "person_id", "probability")


def _windows(
    part: pl.DataFrame, group: str, level: str, window_weeks: int, since: date | None
) -> Iterator[dict[str, Any]]:
    day = part["ripe_week"].cast(pl.Int64).to_numpy()
    columns = _arrays(part)
    earliest = day.min(initial=0) if since is None else (since - _EPOCH).days
    for last in sorted(set(day[day >= earliest].tolist())):
        first = last - 7 * (window_weeks - 1)
        inside = slice(*np.searchsorted(day, [first, last + 1]).tolist())
        rows = Rows(*(column[inside] for column in columns))
        if rows.persons >= SMALLEST_CELL:
            yield {
                "group": group,
                "level": level,
                "week": _EPOCH + timedelta(days=last),
                "window_weeks": window_weeks,
                "rows": rows.outcome.size,
                "persons": rows.persons,
                "expected": float(rows.probability.sum()),
                "events": int(rows.outcome.sum()),
                **figures_of(rows),
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
class Rows:
    """Predictions with outcomes, arrays of shape (n_rows,)."""

    person: np.ndarray
    probability: np.ndarray
    outcome: np.ndarray
    high_risk: np.ndarray
    weight: np.ndarray

    @property
    def persons(self) -> int:
        """Distinct persons."""
        return np.unique(self.person).size


def figures_of(rows: Rows) -> dict[str, float | None]:
    """`FIGURES` with their bounds; None where there is too little for them.

    Examples
    --------
    >>> p, y = np.full(400, 0.25), np.tile([1.0, 0, 0, 0], 100)
    >>> found = figures_of(Rows(np.arange(400), p, y, p > 0.2, np.ones(400)))
    >>> found["observed_expected"], round(found["observed_expected_low"], 3)
    (1.0, 0.844)
    """
    p, y, w = rows.probability, rows.outcome, rows.weight
    _, cluster = np.unique(rows.person, return_inverse=True)
    everybody = np.ones(y.size, dtype=np.bool_)
    enough, high = _enough(y, cluster, everybody), _enough(y, cluster, rows.high_risk)
    mean = {
        "calibration_factor": (p - y, w, enough),
        "positive_predictive_value": (y, w * rows.high_risk, high),
        "brier": (np.square(p - y), w, enough),
    }
    found: dict[str, float | None] = {}
    for name, (value, weight, has) in mean.items():
        found |= _told(name, *_mean(value, weight, cluster), enough=has)
    found |= _ratio(p, y, w, cluster, enough=enough)
    return found | _regressions(p, y, w, cluster, enough=enough)


def _enough(y: np.ndarray, cluster: np.ndarray, among: np.ndarray) -> bool:
    """Whether some of the rows have the outcomes, their absence and the persons for an interval."""
    part = y[among.astype(np.bool_)]
    persons = np.unique(cluster[among.astype(np.bool_)]).size
    return min(float(part.sum()), float((1 - part).sum()), persons) >= FEWEST_EVENTS


def _told(
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
        return _told("observed_expected", ratio, float("nan"), enough=False)
    score = w * (y / observed - p / expected)
    error = float(np.sqrt(clustered_products(score, cluster)[0, 0]))
    value = float(np.log(observed / expected))
    return _told("observed_expected", value, error, enough=enough, logarithm=True)


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
        found |= _told(name, value, error, enough=enough)
    return found


def nowcast_weeks(ledger: Ledger) -> pl.DataFrame:
    """Weeks that were scored but are not ripe: outcomes so far, and what they will come to.

    A nowcast is for the eye. It never enters the evidence of the alarm.

    Returns
    -------
    DataFrame
        One row per scored week with pending rows, of weeks that are over: ``week``, ``rows``,
        ``expected`` (sum of the probabilities), ``events_so_far``, ``completion`` (share of a
        week's outcomes known at its age, by the weeks before; null where none is old enough) and
        ``events_nowcast`` (their quotient).
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
    """Observed over expected without the censored rows, and with weights that stand for them.

    Persons are taken to leave at a steady rate; a row is weighted with one over the chance of
    being observed until its outcome, or to the end of the horizon. An outcome without a date is
    taken to lie in the middle of the horizon.

    Returns
    -------
    DataFrame
        Two rows: ``weights`` (none, inverse probability of censoring), ``rows``, ``censored``,
        ``observed_expected`` with bounds; null where there is too little.
    """
    judged = ledger.rows.filter(pl.col("status") != "pending")
    labelled = judged.filter(pl.col("label").is_not_null())
    days = float(ledger.horizon_days)
    waited = (pl.col("outcome_at") - pl.col("prediction_time")).dt.total_seconds() / 86_400
    followed = (
        labelled.select(pl.when(pl.col("label")).then(waited.fill_null(days / 2)).otherwise(days))
        .to_series()
        .to_numpy()
        .astype(np.float64)
    )
    lost = judged.height - labelled.height
    exposure = float(followed.sum()) + lost * days / 2
    rate = lost / exposure if exposure else 0.0
    forms = {
        "none": np.ones(followed.size),
        "inverse probability of censoring": np.exp(rate * followed),
    }
    told: list[dict[str, Any]] = []
    for name, weight in forms.items():
        arrays = _arrays(labelled.with_columns(pl.Series("weight", weight)))
        figures = figures_of(Rows(*arrays)) if labelled.height else {}
        told.append(
            {"weights": name, "rows": labelled.height, "censored": lost}
            | {
                f"observed_expected{part}": figures.get(f"observed_expected{part}")
                for part in ("", "_low", "_high")
            }
        )
    return pl.DataFrame(told, infer_schema_length=None)
