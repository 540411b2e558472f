"""How well a model ranks and how true its probabilities are, with patient-cluster intervals.

`evaluate_scores` makes the whole report of a set of predictions; `evaluate` the few figures by
which a challenger is judged; `paired_differences` compares two models on the same rows.
"""

# Scikit-learn has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from hrob_assets.risk.disclosure import (
    SMALLEST_CELL,
    SUPPRESSED,
    in_words,
    is_small,
    shown_count,
    shown_share,
)
from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.evaluation.fairness import UNKNOWN, fairness_report
from hrob_assets.risk.evaluation.glossary import METRICS
from hrob_assets.risk.evaluation.measures import Draw, Measured, measure, row_columns
from hrob_assets.risk.evaluation.report import (
    Analysis,
    AntiClassification,
    EvaluationReport,
    GroupShare,
    LabelAudit,
    Method,
    Subject,
    Unit,
)
from hrob_assets.risk.evaluation.safe_analysis import (
    Hidden,
    hidden_inside,
    hidden_levels,
    shown_analysis,
)
from hrob_assets.risk.statistics import (
    CLIP,
    CONFIDENCE,
    REPLICATES,
    Estimate,
    estimate,
    interval,
    net_benefit,
    rank_rows,
    replicate,
    resampled_sums,
    seed_of,
)

__all__ = ["Estimate", "Evaluation", "evaluate", "evaluate_scores", "seed_of"]


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
    _require_both(observed)
    events = int(observed.sum())
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
    rows = rank_rows(person_id, probability, outcome)
    value = float(np.mean(probability - outcome))
    if not rows.has_interval:
        return Estimate(value, None, None)
    columns = np.column_stack([np.ones(rows.rows), rows.probability - rows.outcome])
    sums = resampled_sums(rows.person, columns, replicates=REPLICATES, seed=seed)
    return estimate(value, sums[:, 1] / sums[:, 0])


def auroc(
    person_id: np.ndarray, probability: np.ndarray, outcome: np.ndarray, *, seed: int
) -> Estimate:
    """Area under the ROC curve (ties count half), with a patient-cluster interval."""
    value = float(roc_auc_score(outcome, probability))
    return estimate(value, _draws(person_id, probability, outcome, 0.5, seed).get("auroc"))


def paired_differences(
    person_id: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    outcome: np.ndarray,
    *,
    thresholds: Mapping[str, float],
    seed: int,
    replicates: int = REPLICATES,
) -> dict[str, Estimate]:
    """First minus second model in every metric of a gate, on the same rows and the same draws.

    Parameters
    ----------
    person_id : ndarray of int, shape (n_rows,)
    probabilities : mapping of two names to ndarray of shape (n_rows,)
    outcome : ndarray of bool or 0/1, shape (n_rows,)
    thresholds : mapping of the two names to float
        Of high risk. Both net benefits weigh false alarms by the odds of the first one.
    seed, replicates : int

    Returns
    -------
    dict of str to Estimate
        ``auroc``, ``auprc``, ``log_loss``, ``brier`` and ``net_benefit``. A loss below 0, and an
        area or benefit above 0, speak for the first.

    Examples
    --------
    >>> y = np.tile([0, 1], 20)
    >>> both = {"perfect": np.where(y, 0.9, 0.1), "useless": np.full(40, 0.5)}
    >>> found = paired_differences(np.arange(40), both, y,
    ...     thresholds={"perfect": 0.5, "useless": 0.5}, seed=1)
    >>> found["auroc"], found["brier"].value
    (Estimate(value=0.5, low=0.5, high=0.5), -0.24)
    """
    first, second = probabilities
    odds = thresholds[first]
    values: list[dict[str, np.ndarray]] = []
    draws: list[dict[str, np.ndarray]] = []
    for name in (first, second):
        given = (person_id, probabilities[name], outcome, thresholds[name])
        values.append(_whole(*given, odds=odds))
        draws.append(_draws(*given, seed, odds=odds, replicates=replicates))
    return {
        metric: estimate(
            round(float(values[0][metric][0] - values[1][metric][0]), 12),
            draws[0][metric] - draws[1][metric] if draws[0] else None,
        )
        for metric in values[0]
    }


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
    thresholds = dict.fromkeys(probabilities, 0.5)
    return paired_differences(person_id, probabilities, outcome, thresholds=thresholds, seed=seed)[
        "auroc"
    ]


def _draws(
    person_id: np.ndarray,
    probability: np.ndarray,
    outcome: np.ndarray,
    threshold: float,
    seed: int,
    *,
    odds: float | None = None,
    replicates: int = REPLICATES,
) -> dict[str, np.ndarray]:
    """The metrics of a gate in every replicate; empty where there is too little."""
    rows = rank_rows(person_id, probability, outcome)
    if not rows.has_interval:
        return {}
    cuts = np.array([rows.at_least(threshold)])
    drawn = replicate(rows, columns=row_columns(rows), cuts=cuts, replicates=replicates, seed=seed)
    hits, alerts = drawn.events_above[:, 0], drawn.rows_above[:, 0]
    count, _, _, squared, loss = drawn.sums.T
    return {
        "auroc": drawn.auroc,
        "auprc": drawn.auprc,
        "log_loss": loss / count,
        "brier": squared / count,
        "net_benefit": net_benefit(hits, alerts - hits, count, odds or threshold),
    }


