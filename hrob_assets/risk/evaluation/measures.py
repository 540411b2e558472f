"""Everything that is measured on one set of rows, with intervals, before anything is hidden."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hrob_assets.risk.statistics import (
    CLIP,
    DISTANCES,
    THRESHOLDS,
    Calibration,
    CalibrationReplicates,
    Cells,
    Estimate,
    RankedRows,
    Replicates,
    auprc_influence,
    auroc_influence,
    calibrate,
    calibrate_replicates,
    design_effect,
    estimate,
    expected_distances,
    in_bins,
    log_odds_ratio,
    logit_bins,
    net_benefit,
    replicate,
    resampled_sums,
)

Figures = Mapping[str, np.ndarray]
_ROWS, _EVENTS, _PREDICTED, _SQUARED, _LOSS = range(5)


@dataclass(frozen=True)
class Draw:
    """How often patients are drawn, and from which seed.

    Parameters
    ----------
    replicates, seed : int
    threads : int, optional
        All cores by default; has no part in the result.
    """

    replicates: int
    seed: int
    threads: int | None = None


@dataclass(frozen=True)
class ThresholdCurve:
    """Counts at each threshold of the grid, and the interval of net benefit there.

    Parameters
    ----------
    thresholds, true_positives, false_positives : arrays, shape (n_thresholds,)
    low, high : float64 arrays, shape (n_thresholds,)
        Not a number where there is no interval.
    """

    thresholds: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Measured:
    """One set of rows, measured; every count is exact, nothing is hidden.

    Parameters
    ----------
    rows : RankedRows
    cells : Cells
        At the threshold.
    estimates : mapping of str to Estimate
        By the names of `METRICS`; absent where a figure is not defined.
    draws : mapping of str to float64 array, shape (n_replicates,)
        Every metric in each replicate; empty where there is no interval.
    calibration : Calibration or None
        None where a fit does not converge or only one outcome occurs.
    curve_low, curve_high : float64 arrays, shape (CURVE_POINTS,) or (0,)
    expected : mapping of str to float
        Distances under perfect calibration.
    thresholds : ThresholdCurve
    """

    rows: RankedRows
    cells: Cells
    estimates: Mapping[str, Estimate]
    draws: Figures
    calibration: Calibration | None
    curve_low: np.ndarray
    curve_high: np.ndarray
    expected: Mapping[str, float]
    thresholds: ThresholdCurve

    def value(self, name: str) -> float:
        """The value of a metric that is defined."""
        return self.estimates[name].value


def measure(rows: RankedRows, *, threshold: float, draw: Draw) -> Measured:
    """Measure everything on rows, with patient-cluster intervals where there is enough.

    Parameters
    ----------
    rows : RankedRows
    threshold : float
        High risk means probability >= threshold.
    draw : Draw

    Examples
    --------
    >>> from hrob_assets.risk.statistics import rank_rows
    >>> p, y = np.tile([0.2, 0.8], 100), np.tile([0, 0, 0, 1, 0, 1, 0, 1, 1, 1], 20)
    >>> found = measure(rank_rows(np.arange(200) // 2, p, y), threshold=0.5, draw=Draw(50, 1))
    >>> round(found.value("sensitivity"), 3), round(found.value("calibration_factor"), 3)
    (0.8, 0.0)
    """
    columns = row_columns(rows)
    bins, grid = logit_bins(rows), np.array([rows.at_least(t) for t in (threshold, *THRESHOLDS)])
    cuts, place = np.unique(np.concatenate([bins.cuts, grid]), return_inverse=True)
    bin_place, (high, *at) = place[: bins.cuts.size], place[bins.cuts.size :]
    whole = _whole(rows, columns, cuts)
    figures = _figures(whole, high, threshold)
    found = calibrate(rows) if 0 < rows.events < rows.rows else None
    drawn = refitted = None
    if rows.has_interval:
        drawn = replicate(
            rows, columns=columns, cuts=cuts, replicates=draw.replicates, seed=draw.seed,
            threads=draw.threads,
        )  # fmt: skip
    if drawn is not None and found is not None:
        counts = in_bins(drawn, bin_place)
        refitted = calibrate_replicates(found, bins, *counts, threads=draw.threads)
    draws = {} if drawn is None else dict(_figures(drawn, high, threshold))
    if found is not None:
        figures = {**figures, **_calibration_figures(found)}
        draws |= {} if refitted is None else _calibration_draws(refitted)
    effects = _design_effects(rows, columns, int(grid[0]), threshold) if drawn is not None else {}
    expected = np.full(len(DISTANCES), np.nan)
    if found is not None:
        expected = expected_distances(found, bins, seed=draw.seed, threads=draw.threads)
    low, high_bound = _curve_bounds(refitted)
    return Measured(
        rows,
        _cells(whole, high),
        {
            name: estimate(float(value[0]), draws.get(name), design_effect=effects.get(name))
            for name, value in figures.items()
            if np.isfinite(value[0])
        },
        draws,
        found,
        low,
        high_bound,
        dict(zip(DISTANCES, expected.tolist(), strict=True)),
        _threshold_curve(whole, drawn, np.array(at)),
    )


def measure_sums(rows: RankedRows, *, threshold: float, draw: Draw) -> Measured:
    """Measure only what needs no ranks and no fits: for many groups, such as two-way ones."""
    columns = row_columns(rows)
    alerts = rows.at_least(threshold)
    high = (np.arange(rows.rows) < alerts).astype(np.float64)
    summed = np.column_stack([columns, high, high * rows.outcome])
    whole = _of_sums(summed.sum(axis=0)[None, :])
    draws: Figures = {}
    if rows.has_interval:
        sums = resampled_sums(
            rows.person, summed, replicates=draw.replicates, seed=draw.seed, threads=draw.threads
        )
        draws = _figures(_of_sums(sums), 0, threshold)
    figures = _figures(whole, 0, threshold)
    empty = np.empty(0)
    return Measured(
        rows,
        _cells(whole, 0),
        {
            name: estimate(float(value[0]), draws.get(name))
            for name, value in figures.items()
            if np.isfinite(value[0])
        },
        draws,
        None,
        empty,
        empty,
        {},
        ThresholdCurve(empty, empty, empty, empty, empty),
    )


def _of_sums(sums: np.ndarray) -> Replicates:
    none = np.full(sums.shape[0], np.nan)
    return Replicates(sums[:, :-2], sums[:, -2:-1], sums[:, -1:], none, none)


def row_columns(rows: RankedRows) -> np.ndarray:
    """What is summed over rows: 1, outcome, prediction, squared error and log loss.

    Returns
    -------
    float64 array, shape (n_rows, 5)
    """
    outcome, probability = rows.outcome.astype(np.float64), rows.probability
    clipped = np.clip(probability, CLIP, 1 - CLIP)
    loss = -np.where(rows.outcome == 1, np.log(clipped), np.log1p(-clipped))
    return np.column_stack(
        [np.ones_like(probability), outcome, probability, (probability - outcome) ** 2, loss]
    )


def _whole(rows: RankedRows, columns: np.ndarray, cuts: np.ndarray) -> Replicates:
    """All rows once, in the shape of one replicate."""
    events = np.append(0, np.cumsum(rows.outcome, dtype=np.int64))[cuts]
    outcome = rows.outcome.astype(np.float64)
    area = precision = np.nan
    if 0 < rows.events < rows.rows:
        area, precision = _areas(rows, outcome)
    return Replicates(
        columns.sum(axis=0)[None, :],
        cuts[None, :].astype(np.int64),
        events[None, :],
        np.array([area]),
        np.array([precision]),
    )


def _areas(rows: RankedRows, outcome: np.ndarray) -> tuple[float, float]:
    first = np.searchsorted(-rows.probability, -rows.probability, side="left")
    after = np.searchsorted(-rows.probability, -rows.probability, side="right")
    events = np.append(0.0, np.cumsum(outcome))
    total, others = events[-1], rows.rows - events[-1]
    lost = (first - events[first]) + (after - events[after])  # others above, ties counted once
    area = 1 - float(np.sum(outcome * lost)) / (2 * total * others)
    return area, float(np.sum(outcome * events[after] / after) / total)


def _figures(drawn: Replicates, high: int, threshold: float) -> Figures:
    """Every figure of each replicate that is a function of its sums and counts."""
    rows, events, predicted, squared, loss = drawn.sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        alerts = drawn.rows_above[:, high].astype(np.float64)
        hits = drawn.events_above[:, high].astype(np.float64)
        missed, quiet = events - hits, rows - alerts - (events - hits)
        prevalence = events / rows
        precision = hits / alerts
        return {
            "prevalence": prevalence,
            "mean_predicted": predicted / rows,
            "calibration_factor": (predicted - events) / rows,
            "expected_over_observed": predicted / events,
            "alert_rate": alerts / rows,
            "sensitivity": hits / events,
            "specificity": quiet / (rows - events),
            "positive_predictive_value": precision,
            "negative_predictive_value": quiet / (rows - alerts),
            "accuracy": (hits + quiet) / rows,
            "lift": precision / prevalence,
            "odds_ratio": np.exp(
                log_odds_ratio(np.column_stack([hits, alerts - hits, missed, quiet]))
            ),
            "auroc": drawn.auroc,
            "auprc": drawn.auprc,
            "brier": squared / rows,
            "scaled_brier": 1 - squared / rows / (prevalence * (1 - prevalence)),
            "log_loss": loss / rows,
            "net_benefit": net_benefit(hits, alerts - hits, rows, threshold),
        }


def _calibration_figures(found: Calibration) -> dict[str, np.ndarray]:
    return {
        "calibration_in_the_large": np.array([found.in_the_large]),
        "calibration_slope": np.array([found.slope]),
        **{name: found.distances[[i]] for i, name in enumerate(DISTANCES)},
    }


def _calibration_draws(refitted: CalibrationReplicates) -> dict[str, np.ndarray]:
    return {
        "calibration_in_the_large": refitted.in_the_large,
        "calibration_slope": refitted.slope,
        **{name: refitted.distances[:, i] for i, name in enumerate(DISTANCES)},
    }


def _curve_bounds(refitted: CalibrationReplicates | None) -> tuple[np.ndarray, np.ndarray]:
    if refitted is None:
        return np.empty(0), np.empty(0)
    bounds = [estimate(0.0, drawn) for drawn in refitted.curve.T]
    if any(bound.low is None or bound.high is None for bound in bounds):
        return np.empty(0), np.empty(0)
    return (
        np.array([bound.low for bound in bounds]),
        np.array([bound.high for bound in bounds]),
    )


def _cells(whole: Replicates, high: int) -> Cells:
    rows, events = int(whole.sums[0, _ROWS]), int(whole.sums[0, _EVENTS])
    alerts, hits = int(whole.rows_above[0, high]), int(whole.events_above[0, high])
    return Cells(hits, alerts - hits, events - hits, rows - alerts - events + hits)


def _threshold_curve(whole: Replicates, drawn: Replicates | None, at: np.ndarray) -> ThresholdCurve:
    hits, alerts = whole.events_above[0, at], whole.rows_above[0, at]
    low = high = np.full(at.size, np.nan)
    if drawn is not None:
        hit = drawn.events_above[:, at]
        rows = drawn.sums[:, [_ROWS]]
        benefit = net_benefit(hit, drawn.rows_above[:, at] - hit, rows, THRESHOLDS)
        low, high = np.quantile(benefit, (0.025, 0.975), axis=0)
    return ThresholdCurve(THRESHOLDS, hits, alerts - hits, low, high)


def _design_effects(
    rows: RankedRows, columns: np.ndarray, alerts: int, threshold: float
) -> dict[str, float | None]:
    """Design effects of the figures whose influence function is known in closed form."""
    outcome, probability = columns[:, _EVENTS], columns[:, _PREDICTED]
    high = np.arange(rows.rows) < alerts
    hit, quiet = high * outcome, ~high * (1 - outcome)
    prevalence, rate = outcome.mean(), max(high.mean(), 1 / rows.rows)
    precision = hit.sum() / max(alerts, 1)
    odds = threshold / (1 - threshold)
    benefit = hit - odds * high * (1 - outcome)
    calling = high * (outcome - precision)
    dismissed = ~high * (1 - outcome)
    of_low = dismissed.sum() / max(rows.rows - alerts, 1)
    cells = [hit, high * (1 - outcome), ~high * outcome, quiet]
    counts = [max(float(cell.sum()), 0.5) for cell in cells]
    signs = (1, -1, -1, 1)
    influence = {
        "prevalence": outcome - prevalence,
        "mean_predicted": probability - probability.mean(),
        "calibration_factor": probability - outcome - (probability - outcome).mean(),
        "expected_over_observed": probability - probability.mean() / prevalence * outcome,
        "alert_rate": high - high.mean(),
        "sensitivity": hit - hit.sum() / rows.events * outcome,
        "specificity": quiet - quiet.sum() / (rows.rows - rows.events) * (1 - outcome),
        "positive_predictive_value": calling,
        "negative_predictive_value": dismissed - of_low * ~high,
        "accuracy": hit + quiet - (hit + quiet).mean(),
        "lift": calling / rate - precision * (outcome - prevalence) / prevalence,
        "odds_ratio": sum(s * cell / n for s, cell, n in zip(signs, cells, counts, strict=True)),
        "brier": columns[:, _SQUARED] - columns[:, _SQUARED].mean(),
        "log_loss": columns[:, _LOSS] - columns[:, _LOSS].mean(),
        "net_benefit": benefit - benefit.mean(),
        "auroc": auroc_influence(rows),
        "auprc": auprc_influence(rows),
    }
    return {
        name: design_effect(rows.person, np.asarray(each, dtype=np.float64), rows.persons)
        for name, each in influence.items()
    }
