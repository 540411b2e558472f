"""The calibration alarm: evidence, week by week, that predictions are off by more than is harmless.

Each ripe row bets against "the intercept has shifted by no more than the tolerance". The bet of a
row is a likelihood ratio against the edge of that claim,

    e = (q/b)^y ((1-q)/(1-b))^(1-y),   b = expit(L + tolerance),   q = expit(L + shift),

for a shift beyond the tolerance, and its mirror image below. Its mean is at most 1 whatever the
true shift within the tolerance, for each row on its own. The product over a week, E, enters the
Shiryaev-Roberts recursion M <- (c + M) E, averaged over the shifts of a grid. Since M less the
sum of c falls in the mean, and c is at most 1 a week, **no more than weeks / alarm_weeks false
alarms are to be expected in any number of weeks**, all detectors together. This holds in every
world in which the true shift of each detector stays within the tolerance and rows are
independent given the past; hence one row per person and horizon (`ledger.evidence_rows`).

References
----------
Shin, Ramdas, Rinaldo 2024, *E-detectors: a nonparametric framework for sequential change
detection*. New England Journal of Statistics in Data Science 2(2).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numba
import numpy as np
import polars as pl

from hrob_assets.risk.errors import ContractError, TooSmallError
from hrob_assets.risk.statistics import next_uniform, scramble
from hrob_assets.risk.tables import Column, Table

BEYOND = (0.05, 0.2, 0.4, 0.7)
"""How far beyond the tolerance the shifts are for which the evidence is computed, log odds."""
FULL_WEEK = 5.0
"""Information, the sum of p(1-p), from which a week counts as a whole one."""
EVERYBODY = "all"
_CLIP = 1e-6
_THREADS = 2
_STRIDE = np.uint64(0x632BE59BD9B4E019)

EVIDENCE = Table(
    "evidence",
    "One row per model version, detector and week with ripe rows.",
    ("model_version", "group", "level", "week"),
    (
        Column("model_version", pl.String, "Version whose predictions are judged."),
        Column("group", pl.String, "Column of the group; all for the detector of all rows."),
        Column("level", pl.String, "Level of the group; all for the detector of all rows."),
        Column("week", pl.Date, "Monday of the week in which the outcomes became ripe."),
        Column("rows", pl.Int64, "Independent rows."),
        Column("expected", pl.Float64, "Sum of their probabilities."),
        Column("events", pl.Int64, "Rows with the outcome."),
        Column("detectors", pl.Int64, "Detectors of the version so far; they share the budget."),
        Column("log_evidence", pl.Float64, "Natural logarithm of the evidence after this week."),
        Column("log_level", pl.Float64, "Natural logarithm of the level of the alarm."),
        Column("direction", pl.String, "What speaks loudest: under- or over-prediction."),
        Column("since", pl.Date, "Week from which the evidence is strongest; a guess."),
        Column("crossed", pl.Boolean, "The level is reached; the detector starts anew."),
        Column("alarm", pl.Boolean, "Crossed while the version was in use."),
    ),
)
UNDER, OVER = "under-prediction", "over-prediction"


@dataclass(frozen=True)
class AlarmRule:
    """What is harmless and how often an alarm may be false.

    Parameters
    ----------
    tolerance : float, log odds
        A shift of the intercept within which no alarm is wanted.
    alarm_weeks : int
        Mean weeks between false alarms, of all detectors together, at least.

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
        """The shifts that evidence is computed for, up and down."""
        up = self.tolerance + np.array(BEYOND)
        return np.concatenate([up, -up])

    @property
    def edges(self) -> np.ndarray:
        """The edge of the tolerance on the side of each shift."""
        return np.sign(self.shifts) * self.tolerance

    def log_level(self, detectors: int) -> float:
        """Logarithm of the evidence at which one of so many detectors raises the alarm."""
        return float(np.log(self.alarm_weeks * detectors))


