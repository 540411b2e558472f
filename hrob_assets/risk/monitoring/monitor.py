"""What ripe outcomes say of the predictions: calibration, evidence, alarms, requests."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import polars as pl

from hrob_assets.risk.arms import evaluable_rows, flag_interventions, intervention_caution
from hrob_assets.risk.cohort import group_rows
from hrob_assets.risk.monitoring.alarm import EVERYBODY, AlarmRule, accumulate_evidence
from hrob_assets.risk.monitoring.calibration import calibrate_weeks
from hrob_assets.risk.monitoring.ledger import Ledger, evidence_rows
from hrob_assets.risk.monitoring.shown_weeks import shown_calibration, shown_evidence
from hrob_assets.risk.monitoring.update_requests import (
    Alarm,
    UpdateRequest,
    alarms_of,
    update_requests,
)
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import Monitoring

WINDOW_WEEKS = 13
"""Weeks of ripening whose outcomes are taken together in the calibration of a week."""


@dataclass(frozen=True)
class Watch:
    """What is known at the end of a week.

    Parameters
    ----------
    calibration : DataFrame
        `weekly_calibration.WEEKLY_CALIBRATION` of the weeks asked for.
    evidence : DataFrame
        `alarm.EVIDENCE` of all weeks.
    shown_calibration, shown_evidence : DataFrame
        Both of all rows alone, as they may be told (`shown_weeks`).
    requests : tuple of UpdateRequest
        Of all weeks.
    ripe_after_days : int, days
        From a prediction to its ripe outcome, by the present run-out.
    contamination : str, optional
        What must be said of every figure, because people acted on predictions.
    """

    calibration: pl.DataFrame
    evidence: pl.DataFrame
    shown_calibration: pl.DataFrame
    shown_evidence: pl.DataFrame
    requests: tuple[UpdateRequest, ...]
    ripe_after_days: int
    contamination: str | None = None

    def alarms(self, week: date) -> list[Alarm]:
        """Alarms of one week."""
        return [alarm for alarm in alarms_of(self.evidence) if alarm.week == week]

    def request(self, week: date) -> UpdateRequest | None:
        """The update asked for at the end of one week, if any."""
        return next((request for request in self.requests if request.week == week), None)

    def changed_since(self, alarm: Alarm) -> date:
        """First day of the predictions whose outcomes ripened when the evidence began to grow."""
        return alarm.since - timedelta(days=self.ripe_after_days)


def watch(
    ledger: Ledger,
    *,
    monitoring: Monitoring,
    persons: pl.LazyFrame,
    coverage: pl.LazyFrame,
    since: date,
    features: pl.LazyFrame | None = None,
    actions: pl.DataFrame | None = None,
    salt: str = "",
) -> Watch:
    """Look at all ripe outcomes of a ledger.

    Parameters
    ----------
    ledger : Ledger
    monitoring : Monitoring
    persons, coverage : LazyFrame
        Staged tables, for the groups.
    since : date
        Monday of the first week whose calibration is asked for. Evidence is always of all weeks.
    features : LazyFrame, optional
        As in `groups.group_rows`.
    actions : DataFrame, optional
        What people did, as `feedback.flag_interventions` takes it; None where nothing was recorded.
    salt : str
        Secret of the silent arm.

    Returns
    -------
    Watch
        With a silent arm, of its persons alone. Without one, of all rows.
    """
    flagged = flag_interventions(ledger.rows, actions)
    said = intervention_caution(
        flagged.filter(pl.col("label").is_not_null()), monitoring.silent_arm
    )
    readable = evaluable_rows(flagged, monitoring.silent_arm, salt=salt)
    ledger = replace(ledger, rows=readable)
    independent = evidence_rows(ledger)
    first_window = since - timedelta(weeks=WINDOW_WEEKS - 1)
    recent = ledger.rows.filter(pl.col("ripe_week") >= first_window)
    needed = pl.concat([independent.select(ROW_KEY), recent.select(ROW_KEY)]).unique()
    named = group_rows(
        needed,
        groups=monitoring.groups,
        persons=persons,
        coverage=coverage,
        features=features,
    )
    evidence = accumulate_evidence(
        independent.join(named, on=list(ROW_KEY), maintain_order="left"),
        AlarmRule(monitoring.tolerance, monitoring.alarm_weeks),
        groups=monitoring.groups,
    )
    calibration = calibrate_weeks(
        recent.join(named, on=list(ROW_KEY), maintain_order="left"),
        groups=monitoring.groups,
        window_weeks=WINDOW_WEEKS,
        since=since,
    )
    requests = update_requests(evidence, independent, monitoring)
    ripe_after = ledger.horizon_days + int(ledger.runouts["runout_days"][-1])
    shown = shown_calibration(
        ledger.rows, as_of=ledger.as_of, window_weeks=WINDOW_WEEKS, since=since
    )
    told = shown_evidence(evidence.filter(pl.col("group") == EVERYBODY), independent)
    return Watch(calibration, evidence, shown, told, tuple(requests), ripe_after, said)


def first_sent(scores: pl.DataFrame, judged_from: Mapping[str, datetime]) -> pl.DataFrame:
    """What people got first for each row: a later scoring does not change what was sent.

    Parameters
    ----------
    scores : DataFrame
        `scoring.WEEKLY_SCORES`, all that was ever written.
    judged_from : mapping of str to datetime
        By model version: the first prediction time of which its training saw nothing. Rows before
        it, as a backfill scores them, say nothing of how true the predictions are.

    Returns
    -------
    DataFrame
        One row per row key.

    Examples
    --------
    >>> rows = pl.DataFrame({"person_id": [7, 7], "encounter_id": [1, 1],
    ...     "prediction_time": [datetime(2024, 3, 2)] * 2, "model_version": ["2", "1"],
    ...     "scored_at": [datetime(2024, 3, 12), datetime(2024, 3, 5)]})
    >>> first_sent(rows, {})["model_version"].to_list()
    ['1']
    """
    first = scores.sort("scored_at", "model_version", *ROW_KEY).unique(
        ROW_KEY, keep="first", maintain_order=True
    )
    starts = pl.DataFrame(
        list(judged_from.items()),
        schema={"model_version": pl.String, "judged_from": scores.schema["prediction_time"]},
        orient="row",
    )
    known = first.join(starts, on="model_version", how="left", maintain_order="left")
    judged = pl.col("judged_from").is_null() | (pl.col("prediction_time") >= pl.col("judged_from"))
    return known.filter(judged).drop("judged_from")
