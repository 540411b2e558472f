"""The calibration alarm: an e-detector of shifts that exceed the tolerance.

Each row of `alarm_rows` bets against the null hypothesis "the intercept has shifted by no more
than the tolerance". The bet is a likelihood ratio against the edge of the null hypothesis,

    e = (q/b)^y ((1-q)/(1-b))^(1-y),
    b = expit(logit(p) + tolerance),   q = expit(logit(p) + shift),

for a shift beyond the tolerance, and its mirror image for a shift downwards. It is an e-value: its
mean is at most 1 for each row under every shift within the tolerance. The product E of the rows of
a week enters the Shiryaev-Roberts recursion M <- (c + M) E, where c (at most 1) is the weight of
the week. M is averaged over a grid of shifts, and the alarm is raised when it reaches the alarm
threshold.

Why false alarms are rare: M minus the sum of c is a supermartingale under the null hypothesis, so
the mean number of false alarms of all detectors together, in any number of weeks, is **at most
weeks / alarm_weeks**. This needs the true shift of each detector to stay within the tolerance and
rows to be independent given the past; hence one row per patient and horizon (`alarm_rows`).

References
----------
Shin, Ramdas, Rinaldo 2024, *E-detectors: a nonparametric framework for sequential change
detection*. New England Journal of Statistics in Data Science 2(2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import polars as pl

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.statistics import CLIP, logit
from hrob_assets.risk.tables import Column, Table

BEYOND_TOLERANCE = (0.05, 0.2, 0.4, 0.7)
"""How far beyond the tolerance the shifts of the grid lie, log odds."""
FULL_WEEK = 5.0
"""Information, the sum of p(1-p), from which on a week has weight 1."""
ALL_ROWS = "all"
"""Group and subgroup of the detector that looks at all rows."""
UNDER_PREDICTION, OVER_PREDICTION = "under-prediction", "over-prediction"

E_VALUES = Table(
    "e_values",
    "One row per model version, detector and week with mature outcomes.",
    ("model_version", "group", "level", "week"),
    (
        Column("model_version", pl.String, "Version whose predictions are monitored."),
        Column("group", pl.String, "Column of the group; all for the detector of all rows."),
        Column("level", pl.String, "Subgroup; all for the detector of all rows."),
        Column("week", pl.Date, "Monday of the week in which the outcomes became mature."),
        Column("rows", pl.Int64, "Independent rows."),
        Column("expected", pl.Float64, "Sum of their probabilities."),
        Column("events", pl.Int64, "Rows with the outcome."),
        Column("detectors", pl.Int64, "Detectors of the version so far; they share the budget."),
        Column("log_evidence", pl.Float64, "Natural logarithm of the e-value after this week."),
        Column("log_level", pl.Float64, "Natural logarithm of the alarm threshold."),
        Column("direction", pl.String, "Stronger direction: under- or over-prediction."),
        Column("since", pl.Date, "Estimated week of the change, where the e-value starts to grow."),
        Column("crossed", pl.Boolean, "The threshold is reached; the detector restarts."),
        Column("alarm", pl.Boolean, "Crossed while the version was in use."),
    ),
)


@dataclass(frozen=True)
class AlarmRule:
    """Which shift is harmless and how often an alarm may be false.

    Parameters
    ----------
    tolerance : float, log odds
        A shift of the intercept within which no alarm is wanted.
    alarm_weeks : int
        Mean weeks between false alarms, of all detectors together, at least.

    Raises
    ------
    ContractError
        If the tolerance is not from 0 to 1, or the weeks are not positive.

    Examples
    --------
    >>> AlarmRule(tolerance=0.1, alarm_weeks=260).shifts.round(2).tolist()
    [0.15, 0.3, 0.5, 0.8, -0.15, -0.3, -0.5, -0.8]
    """

    tolerance: float
    alarm_weeks: int

    def __post_init__(self) -> None:
        if not (0 <= self.tolerance < 1 and self.alarm_weeks >= 1):
            msg = (
                "the tolerance must be from 0 to 1 and the weeks between false alarms at least 1 "
                f"(found {self.tolerance} and {self.alarm_weeks}); correct them"
            )
            raise ContractError(msg)

    @property
    def shifts(self) -> np.ndarray:
        """Shifts of the grid: first those up, then those down."""
        up = self.tolerance + np.array(BEYOND_TOLERANCE)
        return np.concatenate([up, -up])

    @property
    def edges(self) -> np.ndarray:
        """Edge of the tolerance on the side of each shift."""
        return np.sign(self.shifts) * self.tolerance

    def log_threshold(self, detectors: int) -> float:
        """Logarithm of the e-value at which one of so many detectors raises the alarm.

        The detectors share the budget of false alarms, so each gets an equal part of it.
        """
        return float(np.log(self.alarm_weeks * detectors))


def compute_e_values(
    rows: pl.DataFrame, rule: AlarmRule, *, groups: Sequence[str] = ()
) -> pl.DataFrame:
    """E-values of every detector, week by week, from nothing but the rows.

    Parameters
    ----------
    rows : DataFrame
        Independent rows with mature outcomes (`alarm_rows`): ``model_version``, ``week`` (Monday
        of the week in which the outcome became mature), ``probability``, ``label`` (no null),
        ``in_use`` (the version was still in use when that week ended) and the groups.
    rule : AlarmRule
    groups : sequence of str
        Columns; each subgroup has a detector of its own. Null is the subgroup ``Unknown``.

    Returns
    -------
    DataFrame
        `E_VALUES`, by version, detector and week. A detector starts from nothing with a new
        version and after it has crossed its threshold. Weeks without rows are left out. Later
        weeks change nothing in earlier ones: the threshold follows from the subgroups seen so
        far.

    Raises
    ------
    ContractError
        If a row has no label or no probability.
    """
    if rows["label"].null_count() or rows["probability"].is_nan().any():
        msg = (
            "e-values need rows with a mature outcome and a probability (found others); "
            "leave those out"
        )
        raise ContractError(msg)
    frames: list[pl.DataFrame] = []
    ordered = rows.sort("model_version", "week", "probability", "label")
    for version in ordered.partition_by("model_version", maintain_order=True):
        named = version.with_columns(pl.col(name).fill_null("Unknown") for name in groups)
        weeks, known = _detectors_by_week(named, groups)
        frames.append(_detector(named, rule, (ALL_ROWS, ALL_ROWS), weeks, known))
        for group in groups:
            for part in named.sort(group, maintain_order=True).partition_by(
                group, maintain_order=True
            ):
                detector = (group, str(part[group].first()))
                frames.append(_detector(part, rule, detector, weeks, known))
    found = pl.concat(frames) if frames else E_VALUES.empty()
    return found.select(E_VALUES.schema.keys()).cast(pl.Schema(E_VALUES.schema))


def _detectors_by_week(
    version: pl.DataFrame, groups: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The weeks, and how many detectors there are up to each: 1, and 1 per subgroup seen.

    Subgroups that appear later do not count: were the threshold of past weeks to rise with them,
    an alarm could disappear after it was raised.
    """
    firsts = [version.group_by(name).agg(pl.col("week").min())["week"] for name in groups]
    first = np.sort(
        np.concatenate([np.array([], "datetime64[D]"), *(f.to_numpy() for f in firsts)])
    )
    weeks = version["week"].unique().sort().to_numpy()
    return weeks, 1 + np.searchsorted(first, weeks, side="right")


