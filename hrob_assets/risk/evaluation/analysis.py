"""What an evaluation says of one set of rows and of groups, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tag = Literal["pre-specified", "exploratory"]


Unit = Literal["encounter", "patient"]


Verdict = Literal["calibrated", "not calibrated", "undetermined", "too few"]


@dataclass(frozen=True)
class Metric:
    """One figure of one set of rows.

    Parameters
    ----------
    value : float or None
        None where it is suppressed or not defined; `note` says why.
    low, high : float or None
        95 % interval; None where there is too little for one.
    interval : str or None
        How it was made: ``patient-cluster bootstrap``, ``Wilson``, ``Woolf``, ``simultaneous``.
    design_effect : float or None
        Variance by patient over variance by row.
    expected : float or None
        Of ICI, E50, E90 and Emax: the mean value if the model were perfectly calibrated.
    note : str or None
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    interval: str | None = None
    design_effect: float | None = None
    expected: float | None = None
    note: str | None = None


@dataclass(frozen=True)
class Counts:
    """Rows and patients, always together; None where a count is a small cell.

    Parameters
    ----------
    rows, persons, events, high_risk_rows : int or None
        Rows, patients, rows with the outcome, rows at or above the threshold.
    true_positive, false_positive, false_negative, true_negative : int or None
        The four cells; all None where one of them is small.
    """

    rows: int | None
    persons: int | None
    events: int | None
    high_risk_rows: int | None
    true_positive: int | None
    false_positive: int | None
    false_negative: int | None
    true_negative: int | None


@dataclass(frozen=True)
class CurvePoint:
    """A point of the flexible calibration curve (natural spline on the logit)."""

    predicted: float
    observed: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class CalibrationBin:
    """A tenth of the rows by prediction, for display only; None where a cell is small."""

    bin: int
    rows: int | None
    mean_predicted: float | None
    observed: float | None


@dataclass(frozen=True)
class ThresholdRow:
    """What a threshold would do; shares are None where a cell would tell few patients.

    Parameters
    ----------
    threshold : float
    alert_rate, sensitivity, specificity : float or None
    positive_predictive_value, negative_predictive_value : float or None
    net_benefit : float or None
        True positives less false positives times the odds of the threshold, per row.
    net_benefit_low, net_benefit_high : float or None
        95 % interval, patient-cluster bootstrap.
    net_benefit_of_all : float or None
        If everybody were called high risk. Nobody: 0.
    interventions_avoided_per_100 : float or None
        Net, against calling everybody high risk.
    """

    threshold: float
    alert_rate: float | None
    sensitivity: float | None
    specificity: float | None
    positive_predictive_value: float | None
    negative_predictive_value: float | None
    net_benefit: float | None
    net_benefit_low: float | None
    net_benefit_high: float | None
    net_benefit_of_all: float | None
    interventions_avoided_per_100: float | None


@dataclass(frozen=True)
class Analysis:
    """Everything that is measured on one set of rows.

    Parameters
    ----------
    name : str
        In words: ``all rows``, ``race: Black``.
    dimension, level : str or None
        What splits the rows, and the part that this is; None for all rows. Two-way groups join
        both with `` x ``.
    unit : encounter or patient
        Patient: one row of each, the first high-risk one, else the first.
    tag : pre-specified or exploratory
    counts : Counts
    metrics : mapping of str to Metric
        By the names of `definitions` of the report.
    calibration_curve, calibration_bins, thresholds : tuples
        Empty where they are not worked out or may not be shown.
    suppressed : str or None
        Why the figures are null, in words.
    """

    name: str
    dimension: str | None
    level: str | None
    unit: Unit
    tag: Tag
    counts: Counts
    metrics: Mapping[str, Metric]
    calibration_curve: tuple[CurvePoint, ...] = ()
    calibration_bins: tuple[CalibrationBin, ...] = ()
    thresholds: tuple[ThresholdRow, ...] = ()
    suppressed: str | None = None


