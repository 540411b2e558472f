"""Whether a challenger may score people: criteria, judged from frozen rows."""

# SciPy has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import expit, logit

from hrob_assets.risk.disclosure import SMALLEST_CELL, SUPPRESSED, in_words
from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.statistics import (
    FEWEST_EVENTS,
    FEWEST_PERSONS,
    Estimate,
    estimate,
    rank_rows,
    replicate,
    resampled_sums,
)
from hrob_assets.risk.use_case import Acceptance

REPLICATES = 2000
_SMALLEST = 1e-6
_MOST_UNDEFINED = 0.1
_STEPS = 50
_STEP_SMALL_ENOUGH = 1e-10
_METRICS = ("log_loss", "brier", "net_benefit", "auroc")

SOUND = (
    "evidence is signed and unchanged",
    "evidence is of this challenger",
    "evidence is of this code and configuration",
    "evidence still holds",
    "was not withdrawn before",
    "is another model than the champion",
)
"""What must hold before any figure is looked at."""
ABSOLUTE = (
    "ranks well enough",
    "is not too good to be true",
    "is calibrated in the large",
    "expects as many events as occur",
    "is neither too extreme nor too timid",
)
"""What every model must show."""
BETTER_THAN_COMPARATOR = "is better than the comparator"
AGAINST_CHAMPION = (
    "is not worse than the champion",
    "is better than the champion",
    "is not less fair than the champion",
    BETTER_THAN_COMPARATOR,
)
"""What a model must show to take a champion's place."""
CRITERIA = (*SOUND, *ABSOLUTE, *AGAINST_CHAMPION)


@dataclass(frozen=True)
class Verdict:
    """One criterion: what must hold, what was found, and whether it holds.

    Parameters
    ----------
    criterion, must_hold, found : str
    passed : bool or None
        None where the criterion does not apply.
    """

    criterion: str
    must_hold: str
    found: str
    passed: bool | None


@dataclass(frozen=True)
class FrozenRows:
    """Rows with known outcomes and what each model said of them.

    Parameters
    ----------
    person_id : ndarray of int, shape (n_rows,)
        Clusters of the bootstrap.
    outcome : ndarray of 0/1, shape (n_rows,)
    challenger : ndarray of float, shape (n_rows,)
    champion, comparator : ndarray of float, shape (n_rows,), optional
        None where there is none.
    threshold : float
        At which net benefit is compared: the champion's, or the challenger's without one.
    groups : mapping of str to ndarray of str, shape (n_rows,)
        Level of each row in each group.
    needs_comparator : bool
        Whether the use case has one, so that the challenger must have been compared with it.
    """

    person_id: np.ndarray
    outcome: np.ndarray
    challenger: np.ndarray
    threshold: float
    champion: np.ndarray | None = None
    comparator: np.ndarray | None = None
    needs_comparator: bool = False
    groups: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])

    @property
    def tellable(self) -> bool:
        """Whether neither the events nor the rows without one, nor the persons, are few."""
        events, persons = int(self.outcome.sum()), np.unique(self.person_id).size
        return min(events, self.outcome.size - events, persons) >= SMALLEST_CELL


@dataclass(frozen=True)
class Performance:
    """How one model does on rows: each metric, larger is better, and its bootstrap replicates.

    Models on the same rows with the same seed have the same draws of patients, so that a
    difference of replicates is paired.

    Parameters
    ----------
    value : mapping of metric to float
    draws : mapping of metric to ndarray, shape (replicates,)
    factor, ratio : Estimate
        Mean predicted minus observed risk; expected over observed events.
    slope : float
        Of the outcome on the log-odds; not a number where it is not finite.
    """

    value: Mapping[str, float]
    draws: Mapping[str, np.ndarray]
    factor: Estimate
    ratio: Estimate
    slope: float


