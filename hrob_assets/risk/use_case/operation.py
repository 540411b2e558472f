"""How a use case runs: acceptance, fairness, weekly list and monitoring."""

from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from hrob_assets.risk.use_case.constraints import STRICT, Days

MetricName = Literal["log_loss", "auroc", "net_benefit", "brier"]
GroupName = Literal["race", "ethnicity", "gender", "age_band", "payer", "area_deprivation"]
GROUP_NAMES: tuple[str, ...] = get_args(GroupName)


@dataclass(frozen=True, config=STRICT)
class Acceptance:
    """What a model must show on the frozen rows of its evaluation to score people.

    Parameters
    ----------
    minimum_auroc, maximum_auroc : float
    maximum_absolute_calibration_factor : float
        Of mean predicted minus mean observed risk.
    maximum_observed_over_expected : float
        Expected events are at most so many times those that occur, and at least one over it.
    minimum_slope, maximum_slope : float
        Of the outcome on the log-odds; below 1 the predictions are too extreme.
    metric : str
        In which a challenger must be better than the champion, on the same rows.
    margin : float
        By more than this.
    guard : str
        Metric in which it must not be worse.
    non_inferiority : float
        By more than this.
    false_promotion_rate : float
        How often, at most, a challenger that is only as good may be promoted: the one-sided level
        of both intervals.
    fairness_margin : float
        A group with a calibration factor beyond it vetoes, if it is further off than before.
    """

    minimum_auroc: Annotated[float, Field(ge=0.5, lt=1)]
    maximum_auroc: Annotated[float, Field(gt=0.5, le=1)]
    maximum_absolute_calibration_factor: Annotated[float, Field(gt=0, lt=1)]
    maximum_observed_over_expected: Annotated[float, Field(gt=1, le=10)]
    minimum_slope: Annotated[float, Field(gt=0, lt=1)]
    maximum_slope: Annotated[float, Field(gt=1, le=10)]
    metric: MetricName
    margin: Annotated[float, Field(ge=0, lt=1)]
    guard: MetricName
    non_inferiority: Annotated[float, Field(ge=0, lt=1)]
    false_promotion_rate: Annotated[float, Field(ge=0.001, le=0.25)]
    fairness_margin: Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, config=STRICT)
class LabelStatement:
    """Whether the outcome that is measured stands for another one that is meant, and why not.

    Parameters
    ----------
    statement : str
        How the outcome is measured, for whom it may be missed, and what follows.
    is_proxy : bool
        Whether it is a stand-in, such as cost for need.
    """

    statement: str
    is_proxy: bool


@dataclass(frozen=True, config=STRICT)
class Fairness:
    """Groups for which calibration is looked at, and how.

    Parameters
    ----------
    groups : tuple of str
    margin : float
        A calibration factor whose interval lies within it on both sides of 0 is calibrated.
    replicates : int
        Of the bootstrap of the report.
    era_event : date, optional
        Day of an event by which the test period is split, less the horizon; exploratory.
    label_audit : LabelStatement, optional
        Shown as a gap where it is not given.
    """

    groups: tuple[GroupName, ...]
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    replicates: Annotated[int, Field(ge=100, le=100_000)] = 2000
    era_event: date | None = None
    label_audit: LabelStatement | None = None


@dataclass(frozen=True, config=STRICT)
class Scoring:
    """The weekly list: when it is made, how many people can be reviewed, how many reasons.

    Parameters
    ----------
    cron : str
        In UTC.
    reviews_per_week : int
    reasons : int
    late_after_hours : int, hours
        People are told when the list is not there so long after its schedule.
    """

    cron: str
    reviews_per_week: Annotated[int, Field(ge=1)]
    reasons: Annotated[int, Field(ge=1, le=10)]
    late_after_hours: Annotated[int, Field(ge=1, le=24 * 6)] = 6


@dataclass(frozen=True, config=STRICT)
class SilentArm:
    """The share of persons whose high risk is not shown, so that calibration can be seen.

    Needs the name of whoever answers for it; 0 shows everybody to the nurses.
    """

    share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    signed_off_by: str | None = None

    @model_validator(mode="after")
    def _is_signed(self) -> "SilentArm":
        if self.share > 0 and not (self.signed_off_by or "").strip():
            msg = (
                f"a silent arm must be signed off (share {self.share} without a name); "
                "give signed_off_by, or set share to 0"
            )
            raise ValueError(msg)
        return self


@dataclass(frozen=True, config=STRICT)
class Monitoring:
    """When outcomes are mature, what counts as drift, and how often an alarm may be false.

    Parameters
    ----------
    tolerance : float, log odds
        A shift of the intercept that is harmless, up or down.
    alarm_weeks : int
        Mean weeks between false alarms, of all detectors together, at least.
    groups : tuple of str
        Groups with a detector for each of their levels, beside the one of all rows.
    runout_share : float
        Share of outcome facts that are known when the run-out, estimated anew each month, ends;
        the run-out of the outcome is its lower bound.
    cool_down_days : int, days
        No second update is asked for within these.
    minimum_events : int
        Ripe events before an update is asked for.
    sudden_weeks : int
        A change that is complete within these is sudden.
    cron : str
        When ledger, calibration and alarm are made, in UTC: after the list.
    silent_arm : SilentArm
    """

    tolerance: Annotated[float, Field(ge=0, lt=1)]
    alarm_weeks: Annotated[int, Field(ge=4)]
    groups: tuple[GroupName, ...]
    runout_share: Annotated[float, Field(ge=0.9, le=0.95)]
    cool_down_days: Days
    minimum_events: Annotated[int, Field(ge=1)]
    sudden_weeks: Annotated[int, Field(ge=1)]
    cron: str = "0 13 * * 1"
    silent_arm: SilentArm = SilentArm()