@dataclass(frozen=True)
class GroupFairness:
    """Calibration of one group, with its verdict.

    Parameters
    ----------
    analysis : Analysis
        At encounter level, patients drawn within the group.
    verdict : str
        ``calibrated``: the interval of the calibration factor lies within the margin on both
        sides of 0. ``not calibrated``: it excludes 0 and the factor is beyond the margin.
        ``undetermined``: neither. ``too few``: under 2 events or 10 patients. Of two-way groups
        the simultaneous interval is taken.
    zero_in_interval : bool or None
        The rule of the Huntsman study, shown beside; it rewards small groups.
    simultaneous_low, simultaneous_high : float or None
        Interval of the calibration factor that holds for all groups of the family at once.
    patients_for_margin : int or None
        Patients at which the interval would be as narrow as the margin on each side, rounded up
        to two digits.
    patients_still_needed : int or None
        Further patients for a verdict if the factor stays what it is, rounded up to two digits;
        0 when there is one; None when the factor stands on the edge or is suppressed.
    """

    analysis: Analysis
    verdict: Verdict
    zero_in_interval: bool | None
    simultaneous_low: float | None
    simultaneous_high: float | None
    patients_for_margin: int | None
    patients_still_needed: int | None


@dataclass(frozen=True)
class ParityGap:
    """The largest difference of a metric between two groups of a dimension.

    Parameters
    ----------
    dimension, metric : str
    highest, lowest : str
        Levels.
    difference : Metric
        Of the two; the interval does not know that they were picked as the extremes.
    """

    dimension: str
    metric: str
    highest: str
    lowest: str
    difference: Metric


@dataclass(frozen=True)
class Allocation:
    """Who is on the list, against who has the need.

    Parameters
    ----------
    dimension, level : str
    share_of_rows, share_of_list, share_of_need : float or None
        Of all rows, of the high-risk rows, of the rows with the outcome.
    list_over_need : Metric
        Share of list over share of need; 1 when help goes where the need is.
    """

    dimension: str
    level: str
    share_of_rows: float | None
    share_of_list: float | None
    share_of_need: float | None
    list_over_need: Metric


@dataclass(frozen=True)
class GroupShare:
    """A share of rows in one group: a value that is missing, or a component of the outcome."""

    subject: str
    dimension: str
    level: str
    share: float | None


@dataclass(frozen=True)
class LabelAudit:
    """Whether the outcome that is measured is the outcome that is meant, by group (R37).

    Parameters
    ----------
    statement : str or None
        What the use case declares; None when it declares nothing, which is a gap.
    is_proxy : bool or None
    sources : mapping of str to str
        By component: the kinds of code that it is read from.
    components : tuple of GroupShare
        Share of rows with each component, by group.
    """

    statement: str | None
    is_proxy: bool | None
    sources: Mapping[str, str]
    components: tuple[GroupShare, ...]


@dataclass(frozen=True)
class AntiClassification:
    """The same model without the columns that name a group.

    Parameters
    ----------
    removed : tuple of str
    auroc, log_loss, calibration_factor : Metric
        With them less without them, on the same rows and draws.
    """

    removed: tuple[str, ...]
    auroc: Metric
    log_loss: Metric
    calibration_factor: Metric


@dataclass(frozen=True)
class FairnessReport:
    """All views of fairness: calibration is the one that decides, the others are shown.

    Parameters
    ----------
    margin : float
        Of the calibration factor.
    dimensions : tuple of str
    groups, two_way : tuple of GroupFairness
    parity : tuple of ParityGap
    allocation : tuple of Allocation
    missing : tuple of GroupShare
        Share of rows in which a value is missing.
    label_audit : LabelAudit or None
    anti_classification : AntiClassification or None
        None until a model without these columns was trained.
    verdicts : mapping of str to int
        Number of one-way groups by verdict.
    """

    margin: float
    dimensions: tuple[str, ...]
    groups: tuple[GroupFairness, ...]
    two_way: tuple[GroupFairness, ...]
    parity: tuple[ParityGap, ...]
    allocation: tuple[Allocation, ...]
    missing: tuple[GroupShare, ...]
    label_audit: LabelAudit | None
    anti_classification: AntiClassification | None
    verdicts: Mapping[Verdict, int]