def _detector(
    rows: pl.DataFrame,
    rule: AlarmRule,
    detector: tuple[str, str],
    all_weeks: np.ndarray,
    known: np.ndarray,
) -> pl.DataFrame:
    """`E_VALUES` of one detector (group, subgroup) of one version; `rows` are sorted by week."""
    weeks, place = np.unique(rows["week"].to_numpy(), return_inverse=True)
    probability, label = rows["probability"].to_numpy(), rows["label"].to_numpy().astype(np.float64)
    events = np.bincount(place, weights=label)
    constants = log_e_values_without_outcome(probability, rule)
    logs = np.column_stack([np.bincount(place, weights=column) for column in constants.T])
    logs += events[:, None] * (rule.shifts - rule.edges)
    detectors = known[np.searchsorted(all_weeks, weeks)]
    thresholds = np.log(rule.alarm_weeks * detectors)
    # Clipped as in the e-values: a model that predicts exactly 0 would otherwise have weeks
    # without information, and no wrong prediction could ever raise the alarm.
    certain = np.clip(probability, CLIP, 1 - CLIP)
    information = np.bincount(place, weights=certain * (1 - certain))
    log_m, up, since, crossed = run_e_detector(logs, week_weight(information), thresholds)
    in_use = rows.group_by("week").agg(pl.col("in_use").first()).sort("week")["in_use"].to_numpy()
    return pl.DataFrame(
        {
            "week": weeks,
            "rows": np.bincount(place),
            "expected": np.bincount(place, weights=probability),
            "events": events.astype(np.int64),
            "detectors": detectors,
            "log_evidence": log_m,
            "log_level": thresholds,
            "direction": np.where(up, UNDER_PREDICTION, OVER_PREDICTION).tolist(),
            "since": weeks[since],
            "crossed": crossed,
            "alarm": crossed & in_use,
        }
    ).with_columns(
        pl.lit(rows["model_version"].first()).alias("model_version"),
        pl.lit(detector[0]).alias("group"),
        pl.lit(detector[1]).alias("level"),
    )


