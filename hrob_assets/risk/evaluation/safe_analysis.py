"""From what was measured to what may be shown: no count of few patients, and none to work out."""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import takewhile

import numpy as np

from hrob_assets.risk.disclosure import SMALLEST_CELL, hidden_together, is_small
from hrob_assets.risk.evaluation.analysis import (
    Analysis,
    CalibrationBin,
    Counts,
    CurvePoint,
    Metric,
    Tag,
    ThresholdRow,
    Unit,
)
from hrob_assets.risk.evaluation.glossary import METRICS
from hrob_assets.risk.evaluation.measures import Measured
from hrob_assets.risk.statistics import (
    DISTANCES,
    Cells,
    Estimate,
    interventions_avoided,
    net_benefit,
    net_benefit_of_all,
    wilson,
    woolf,
)

BOOTSTRAP = "patient-cluster bootstrap"
_BINS = 10
_OF_CELLS = frozenset(
    {
        "sensitivity", "specificity", "positive_predictive_value", "negative_predictive_value",
        "accuracy", "lift", "odds_ratio", "net_benefit", "alert_rate",
    }
)  # fmt: skip
_OF_COUNTS = frozenset({"prevalence", "mean_predicted", "observed_over_expected", "scaled_brier"})
_FEW = f"fewer than {SMALLEST_CELL} patients, rows with the outcome or rows without it"
_FEW_CELL = f"fewer than {SMALLEST_CELL} rows in one of the four cells"
_PARTNER = "hidden so that a small group cannot be worked out from the total"
_HALDANE = "0.5 was added to each cell because one is 0 (Haldane-Anscombe)"


class Hidden(Enum):
    """How much of an analysis must not be shown."""

    NOTHING = "nothing"
    CELLS = "cells"
    COUNTS = "counts"
    ALL = "all"


def hidden_levels(parts: Sequence[Measured]) -> list[Hidden]:
    """What must be hidden of parts of rows whose total is shown.

    A part of few patients or outcomes shows no figure. Where its numbers could be worked out from
    the total, the next larger parts show none of the counts, nor what would give them away.
    """
    few = [_is_few(part) for part in parts]
    rows = [part.rows.rows for part in parts]
    events = [part.rows.events for part in parts]
    persons = [part.rows.persons for part in parts]
    others = [n - k for n, k in zip(rows, events, strict=True)]
    counts = hidden_together([rows, events, others, persons])
    counts = [one or other for one, other in zip(counts, few, strict=True)]
    cells = hidden_together(
        [rows, *([int(vars(part.cells)[name]) for part in parts] for name in _CELL_NAMES)]
    )
    return [
        Hidden.ALL if none else Hidden.COUNTS if some else Hidden.CELLS if four else Hidden.NOTHING
        for none, some, four in zip(few, counts, cells, strict=True)
    ]


def hidden_inside(part: Measured, whole: Measured) -> Hidden:
    """What must be hidden of rows that are some of others, which are shown too.

    The rows that are not among them are one more part.
    """
    counts = [(m.rows.rows, m.rows.events, m.rows.rows - m.rows.events) for m in (whole, part)]
    cells = [tuple(int(cell) for cell in vars(m.cells).values()) for m in (whole, part)]
    few, four = (
        any(is_small(all_of - of) for all_of, of in zip(*both, strict=True))
        for both in (counts, cells)
    )
    alone = hidden_levels([part])[0]
    if alone is not Hidden.NOTHING or not (few or four):
        return alone
    return Hidden.COUNTS if few else Hidden.CELLS


_CELL_NAMES = ("true_positive", "false_positive", "false_negative", "true_negative")


def _is_few(part: Measured) -> bool:
    events = part.rows.events
    return min(events, part.rows.rows - events, part.rows.persons) < SMALLEST_CELL