def judge(rows: FrozenRows, acceptance: Acceptance, *, seed: int) -> tuple[Verdict, ...]:
    """Judge a challenger, on rows that are the same for all models.

    Without a champion the absolute criteria decide alone; those against it do not apply.

    Parameters
    ----------
    rows : FrozenRows
    acceptance : Acceptance
    seed : int
        Of the bootstrap.

    Returns
    -------
    tuple of Verdict
        One of each criterion of `ABSOLUTE` and `AGAINST_CHAMPION`, in this order.

    Raises
    ------
    TooSmallError
        If the rows cannot carry an interval.

    Examples
    --------
    >>> p, y = np.tile([0.2, 0.8], 50), np.tile([0, 0, 1, 1, 0, 1, 0, 1, 0, 1], 10)
    >>> rules = Acceptance(minimum_auroc=0.6, maximum_auroc=0.9,
    ...     maximum_absolute_calibration_factor=0.05, maximum_expected_over_observed=1.25,
    ...     minimum_slope=0.5, maximum_slope=1.5, metric="log_loss", margin=0.0, guard="auroc",
    ...     non_inferiority=0.01, false_promotion_rate=0.025, fairness_margin=0.02)
    >>> found = judge(FrozenRows(np.arange(100), y, p, threshold=0.5), rules, seed=1)
    >>> [verdict.passed for verdict in found]
    [True, True, True, True, True, None, None, None, None]
    """
    _require_enough(rows)
    challenger = perform(rows, rows.challenger, seed=seed)
    absolute = _absolute(challenger, acceptance)
    if rows.champion is None:
        relative = tuple(
            Verdict(name, "applies where there is a champion", "no champion yet", None)
            for name in AGAINST_CHAMPION
        )
    else:
        champion = perform(rows, rows.champion, seed=seed)
        relative = (
            *_against_champion(challenger, champion, acceptance),
            _fairness(rows, rows.champion, acceptance, seed=seed),
            _against_comparator(rows, challenger, acceptance, seed=seed),
        )
    verdicts = (*absolute, *relative)
    return verdicts if rows.tellable else tuple(replace(v, found=SUPPRESSED) for v in verdicts)


def not_judged(why: str) -> tuple[Verdict, ...]:
    """Verdicts on figures that nobody may rely on.

    Examples
    --------
    >>> {verdict.passed for verdict in not_judged("the evidence is not sound")}
    {False}
    """
    return tuple(
        Verdict(name, "is judged on sound evidence", f"not judged: {why}", passed=False)
        for name in (*ABSOLUTE, *AGAINST_CHAMPION)
    )


def perform(rows: FrozenRows, probability: np.ndarray, *, seed: int) -> Performance:
    """Metrics of one model on the rows, with replicates that are paired across models.

    Examples
    --------
    >>> y = np.tile([0, 1], 20)
    >>> rows = FrozenRows(np.arange(40), y, np.full(40, 0.5), threshold=0.5)
    >>> found = perform(rows, rows.challenger, seed=1)
    >>> found.value["auroc"], found.value["brier"], found.factor.value, found.ratio.value
    (0.5, -0.25, 0.0, 1.0)
    """
    ranked = rank_rows(rows.person_id, probability, rows.outcome)
    p, y = ranked.probability, ranked.outcome.astype(np.float64)
    clipped = np.clip(p, _SMALLEST, 1 - _SMALLEST)
    high = p >= rows.threshold
    odds = rows.threshold / (1 - rows.threshold)
    columns = np.column_stack(
        [
            np.where(y == 1, np.log(clipped), np.log1p(-clipped)),
            -((p - y) ** 2),
            high * (y - odds * (1 - y)),
            np.ones_like(p),
            p,
            y,
        ]
    )
    found = replicate(
        ranked, columns=columns, cuts=np.empty(0, dtype=np.int64), replicates=REPLICATES, seed=seed
    )
    size, sums = found.sums[:, 3], found.sums
    means = columns.mean(axis=0)
    draws = {name: sums[:, number] / size for number, name in enumerate(_METRICS[:3])}
    value = {name: float(means[number]) for number, name in enumerate(_METRICS[:3])}
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = sums[:, 4] / sums[:, 5]
    return Performance(
        value=value | {"auroc": _auroc(ranked.outcome, p)},
        draws=draws | {"auroc": found.auroc},
        factor=estimate(float(means[4] - means[5]), (sums[:, 4] - sums[:, 5]) / size),
        ratio=estimate(float(means[4] / means[5]), ratios),
        slope=calibration_slope(clipped, y),
    )