def _whole(
    person_id: np.ndarray,
    probability: np.ndarray,
    outcome: np.ndarray,
    threshold: float,
    *,
    odds: float,
) -> dict[str, np.ndarray]:
    observed, high = outcome.astype(np.int8), probability >= threshold
    hits = float((high & (observed == 1)).sum())
    benefit = net_benefit(hits, float(high.sum()) - hits, float(person_id.size), odds)
    return {
        "auroc": np.array([roc_auc_score(observed, probability)]),
        "auprc": np.array([average_precision_score(observed, probability)]),
        "log_loss": np.array([row_log_loss(probability, observed).mean()]),
        "brier": np.array([brier_score_loss(observed, probability)]),
        "net_benefit": np.array([benefit]),
    }


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
    columns = np.column_stack([np.ones(first.size), first - second])
    sums = resampled_sums(person_id, columns, replicates=REPLICATES, seed=seed)
    low, high = interval(sums[:, 1] / sums[:, 0])
    return Estimate(float(np.mean(first - second)), low, high)


def row_log_loss(probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Log loss of each row, with probabilities clipped to [1e-6, 1 - 1e-6]."""
    clipped = np.clip(probability, CLIP, 1 - CLIP)
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


def _ratio(count: int, total: int) -> float:
    return count / total if total else float("nan")


@dataclass(frozen=True)
class ReportOptions:
    """What an evaluation looks at besides the rows.

    Parameters
    ----------
    groups : tuple of str
        Columns whose levels are groups.
    margin : float
        Of the calibration factor, for the verdicts.
    replicates, seed : int
    era_boundary : date, optional
        First day of the later era: the day of an event less the horizon, so that no outcome
        window of the earlier era reaches beyond the event.
    threads : int, optional
        Has no part in the result.
    """

    groups: tuple[str, ...] = ()
    margin: float = 0.02
    replicates: int = 2000
    seed: int = 0
    era_boundary: date | None = None
    threads: int | None = None


def era_boundary(event: date | None, *, horizon_days: int) -> date | None:
    """First day of the later era: outcome windows of the earlier one end before the event.

    Examples
    --------
    >>> era_boundary(date(2020, 3, 13), horizon_days=60)
    datetime.date(2020, 1, 13)
    """
    return None if event is None else event - timedelta(days=horizon_days)


def evaluate_scores(
    scores: pl.DataFrame,
    *,
    subject: Subject,
    options: ReportOptions,
    missing: Sequence[GroupShare] = (),
    label_audit: LabelAudit | None = None,
    anti_classification: AntiClassification | None = None,
) -> EvaluationReport:
    """Evaluate predictions of any model: all that `evaluation.json` tells, small cells hidden.

    Parameters
    ----------
    scores : DataFrame
        ``person_id`` (integer), ``probability`` and ``outcome`` (0/1 or Boolean); optional
        ``prediction_time``, ``person_seen`` (Boolean: training has a row of the patient) and the
        columns of the groups. One row per encounter.
    subject : Subject
    options : ReportOptions
    missing, label_audit, anti_classification
        Of fairness, found elsewhere.

    Raises
    ------
    TooSmallError
        If one of the two outcomes does not occur.
    """
    _require_both(scores["outcome"].to_numpy())
    analyses = [
        *_by_unit(scores, subject.threshold, options),
        *_by_part(scores, subject.threshold, options),
    ]
    fairness = None
    if options.groups:
        rows = rank_rows(*_arrays(scores))
        fairness = fairness_report(
            rows,
            {name: _levels(scores[name]) for name in options.groups},
            threshold=subject.threshold,
            margin=options.margin,
            draw=Draw(options.replicates, options.seed, options.threads),
            missing=missing,
            label_audit=label_audit,
            anti_classification=anti_classification,
        )
    method = Method(
        options.replicates, options.seed, CONFIDENCE, SMALLEST_CELL, _statements(scores)
    )
    return EvaluationReport(subject, method, METRICS, tuple(analyses), fairness)


def _require_both(outcome: np.ndarray) -> None:
    events = int(outcome.sum())
    if not 0 < events < outcome.size:
        msg = (
            f"evaluation needs both outcomes (found {in_words(events)} events in "
            f"{in_words(outcome.size)} rows); use a longer test period"
        )
        raise TooSmallError(msg)


def _arrays(scores: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        scores["person_id"].to_numpy(),
        scores["probability"].to_numpy(),
        scores["outcome"].cast(pl.Int8).to_numpy(),
    )


def _levels(column: pl.Series) -> np.ndarray:
    text = column.cast(pl.String).fill_null(UNKNOWN)
    return np.asarray(text.to_list(), dtype=np.str_)


def index_rows(scores: pl.DataFrame, *, threshold: float) -> pl.DataFrame:
    """One row of each patient: the first high-risk one, else the first.

    Parameters
    ----------
    scores : DataFrame
        In the order of time within a patient, unless ``prediction_time`` says it.
    threshold : float

    Examples
    --------
    >>> scores = pl.DataFrame({"person_id": [1, 1, 2, 2], "probability": [0.1, 0.6, 0.3, 0.2],
    ...     "outcome": [0, 1, 0, 1]})
    >>> index_rows(scores, threshold=0.5)["probability"].to_list()
    [0.6, 0.3]
    """
    time = ["prediction_time"] if "prediction_time" in scores.columns else []
    low = (pl.col("probability") < threshold).alias("_low")
    ordered = scores.with_row_index("_row").with_columns(low).sort("_low", *time, "_row")
    return ordered.unique("person_id", keep="first").sort("_row").drop("_row", "_low")


def _by_unit(scores: pl.DataFrame, threshold: float, options: ReportOptions) -> Iterator[Analysis]:
    patients = index_rows(scores, threshold=threshold)
    units: tuple[tuple[Unit, str, pl.DataFrame], ...] = (
        ("encounter", "all rows", scores),
        ("patient", "one row of each patient", patients),
    )
    whole: Measured | None = None
    for unit, name, rows in units:
        if 0 < rows["outcome"].cast(pl.Int8).sum() < rows.height:
            draw = _draw(options, unit)
            found = measure(rank_rows(*_arrays(rows)), threshold=threshold, draw=draw)
            hidden = hidden_inside(found, whole) if whole is not None else None
            whole = whole or found
            yield shown_analysis(
                found, name=name, unit=unit, tag="pre-specified", hidden=hidden,
                in_detail=hidden is None or hidden is Hidden.NOTHING,
            )  # fmt: skip


def _draw(options: ReportOptions, *names: str) -> Draw:
    seed = seed_of(str(options.seed), *names) if names[0] != "encounter" else options.seed
    return Draw(options.replicates, seed, options.threads)


def _by_part(scores: pl.DataFrame, threshold: float, options: ReportOptions) -> Iterator[Analysis]:
    """By era and by overlap with training, where they are known; each part on its own draws."""
    parts: list[tuple[str, str, pl.Expr]] = []
    if "person_seen" in scores.columns:
        parts += [
            ("overlap with training", "patients not seen in training", ~pl.col("person_seen")),
            ("overlap with training", "patients seen in training", pl.col("person_seen")),
        ]
    if options.era_boundary is not None and "prediction_time" in scores.columns:
        day, boundary = pl.col("prediction_time").cast(pl.Date), options.era_boundary
        parts += [
            ("era", f"before {boundary.isoformat()}", day < boundary),
            ("era", f"from {boundary.isoformat()}", day >= boundary),
        ]
    for dimension in dict.fromkeys(part[0] for part in parts):
        found = {
            level: measure(
                rank_rows(*_arrays(rows)),
                threshold=threshold,
                draw=_draw(options, dimension, level),
            )
            for of, level, which in parts
            if of == dimension and (rows := scores.filter(which)).height
        }
        hidden = hidden_levels(list(found.values()))
        for (level, measured), hide in zip(found.items(), hidden, strict=True):
            tag = "exploratory" if dimension == "era" else "pre-specified"
            yield shown_analysis(
                measured, name=f"{dimension}: {level}", unit="encounter", tag=tag,
                dimension=dimension, level=level, hidden=hide,
            )  # fmt: skip


def _statements(scores: pl.DataFrame) -> tuple[str, ...]:
    time = (
        "in the order of the prediction time"
        if "prediction_time" in scores.columns
        else "in the order of the rows, because no time was given"
    )
    return tuple(text.format(time=time, largest=SMALLEST_CELL - 1) for text in _STATEMENTS)


_STATEMENTS = """\
High risk means a probability at or above the threshold.
Encounter level: intervals are percentiles 2.5 and 97.5 of a bootstrap that draws patients with \
replacement and takes all their rows; of a group, within the group. Nothing is resampled inside \
a patient.
Patient level: one row of each patient, the first high-risk one, else the first, {time}; shares \
have Wilson's interval and the odds ratio Woolf's.
The design effect is the variance with patients as clusters over that with independent rows, \
both linearised.
The flexible curve is a logistic regression on a natural spline of the logit with 5 knots, fewer \
where one outcome has under 40 rows. In each replicate it is fitted again, on up to 512 narrow \
bins of the logit and with the knots of all rows.
The expected value of ICI, E50, E90 and Emax is their mean in 200 worlds in which each outcome \
is drawn from its own prediction.
Two-way groups are exploratory and judged by simultaneous intervals, which hold for all of them \
at once (max-t bootstrap).
Counts of 1 to {largest}, and what would give them away, are null.
""".splitlines()