def alarms_by_detector(e_values: pl.DataFrame) -> pl.DataFrame:
    """State of each detector of each version after its last week.

    Parameters
    ----------
    e_values : DataFrame
        `E_VALUES`.

    Returns
    -------
    DataFrame
        One row per version and detector: ``model_version``, ``group``, ``level``, ``alarm``
        (raised in some week), ``alarm_week`` (the first), ``alarms`` (how many); of the first
        alarm ``since``, ``direction`` and ``log_evidence_at_alarm``; after the last week
        ``last_week``, ``log_evidence`` and ``log_level``; over all weeks ``rows``, ``expected``
        and ``events``.
    """
    raised = pl.col("alarm")
    first = {name: pl.col(name).filter(raised).first() for name in ("since", "direction")}
    return e_values.group_by("model_version", "group", "level", maintain_order=True).agg(
        raised.any().alias("alarm"),
        pl.col("week").filter(raised).first().alias("alarm_week"),
        raised.sum().cast(pl.Int64).alias("alarms"),
        **first,
        log_evidence_at_alarm=pl.col("log_evidence").filter(raised).first(),
        last_week=pl.col("week").last(),
        log_evidence=current_log_e_value(),
        log_level=pl.col("log_level").last(),
        rows=pl.col("rows").sum(),
        expected=pl.col("expected").sum(),
        events=pl.col("events").sum(),
    )


def current_log_e_value() -> pl.Expr:
    """Log e-value of a detector after its last week: minus infinity where it has just restarted."""
    last = pl.col("log_evidence").last()
    return pl.when(pl.col("crossed").last()).then(float("-inf")).otherwise(last)


def log_e_values_without_outcome(probability: np.ndarray, rule: AlarmRule) -> np.ndarray:
    """Logarithm of the e-value of rows that do not have the outcome.

    A row with the outcome has ``shift - edge`` more. The log e-value of a week is therefore the
    sum of these numbers plus the number of events times ``shift - edge``, which is what makes
    simulated histories cheap.

    Parameters
    ----------
    probability : ndarray of float, shape (n_rows,)
    rule : AlarmRule

    Returns
    -------
    ndarray of float, shape (n_rows, n_shifts)

    Examples
    --------
    The mean e-value for a shift of 0.3, in a world that has shifted by exactly the tolerance:

    >>> rule = AlarmRule(tolerance=0.1, alarm_weeks=260)
    >>> without = log_e_values_without_outcome(np.array([0.1]), rule)[0, 1]
    >>> both = np.exp([without + 0.3 - 0.1, without])
    >>> edge = 1 / (1 + 9 * np.exp(-0.1))
    >>> round(float(edge * both[0] + (1 - edge) * both[1]), 12)
    1.0
    """
    odds = logit(probability)[:, None]
    return np.logaddexp(0, odds + rule.edges) - np.logaddexp(0, odds + rule.shifts)