def _absolute(found: Performance, acceptance: Acceptance) -> tuple[Verdict, ...]:
    auroc, slope = found.value["auroc"], found.slope
    factor, most = found.factor, acceptance.maximum_absolute_calibration_factor
    ratio, widest = found.ratio, acceptance.maximum_expected_over_observed
    low, high = acceptance.minimum_slope, acceptance.maximum_slope
    return tuple(
        Verdict(name, must_hold, shown, passed=bool(passed))
        for name, (must_hold, shown, passed) in zip(
            ABSOLUTE,
            (
                (
                    f"AUROC at least {acceptance.minimum_auroc}",
                    f"{auroc:.3f}",
                    auroc >= acceptance.minimum_auroc,
                ),
                (
                    f"AUROC at most {acceptance.maximum_auroc}; above it, look for a leak",
                    f"{auroc:.3f}",
                    auroc <= acceptance.maximum_auroc,
                ),
                (
                    f"calibration factor within +-{most}",
                    _shown(factor, "+.4f"),
                    abs(factor.value) <= most,
                ),
                (
                    f"expected over observed events from {1 / widest:.2f} to {widest:.2f}",
                    _shown(ratio, ".3f"),
                    1 / widest <= ratio.value <= widest,
                ),
                (
                    f"calibration slope from {low} to {high}",
                    f"{slope:.3f}",
                    low <= slope <= high,
                ),
            ),
            strict=True,
        )
    )


def _against_champion(
    challenger: Performance, champion: Performance, acceptance: Acceptance
) -> tuple[Verdict, ...]:
    guard, metric, alpha = acceptance.guard, acceptance.metric, acceptance.false_promotion_rate
    no_worse = lower_bound(challenger, champion, guard, alpha=alpha)
    better = lower_bound(challenger, champion, metric, alpha=alpha)
    return (
        Verdict(
            AGAINST_CHAMPION[0],
            f"{_words(guard)}: lower bound of the gain above -{acceptance.non_inferiority:g}",
            f"gain {challenger.value[guard] - champion.value[guard]:+.5f} (from {no_worse:+.5f})",
            passed=no_worse > -acceptance.non_inferiority,
        ),
        Verdict(
            AGAINST_CHAMPION[1],
            f"{_words(metric)}: lower bound of the gain above {acceptance.margin:g}",
            f"gain {challenger.value[metric] - champion.value[metric]:+.5f} (from {better:+.5f})",
            passed=better > acceptance.margin,
        ),
    )


def lower_bound(
    challenger: Performance, champion: Performance, metric: str, *, alpha: float
) -> float:
    """Quantile alpha of the paired gain in a metric; minus infinity where it is not defined."""
    gains = challenger.draws[metric] - champion.draws[metric]
    defined = gains[np.isfinite(gains)]
    if defined.size < (1 - _MOST_UNDEFINED) * gains.size:
        return float("-inf")
    return round(float(np.quantile(defined, alpha)), 12)


def _against_comparator(
    rows: FrozenRows, challenger: Performance, acceptance: Acceptance, *, seed: int
) -> Verdict:
    name, metric = AGAINST_CHAMPION[3], acceptance.metric
    must_hold = f"{_words(metric)}: lower bound of the gain above 0"
    if rows.comparator is None and rows.needs_comparator:
        return Verdict(name, must_hold, "the evidence has none of it", passed=False)
    if rows.comparator is None:
        return Verdict(name, must_hold, "the use case has no comparator", None)
    comparator = perform(rows, rows.comparator, seed=seed)
    low = lower_bound(challenger, comparator, metric, alpha=acceptance.false_promotion_rate)
    gain = challenger.value[metric] - comparator.value[metric]
    return Verdict(name, must_hold, f"gain {gain:+.5f} (from {low:+.5f})", passed=low > 0)


def _fairness(
    rows: FrozenRows, champion: np.ndarray, acceptance: Acceptance, *, seed: int
) -> Verdict:
    """Veto a group whose probabilities are off beyond the margin, and more than before."""
    margin, worse = acceptance.fairness_margin, list[str]()
    for group, levels in rows.groups.items():
        for level in sorted(set(levels.tolist())):
            part = levels == level
            new = _factor(rows, rows.challenger, part, seed=seed)
            old = float(np.mean(champion[part] - rows.outcome[part]))
            if is_off(new, margin=margin) and abs(new.value) > abs(old):
                told = replace(rows, person_id=rows.person_id[part], outcome=rows.outcome[part])
                figures = f" {new.value:+.3f} (was {old:+.3f})" if told.tellable else ""
                worse.append(f"{_words(group)} {level}{figures}")
    return Verdict(
        AGAINST_CHAMPION[2],
        f"no group with a calibration factor beyond +-{margin}, its interval without 0, that is "
        "further off than under the champion",
        "; ".join(worse) if worse else f"none in {', '.join(map(_words, rows.groups)) or 'groups'}",
        passed=not worse,
    )