def row_evidence(
    probability: np.ndarray, outcome: np.ndarray, *, tolerance: float, shift: float
) -> np.ndarray:
    """Evidence of each row for a shift against all shifts within the tolerance.

    Parameters
    ----------
    probability : ndarray of float, shape (n_rows,)
    outcome : ndarray of bool or 0/1, shape (n_rows,)
    tolerance : float, log odds
    shift : float, log odds
        Beyond the tolerance, up or down.

    Returns
    -------
    ndarray of float, shape (n_rows,)
        Non-negative; the mean is at most 1 under each shift within the tolerance.

    Examples
    --------
    The mean over both outcomes, in a world that has shifted by exactly the tolerance and in one
    that has not shifted:

    >>> both, p = np.array([1, 0]), np.array([0.1, 0.1])
    >>> e = row_evidence(p, both, tolerance=0.1, shift=0.3)
    >>> edge = 1 / (1 + 9 * np.exp(-0.1))
    >>> round(float(edge * e[0] + (1 - edge) * e[1]), 12)
    1.0
    >>> round(float(0.1 * e[0] + 0.9 * e[1]), 4)
    0.998
    """
    odds = _logit(probability)
    edge = np.sign(shift) * tolerance
    constant = np.logaddexp(0, odds + edge) - np.logaddexp(0, odds + shift)
    return np.exp(constant + (shift - edge) * outcome)


def accumulate_evidence(
    rows: pl.DataFrame, rule: AlarmRule, *, groups: Sequence[str] = ()
) -> pl.DataFrame:
    """Evidence of every detector, week by week, from nothing but the rows.

    Parameters
    ----------
    rows : DataFrame
        Independent ripe rows (`ledger.evidence_rows`): ``model_version``, ``week`` (Monday of
        the week in which the outcome became ripe), ``probability``, ``label`` (no null),
        ``in_use`` (the version was still in use when that week ended) and the groups.
    rule : AlarmRule
    groups : sequence of str
        Columns; each level has a detector of its own. Null is a level, ``Unknown``.

    Returns
    -------
    DataFrame
        `EVIDENCE`, by version, detector and week. A new version starts from nothing, and so does a
        detector after it has crossed its level. A week without rows is no week. Later weeks
        change nothing in earlier ones: the number of detectors, which sets the level, is of the
        levels seen so far.
    """
    if rows["label"].null_count() or rows["probability"].is_nan().any():
        msg = "evidence must be of ripe rows with a probability (found others); leave them out"
        raise ContractError(msg)
    frames: list[pl.DataFrame] = []
    ordered = rows.sort("model_version", "week", "probability", "label")
    for version in ordered.partition_by("model_version", maintain_order=True):
        levelled = version.with_columns(pl.col(name).fill_null("Unknown") for name in groups)
        weeks, known = _detectors_by_week(levelled, groups)
        frames.append(_detector(levelled, rule, EVERYBODY, EVERYBODY, weeks, known))
        for group in groups:
            for part in levelled.sort(group, maintain_order=True).partition_by(
                group, maintain_order=True
            ):
                level = str(part[group].first())
                frames.append(_detector(part, rule, group, level, weeks, known))
    found = pl.concat(frames) if frames else EVIDENCE.empty()
    return found.select(EVIDENCE.schema.keys()).cast(pl.Schema(EVIDENCE.schema))