def shown_analysis(
    measured: Measured,
    *,
    name: str,
    unit: Unit,
    tag: Tag,
    dimension: str | None = None,
    level: str | None = None,
    hidden: Hidden | None = None,
    in_detail: bool = False,
) -> Analysis:
    """An analysis as it may be shown.

    Parameters
    ----------
    measured : Measured
    name, unit, tag, dimension, level
        As in `Analysis`. At patient level rows are independent, and shares have Wilson's
        interval, the odds ratio Woolf's.
    hidden : Hidden, optional
        Of a part, as `hidden_levels` says; by default what the rows themselves ask for.
    in_detail : bool
        Whether tenths and thresholds are told, too; only for rows whose parts are not.
    """
    hide = hidden_levels([measured])[0] if hidden is None else hidden
    cells = _small_cell(measured.cells) or hide is not Hidden.NOTHING
    metrics = {
        metric: _metric(measured, metric, unit, hide, cells=cells)
        for metric in METRICS
        if metric in measured.estimates
    }
    curve = () if hide is Hidden.ALL else tuple(_curve(measured))
    detail = in_detail and hide is not Hidden.ALL
    return Analysis(
        name, dimension, level, unit, tag,
        _counts(measured, hide, cells=cells),
        metrics,
        calibration_curve=curve,
        calibration_bins=tuple(_bins(measured)) if detail else (),
        thresholds=tuple(_thresholds(measured)) if detail else (),
        suppressed=_reason(hide, cells=cells),
    )  # fmt: skip


def _reason(hide: Hidden, *, cells: bool) -> str | None:
    if hide is Hidden.ALL:
        return _FEW
    if hide is Hidden.COUNTS:
        return _PARTNER
    return _FEW_CELL if cells else None


def _small_cell(cells: Cells) -> bool:
    return any(is_small(int(cell)) for cell in vars(cells).values())


def _counts(measured: Measured, hide: Hidden, *, cells: bool) -> Counts:
    rows = measured.rows
    told = hide not in {Hidden.ALL, Hidden.COUNTS}

    def count(number: int) -> int | None:
        return number if told and not is_small(number) else None

    four = [None if cells or not told else int(cell) for cell in vars(measured.cells).values()]
    high = int(measured.cells.true_positive + measured.cells.false_positive)
    low = rows.rows - high
    high_shown = None if is_small(low) or (cells and hide is not Hidden.NOTHING) else count(high)
    return Counts(count(rows.rows), count(rows.persons), count(rows.events), high_shown, *four)


def _metric(measured: Measured, name: str, unit: Unit, hide: Hidden, *, cells: bool) -> Metric:
    if hide is Hidden.ALL:
        return Metric(None, note=_FEW)
    if hide is Hidden.COUNTS and name in _OF_COUNTS:
        return Metric(None, note=_PARTNER)
    if cells and name in _OF_CELLS:
        return Metric(None, note=_PARTNER if hide is Hidden.COUNTS else _FEW_CELL)
    found = measured.estimates[name]
    note = _HALDANE if name == "odds_ratio" and measured.cells.corrected else None
    expected = _rounded(measured.expected[name]) if name in DISTANCES else None
    bounds = _independent_bounds(measured.cells, name) if unit == "patient" else None
    if bounds is not None and found.low is not None:
        kind = "Woolf" if name == "odds_ratio" else "Wilson"
        low, high = (_rounded(bound) for bound in bounds)
        return Metric(_rounded(found.value), low, high, kind, note=note)
    if found.low is None:
        note = note or "too little for an interval"
    return bootstrap_metric(found, expected=expected, note=note)


def bootstrap_metric(
    found: Estimate, *, expected: float | None = None, note: str | None = None
) -> Metric:
    """A figure with its bootstrap interval, where it has one."""
    return Metric(
        _rounded(found.value),
        _rounded(found.low),
        _rounded(found.high),
        None if found.low is None else BOOTSTRAP,
        _rounded(found.design_effect),
        expected,
        note,
    )


def _rounded(value: float | None) -> float | None:
    """Six significant digits: more would be noise, and enough to draw."""
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.6g}")


def _independent_bounds(cells: Cells, name: str) -> tuple[float, float] | None:
    if name == "odds_ratio":
        return woolf(cells)
    hit, false, missed, quiet = vars(cells).values()
    rows = hit + false + missed + quiet
    shares: Mapping[str, tuple[float, float]] = {
        "prevalence": (hit + missed, rows),
        "alert_rate": (hit + false, rows),
        "sensitivity": (hit, hit + missed),
        "specificity": (quiet, quiet + false),
        "positive_predictive_value": (hit, hit + false),
        "negative_predictive_value": (quiet, quiet + missed),
        "accuracy": (hit + quiet, rows),
    }
    return wilson(*shares[name]) if name in shares else None


def _curve(measured: Measured) -> Iterator[CurvePoint]:
    curve = None if measured.calibration is None else measured.calibration.curve
    if curve is None:
        return
    bounded = measured.curve_low.size > 0
    for i, (predicted, observed) in enumerate(zip(curve.grid, curve.values, strict=True)):
        low = _rounded(measured.curve_low[i]) if bounded else None
        high = _rounded(measured.curve_high[i]) if bounded else None
        yield CurvePoint(float(f"{predicted:.6g}"), float(f"{observed:.6g}"), low, high)