def is_off(factor: Estimate, *, margin: float) -> bool:
    """Whether a calibration factor is beyond the margin and its interval excludes 0.

    Examples
    --------
    >>> is_off(Estimate(0.05, 0.03, 0.07), margin=0.02)
    True
    >>> is_off(Estimate(0.3, None, None), margin=0.02)
    False
    """
    if factor.low is None or factor.high is None:
        return False
    return abs(factor.value) > margin and (factor.low > 0 or factor.high < 0)


def _factor(rows: FrozenRows, probability: np.ndarray, part: np.ndarray, *, seed: int) -> Estimate:
    """Calibration factor of one group, patients drawn within it; no bounds where it is small."""
    person, y = rows.person_id[part], rows.outcome[part].astype(np.float64)
    off = probability[part] - y
    rarer = min(y.sum(), y.size - y.sum())
    if rarer < FEWEST_EVENTS or np.unique(person).size < FEWEST_PERSONS:
        return Estimate(float(off.mean()), None, None)
    columns = np.column_stack([off, np.ones_like(off)])
    sums = resampled_sums(person, columns, replicates=REPLICATES, seed=seed)
    return estimate(float(off.mean()), sums[:, 0] / sums[:, 1])


def calibration_slope(probability: np.ndarray, outcome: np.ndarray) -> float:
    """Slope of a logistic regression of the outcome on the log-odds; NaN where none is finite.

    Examples
    --------
    >>> p, y = np.repeat([0.2, 0.8], 10), np.array([1, 1] + [0] * 8 + [1] * 8 + [0] * 2)
    >>> round(calibration_slope(p, y), 6)
    1.0
    """
    score = np.asarray(logit(probability))
    columns = np.column_stack([np.ones_like(score), score])
    beta = np.array([0.0, 1.0])
    for _ in range(_STEPS):
        fitted = np.asarray(expit(columns @ beta))
        weight = fitted * (1 - fitted)
        matrix = columns.T @ (columns * weight[:, None])
        if np.linalg.cond(matrix) > 1 / np.finfo(np.float64).eps:
            return float("nan")
        step = np.linalg.solve(matrix, columns.T @ (outcome - fitted))
        beta = beta + step
        if np.abs(step).max() < _STEP_SMALL_ENOUGH:
            return float(beta[1])
    return float("nan")


def _auroc(outcome: np.ndarray, descending: np.ndarray) -> float:
    """Area under the ROC curve of rows ranked from the highest prediction; ties count half."""
    _, place, counts = np.unique(-descending, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    rank = (last - (counts - 1) / 2)[place]
    events = int(outcome.sum())
    others = outcome.size - events
    below = others * events + events * (events + 1) / 2 - float(rank[outcome == 1].sum())
    return below / (events * others)


def _require_enough(rows: FrozenRows) -> None:
    events, persons = int(rows.outcome.sum()), np.unique(rows.person_id).size
    rarer = min(events, rows.outcome.size - events)
    if rarer < FEWEST_EVENTS or persons < FEWEST_PERSONS:
        msg = (
            f"the gate needs both outcomes twice and {FEWEST_PERSONS} patients (found "
            f"{in_words(events)} events in {in_words(rows.outcome.size)} rows of "
            f"{in_words(persons)} patients); use a longer test period"
        )
        raise TooSmallError(msg)


def _shown(found: Estimate, form: str) -> str:
    if found.low is None or found.high is None:
        return f"{found.value:{form}}"
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"


def _words(name: str) -> str:
    return {"auroc": "AUROC", "brier": "Brier score"}.get(name, name.replace("_", " "))


def unmet(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Verdicts of criteria that apply and are not met.

    Examples
    --------
    >>> unmet([Verdict("a", "x", "y", None), Verdict("b", "x", "y", True)])
    ()
    """
    return tuple(verdict for verdict in verdicts if verdict.passed is False)