def week_weight(information: np.ndarray) -> np.ndarray:
    """Weight of a week by the information of its rows: 1 from `FULL_WEEK` on, else in proportion.

    The weight is what a week adds to M before its outcomes are looked at. Were it 1 for every
    week, M of a small subgroup would reach the threshold merely because weeks pass. It depends on
    the probabilities only, as the bound on false alarms requires.
    """
    return np.minimum(information / FULL_WEEK, 1.0)


@numba.njit(cache=True, nogil=True)
def run_e_detector(
    logs: np.ndarray, weight: np.ndarray, log_threshold: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Run the recursion over weeks, for all shifts at once, and restart it where it crosses.

    Parameters
    ----------
    logs : float array, shape (n_weeks, n_shifts)
        Logarithm of the e-value of each week alone; first half of the shifts up, then down.
    weight : float array, shape (n_weeks,)
        What a week adds before its e-value, 0 to 1.
    log_threshold : float array, shape (n_weeks,)

    Returns
    -------
    log_m : float array, shape (n_weeks,)
        Logarithm of the e-value, mean over shifts, before a restart.
    up : bool array, shape (n_weeks,)
        Whether the shifts up contribute more to it.
    since : int array, shape (n_weeks,)
        Estimated first week of the change: start of the run of weeks that speaks most for the
        shift with the largest e-value.
    crossed : bool array, shape (n_weeks,)

    Examples
    --------
    >>> one = run_e_detector(np.log([[3.0, 1.0], [3.0, 1.0]]), np.ones(2), np.log([100.0, 7.0]))
    >>> np.exp(one[0]).round(6).tolist(), one[3].tolist()  # (3 + 1) / 2, then (12 + 2) / 2
    ([2.0, 7.0], [False, True])
    """
    weeks, shifts = logs.shape
    log_m, up = np.empty(weeks), np.zeros(weeks, np.bool_)
    since, crossed = np.zeros(weeks, np.int64), np.zeros(weeks, np.bool_)
    # On the log scale: after a real change M grows by orders of magnitude a week and overflows.
    m = np.full(shifts, -np.inf)
    # The change is dated as CUSUM does it: a run of weeks starts where the cumulative log
    # e-value of its shift was last at or below 0.
    best, start = np.zeros(shifts), np.zeros(shifts, np.int64)
    for week in range(weeks):
        for k in range(shifts):
            m[k] = _log_sum(float(m[k]), np.log(weight[week]) if weight[week] > 0 else -np.inf)
            m[k] += logs[week, k]
            if best[k] <= 0:
                best[k], start[k] = 0.0, week
            best[k] += logs[week, k]
        half = shifts // 2
        above, below = -np.inf, -np.inf
        for k in range(half):
            above = _log_sum(above, float(m[k]))
            below = _log_sum(below, float(m[half + k]))
        log_m[week] = _log_sum(above, below) - np.log(shifts)
        up[week], since[week] = above >= below, start[np.argmax(m)]
        # The margin keeps an exact tie from depending on the last bit of a sum.
        if log_m[week] >= log_threshold[week] - 1e-12:
            crossed[week] = True
            m[:] = -np.inf
            best[:] = 0.0
    return log_m, up, since, crossed


@numba.njit(cache=True, nogil=True)
def _log_sum(one: float, other: float) -> float:
    """``log(exp(one) + exp(other))``."""
    high, low = max(one, other), min(one, other)
    return high if low == -np.inf else high + np.log1p(np.exp(low - high))
