"""How well a model ranks and how true its probabilities are, with patient-cluster intervals."""

# Scikit-learn has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.small_cells import (
    SMALLEST_CELL,
    SUPPRESSED,
    in_words,
    is_small,
    shown_count,
    shown_share,
)

_REPLICATES = 1000
_AUROC_REPLICATES = 200
_BOUNDS = (0.025, 0.975)
_FEWEST_EVENTS = 2
_FEWEST_PERSONS = 10


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval by patient-cluster bootstrap; None when too few."""

    value: float
    low: float | None
    high: float | None


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
    seed: int,
) -> Evaluation:
    """Evaluate frozen predictions; high risk means probability >= threshold.

    Parameters
    ----------
    person_id : ndarray of int, shape (n_rows,)
        Clusters of the bootstrap.
    probability : ndarray of float, shape (n_rows,)
    outcome : ndarray of bool or 0/1, shape (n_rows,)
    threshold : float
    seed : int
        Of the bootstrap.

    Raises
    ------
    TooSmallError
        If one of the two outcomes does not occur.

    Examples
    --------
    >>> p = np.array([0.1, 0.2, 0.8, 0.9] * 10)
    >>> y = np.array([0, 0, 1, 1] * 10)
    >>> found = evaluate(np.arange(40), p, y, threshold=0.5, seed=1)
    >>> found.auroc.value, round(found.calibration_factor.value, 3)
    (1.0, 0.0)
    """
    observed = outcome.astype(np.int8)
    events = int(observed.sum())
    if not 0 < events < observed.size:
        msg = (
            f"evaluation needs both outcomes (found {in_words(events)} events in "
            f"{in_words(observed.size)} rows); "
            "use a longer test period"
        )
        raise TooSmallError(msg)
    high = probability >= threshold
    true_positive = int((high & (observed == 1)).sum())
    true_negative = int((~high & (observed == 0)).sum())
    return Evaluation(
        rows=observed.size,
        persons=np.unique(person_id).size,
        events=events,
        prevalence=events / observed.size,
        alert_rate=float(high.mean()),
        sensitivity=true_positive / events,
        specificity=true_negative / (observed.size - events),
        positive_predictive_value=_ratio(true_positive, int(high.sum())),
        negative_predictive_value=_ratio(true_negative, int((~high).sum())),
        auroc=auroc(person_id, probability, observed, seed=seed),
        auprc=float(average_precision_score(observed, probability)),
        brier=float(brier_score_loss(observed, probability)),
        log_loss=float(log_loss(observed, probability, labels=[0, 1])),
        calibration_factor=calibration_factor(person_id, probability, observed, seed=seed),
    )


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


def calibration_factor(
    person_id: np.ndarray, probability: np.ndarray, outcome: np.ndarray, *, seed: int
) -> Estimate:
    """Mean predicted minus mean observed risk, with a patient-cluster interval.

    Examples
    --------
    >>> p, y = np.full(40, 0.5), np.tile([0, 1], 20)
    >>> calibration_factor(np.arange(40) // 2, p, y, seed=1)
    Estimate(value=0.0, low=0.0, high=0.0)
    """
    sums = _person_sums(person_id, probability - outcome)
    value = float(np.mean(probability - outcome))
    if outcome.sum() < _FEWEST_EVENTS or sums.shape[0] < _FEWEST_PERSONS:
        return Estimate(value, None, None)
    weights = _person_weights(sums.shape[0], _REPLICATES, seed)
    totals = weights @ sums
    low, high = np.quantile(totals[:, 0] / totals[:, 1], _BOUNDS)
    return Estimate(value, float(low), float(high))


def auroc(
    person_id: np.ndarray, probability: np.ndarray, outcome: np.ndarray, *, seed: int
) -> Estimate:
    """Area under the ROC curve (ties count half), with a patient-cluster interval."""
    value = float(roc_auc_score(outcome, probability))
    persons, position = np.unique(person_id, return_inverse=True)
    if outcome.sum() < _FEWEST_EVENTS or persons.size < _FEWEST_PERSONS:
        return Estimate(value, None, None)
    weights = _person_weights(persons.size, _AUROC_REPLICATES, seed)
    low, high = np.nanquantile(_auroc_draws(position, probability, outcome, weights), _BOUNDS)
    return Estimate(value, float(low), float(high))


def paired_auroc_difference(
    person_id: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    outcome: np.ndarray,
    *,
    seed: int,
) -> Estimate:
    """AUROC of the first minus AUROC of the second model, on the same rows and the same draws.

    Parameters
    ----------
    probabilities : mapping of two names to ndarray of shape (n_rows,)

    Examples
    --------
    >>> y = np.tile([0, 1], 20)
    >>> perfect, useless = np.where(y, 0.9, 0.1), np.full(40, 0.5)
    >>> paired_auroc_difference(np.arange(40), {"a": perfect, "b": useless}, y, seed=1)
    Estimate(value=0.5, low=0.5, high=0.5)
    """
    first, second = probabilities.values()
    value = float(roc_auc_score(outcome, first) - roc_auc_score(outcome, second))
    persons, position = np.unique(person_id, return_inverse=True)
    if outcome.sum() < _FEWEST_EVENTS or persons.size < _FEWEST_PERSONS:
        return Estimate(value, None, None)
    weights = _person_weights(persons.size, _AUROC_REPLICATES, seed)
    one, other = (_auroc_draws(position, p, outcome, weights) for p in (first, second))
    low, high = np.nanquantile(one - other, _BOUNDS)
    return Estimate(value, float(low), float(high))


def _auroc_draws(
    position: np.ndarray, probability: np.ndarray, outcome: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """AUROC under each draw of persons, shape (replicates,)."""
    order = np.argsort(probability, kind="stable")
    sorted_outcome, sorted_position = outcome[order], position[order]
    starts = np.flatnonzero(np.diff(probability[order], prepend=-1.0))
    return np.array([_weighted_auroc(w[sorted_position], sorted_outcome, starts) for w in weights])


def paired_difference(
    person_id: np.ndarray,
    losses: Mapping[str, np.ndarray],
    *,
    seed: int,
) -> Estimate:
    """Mean loss of the first minus mean loss of the second model, on the same rows.

    Parameters
    ----------
    losses : mapping of two names to ndarray of shape (n_rows,)

    Examples
    --------
    >>> a, b = np.full(40, 0.5), np.full(40, 0.4)
    >>> paired_difference(np.arange(40), {"a": a, "b": b}, seed=1).low
    0.1
    """
    first, second = losses.values()
    sums = _person_sums(person_id, first - second)
    totals = _person_weights(sums.shape[0], _REPLICATES, seed) @ sums
    low, high = np.quantile(totals[:, 0] / totals[:, 1], _BOUNDS)
    return Estimate(float(np.mean(first - second)), round(float(low), 12), round(float(high), 12))


def row_log_loss(probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Log loss of each row, with probabilities clipped to [1e-6, 1 - 1e-6]."""
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    return -np.where(outcome == 1, np.log(clipped), np.log1p(-clipped))


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


def seed_of(*names: str) -> int:
    """Return a fixed seed from names, such as a model version and a report.

    Examples
    --------
    >>> seed_of("model 1", "evaluation") == seed_of("model 1", "evaluation")
    True
    """
    return zlib.crc32("|".join(names).encode())


def _ratio(count: int, total: int) -> float:
    return count / total if total else float("nan")


def _person_sums(person_id: np.ndarray, value: np.ndarray) -> np.ndarray:
    persons, position = np.unique(person_id, return_inverse=True)
    sums = np.bincount(position, weights=value, minlength=persons.size)
    return np.column_stack([sums, np.bincount(position, minlength=persons.size)])


def _person_weights(persons: int, replicates: int, seed: int) -> np.ndarray:
    """Multinomial counts of persons, shape (replicates, persons)."""
    generator = np.random.default_rng(seed)
    weights = np.empty((replicates, persons), dtype=np.float32)
    for replicate in range(replicates):
        draw = generator.integers(0, persons, size=persons)
        weights[replicate] = np.bincount(draw, minlength=persons)
    return weights


def _weighted_auroc(weight: np.ndarray, outcome: np.ndarray, starts: np.ndarray) -> float:
    """AUROC of rows sorted by score; `starts` are the first rows of tied scores."""
    positive = np.add.reduceat(weight * outcome, starts, dtype=np.float64)
    negative = np.add.reduceat(weight * (1 - outcome), starts, dtype=np.float64)
    below = np.cumsum(negative) - negative
    total = positive.sum() * negative.sum()
    return float((positive * (below + negative / 2)).sum() / total) if total else float("nan")
