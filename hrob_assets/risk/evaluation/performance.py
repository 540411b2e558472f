"""Headline metrics of one set of predictions, for the Dagster UI and for comparisons."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import (
    SMALLEST_CELL,
    SUPPRESSED,
    in_words,
    is_small,
    shown_count,
    shown_share,
)
from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.evaluation.measures import Draw, Measured, measure_performance
from hrob_assets.risk.statistics import Estimate, rank_rows


@dataclass(frozen=True)
class Evaluation:
    """Performance on one set of rows.

    Parameters
    ----------
    rows, persons, events : int
    prevalence, alert_rate, sensitivity, specificity : float, fractions
    positive_predictive_value, negative_predictive_value : float, fractions
    auroc : Estimate
    auprc, brier, log_loss : float
    calibration_factor : Estimate
        Mean predicted minus mean observed; positive means over-prediction.
    """

    rows: int
    persons: int
    events: int
    prevalence: float
    alert_rate: float
    sensitivity: float
    specificity: float
    positive_predictive_value: float
    negative_predictive_value: float
    auroc: Estimate
    auprc: float
    brier: float
    log_loss: float
    calibration_factor: Estimate

    def figures(self) -> dict[str, float]:
        """All figures as a flat mapping of floats; missing bounds are left out."""
        flat: dict[str, float] = {}
        for name, value in vars(self).items():
            if isinstance(value, Estimate):
                bounds = {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
                flat |= {key: float(item) for key, item in bounds.items() if item is not None}
            else:
                flat[name] = float(value)
        return flat

    @property
    def tellable(self) -> bool:
        """Whether neither the events nor the rows without one, nor the persons, are few."""
        return min(self.events, self.rows - self.events, self.persons) >= SMALLEST_CELL


def evaluate(
    person_id: np.ndarray,
    probability: np.ndarray,
    outcome: np.ndarray,
    *,
    threshold: float,
    draw: Draw | None = None,
) -> Evaluation:
    """Evaluate frozen predictions; high risk means probability >= threshold.

    Parameters
    ----------
    person_id : ndarray of int, shape (n_rows,)
        Clusters of the bootstrap.
    probability : ndarray of float, shape (n_rows,)
    outcome : ndarray of bool or 0/1, shape (n_rows,)
    threshold : float
    draw : Draw, optional

    Raises
    ------
    TooSmallError
        If one of the two outcomes does not occur.

    Examples
    --------
    >>> p = np.array([0.1, 0.2, 0.8, 0.9] * 10)
    >>> y = np.array([0, 0, 1, 1] * 10)
    >>> found = evaluate(np.arange(40), p, y, threshold=0.5)
    >>> found.auroc.value, round(found.calibration_factor.value, 3)
    (1.0, 0.0)
    """
    require_both_outcomes(outcome)
    rows = rank_rows(person_id, probability, outcome)
    return summarise(measure_performance(rows, threshold=threshold, draw=draw))


def summarise(measured: Measured) -> Evaluation:
    """The headline metrics of what was measured; a share of nothing is not a number."""
    rows = measured.rows

    def value(name: str) -> float:
        found = measured.estimates.get(name)
        return float("nan") if found is None else found.value

    return Evaluation(
        rows=rows.rows,
        persons=rows.persons,
        events=rows.events,
        prevalence=value("prevalence"),
        alert_rate=value("alert_rate"),
        sensitivity=value("sensitivity"),
        specificity=value("specificity"),
        positive_predictive_value=value("positive_predictive_value"),
        negative_predictive_value=value("negative_predictive_value"),
        auroc=measured.estimates["auroc"],
        auprc=value("auprc"),
        brier=value("brier"),
        log_loss=value("log_loss"),
        calibration_factor=measured.estimates["calibration_factor"],
    )


def require_both_outcomes(outcome: np.ndarray) -> None:
    """Refuse rows of which all or none have the outcome.

    Raises
    ------
    TooSmallError
    """
    events = int(outcome.sum())
    if not 0 < events < outcome.size:
        msg = (
            f"evaluation needs both outcomes (found {in_words(events)} events in "
            f"{in_words(outcome.size)} rows); use a longer test period"
        )
        raise TooSmallError(msg)


def safe_figures(found: Evaluation, *, whole: Evaluation | None = None) -> dict[str, float | str]:
    """All figures as they may be shown: no count is a small cell, and none can be worked out.

    Parameters
    ----------
    found : Evaluation
    whole : Evaluation, optional
        Of all rows, of which those of `found` are a part; its figures are shown too.

    Returns
    -------
    dict
        As `Evaluation.figures`; words where a figure is suppressed. Where few rows are in one of
        the four cells of high risk and outcome, no share of these cells is shown.
    """
    figures: dict[str, float | str] = {**found.figures()}
    for name in ("rows", "persons", "events"):
        figures[name] = shown_count(
            getattr(found, name), whole=None if whole is None else getattr(whole, name)
        )
    if isinstance(figures["events"], int):
        figures["events"] = shown_count(found.events, whole=found.rows)
    if not (found.tellable and isinstance(figures["events"], int)):
        return {key: value if key in _COUNTS else SUPPRESSED for key, value in figures.items()}
    high = round(found.alert_rate * found.rows)
    true_positive = round(found.sensitivity * found.events)
    figures["prevalence"] = shown_share(found.events, found.rows)
    figures["alert_rate"] = shown_share(high, found.rows)
    cells = (
        true_positive,
        high - true_positive,
        found.events - true_positive,
        found.rows - high - found.events + true_positive,
    )
    if any(is_small(cell) for cell in cells):
        figures |= dict.fromkeys(_SHARES_OF_CELLS, SUPPRESSED)
    return figures


_COUNTS = frozenset({"rows", "persons", "events"})
_SHARES_OF_CELLS = (
    "sensitivity",
    "specificity",
    "positive_predictive_value",
    "negative_predictive_value",
)


def calibration_table(
    probability: np.ndarray, outcome: np.ndarray, *, bins: int = 10
) -> pl.DataFrame:
    """Mean predicted and observed risk by quantile of prediction, for display only.

    Returns
    -------
    DataFrame
        ``bin``, ``rows``, ``mean_predicted``, ``observed``; the lowest predictions first.
    """
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if part.size]
    return pl.DataFrame(
        {
            "bin": list(range(1, len(parts) + 1)),
            "rows": [part.size for part in parts],
            "mean_predicted": [float(probability[part].mean()) for part in parts],
            "observed": [float(outcome[part].mean()) for part in parts],
        }
    )
