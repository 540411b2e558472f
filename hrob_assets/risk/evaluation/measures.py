"""Every metric of one set of rows, with patient-cluster intervals: exact, before publication.

This is the one engine of metrics. The Dagster UI, the reports, comparisons of models and the gate
all read its results; the draws of patients depend on the rows alone, so the same rows show the same
interval everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hrob_assets.risk.evaluation.design_effects import design_effects
from hrob_assets.risk.statistics import (
    DISTANCES,
    REPLICATES,
    THRESHOLDS,
    Calibration,
    CalibrationReplicates,
    Cells,
    Estimate,
    RankedRows,
    Replicates,
    calibrate,
    calibrate_replicates,
    estimate,
    expected_distances,
    in_bins,
    log_odds_ratio,
    logit_bins,
    net_benefit,
    ranking_areas,
    replicate,
    resampled_sums,
    row_brier,
    row_log_loss,
)

Metrics = Mapping[str, np.ndarray]
_ROWS, _EVENTS = range(2)


@dataclass(frozen=True)
class Draw:
    """How often patients are drawn.

    Parameters
    ----------
    replicates : int
    seed : int
        Added to the seed that the rows give. The product leaves it at 0, so that the same rows
        have the same interval everywhere; another number shows how much chance there is in it.
    threads : int, optional
        All cores by default; has no part in the result.
    """

    replicates: int = REPLICATES
    seed: int = 0
    threads: int | None = None

    def seed_for(self, rows: RankedRows) -> int:
        """Seed of the draws of these rows."""
        return (rows.seed + self.seed) % 2**32


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
    """The metrics of one set of rows; every count is exact, nothing is suppressed.

    Parameters
    ----------
    rows : RankedRows
    cells : Cells
        At the threshold.
    estimates : mapping of str to Estimate
        By the names of `METRICS`; absent where a metric is not defined.
    draws : mapping of str to float64 array, shape (n_replicates,)
        Every metric in each replicate; empty where there is no interval.
    calibration : Calibration or None
        None where it was not asked for.
    curve_low, curve_high : float64 arrays, shape (CURVE_POINTS,) or (0,)
    expected : mapping of str to float
        Distances under perfect calibration.
    thresholds : ThresholdCurve or None
        None where it was not asked for.
    """

    rows: RankedRows
    cells: Cells
    estimates: Mapping[str, Estimate]
    draws: Metrics
    calibration: Calibration | None
    curve_low: np.ndarray
    curve_high: np.ndarray
    expected: Mapping[str, float]
    thresholds: ThresholdCurve | None

    def value(self, name: str) -> float:
        """The value of a metric that is defined."""
        return self.estimates[name].value


def measure(rows: RankedRows, *, threshold: float, draw: Draw | None = None) -> Measured:
    """Measure everything: discrimination, calibration, cells, net benefit over a grid.

    Parameters
    ----------
    rows : RankedRows
    threshold : float
        High risk means probability >= threshold.
    draw : Draw, optional

    Examples
    --------
    >>> from hrob_assets.risk.statistics import rank_rows
    >>> p, y = np.tile([0.2, 0.8], 100), np.tile([0, 0, 0, 1, 0, 1, 0, 1, 1, 1], 20)
    >>> found = measure(rank_rows(np.arange(200) // 2, p, y), threshold=0.5, draw=Draw(50))
    >>> round(found.value("sensitivity"), 3), round(found.value("calibration_factor"), 3)
    (0.8, 0.0)
    """
    draw = draw or Draw()
    columns = row_columns(rows)
    bins, grid = logit_bins(rows), np.array([rows.at_least(t) for t in (threshold, *THRESHOLDS)])
    cuts, place = np.unique(np.concatenate([bins.cuts, grid]), return_inverse=True)
    bin_place, (high, *at) = place[: bins.cuts.size], place[bins.cuts.size :]
    whole, drawn = _whole(rows, columns, cuts), _drawn(rows, columns, cuts, draw)
    found, refitted = calibrate(rows), None
    metrics = {**_metrics(whole, high, threshold), **_calibration_metrics(found)}
    draws: dict[str, np.ndarray] = {}
    effects: Mapping[str, float | None] = {}
    if drawn is not None:
        counts = in_bins(drawn, bin_place)
        refitted = calibrate_replicates(found, bins, *counts, threads=draw.threads)
        draws = {**_metrics(drawn, high, threshold), **_calibration_draws(refitted)}
        effects = design_effects(rows, columns, int(grid[0]), threshold)
    expected = np.full(len(DISTANCES), np.nan)
    if found.curve is not None:
        expected = expected_distances(
            found.curve, bins, seed=draw.seed_for(rows), threads=draw.threads
        )
    low, high_bound = _curve_bounds(refitted)
    return Measured(
        rows,
        _cells(whole, high),
        _estimates(metrics, draws, effects),
        draws,
        found,
        low,
        high_bound,
        dict(zip(DISTANCES, expected.tolist(), strict=True)),
        _threshold_curve(whole, drawn, np.array(at)),
    )


def measure_performance(
    rows: RankedRows,
    *,
    threshold: float,
    draw: Draw | None = None,
    benefit_threshold: float | None = None,
) -> Measured:
    """Measure what needs no calibration fit: enough to compare models on the same rows.

    Parameters
    ----------
    rows : RankedRows
    threshold : float
        High risk means probability >= threshold.
    draw : Draw, optional
    benefit_threshold : float, optional
        Whose odds net benefit weighs false alarms by; by default those of `threshold`. Models
        with other thresholds are compared at the same odds.

    Examples
    --------
    >>> from hrob_assets.risk.statistics import rank_rows
    >>> y = np.tile([0, 1], 20)
    >>> found = measure_performance(rank_rows(np.arange(40), np.full(40, 0.5), y), threshold=0.5)
    >>> found.value("auroc"), found.value("brier"), found.value("observed_over_expected")
    (0.5, 0.25, 1.0)
    """
    columns, cuts = row_columns(rows), np.array([rows.at_least(threshold)])
    odds = threshold if benefit_threshold is None else benefit_threshold
    whole = _whole(rows, columns, cuts)
    drawn = _drawn(rows, columns, cuts, draw or Draw())
    draws = {} if drawn is None else dict(_metrics(drawn, 0, odds))
    return _without_calibration(rows, _cells(whole, 0), _metrics(whole, 0, odds), draws)


def measure_sums(rows: RankedRows, *, threshold: float, draw: Draw | None = None) -> Measured:
    """Measure what needs neither ranks nor fits: for many groups, such as two-way ones."""
    draw = draw or Draw()
    high = (np.arange(rows.rows) < rows.at_least(threshold)).astype(np.float64)
    summed = np.column_stack([row_columns(rows), high, high * rows.outcome])
    whole = _of_sums(summed.sum(axis=0)[None, :])
    draws: Metrics = {}
    if rows.has_interval:
        sums = resampled_sums(
            rows.person,
            summed,
            replicates=draw.replicates,
            seed=draw.seed_for(rows),
            threads=draw.threads,
        )
        draws = _metrics(_of_sums(sums), 0, threshold)
    return _without_calibration(rows, _cells(whole, 0), _metrics(whole, 0, threshold), draws)


def _without_calibration(
    rows: RankedRows, cells: Cells, metrics: Metrics, draws: Metrics
) -> Measured:
    empty = np.empty(0)
    return Measured(
        rows, cells, _estimates(metrics, draws, {}), draws, None, empty, empty, {}, None
    )


def _estimates(
    metrics: Metrics, draws: Metrics, effects: Mapping[str, float | None]
) -> dict[str, Estimate]:
    return {
        name: estimate(float(value[0]), draws.get(name), design_effect=effects.get(name))
        for name, value in metrics.items()
        if np.isfinite(value[0])
    }


def _drawn(
    rows: RankedRows, columns: np.ndarray, cuts: np.ndarray, draw: Draw
) -> Replicates | None:
    if not rows.has_interval:
        return None
    return replicate(
        rows, columns=columns, cuts=cuts, replicates=draw.replicates,
        seed=draw.seed_for(rows), threads=draw.threads,
    )  # fmt: skip


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
    return np.column_stack(
        [
            np.ones_like(probability),
            outcome,
            probability,
            row_brier(probability, outcome),
            row_log_loss(probability, outcome),
        ]
    )


def _whole(rows: RankedRows, columns: np.ndarray, cuts: np.ndarray) -> Replicates:
    """All rows once, in the shape of one replicate."""
    events = np.append(0, np.cumsum(rows.outcome, dtype=np.int64))[cuts]
    area, precision = ranking_areas(rows)
    return Replicates(
        columns.sum(axis=0)[None, :],
        cuts[None, :].astype(np.int64),
        events[None, :],
        np.array([area]),
        np.array([precision]),
    )


def _metrics(drawn: Replicates, high: int, threshold: float) -> Metrics:
    """Every metric of each replicate that is a function of its sums and counts."""
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
            "observed_over_expected": events / predicted,
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


def _calibration_metrics(found: Calibration) -> dict[str, np.ndarray]:
    nan = float("nan")
    large = nan if found.in_the_large is None else found.in_the_large
    slope = nan if found.line is None else found.line[1]
    metrics = {
        "calibration_in_the_large": np.array([large]),
        "calibration_slope": np.array([slope]),
    }
    if found.curve is None:
        return metrics
    return metrics | {name: found.curve.distances[[i]] for i, name in enumerate(DISTANCES)}


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
