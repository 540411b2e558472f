"""Calibration by group with its verdict, and the other views of fairness beside it.

Calibration decides, because a probability that means the same for everybody is what the threshold
and the nurses rely on (Corbett-Davies and Goel 2018). Classification parity and anti-classification
are shown, too: where prevalence differs between groups, no model meets all of them at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hrob_assets.risk.disclosure import hidden_together, shown_share
from hrob_assets.risk.evaluation.analysis import (
    Allocation,
    AntiClassification,
    FairnessReport,
    GroupFairness,
    GroupShare,
    LabelAudit,
    Metric,
    ParityGap,
    Verdict,
)
from hrob_assets.risk.evaluation.measures import Draw, Measured, measure, measure_sums
from hrob_assets.risk.evaluation.safe_analysis import (
    Hidden,
    bootstrap_metric,
    hidden_levels,
    shown_analysis,
)
from hrob_assets.risk.evaluation.verdicts import (
    Studentised,
    judge_factor,
    patients_needed,
    simultaneous_bounds,
    studentise,
)
from hrob_assets.risk.statistics import (
    Estimate,
    RankedRows,
    estimate,
    interval,
    resampled_sums,
    seed_of,
)

UNKNOWN = "Unknown"


VERDICTS: tuple[Verdict, ...] = ("calibrated", "not calibrated", "undetermined", "too few")


_PARITY = ("alert_rate", "sensitivity", "specificity", "positive_predictive_value")


@dataclass(frozen=True)
class Group:
    """One group of one dimension, measured.

    Parameters
    ----------
    dimension, level : str
    which : bool array, shape (n_rows,)
        In the order from before ranking.
    measured : Measured
    studentised : Studentised or None
        Its calibration factor; None where there is too little for an interval.
    """

    dimension: str
    level: str
    which: np.ndarray
    measured: Measured
    studentised: Studentised | None


def measure_groups(
    rows: RankedRows,
    groups: Mapping[str, np.ndarray],
    *,
    threshold: float,
    draw: Draw,
    by: Callable[..., Measured] = measure,
) -> tuple[Group, ...]:
    """Measure every group; patients are drawn within it, so that none can vanish.

    Parameters
    ----------
    rows : RankedRows
    groups : mapping of dimension to string array, shape (n_rows,)
        Level of each row, in the order from before ranking.
    threshold : float
    draw : Draw
        Each group has a seed of its own, made from this one and its names.
    by : function
        `measure`, or `measure_sums` where there are many groups.
    """
    found: list[Group] = []
    for dimension, levels in groups.items():
        for level in np.unique(levels).tolist():
            which = levels == level
            part, own = rows.part(which), group_draw(draw, dimension, level)
            factor = studentise(part, own) if part.has_interval else None
            measured = by(part, threshold=threshold, draw=own)
            found.append(Group(dimension, level, which, measured, factor))
    return tuple(found)


def group_draw(draw: Draw, dimension: str, level: str) -> Draw:
    """Draws of one group: groups of the same size are drawn independently of each other."""
    return replace(draw, seed=seed_of(str(draw.seed), dimension, level))


def cross(groups: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Two-way dimensions: every pair, with the levels of both joined.

    Examples
    --------
    >>> pairs = cross({"race": np.array(["A", "B"]), "gender": np.array(["f", "m"])})
    >>> {name: levels.tolist() for name, levels in pairs.items()}
    {'race x gender': ['A x f', 'B x m']}
    """
    return {
        f"{one} x {other}": np.array(
            [f"{a} x {b}" for a, b in zip(groups[one], groups[other], strict=True)]
        )
        for one, other in combinations(groups, 2)
    }


