"""What may be published of the monitoring of a ledger, and the summary that `monitoring.json` has.

The summary and the tables hold no person-level value and no count under 11, nor one that
subtraction would give (`shown_weeks`), but for the table ``ledger``, which has one line per row,
known by its number alone: it stays with those who have the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import SMALLEST_CELL, SUPPRESSED, in_words, require_persons
from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.monitoring import (
    ALL_ROWS,
    CALIBRATION_WINDOW_WEEKS,
    FEWEST_FACTS,
    Ledger,
    MonitoringResult,
    censoring_sensitivity,
    current_log_e_value,
    shown_calibration,
    shown_counts,
    shown_evidence,
    shown_pending,
)
from hrob_assets.risk.reporting.pages.monitoring import OF_FEW, what_is_judged, what_is_known

SCHEMA_VERSION = 3
_LARGEST_LOG = 690.7  # exp of it is about 1e300, the largest e-value that is still a number


@dataclass(frozen=True, eq=False)
class PublishedMonitoring:
    """A monitoring result and the tables of it that may be published.

    Parameters
    ----------
    source : str
        What the rows are called.
    result : MonitoringResult
        Exact numbers.
    counts : dict
        As `shown_counts`.
    e_values, calibration : DataFrame
        As `shown_evidence` and `shown_calibration`, of all rows and each subgroup.
    nowcast, expected_if_calibrated : DataFrame
        As `shown_pending`.
    censoring : DataFrame
        `censoring_sensitivity` without its counts; no rows while too few rows are censored.
    """

    source: str
    result: MonitoringResult
    counts: dict[str, int | str | date | None]
    e_values: pl.DataFrame
    calibration: pl.DataFrame
    nowcast: pl.DataFrame
    expected_if_calibrated: pl.DataFrame
    censoring: pl.DataFrame


def publish_monitoring(result: MonitoringResult, *, source: str) -> PublishedMonitoring:
    """Apply disclosure control to a monitoring result.

    Parameters
    ----------
    result : MonitoringResult
    source : str
        What the rows are called.

    Raises
    ------
    TooSmallError
        If mature outcomes in weeks that are over are of fewer than 11 patients.
    """
    ledger, groups = result.ledger, result.settings.groups
    _require_persons(ledger, result.independent)
    nowcast, pending = shown_pending(ledger, result.nowcast, result.expected_if_calibrated)
    counts = shown_counts(ledger, result.evaluable, result.independent)
    return PublishedMonitoring(
        source=source,
        result=result,
        counts=counts,
        e_values=shown_evidence(result.e_values, result.independent, groups=groups),
        calibration=shown_calibration(
            result.evaluable,
            as_of=ledger.as_of,
            groups=groups,
            window_weeks=CALIBRATION_WINDOW_WEEKS,
        ),
        nowcast=nowcast,
        expected_if_calibrated=pending,
        censoring=_published_censoring(ledger, counts),
    )


def _require_persons(ledger: Ledger, independent: pl.DataFrame) -> None:
    require_persons(ledger.rows["person_id"].n_unique(), what="monitoring")
    mature = independent["person_id"].n_unique()
    if mature >= SMALLEST_CELL:
        return
    last = ledger.runouts["runout_days"][-1]
    msg = (
        f"monitoring needs mature outcomes of {SMALLEST_CELL} patients or more in weeks that are "
        f"over (found {in_words(mature) if mature else 'none'} by {ledger.as_of:%Y-%m-%d}; an "
        f"outcome is mature {ledger.horizon_days} + {last} days after its prediction, once it is "
        "known); choose a later --as-of, or give --runout-days"
    )
    raise TooSmallError(msg)


def _published_censoring(
    ledger: Ledger, counts: Mapping[str, int | str | date | None]
) -> pl.DataFrame:
    """`censoring_sensitivity` of the rows that are reported, to two decimals, without counts."""
    until, censored = counts["mature_until"], counts["censored"]
    last = until if isinstance(until, date) else date.min
    mature = ledger.rows.filter(pl.col("ripe_week") <= last)
    found = censoring_sensitivity(replace(ledger, rows=mature)).drop("rows", "censored")
    reportable = not mature.is_empty() and isinstance(censored, int) and censored > 0
    return (found if reportable else found.clear()).with_columns(
        pl.exclude("weights").cast(pl.Float64).round(2)
    )


def monitoring_summary(published: PublishedMonitoring) -> dict[str, Any]:
    """All estimates that may be published, as `monitoring.json` has them.

    Returns
    -------
    dict
        ``schema_version``, ``source``, ``as_of``, ``model_version``, ``settings``, ``counts``,
        ``runout``, ``alarm`` (whether a detector of the version in use has raised one),
        ``overall`` and ``groups`` (state of each detector of the version in use),
        ``earlier_versions``, ``budget``, ``expected_behaviour``, ``calibration`` (the latest
        window of all rows and of each subgroup), ``drift``, ``nowcast``,
        ``expected_if_still_calibrated``, ``censoring`` and ``notes``.
    """
    result = published.result
    ledger, settings = result.ledger, result.settings
    version = ledger.rows.sort("prediction_time", "encounter_id")["model_version"][-1]
    states = _detector_states(published)
    of_version = pl.col("model_version") == version
    now, of_all = states.filter(of_version), pl.col("group") == ALL_ROWS
    overall = now.filter(of_all)
    groups, few = _subgroup_states(result, now)
    return {
        "schema_version": SCHEMA_VERSION,
        "source": published.source,
        "as_of": ledger.as_of.isoformat(),
        "model_version": version,
        "settings": _settings(result),
        "counts": _counts(published),
        "runout": {
            "estimated": settings.runout_days is None,
            "days_now": int(ledger.runouts["runout_days"][-1]),
            "enough_facts_from": FEWEST_FACTS,
        },
        "alarm": bool(now["alarm"].any()),
        "overall": _state(overall.row(0, named=True)) if overall.height else None,
        "groups": groups,
        "earlier_versions": {
            str(row["model_version"]): _state(row)
            for row in states.filter(~of_version, of_all).iter_rows(named=True)
        },
        "budget": _budget(result),
        "expected_behaviour": _records(result.alarm_behaviour),
        "calibration": _records(_latest(published.calibration)),
        "drift": _records(result.drift),
        "nowcast": _records(published.nowcast),
        "expected_if_still_calibrated": _records(published.expected_if_calibrated),
        "censoring": _records(published.censoring),
        "notes": _notes(result, version, few, overall),
    }


def _settings(result: MonitoringResult) -> dict[str, Any]:
    settings = result.settings
    return {
        "horizon_days": result.ledger.horizon_days,
        "runout_days": settings.runout_days,
        "runout_share": settings.runout_share,
        "tolerance": settings.tolerance,
        "alarm_weeks": settings.alarm_weeks,
        "seed": settings.seed,
        "groups": list(settings.groups),
    }


def _budget(result: MonitoringResult) -> dict[str, Any]:
    weeks, alarm_weeks = result.e_values["week"].n_unique(), result.settings.alarm_weeks
    return {
        "alarm_weeks": alarm_weeks,
        "detectors": result.detectors,
        "weeks_with_ripe_outcomes": weeks,
        "false_alarms_at_most": weeks / alarm_weeks,
    }


def _notes(result: MonitoringResult, version: str, few: int, overall: pl.DataFrame) -> list[str]:
    notes: list[str] = []
    if few:
        notes.append(f"Subgroups with a detector but fewer than 11 patients, not reported: {few}.")
    if result.caution is not None:
        notes.append(result.caution)
    if overall.is_empty():
        notes.append(f"Version {version} has no mature outcome yet, so nothing is known about it.")
    return notes


def _counts(published: PublishedMonitoring) -> dict[str, Any]:
    """Rows by status as they may be published; pending ones of the weeks that are reported."""
    weeks = published.expected_if_calibrated["rows"].drop_nulls()
    some = published.result.ledger.counts()["pending"] > 0
    pending = SUPPRESSED if some and weeks.is_empty() else int(weeks.sum())
    counts = published.counts | {"pending": pending}
    return {name: _plain(value) for name, value in counts.items()}


def _detector_states(published: PublishedMonitoring) -> pl.DataFrame:
    """State of each detector; its e-value is that of the last week that may be published."""
    latest = published.e_values.group_by("model_version", "group", "level").agg(
        pl.col("week").last().alias("last_week"), log_evidence=current_log_e_value()
    )
    return published.result.alarms.drop("last_week", "log_evidence").join(
        latest, on=["model_version", "group", "level"], how="left", maintain_order="left"
    )


def _subgroup_states(result: MonitoringResult, now: pl.DataFrame) -> tuple[dict[str, Any], int]:
    """States of the detectors of subgroups, and how many are left out because they are small."""
    found: dict[str, Any] = {name: {} for name in result.settings.groups}
    few = 0
    for row in now.filter(pl.col("group") != ALL_ROWS).iter_rows(named=True):
        inside = result.independent[row["group"]].fill_null("Unknown") == row["level"]
        if result.independent.filter(inside)["person_id"].n_unique() < SMALLEST_CELL:
            few += 1
        else:
            found[row["group"]][row["level"]] = _state(row)
    return found, few


def _state(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "alarm": row["alarm"],
        "week": _iso(row["alarm_week"]),
        "direction": row["direction"],
        "began_about": _iso(row["since"]),
        "alarms": row["alarms"],
        "evidence_at_alarm": _exp(row["log_evidence_at_alarm"]),
        "evidence": _exp(row["log_evidence"]),
        "alarm_level": _exp(row["log_level"]),
        "last_week": _iso(row["last_week"]),
    }


def _exp(logarithm: float | None) -> float | None:
    """The e-value of its logarithm, to six digits."""
    return None if logarithm is None else float(f"{np.exp(min(logarithm, _LARGEST_LOG)):.6g}")


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _latest(calibration: pl.DataFrame) -> pl.DataFrame:
    return calibration.group_by("group", "level", maintain_order=True).last()


def _records(frame: pl.DataFrame | None) -> list[dict[str, Any]]:
    """Rows as JSON can hold them."""
    rows = [] if frame is None else frame.to_dicts()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return _iso(value) if isinstance(value, date) else value


def monitoring_tables(published: PublishedMonitoring) -> dict[str, pl.DataFrame]:
    """What is written as Parquet, by file name."""
    result = published.result
    chosen = result.independent["encounter_id"]
    ledger = result.ledger.rows.select(
        pl.col("encounter_id").alias("row"),
        *("prediction_time", "week", "model_version", "status", "label", "ripe_at", "ripe_week"),
        pl.col("encounter_id").is_in(chosen.implode()).alias("in_evidence"),
    )
    few = pl.col("facts").is_between(1, SMALLEST_CELL - 1)
    found = {
        "ledger": ledger,
        "runouts": result.ledger.runouts.with_columns(pl.when(~few).then("facts").alias("facts")),
        "evidence": published.e_values,
        "calibration": published.calibration,
        "drift": result.drift,
        "nowcast": published.nowcast,
        "expected_if_still_calibrated": published.expected_if_calibrated,
    }
    if result.alarm_behaviour is not None:
        found["expected_behaviour"] = result.alarm_behaviour
    return found


def monitoring_lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary as a few lines of text, for a terminal."""
    budget = summary["budget"]
    expected = (
        f"Budget: at most {budget['false_alarms_at_most']:.2f} false alarms are to be expected "
        f"of {budget['detectors']} detectors in {budget['weeks_with_ripe_outcomes']} weeks."
    )
    known = what_is_known(summary["counts"], summary["as_of"][:10])
    lines = [known, what_is_judged(summary), expected]
    for row in summary["expected_behaviour"]:
        if row["shift"] > 0 and not row["harmless"]:
            weeks = row["median_delay_weeks"]
            after = "not in half of the histories" if weeks is None else f"{weeks:.0f} weeks"
            lines.append(f"A shift of {row['shift']:g} would be found after (median): {after}.")
    raised = _alarm_lines(summary)
    drifted = [row["column"] for row in summary["drift"] if row["drifted"]]
    lines += [*raised, f"Drift of inputs: {', '.join(drifted) or 'none beyond chance and 0.1'}."]
    if not raised:
        lines.append(f"ALARM {OF_FEW}." if summary["alarm"] else "No calibration alarm.")
    return [*lines, *summary["notes"]]


def _alarm_lines(summary: Mapping[str, Any]) -> list[str]:
    states = [("all rows", summary["overall"])] if summary["overall"] else []
    for group, subgroups in summary["groups"].items():
        states += [(f"{group} {subgroup}", state) for subgroup, state in subgroups.items()]
    return [
        f"ALARM, {name}: {state['direction']}, week of {state['week']}, e-value "
        f"{state['evidence_at_alarm']:.4g} at an alarm threshold of {state['alarm_level']:.4g}, "
        f"began about {state['began_about']}."
        for name, state in states
        if state["alarm"]
    ]
