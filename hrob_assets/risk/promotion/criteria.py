"""Whether a challenger may score people: criteria, judged from frozen rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hrob_assets.risk.disclosure import SMALLEST_CELL, SUPPRESSED, in_words
from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.evaluation import (
    Draw,
    Measured,
    gains,
    group_draw,
    measure,
    measure_performance,
    measure_sums,
    sign_of,
)
from hrob_assets.risk.statistics import FEWEST_EVENTS, FEWEST_PERSONS, Estimate, rank_rows
from hrob_assets.risk.use_case import Acceptance

_MOST_UNDEFINED = 0.1

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


def judge(
    rows: FrozenRows, acceptance: Acceptance, *, draw: Draw | None = None
) -> tuple[Verdict, ...]:
    """Judge a challenger, on rows that are the same for all models.

    Without a champion the absolute criteria decide alone; those against it do not apply.

    Parameters
    ----------
    rows : FrozenRows
    acceptance : Acceptance
    draw : Draw, optional
        The draws depend on the rows alone, so that training the same model again, or giving it
        another version number, draws no other patients.

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
    ...     maximum_absolute_calibration_factor=0.05, maximum_observed_over_expected=1.25,
    ...     minimum_slope=0.5, maximum_slope=1.5, metric="log_loss", margin=0.0, guard="auroc",
    ...     non_inferiority=0.01, false_promotion_rate=0.025, fairness_margin=0.02)
    >>> found = judge(FrozenRows(np.arange(100), y, p, threshold=0.5), rules)
    >>> [verdict.passed for verdict in found]
    [True, True, True, True, True, None, None, None, None]
    """
    _require_enough(rows)
    draw = draw or Draw()
    ranked = rank_rows(rows.person_id, rows.challenger, rows.outcome)
    challenger = measure(ranked, threshold=rows.threshold, draw=draw)
    absolute = _absolute(challenger, acceptance)
    if rows.champion is None:
        relative = tuple(
            Verdict(name, "applies where there is a champion", "no champion yet", None)
            for name in AGAINST_CHAMPION
        )
    else:
        champion = _performance(rows, rows.champion, draw)
        relative = (
            *_against_champion(challenger, champion, acceptance),
            _fairness(rows, rows.champion, acceptance, draw),
            _against_comparator(rows, challenger, acceptance, draw),
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


def _performance(rows: FrozenRows, probability: np.ndarray, draw: Draw) -> Measured:
    ranked = rank_rows(rows.person_id, probability, rows.outcome)
    return measure_performance(ranked, threshold=rows.threshold, draw=draw)


def _absolute(found: Measured, acceptance: Acceptance) -> tuple[Verdict, ...]:
    auroc, slope = found.value("auroc"), found.estimates.get("calibration_slope")
    factor, most = (
        found.estimates["calibration_factor"],
        acceptance.maximum_absolute_calibration_factor,
    )
    ratio, widest = (
        found.estimates["observed_over_expected"],
        acceptance.maximum_observed_over_expected,
    )
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
                    f"observed over expected events from {1 / widest:.2f} to {widest:.2f}",
                    _shown(ratio, ".3f"),
                    1 / widest <= ratio.value <= widest,
                ),
                (
                    f"calibration slope from {low} to {high}",
                    "not defined" if slope is None else f"{slope.value:.3f}",
                    slope is not None and low <= slope.value <= high,
                ),
            ),
            strict=True,
        )
    )


def _against_champion(
    challenger: Measured, champion: Measured, acceptance: Acceptance
) -> tuple[Verdict, ...]:
    guard, metric, alpha = acceptance.guard, acceptance.metric, acceptance.false_promotion_rate
    no_worse = lower_bound(challenger, champion, guard, alpha=alpha)
    better = lower_bound(challenger, champion, metric, alpha=alpha)
    return (
        Verdict(
            AGAINST_CHAMPION[0],
            f"{_words(guard)}: lower bound of the gain above -{acceptance.non_inferiority:g}",
            f"gain {_gain(challenger, champion, guard):+.5f} (from {no_worse:+.5f})",
            passed=no_worse > -acceptance.non_inferiority,
        ),
        Verdict(
            AGAINST_CHAMPION[1],
            f"{_words(metric)}: lower bound of the gain above {acceptance.margin:g}",
            f"gain {_gain(challenger, champion, metric):+.5f} (from {better:+.5f})",
            passed=better > acceptance.margin,
        ),
    )


def _gain(model: Measured, reference: Measured, metric: str) -> float:
    return sign_of(metric) * (model.value(metric) - reference.value(metric))


def lower_bound(challenger: Measured, champion: Measured, metric: str, *, alpha: float) -> float:
    """Quantile alpha of the paired gain in a metric; minus infinity where it is not defined."""
    found = gains(challenger.draws, champion.draws, metric)
    if found is None:
        return float("-inf")
    defined = found[np.isfinite(found)]
    if defined.size < (1 - _MOST_UNDEFINED) * found.size:
        return float("-inf")
    return round(float(np.quantile(defined, alpha)), 12)


def _against_comparator(
    rows: FrozenRows, challenger: Measured, acceptance: Acceptance, draw: Draw
) -> Verdict:
    name, metric = AGAINST_CHAMPION[3], acceptance.metric
    must_hold = f"{_words(metric)}: lower bound of the gain above 0"
    if rows.comparator is None and rows.needs_comparator:
        return Verdict(name, must_hold, "the evidence has none of it", passed=False)
    if rows.comparator is None:
        return Verdict(name, must_hold, "the use case has no comparator", None)
    comparator = _performance(rows, rows.comparator, draw)
    low = lower_bound(challenger, comparator, metric, alpha=acceptance.false_promotion_rate)
    gain = _gain(challenger, comparator, metric)
    return Verdict(name, must_hold, f"gain {gain:+.5f} (from {low:+.5f})", passed=low > 0)


def _fairness(
    rows: FrozenRows, champion: np.ndarray, acceptance: Acceptance, draw: Draw
) -> Verdict:
    """Veto a group whose probabilities are off beyond the margin, and more than before."""
    margin, worse = acceptance.fairness_margin, list[str]()
    for group, levels in rows.groups.items():
        for level in sorted(set(levels.tolist())):
            part = levels == level
            own = group_draw(draw, group, level)
            ranked = rank_rows(rows.person_id, rows.challenger, rows.outcome).part(part)
            measured = measure_sums(ranked, threshold=rows.threshold, draw=own)
            new = measured.estimates["calibration_factor"]
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