def fairness_report(
    rows: RankedRows,
    groups: Mapping[str, np.ndarray],
    *,
    threshold: float,
    margin: float,
    draw: Draw,
    missing: Sequence[GroupShare] = (),
    label_audit: LabelAudit | None = None,
    anti_classification: AntiClassification | None = None,
) -> FairnessReport:
    """All views of fairness, as they may be shown.

    Parameters
    ----------
    rows : RankedRows
    groups : mapping of dimension to string array, shape (n_rows,)
        Level of each row, in the order from before ranking.
    threshold, margin : float
        Of high risk; of the calibration factor.
    draw : Draw
    missing, label_audit, anti_classification
        What was found elsewhere; shown as it is.
    """
    one_way = measure_groups(rows, groups, threshold=threshold, draw=draw)
    hidden = _hidden_by_dimension(one_way)
    shown = _judged(one_way, hidden, margin=margin)
    two_way = measure_groups(rows, cross(groups), threshold=threshold, draw=draw, by=measure_sums)
    names = dict.fromkeys(VERDICTS, 0)
    for each in shown:
        names[each.verdict] += 1
    return FairnessReport(
        margin,
        tuple(groups),
        tuple(shown),
        tuple(_judged(two_way, _hidden_two_way(two_way, one_way, hidden), margin=margin)),
        tuple(_parity_gaps(one_way, hidden)),
        tuple(_allocation(rows, one_way, hidden, threshold=threshold, draw=draw)),
        tuple(missing),
        label_audit,
        anti_classification,
        names,
    )


def _judged(
    groups: Sequence[Group], hidden: Sequence[Hidden], *, margin: float
) -> list[GroupFairness]:
    together = simultaneous_bounds([group.studentised for group in groups])
    return [
        _judge_group(group, hide, bounds, margin=margin)
        for group, hide, bounds in zip(groups, hidden, together, strict=True)
    ]


def _judge_group(
    group: Group, hide: Hidden, bounds: tuple[float, float] | None, *, margin: float
) -> GroupFairness:
    analysis = shown_analysis(
        group.measured, name=f"{group.dimension}: {group.level}", unit="encounter",
        tag="exploratory" if " x " in group.dimension else "pre-specified",
        dimension=group.dimension, level=group.level, hidden=hide,
    )  # fmt: skip
    factor = group.measured.estimates["calibration_factor"]
    judged = factor
    if bounds is not None and " x " in group.dimension:
        judged = replace(factor, low=bounds[0], high=bounds[1])  # many groups are judged at once
    verdict = judge_factor(judged, margin=margin)
    for_margin, still = patients_needed(group.measured.rows, judged, margin=margin)
    if hide is Hidden.ALL:
        return GroupFairness(analysis, "too few", None, None, None, for_margin, None)
    zero = None
    if factor.low is not None and factor.high is not None:
        zero = factor.low <= 0 <= factor.high
    low, high = (None, None) if bounds is None else (float(f"{b:.6g}") for b in bounds)
    return GroupFairness(analysis, verdict, zero, low, high, for_margin, still)


def _hidden_by_dimension(groups: Sequence[Group]) -> list[Hidden]:
    hidden: list[Hidden] = []
    for dimension in dict.fromkeys(group.dimension for group in groups):
        hidden += hidden_levels([g.measured for g in groups if g.dimension == dimension])
    return hidden


def _hidden_two_way(
    two_way: Sequence[Group], one_way: Sequence[Group], hidden: Sequence[Hidden]
) -> list[Hidden]:
    """What must be hidden of two-way groups: in every row and column of each table.

    Where something is hidden, counts are hidden in the whole table: two-way tables with margins
    are hard to protect cell by cell, and the calibration factor is what they are for.
    """
    found: list[Hidden] = []
    whole = {
        (group.dimension, group.level): hide for group, hide in zip(one_way, hidden, strict=True)
    }
    for dimension in dict.fromkeys(group.dimension for group in two_way):
        parts = [group for group in two_way if group.dimension == dimension]
        alone = hidden_levels([part.measured for part in parts])
        margins = [whole[each] for each in whole if each[0] in dimension.split(" x ")]
        clean = all(each is Hidden.NOTHING for each in (*alone, *margins))
        found += [each if clean or each is Hidden.ALL else Hidden.COUNTS for each in alone]
    return found


