"""The one composition of monitoring: a ledger becomes calibration, e-values, alarms and requests.

The weekly assets, the monitoring report and ``hrob monitor`` all call `monitor_ledger`, so a
number is the same wherever it is shown.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from hrob_assets.risk.arms import evaluable_rows, flag_interventions, intervention_caution
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.monitoring.alarm import (
    ALL_ROWS,
    E_VALUES,
    AlarmRule,
    alarms_by_detector,
    compute_e_values,
)
from hrob_assets.risk.monitoring.alarm_rows import alarm_rows
from hrob_assets.risk.monitoring.alarm_simulation import (
    SimulationPlan,
    SiteVolume,
    expected_alarm_behaviour,
)
from hrob_assets.risk.monitoring.calibration import estimate_weekly_calibration, nowcast_weeks
from hrob_assets.risk.monitoring.drift import drift_of_rows
from hrob_assets.risk.monitoring.ledger import Ledger, week_is_over
from hrob_assets.risk.monitoring.update_requests import (
    UPDATE_REQUESTS,
    UpdatePolicy,
    find_update_requests,
)
from hrob_assets.risk.monitoring.weekly_drift import expected_if_calibrated
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import Monitoring, SilentArm

CALIBRATION_WINDOW_WEEKS = 13
"""Weeks whose mature outcomes are pooled in the calibration of a week."""
_NO_ARM = SilentArm()
_MOST_ROWS_A_WEEK = 2000  # bounds the time of the simulation; more rows only speed the alarm up


@dataclass(frozen=True)
class MonitoringSettings:
    """How a ledger is monitored.

    Parameters
    ----------
    tolerance : float, log odds
        A shift of the intercept that is harmless, up or down.
    alarm_weeks : int
        Mean weeks between false alarms, of all detectors together, at least.
    groups : tuple of str
        Columns with a detector for each subgroup.
    features : tuple of str
        Columns whose drift is examined, besides the probability and the groups.
    silent_arm : SilentArm
    update_policy : UpdatePolicy, optional
        When an alarm requests an update; None: never.
    runout_days : int, days, optional
        None: the run-outs were estimated.
    runout_share : float
        Share of outcomes known within the run-out, where it was estimated.
    histories : int
        Histories to simulate for the expected behaviour of the alarm; 0 for none.
    seed : int
        Of the simulated histories and of the PSI by chance.
    """

    tolerance: float = 0.1
    alarm_weeks: int = 260
    groups: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    silent_arm: SilentArm = _NO_ARM
    update_policy: UpdatePolicy | None = None
    runout_days: int | None = None
    runout_share: float = 0.95
    histories: int = 200
    seed: int = 20260105

    @classmethod
    def of_use_case(cls, monitoring: Monitoring) -> "MonitoringSettings":
        """Settings of a use case, as its YAML has them."""
        return cls(
            tolerance=monitoring.tolerance,
            alarm_weeks=monitoring.alarm_weeks,
            groups=monitoring.groups,
            silent_arm=monitoring.silent_arm,
            update_policy=UpdatePolicy(monitoring.cool_down_days, monitoring.minimum_events),
            runout_share=monitoring.runout_share,
        )

    @property
    def alarm_rule(self) -> AlarmRule:
        """The rule of every detector."""
        return AlarmRule(tolerance=self.tolerance, alarm_weeks=self.alarm_weeks)


@dataclass(frozen=True)
class MonitoringInput:
    """What is monitored.

    Parameters
    ----------
    ledger : Ledger
    settings : MonitoringSettings
    columns : DataFrame
        Groups and features of the rows of the ledger, by row key.
    actions : DataFrame, optional
        What people did, as `flag_interventions` takes it; None where nothing was recorded.
    salt : str
        Secret of the silent arm.
    calibrate_from : date, optional
        Monday of the first week whose calibration is wanted; None for all weeks.
    stored_e_values : DataFrame, optional
        `E_VALUES` as the weekly monitoring stored them, on which alarms were raised. None
        computes them from the ledger.
    """

    ledger: Ledger
    settings: MonitoringSettings
    columns: pl.DataFrame
    actions: pl.DataFrame | None = None
    salt: str = ""
    calibrate_from: date | None = None
    stored_e_values: pl.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class MonitoringResult:
    """What a ledger shows about the predictions; exact numbers, which are not for publication.

    Tables that only some readers need are computed when they are first read.

    Parameters
    ----------
    given : MonitoringInput
    rows : DataFrame
        All rows of the ledger with groups, features and interventions.
    evaluable : DataFrame
        Those whose outcomes show whether predictions were right (`evaluable_rows`).
    independent : DataFrame
        Rows of the alarm (`alarm_rows`), with groups.
    e_values : DataFrame
        `E_VALUES` of all weeks that are over.
    alarms : DataFrame
        State of each detector, as `alarms_by_detector` gives it.
    update_requests : DataFrame
        `UPDATE_REQUESTS` of all weeks.
    caution : str, optional
        Caution that goes with every estimate, because people acted on predictions.
    """

    given: MonitoringInput
    rows: pl.DataFrame
    evaluable: pl.DataFrame
    independent: pl.DataFrame
    e_values: pl.DataFrame
    alarms: pl.DataFrame
    update_requests: pl.DataFrame
    caution: str | None

    @property
    def ledger(self) -> Ledger:
        """The ledger that was given, with all its rows."""
        return self.given.ledger

    @property
    def settings(self) -> MonitoringSettings:
        """The settings that were given."""
        return self.given.settings

    @cached_property
    def calibration(self) -> pl.DataFrame:
        """`WEEKLY_CALIBRATION` of weeks that are over, from the first one wanted.

        A week that is not over would change with the next day's outcomes.
        """
        rows = self.evaluable.filter(week_is_over(self.ledger.as_of))
        since = self.given.calibrate_from
        if since is not None:
            first = since - timedelta(weeks=CALIBRATION_WINDOW_WEEKS - 1)
            rows = rows.filter(pl.col("ripe_week") >= first)
        return estimate_weekly_calibration(
            rows,
            groups=self.settings.groups,
            window_weeks=CALIBRATION_WINDOW_WEEKS,
            since=since,
        )

    @cached_property
    def drift(self) -> pl.DataFrame:
        """`DRIFT` of the latest weeks against the first ones, of all rows."""
        return drift_of_rows(
            self.rows,
            features=self.settings.features,
            groups=self.settings.groups,
            as_of=self.ledger.as_of,
            seed=self.settings.seed,
        )

    @cached_property
    def nowcast(self) -> pl.DataFrame:
        """As `nowcast_weeks`."""
        return nowcast_weeks(self.ledger)

    @cached_property
    def expected_if_calibrated(self) -> pl.DataFrame:
        """As `expected_if_calibrated`, of pending rows."""
        return expected_if_calibrated(self.ledger.rows.filter(pl.col("status") == "pending"))

    @property
    def detectors(self) -> int:
        """Detectors that share the budget of false alarms, by now; 0 without e-values."""
        return int(self.e_values["detectors"].to_numpy().max(initial=0))

    @cached_property
    def alarm_behaviour(self) -> pl.DataFrame | None:
        """As `expected_alarm_behaviour`, for this site; None where no histories are wanted."""
        if not self.settings.histories:
            return None
        weekly = self.independent.group_by("week").len().sort("week")["len"].to_numpy()
        site = SiteVolume(
            self.independent["probability"].to_numpy(), np.minimum(weekly, _MOST_ROWS_A_WEEK)
        )
        return expected_alarm_behaviour(
            site,
            self.settings.alarm_rule,
            detectors=self.detectors,
            plan=SimulationPlan(histories=self.settings.histories, seed=self.settings.seed),
        )


def monitor_ledger(given: MonitoringInput) -> MonitoringResult:
    """Monitor all mature outcomes of a ledger.

    Parameters
    ----------
    given : MonitoringInput

    Returns
    -------
    MonitoringResult
        With a silent arm, calibration and e-values use the rows of its patients alone; without
        one, all rows.

    Raises
    ------
    ContractError
        If stored e-values are given that are not of the rows of the ledger.
    """
    ledger, settings = given.ledger, given.settings
    arm = settings.silent_arm
    rows = ledger.rows.join(
        given.columns, on=list(ROW_KEY), how="left", maintain_order="left", validate="1:1"
    )
    rows = flag_interventions(rows, given.actions)
    evaluable = evaluable_rows(rows, arm, salt=given.salt)
    independent = alarm_rows(replace(ledger, rows=evaluable))
    if given.stored_e_values is None:
        e_values = compute_e_values(independent, settings.alarm_rule, groups=settings.groups)
    else:
        e_values = _of_the_ledger(given.stored_e_values, independent, given)
    requests = UPDATE_REQUESTS.empty()
    if settings.update_policy is not None:
        requests = find_update_requests(e_values, independent, settings.update_policy, ledger)
    return MonitoringResult(
        given=given,
        rows=rows,
        evaluable=evaluable,
        independent=independent,
        e_values=e_values,
        alarms=alarms_by_detector(e_values),
        update_requests=requests,
        caution=intervention_caution(rows.filter(pl.col("label").is_not_null()), arm),
    )


def _of_the_ledger(
    stored: pl.DataFrame, independent: pl.DataFrame, given: MonitoringInput
) -> pl.DataFrame:
    """Stored e-values of the weeks that are over, in the order in which they are computed.

    The detector of all rows must have seen exactly the rows that the ledger has now: with a week
    missing, an alarm of that week would go unreported. Subgroups are not compared, because a
    corrected record may move a patient to another subgroup without making past alarms wrong.
    """
    groups = (ALL_ROWS, *given.settings.groups)
    over = pl.col("week") + pl.duration(days=7) <= given.ledger.as_of
    found = stored.filter(over, pl.col("group").is_in(groups))
    seen = found.filter(pl.col("group") == ALL_ROWS).select("model_version", "week", "rows")
    now = independent.group_by("model_version", "week").agg(now=pl.len().cast(pl.Int64))
    both = seen.join(now, on=["model_version", "week"], how="full", coalesce=True)
    differing = both.filter(pl.col("rows").ne_missing(pl.col("now")))["week"].unique().sort()
    if differing.len():
        msg = (
            "the stored e-values must be of the rows of the ledger (found "
            f"{differing.len()} weeks that are missing or of other rows, from {differing[0]} to "
            f"{differing[-1]}); run the weekly monitoring of these weeks again"
        )
        raise ContractError(msg)
    order = pl.col("group").replace_strict(groups, range(len(groups)), return_dtype=pl.Int32)
    return found.sort("model_version", order, "level", "week").select(E_VALUES.schema.keys())