def _detectors_by_week(
    version: pl.DataFrame, groups: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The weeks, and how many detectors there are up to each: 1, and 1 per level seen."""
    firsts = [version.group_by(name).agg(pl.col("week").min())["week"] for name in groups]
    first = np.sort(
        np.concatenate([np.array([], "datetime64[D]"), *(f.to_numpy() for f in firsts)])
    )
    weeks = version["week"].unique().sort().to_numpy()
    return weeks, 1 + np.searchsorted(first, weeks, side="right")


def _detector(
    rows: pl.DataFrame,
    rule: AlarmRule,
    group: str,
    level: str,
    all_weeks: np.ndarray,
    known: np.ndarray,
) -> pl.DataFrame:
    """`EVIDENCE` of one detector of one version; `rows` are sorted by week."""
    weeks, place = np.unique(rows["week"].to_numpy(), return_inverse=True)
    probability, label = rows["probability"].to_numpy(), rows["label"].to_numpy().astype(np.float64)
    constants = log_constants(probability, rule)
    events = np.bincount(place, weights=label)
    logs = np.column_stack([np.bincount(place, weights=column) for column in constants.T])
    logs += events[:, None] * (rule.shifts - rule.edges)
    detectors = known[np.searchsorted(all_weeks, weeks)]
    levels = np.log(rule.alarm_weeks * detectors)
    certain = np.clip(probability, _CLIP, 1 - _CLIP)  # as in the evidence: 0 would blind for ever
    information = np.bincount(place, weights=certain * (1 - certain))
    log_m, up, since, crossed = follow(logs, week_weight(information), levels)
    in_use = rows.group_by("week").agg(pl.col("in_use").first()).sort("week")["in_use"].to_numpy()
    return pl.DataFrame(
        {
            "model_version": [rows["model_version"].first()] * weeks.size,
            "group": [group] * weeks.size,
            "level": [level] * weeks.size,
            "week": weeks,
            "rows": np.bincount(place),
            "expected": np.bincount(place, weights=probability),
            "events": events.astype(np.int64),
            "detectors": detectors,
            "log_evidence": log_m,
            "log_level": levels,
            "direction": np.where(up, UNDER, OVER).tolist(),
            "since": weeks[since],
            "crossed": crossed,
            "alarm": crossed & in_use,
        }
    )


def alarms_by_detector(evidence: pl.DataFrame) -> pl.DataFrame:
    """Where each detector of each version stands.

    Parameters
    ----------
    evidence : DataFrame
        `EVIDENCE`.

    Returns
    -------
    DataFrame
        One row per version and detector: ``model_version``, ``group``, ``level``, ``alarm``
        (raised in some week and not answered by a new version since), ``alarm_week`` (the first),
        ``alarms`` (how many), ``since``, ``direction`` and ``log_evidence_at_alarm`` of the first;
        ``last_week``, ``log_evidence`` and ``log_level`` now; ``rows``, ``expected``, ``events``
        over all weeks.
    """
    raised = pl.col("alarm")
    first = {name: pl.col(name).filter(raised).first() for name in ("since", "direction")}
    return evidence.group_by("model_version", "group", "level", maintain_order=True).agg(
        raised.any().alias("alarm"),
        pl.col("week").filter(raised).first().alias("alarm_week"),
        raised.sum().cast(pl.Int64).alias("alarms"),
        **first,
        log_evidence_at_alarm=pl.col("log_evidence").filter(raised).first(),
        last_week=pl.col("week").last(),
        log_evidence=pl.when(pl.col("crossed").last())
        .then(float("-inf"))
        .otherwise(pl.col("log_evidence").last()),
        log_level=pl.col("log_level").last(),
        rows=pl.col("rows").sum(),
        expected=pl.col("expected").sum(),
        events=pl.col("events").sum(),
    )


def log_constants(probability: np.ndarray, rule: AlarmRule) -> np.ndarray:
    """Logarithm of the evidence of rows without the outcome, shape (n_rows, n_shifts).

    A row with the outcome has ``shift - edge`` more, so that of a week only the number of events
    is needed.
    """
    odds = _logit(probability)[:, None]
    return np.logaddexp(0, odds + rule.edges) - np.logaddexp(0, odds + rule.shifts)


def week_weight(information: np.ndarray) -> np.ndarray:
    """How much of a week the rows are worth: 1 from `FULL_WEEK` on, and in proportion below.

    It is known before the outcomes are. Without it a small group would reach its level by the
    mere passing of weeks.
    """
    return np.minimum(information / FULL_WEEK, 1.0)


@numba.njit(cache=True, nogil=True)
def follow(
    logs: np.ndarray, weight: np.ndarray, log_level: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Run the recursion over weeks, for all shifts at once, and start anew where it crosses.

    Parameters
    ----------
    logs : float array, shape (n_weeks, n_shifts)
        Logarithm of the evidence of each week alone; first half of the shifts up, then down.
    weight : float array, shape (n_weeks,)
        What a week adds before its evidence, 0 to 1.
    log_level : float array, shape (n_weeks,)

    Returns
    -------
    log_m : float array, shape (n_weeks,)
        Logarithm of the evidence, mean over shifts, before a new start.
    up : bool array, shape (n_weeks,)
        Whether the shifts up have more of it.
    since : int array, shape (n_weeks,)
        First week of the stretch that speaks most for the shift that has the most evidence.
    crossed : bool array, shape (n_weeks,)

    Examples
    --------
    >>> one = follow(np.log([[3.0, 1.0], [3.0, 1.0]]), np.ones(2), np.log([100.0, 7.0]))
    >>> np.exp(one[0]).round(6).tolist(), one[3].tolist()  # (3 + 1) / 2, then (12 + 2) / 2
    ([2.0, 7.0], [False, True])
    """
    weeks, shifts = logs.shape
    log_m, up = np.empty(weeks), np.zeros(weeks, np.bool_)
    since, crossed = np.zeros(weeks, np.int64), np.zeros(weeks, np.bool_)
    m = np.full(shifts, -np.inf)
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
        if log_m[week] >= log_level[week] - 1e-12:
            crossed[week] = True
            m[:] = -np.inf
            best[:] = 0.0
    return log_m, up, since, crossed


@numba.njit(cache=True, nogil=True)
def _log_sum(one: float, other: float) -> float:
    """``log(exp(one) + exp(other))``."""
    high, low = max(one, other), min(one, other)
    return high if low == -np.inf else high + np.log1p(np.exp(low - high))


@dataclass(frozen=True)
class SiteVolume:
    """What a site scores: its probabilities and how many independent rows ripen in a week.

    Parameters
    ----------
    probability : ndarray of float, shape (n_rows,)
    weekly_rows : ndarray of int, shape (n_weeks,)
    """

    probability: np.ndarray
    weekly_rows: np.ndarray


@dataclass(frozen=True)
class Histories:
    """How many simulated histories, how long, and from which week on the world has shifted."""

    count: int = 500
    weeks: int = 260
    change_week: int = 52
    seed: int = 20260105


def expected_behaviour(
    site: SiteVolume,
    rule: AlarmRule,
    *,
    detectors: int = 1,
    shifts: Sequence[float] = (0.2, 0.3, 0.5, -0.2, -0.3, -0.5),
    histories: Histories | None = None,
) -> pl.DataFrame:
    """What this alarm does at this site, by simulation, before it is switched on.

    Parameters
    ----------
    site : SiteVolume
        Weeks and rows are drawn from it with replacement.
    rule : AlarmRule
    detectors : int
        That share the budget; the figures are of the detector of all rows.
    shifts : sequence of float, log odds
        Shifts of the intercept, for good: from the first week on where they lie within the
        tolerance, else from the week of the change on. 0 and the tolerance, up and down, are
        simulated besides.
    histories : Histories, optional

    Returns
    -------
    DataFrame
        One row per shift: ``shift``, ``harmless`` (within the tolerance), ``alarm_share`` (of
        the histories, with an alarm: over all their weeks where harmless, else after the
        change), ``alarms_per_history``, ``budget_per_history`` (of this detector alone),
        ``median_delay_weeks`` and ``p90_delay_weeks`` (weeks with ripe outcomes, the first after
        the change counts as 1;
        null where harmless, or where so many histories have no alarm).

    Raises
    ------
    TooSmallError
        If the site has no rows or no weeks.
    """
    plan = histories or Histories()
    if not site.probability.size or not site.weekly_rows.size:
        msg = "the behaviour of an alarm needs probabilities and weeks (found none); score first"
        raise TooSmallError(msg)
    within = [shift for shift in shifts if abs(shift) <= rule.tolerance]
    harmless = sorted({0.0, rule.tolerance, -rule.tolerance, *within})
    worlds = [World(shift, 0) for shift in harmless]
    worlds += [World(shift, plan.change_week) for shift in shifts if shift not in within]
    crossed = simulate_worlds(site, rule, worlds, detectors=detectors, histories=plan)
    rows = [
        _behaviour(of_world, rule, world, detectors, plan, harmless=number < len(harmless))
        for number, (world, of_world) in enumerate(zip(worlds, crossed, strict=True))
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _behaviour(
    crossed: np.ndarray,
    rule: AlarmRule,
    world: "World",
    detectors: int,
    plan: Histories,
    *,
    harmless: bool,
) -> dict[str, float | bool | None]:
    after = crossed[:, world.change_week :]
    delay = np.where(after.any(axis=1), after.argmax(axis=1) + 1.0, np.inf)
    quantiles = [float(np.quantile(delay, q, method="higher")) for q in (0.5, 0.9)]
    told = [None if harmless or np.isinf(value) else value for value in quantiles]
    return {
        "shift": float(world.shift),
        "harmless": harmless,
        "alarm_share": float(after.any(axis=1).mean()),
        "alarms_per_history": float(crossed.sum(axis=1).mean()),
        "budget_per_history": plan.weeks / rule.alarm_weeks / detectors,
        "median_delay_weeks": told[0],
        "p90_delay_weeks": told[1],
    }


@dataclass(frozen=True)
class World:
    """A shift of the intercept, from one week on and for good."""

    shift: float
    change_week: int


def simulate_worlds(
    site: SiteVolume,
    rule: AlarmRule,
    worlds: Sequence[World],
    *,
    detectors: int,
    histories: Histories,
) -> np.ndarray:
    """Weeks in which the level is reached, shape (worlds, histories, weeks).

    A history has the same rows and the same lots in every world, and what becomes of a lot
    depends on the shift alone: all worlds are drawn together.
    """
    odds = _logit(site.probability)[:, None]
    shifts = np.array([0.0, *(world.shift for world in worlds)])
    run = partial(
        _simulate,
        log_constants(site.probability, rule),
        rule.shifts - rule.edges,
        1 / (1 + np.exp(-(odds + shifts))),
        site.weekly_rows.astype(np.int64),
        np.array([world.change_week for world in worlds], dtype=np.int64),
        np.full(histories.weeks, rule.log_level(detectors)),
    )
    streams = np.uint64(histories.seed) + np.arange(histories.count, dtype=np.uint64) * _STRIDE
    with ThreadPoolExecutor(_THREADS) as pool:
        return np.concatenate(list(pool.map(run, np.array_split(streams, _THREADS))), axis=1)


@numba.njit(cache=True, nogil=True)
def _simulate(
    constants: np.ndarray,
    steps: np.ndarray,
    truth: np.ndarray,
    weekly_rows: np.ndarray,
    change_weeks: np.ndarray,
    log_level: np.ndarray,
    streams: np.ndarray,
) -> np.ndarray:
    """Draw histories and follow them; each has a stream of random numbers of its own.

    The first column of `truth` is of the world that has not shifted, the others of `change_weeks`.
    """
    weeks, worlds = log_level.size, change_weeks.size
    crossed = np.zeros((worlds, streams.size, weeks), np.bool_)
    for history in range(streams.size):
        without, events, weight = _draw_history(
            constants, truth, weekly_rows, weeks, scramble(streams[history])
        )
        for world in range(worlds):
            logs = np.empty((weeks, steps.size))
            for week in range(weeks):
                column = 1 + world if week >= change_weeks[world] else 0
                logs[week] = without[week] + events[week, column] * steps
            crossed[world, history] = follow(logs, weight, log_level)[3]
    return crossed


@numba.njit(cache=True, nogil=True)
def _draw_history(
    constants: np.ndarray,
    truth: np.ndarray,
    weekly_rows: np.ndarray,
    weeks: int,
    state: np.uint64,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evidence of each week without any outcome, outcomes in each world, and weights."""
    without = np.zeros((weeks, constants.shape[1]))
    events, weight = np.zeros((weeks, truth.shape[1]), np.int64), np.zeros(weeks)
    for week in range(weeks):
        state, lot = next_uniform(state)
        for _ in range(weekly_rows[int(lot * weekly_rows.size)]):
            state, lot = next_uniform(state)
            row = int(lot * truth.shape[0])
            weight[week] += truth[row, 0] * (1 - truth[row, 0]) / FULL_WEEK
            state, lot = next_uniform(state)
            for k in range(constants.shape[1]):
                without[week, k] += constants[row, k]
            for world in range(truth.shape[1]):
                events[week, world] += lot < truth[row, world]
        weight[week] = min(weight[week], 1.0)
    return without, events, weight


def _logit(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability, _CLIP, 1 - _CLIP)
    return np.log(clipped) - np.log1p(-clipped)