def _main_cut(measured: Measured) -> tuple[int, int] | None:
    """Rows with and without the outcome that are high risk, where the four cells are told."""
    cells = measured.cells
    if _small_cell(cells):
        return None
    return int(cells.true_positive), int(cells.false_positive)


def _borders(measured: Measured) -> list[int]:
    """Rows above each border of the tenths, from the top.

    A border that parts few rows from the main threshold lies on it, so that the difference of
    the two tells nothing.
    """
    rows, main = measured.rows, _main_cut(measured)
    sizes = [part.size for part in np.array_split(np.arange(rows.rows), _BINS) if part.size]
    borders: list[int] = np.cumsum(sizes[::-1])[:-1].tolist()
    if main is None:
        return borders
    for number, border in enumerate(borders):
        hits = int(rows.outcome[:border].sum())
        if is_small(abs(hits - main[0])) or is_small(abs(border - hits - main[1])):
            borders[number] = sum(main)
    return sorted({border for border in borders if 0 < border < rows.rows})


def _tenths(measured: Measured) -> list[tuple[np.ndarray, int, bool]]:
    """Places, events and whether these must be hidden, of each tenth, the lowest first."""
    rows = measured.rows
    parts = np.split(np.arange(rows.rows), _borders(measured))[::-1]
    events = [int(rows.outcome[part].sum()) for part in parts]
    others = [part.size - event for part, event in zip(parts, events, strict=True)]
    hidden = hidden_together([[part.size for part in parts], events, others])
    return list(zip(parts, events, hidden, strict=True))


def _bins(measured: Measured) -> Iterator[CalibrationBin]:
    """Tenths, the lowest first; what would tell few rows, also by the total, is null."""
    for number, (part, events, hide) in enumerate(_tenths(measured), start=1):
        size = None if is_small(part.size) else part.size
        mean = float(measured.rows.probability[part].mean())
        yield CalibrationBin(
            number,
            size,
            None if size is None else _rounded(mean),
            None if hide else _rounded(events / part.size),
        )


def _told_cuts(measured: Measured) -> list[tuple[int, int]]:
    """Rows with and without the outcome above the main threshold and the borders of told tenths."""
    tenths = _tenths(measured)
    total, events = measured.rows.rows, measured.rows.events
    main = _main_cut(measured)
    cuts = [] if main is None else [main]
    for from_top, order in ((True, tenths[::-1]), (False, tenths)):
        size = hits = 0
        for part, found, _ in takewhile(lambda tenth: not tenth[2], order):
            size, hits = size + part.size, hits + found
            above = (hits, size - hits)
            below = (events - hits, total - events - size + hits)
            cuts.append(above if from_top else below)
    return cuts


def _thresholds(measured: Measured) -> Iterator[ThresholdRow]:
    """Thresholds from low to high.

    A row is told when it differs by no few rows from the last one that is, from the main
    threshold and from the borders of the tenths.
    """
    curve, rows = measured.thresholds, measured.rows
    if curve is None:
        return
    total, events = rows.rows, rows.events
    last = (events, total - events)
    told = _told_cuts(measured)
    for i, threshold in enumerate(curve.thresholds):
        hits, false = int(curve.true_positives[i]), int(curve.false_positives[i])
        steps = (last[0] - hits, last[1] - false, hits, false)
        steps += tuple(abs(d) for one, other in told for d in (one - hits, other - false))
        of_all = float(net_benefit_of_all(events / total, threshold))
        if any(is_small(step) for step in steps):
            yield ThresholdRow(
                float(threshold), None, None, None, None, None, None, None, None,
                _rounded(of_all), None,
            )  # fmt: skip
            continue
        last = (hits, false)
        high, quiet = hits + false, total - events - false
        benefit = float(net_benefit(hits, false, total, threshold))
        yield ThresholdRow(
            float(threshold),
            _rounded(high / total),
            _rounded(hits / events),
            _rounded(quiet / (total - events)),
            _rounded(hits / high) if high else None,
            _rounded(quiet / (total - high)) if total > high else None,
            _rounded(benefit),
            _rounded(curve.low[i]),
            _rounded(curve.high[i]),
            _rounded(of_all),
            _rounded(float(interventions_avoided(benefit, of_all, threshold))),
        )