def _parity_gaps(groups: Sequence[Group], hidden: Sequence[Hidden]) -> Iterator[ParityGap]:
    """Largest gap of each share of the four cells, by dimension, over groups that show it."""
    shown = [g for g, hide in zip(groups, hidden, strict=True) if hide is Hidden.NOTHING]
    for dimension in dict.fromkeys(group.dimension for group in shown):
        parts = [group for group in shown if group.dimension == dimension]
        for metric in _PARITY:
            able = [part for part in parts if metric in part.measured.estimates]
            if len(able) < 2:  # noqa: PLR2004 - a gap has two sides
                continue
            ordered = sorted(able, key=lambda part: part.measured.value(metric))
            low, high = ordered[0].measured, ordered[-1].measured
            drawn = high.draws[metric] - low.draws[metric] if _both(low, high) else None
            gap = estimate(high.value(metric) - low.value(metric), drawn)
            yield ParityGap(
                dimension, metric, ordered[-1].level, ordered[0].level, bootstrap_metric(gap)
            )


def _both(one: Measured, other: Measured) -> bool:
    return bool(one.draws) and bool(other.draws)


def _allocation(
    rows: RankedRows,
    groups: Sequence[Group],
    hidden: Sequence[Hidden],
    *,
    threshold: float,
    draw: Draw,
) -> Iterator[Allocation]:
    """Shares of list and of need, by group; patients are drawn from all rows."""
    high = np.arange(rows.rows) < rows.at_least(threshold)
    for dimension in dict.fromkeys(group.dimension for group in groups):
        parts = [group for group in groups if group.dimension == dimension]
        membership = np.column_stack([part.which[rows.order] for part in parts])
        columns = np.hstack([membership * high[:, None], membership * rows.outcome[:, None]])
        sums = resampled_sums(
            rows.person, columns.astype(np.float64), replicates=draw.replicates,
            seed=draw.seed_for(rows), threads=draw.threads,
        )  # fmt: skip
        flags = [h for g, h in zip(groups, hidden, strict=True) if g.dimension == dimension]
        yield from _allocated(parts, flags, columns.sum(axis=0), sums)


def _allocated(
    parts: Sequence[Group], hidden: Sequence[Hidden], whole: np.ndarray, sums: np.ndarray
) -> Iterator[Allocation]:
    size = len(parts)
    rows = sum(part.measured.rows.rows for part in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = _list_over_need(whole[None, :].astype(np.float64), size)[0]
        drawn = _list_over_need(sums, size)
    for number, part in enumerate(parts):
        if hidden[number] is not Hidden.NOTHING or not np.isfinite(ratios[number]):
            yield Allocation(
                part.dimension, part.level, None, None, None, Metric(None, note="suppressed")
            )
            continue
        low, high = interval(drawn[:, number])
        yield Allocation(
            part.dimension,
            part.level,
            part.measured.rows.rows / rows,
            float(whole[number] / max(whole[:size].sum(), 1)),
            float(whole[size + number] / max(whole[size:].sum(), 1)),
            bootstrap_metric(Estimate(float(ratios[number]), low, high)),
        )


def _list_over_need(sums: np.ndarray, size: int) -> np.ndarray:
    listed, needed = sums[:, :size], sums[:, size:]
    return (listed / listed.sum(axis=1, keepdims=True)) / (
        needed / needed.sum(axis=1, keepdims=True)
    )


def shares_by_group(
    subject: str, flags: np.ndarray, groups: Mapping[str, np.ndarray]
) -> Iterator[GroupShare]:
    """Share of rows with a flag in each group; null where it would tell few rows.

    Parameters
    ----------
    subject : str
        What the flag is: a column that is missing, a component of the outcome.
    flags : bool array, shape (n_rows,)
    groups : mapping of dimension to string array, shape (n_rows,)

    Examples
    --------
    >>> groups = {"gender": np.repeat(["f", "m"], 100)}
    >>> [each.share for each in shares_by_group("bmi", np.arange(200) % 4 == 0, groups)]
    [0.25, 0.25]
    """
    for dimension, levels in groups.items():
        names = np.unique(levels).tolist()
        sizes = [int(np.sum(levels == name)) for name in names]
        counts = [int(np.sum(flags[levels == name])) for name in names]
        rest = [size - count for size, count in zip(sizes, counts, strict=True)]
        hidden = hidden_together([sizes, counts, rest])
        for name, size, count, hide in zip(names, sizes, counts, hidden, strict=True):
            share = None if hide else shown_share(count, size)
            yield GroupShare(subject, dimension, name, share if isinstance(share, float) else None)
