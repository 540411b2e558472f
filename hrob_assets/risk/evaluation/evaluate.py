"""The whole evaluation of a set of predictions: encounters, patients, parts, groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import SMALLEST_CELL
from hrob_assets.risk.evaluation.analysis import (
    Analysis,
    AntiClassification,
    GroupShare,
    LabelAudit,
    Unit,
)
from hrob_assets.risk.evaluation.fairness import UNKNOWN, fairness_report
from hrob_assets.risk.evaluation.glossary import METRICS
from hrob_assets.risk.evaluation.measures import Draw, Measured, measure
from hrob_assets.risk.evaluation.performance import require_both_outcomes
from hrob_assets.risk.evaluation.report import EvaluationReport, Method, Subject
from hrob_assets.risk.evaluation.safe_analysis import (
    Hidden,
    hidden_inside,
    hidden_levels,
    shown_analysis,
)
from hrob_assets.risk.statistics import CONFIDENCE, REPLICATES, rank_rows


@dataclass(frozen=True)
class ReportOptions:
    """What an evaluation looks at besides the rows.

    Parameters
    ----------
    groups : tuple of str
        Columns whose levels are groups.
    margin : float
        Of the calibration factor, for the verdicts.
    replicates : int
    seed : int
        Added to the seed that the rows give (`Draw`).
    era_boundary : date, optional
        First day of the later era: the day of an event less the horizon, so that no outcome
        window of the earlier era reaches beyond the event.
    threads : int, optional
        Has no part in the result.
    """

    groups: tuple[str, ...] = ()
    margin: float = 0.02
    replicates: int = REPLICATES
    seed: int = 0
    era_boundary: date | None = None
    threads: int | None = None

    @property
    def draw(self) -> Draw:
        """How patients are drawn."""
        return Draw(self.replicates, self.seed, self.threads)


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
    require_both_outcomes(scores["outcome"].to_numpy())
    analyses = [
        *_by_unit(scores, subject.threshold, options),
        *_by_part(scores, subject.threshold, options),
    ]
    fairness, rows = None, rank_rows(*_arrays(scores))
    if options.groups:
        fairness = fairness_report(
            rows,
            {name: _levels(scores[name]) for name in options.groups},
            threshold=subject.threshold,
            margin=options.margin,
            draw=options.draw,
            missing=missing,
            label_audit=label_audit,
            anti_classification=anti_classification,
        )
    seed = options.draw.seed_for(rows)
    method = Method(options.replicates, seed, CONFIDENCE, SMALLEST_CELL, _statements(scores))
    return EvaluationReport(subject, method, METRICS, tuple(analyses), fairness)


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
            found = measure(rank_rows(*_arrays(rows)), threshold=threshold, draw=options.draw)
            hidden = hidden_inside(found, whole) if whole is not None else None
            whole = whole or found
            yield shown_analysis(
                found, name=name, unit=unit, tag="pre-specified", hidden=hidden,
                in_detail=hidden is None or hidden is Hidden.NOTHING,
            )  # fmt: skip


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
            level: measure(rank_rows(*_arrays(rows)), threshold=threshold, draw=options.draw)
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
