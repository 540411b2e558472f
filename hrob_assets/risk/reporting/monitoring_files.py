"""Ledger, drift, calibration and alarm of any time-stamped score file, and what is written of them.

What is written holds no person-level value and no count under 11, nor one that subtraction would
give (`shown_weeks`), but for `ledger.parquet`, which has one line per row of the file, known by its
number alone: it stays with those who have the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import SMALLEST_CELL, SUPPRESSED, in_words, require_persons
from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.files import OutcomeColumns, require_as_of, whole_folder
from hrob_assets.risk.monitoring import (
    EVERYBODY,
    FEWEST_FACTS,
    MOST_DAYS,
    AlarmRule,
    Histories,
    Ledger,
    SiteVolume,
    accumulate_evidence,
    alarms_by_detector,
    censoring_sensitivity,
    compare_columns,
    estimate_runouts,
    evidence_rows,
    expected_behaviour,
    expected_if_calibrated,
    fixed_runout,
    ledger_of_known_outcomes,
    nowcast_weeks,
    shown_calibration,
    shown_counts,
    shown_evidence,
    shown_pending,
)
from hrob_assets.risk.reporting.pages.monitoring import (
    OF_FEW,
    monitoring_page,
    what_is_judged,
    what_is_known,
)
from hrob_assets.risk.windows import known_by

SCHEMA_VERSION = 3
SUMMARY, REPORT = "monitoring.json", "monitoring.html"
RECENT_WEEKS = 13
REFERENCE_WEEKS = 26
_MOST_ROWS_A_WEEK = 2000


@dataclass(frozen=True)
class MonitoringPlan:
    """What is asked for.

    Parameters
    ----------
    as_of : datetime (UTC)
        What became known from then on is not looked at.
    horizon_days : int, days
    runout_days : int, days, optional
        None: estimated from the file, each month.
    runout_share : float
        Of outcomes known within the run-out, where it is estimated.
    tolerance : float, log odds
    alarm_weeks : int
    histories : int
        Simulated, to tell how the alarm behaves at this volume; 0 for none.
    seed : int
    """

    as_of: datetime
    horizon_days: int = 60
    runout_days: int | None = None
    runout_share: float = 0.95
    tolerance: float = 0.1
    alarm_weeks: int = 260
    histories: int = 200
    seed: int = 20260105


@dataclass(frozen=True)
class Monitored:
    """All numbers of one look at a score file; see the functions that make them.

    ``evidence`` and ``alarms`` are whole; ``counts``, ``shown_evidence``, ``calibration``,
    ``nowcast``, ``unripe`` and ``censoring`` are as they may be told.
    """

    source: str
    plan: MonitoringPlan
    columns: OutcomeColumns
    ledger: Ledger
    counts: dict[str, int | str | date | None]
    independent: pl.DataFrame
    evidence: pl.DataFrame
    alarms: pl.DataFrame
    shown_evidence: pl.DataFrame
    calibration: pl.DataFrame
    nowcast: pl.DataFrame
    unripe: pl.DataFrame
    drift: pl.DataFrame
    censoring: pl.DataFrame
    behaviour: pl.DataFrame | None
    caution: str | None = None


def monitor_rows(
    rows: pl.DataFrame, columns: OutcomeColumns, plan: MonitoringPlan, *, source: str
) -> Monitored:
    """Run ledger, drift, calibration and alarm on checked rows.

    Parameters
    ----------
    rows : DataFrame
        From `outcome_file.read_outcomes`.
    columns : OutcomeColumns
    plan : MonitoringPlan
    source : str
        What the rows are called.

    Raises
    ------
    ConfigurationError
        If nothing was predicted by then.
    TooSmallError
        If no outcome is ripe in a week that is over, or those are of fewer than 11 persons.
    """
    require_as_of(rows, plan.as_of)
    ledger = ledger_of_known_outcomes(
        rows, horizon_days=plan.horizon_days, runouts=file_runouts(rows, plan), as_of=plan.as_of
    )
    extra = [*dict.fromkeys([*columns.groups, *columns.features])]
    named = ledger.rows.join(rows.select("encounter_id", *extra), on="encounter_id", how="left")
    return monitor_ledger(ledger, named, columns, plan, source=source)


def monitor_ledger(
    ledger: Ledger,
    named: pl.DataFrame,
    columns: OutcomeColumns,
    plan: MonitoringPlan,
    *,
    source: str,
    readable: pl.DataFrame | None = None,
    caution: str | None = None,
) -> Monitored:
    """Drift, calibration and alarm of a ledger.

    Parameters
    ----------
    ledger : Ledger
    named : DataFrame
        Its rows, with the groups and features of `columns`.
    columns : OutcomeColumns
    plan : MonitoringPlan
    source : str
        What the rows are called.
    readable : DataFrame, optional
        Those of `named` from which calibration and evidence can be read while people act on what
        is predicted, from `feedback.readable_rows`. None: all.
    caution : str, optional
        What must be said of the figures because of it.

    Raises
    ------
    TooSmallError
        If no outcome is ripe in a week that is over, or those are of fewer than 11 persons.
    """
    readable = named if readable is None else readable
    independent = evidence_rows(Ledger(readable, ledger.runouts, plan.horizon_days, plan.as_of))
    _require_persons(ledger, independent)
    rule = AlarmRule(tolerance=plan.tolerance, alarm_weeks=plan.alarm_weeks)
    evidence = accumulate_evidence(independent, rule, groups=columns.groups)
    nowcast, unripe = shown_pending(
        ledger,
        nowcast_weeks(ledger),
        expected_if_calibrated(ledger.rows.filter(pl.col("status") == "pending")),
    )
    counts = shown_counts(ledger, readable, independent)
    return Monitored(
        source=source,
        plan=plan,
        columns=columns,
        ledger=ledger,
        counts=counts,
        independent=independent,
        evidence=evidence,
        alarms=alarms_by_detector(evidence),
        shown_evidence=shown_evidence(evidence, independent, groups=columns.groups),
        calibration=shown_calibration(
            readable, as_of=plan.as_of, groups=columns.groups, window_weeks=RECENT_WEEKS
        ),
        nowcast=nowcast,
        unripe=unripe,
        drift=_drift(named, columns, plan),
        censoring=_shown_censoring(ledger, counts),
        behaviour=_behaviour(independent, rule, int(evidence["detectors"].to_numpy().max()), plan),
        caution=caution,
    )


def file_runouts(rows: pl.DataFrame, plan: MonitoringPlan) -> pl.DataFrame:
    """Run-outs of a file: what was asked for, or by how long after the horizon outcomes are known.

    Outcomes and their absence wait apart, and the slower of the two decides: were rows taken as
    soon as they are known, the first of them would all have the outcome. As long as not both
    have been seen often enough, 180 days are waited.
    """
    if plan.runout_days is not None:
        return fixed_runout(plan.runout_days)
    end = pl.col("prediction_time") + pl.duration(days=plan.horizon_days)
    delays = known_by(rows.filter(pl.col("outcome").is_not_null()), plan.as_of).select(
        pl.when(pl.col("outcome")).then(pl.lit("outcome")).otherwise(pl.lit("none")).alias("kind"),
        pl.min_horizontal(end, pl.col("known_at")).alias("started_at"),
        "known_at",
    )
    found = estimate_runouts(
        delays,
        share=plan.runout_share,
        least_days=0,
        first=rows["prediction_time"].sort()[0],
        as_of=plan.as_of,
        kinds=2,
    )
    told = pl.col("estimated_days").is_not_null().cum_max()
    return found.with_columns(
        pl.when(told).then("runout_days").otherwise(MOST_DAYS).alias("runout_days")
    )


def _require_persons(ledger: Ledger, independent: pl.DataFrame) -> None:
    require_persons(ledger.rows["person_id"].n_unique(), what="monitoring")
    ripe = independent["person_id"].n_unique()
    if ripe >= SMALLEST_CELL:
        return
    last = ledger.runouts["runout_days"][-1]
    msg = (
        f"monitoring needs ripe outcomes of {SMALLEST_CELL} persons or more in weeks that are over "
        f"(found {in_words(ripe) if ripe else 'none'} by {ledger.as_of:%Y-%m-%d}; a row is ripe "
        f"{ledger.horizon_days} + {last} days after its prediction, once its outcome is known); "
        "choose a later --as-of, or give --runout-days"
    )
    raise TooSmallError(msg)


def _drift(named: pl.DataFrame, columns: OutcomeColumns, plan: MonitoringPlan) -> pl.DataFrame:
    """Recent weeks against the first ones, as far as they do not overlap."""
    weeks = named["week"].unique().sort().to_list()
    recent = [week for week in weeks if week + timedelta(days=7) <= plan.as_of.date()]
    recent = recent[-min(RECENT_WEEKS, len(recent) // 2) :] if len(recent) > 1 else []
    first = [week for week in weeks if not recent or week < recent[0]][:REFERENCE_WEEKS]
    parts = [named.filter(pl.col("week").is_in(some)) for some in (first, recent)]
    looked = {
        "score": ("probability",),
        "feature": columns.features,
        "population": columns.groups,
    }
    return pl.concat(
        compare_columns(*parts, columns=names, kind=kind, seed=plan.seed)
        for kind, names in looked.items()
    )


def _behaviour(
    independent: pl.DataFrame, rule: AlarmRule, detectors: int, plan: MonitoringPlan
) -> pl.DataFrame | None:
    if not plan.histories:
        return None
    weekly = independent.group_by("week").len().sort("week")["len"].to_numpy()
    site = SiteVolume(independent["probability"].to_numpy(), np.minimum(weekly, _MOST_ROWS_A_WEEK))
    return expected_behaviour(
        site,
        rule,
        detectors=detectors,
        histories=Histories(count=plan.histories, seed=plan.seed),
    )


def summary(monitored: Monitored) -> dict[str, Any]:
    """All figures that may be told, as `monitoring.json` has them.

    Returns
    -------
    dict
        ``schema_version``, ``source``, ``as_of``, ``settings``, ``counts``, ``runout``,
        ``alarm`` (whether any detector has raised one that no new version has answered),
        ``overall`` and ``groups`` (where each detector of the version in use stands),
        ``earlier_versions``, ``budget``, ``expected_behaviour``, ``calibration`` (the latest told
        window of all rows and of each level), ``drift``, ``nowcast``,
        ``expected_if_still_calibrated``, ``censoring`` and ``notes``.
    """
    plan, ledger = monitored.plan, monitored.ledger
    version = ledger.rows.sort("prediction_time", "encounter_id")["model_version"][-1]
    stands = _stands(monitored).with_columns(current=pl.col("model_version") == version)
    now = stands.filter("current")
    overall = now.filter(pl.col("group") == EVERYBODY)
    groups, few = _group_stands(monitored, now)
    weeks = monitored.evidence["week"].n_unique()
    notes = (
        [f"{few} levels with fewer than 11 persons have a detector but are not told."]
        if few
        else []
    )
    if monitored.caution is not None:
        notes.append(monitored.caution)
    if overall.is_empty():
        notes.append(f"Version {version} has no ripe outcome yet: nothing can be said of it.")
    return {
        "schema_version": SCHEMA_VERSION,
        "source": monitored.source,
        "as_of": plan.as_of.isoformat(),
        "model_version": version,
        "settings": {
            "horizon_days": plan.horizon_days,
            "runout_days": plan.runout_days,
            "runout_share": plan.runout_share,
            "tolerance": plan.tolerance,
            "alarm_weeks": plan.alarm_weeks,
            "seed": plan.seed,
            "groups": list(monitored.columns.groups),
        },
        "counts": _counts(monitored),
        "runout": {
            "estimated": plan.runout_days is None,
            "days_now": int(ledger.runouts["runout_days"][-1]),
            "enough_facts_from": FEWEST_FACTS,
        },
        "alarm": bool(now["alarm"].any()),
        "overall": _stand(overall.row(0, named=True)) if overall.height else None,
        "groups": groups,
        "earlier_versions": {
            str(row["model_version"]): _stand(row)
            for row in stands.filter(~pl.col("current"), pl.col("group") == EVERYBODY).iter_rows(
                named=True
            )
        },
        "budget": {
            "alarm_weeks": plan.alarm_weeks,
            "detectors": int(monitored.evidence["detectors"].to_numpy().max()),
            "weeks_with_ripe_outcomes": weeks,
            "false_alarms_at_most": weeks / plan.alarm_weeks,
        },
        "expected_behaviour": _records(monitored.behaviour),
        "calibration": _records(_latest(monitored.calibration)),
        "drift": _records(monitored.drift),
        "nowcast": _records(monitored.nowcast),
        "expected_if_still_calibrated": _records(monitored.unripe),
        "censoring": _records(monitored.censoring),
        "notes": notes,
    }


def _counts(monitored: Monitored) -> dict[str, Any]:
    """What may be told of the rows by status; those that wait, of weeks that are told."""
    told = monitored.unripe["rows"].drop_nulls()
    wait = monitored.ledger.counts()["pending"] > 0
    pending = SUPPRESSED if wait and told.is_empty() else int(told.sum())
    counts = monitored.counts | {"pending": pending}
    return {name: _plain(value) for name, value in counts.items()}


def _shown_censoring(ledger: Ledger, counts: Mapping[str, int | str | date | None]) -> pl.DataFrame:
    """`censoring_sensitivity` of the rows that are told, to two decimals, without its counts.

    It has no rows as long as the censored ones are too few to be told.
    """
    until, censored = counts["mature_until"], counts["censored"]
    last = until if isinstance(until, date) else date.min
    ripe = ledger.rows.filter(pl.col("ripe_week") <= last)
    found = censoring_sensitivity(replace(ledger, rows=ripe)).drop("rows", "censored")
    told = not ripe.is_empty() and isinstance(censored, int) and censored > 0
    return (found if told else found.clear()).with_columns(
        pl.exclude("weights").cast(pl.Float64).round(2)
    )


def _stands(monitored: Monitored) -> pl.DataFrame:
    """Where each detector stands; its evidence is that of the last week that may be told."""
    latest = monitored.shown_evidence.group_by("model_version", "group", "level").agg(
        pl.col("week").last().alias("last_week"),
        pl.when(pl.col("crossed").last())
        .then(float("-inf"))
        .otherwise(pl.col("log_evidence").last())
        .alias("log_evidence"),
    )
    return monitored.alarms.drop("last_week", "log_evidence").join(
        latest, on=["model_version", "group", "level"], how="left", maintain_order="left"
    )


def _group_stands(monitored: Monitored, now: pl.DataFrame) -> tuple[dict[str, Any], int]:
    """Where the detectors of groups stand, and how many are left out because they are few."""
    found: dict[str, Any] = {name: {} for name in monitored.columns.groups}
    few = 0
    for row in now.filter(pl.col("group") != EVERYBODY).iter_rows(named=True):
        level = monitored.independent[row["group"]].fill_null("Unknown") == row["level"]
        if monitored.independent.filter(level)["person_id"].n_unique() < SMALLEST_CELL:
            few += 1
        else:
            found[row["group"]][row["level"]] = _stand(row)
    return found, few


def _stand(row: Mapping[str, Any]) -> dict[str, Any]:
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
    """The evidence; very large numbers end at 1e300, so that they stay numbers."""
    return None if logarithm is None else float(f"{np.exp(min(logarithm, 690.7)):.6g}")


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


def tables(monitored: Monitored) -> dict[str, pl.DataFrame]:
    """What is written as Parquet, by file name."""
    chosen = monitored.independent["encounter_id"]
    ledger = monitored.ledger.rows.select(
        pl.col("encounter_id").alias("row"),
        *("prediction_time", "week", "model_version", "status", "label", "ripe_at", "ripe_week"),
        pl.col("encounter_id").is_in(chosen.implode()).alias("in_evidence"),
    )
    found = {
        "ledger": ledger,
        "runouts": monitored.ledger.runouts.with_columns(
            pl.when(~pl.col("facts").is_between(1, SMALLEST_CELL - 1)).then("facts").alias("facts")
        ),
        "evidence": monitored.shown_evidence,
        "calibration": monitored.calibration,
        "drift": monitored.drift,
        "nowcast": monitored.nowcast,
        "expected_if_still_calibrated": monitored.unripe,
    }
    if monitored.behaviour is not None:
        found["expected_behaviour"] = monitored.behaviour
    return found


def write_monitoring(monitored: Monitored, folder: Path) -> list[str]:
    """Write summary, report and tables, all or nothing; return the names of the files."""
    told, found = summary(monitored), tables(monitored)
    with whole_folder(folder) as work:
        text = json.dumps(told, indent=1, allow_nan=False) + "\n"
        (work / SUMMARY).write_text(text, encoding="utf-8")
        (work / REPORT).write_text(monitoring_page(told, found), encoding="utf-8")
        for name, table in found.items():
            table.write_parquet(work / f"{name}.parquet")
        return sorted(path.name for path in work.iterdir())


def told_lines(told: Mapping[str, Any]) -> list[str]:
    """The summary in a few lines, for a shell."""
    budget = told["budget"]
    expected = (
        f"Budget: at most {budget['false_alarms_at_most']:.2f} false alarms are to be expected "
        f"of {budget['detectors']} detectors in {budget['weeks_with_ripe_outcomes']} weeks."
    )
    known = what_is_known(told["counts"], told["as_of"][:10])
    lines = [known, what_is_judged(told), expected]
    for row in told["expected_behaviour"]:
        if row["shift"] > 0 and not row["harmless"]:
            weeks = row["median_delay_weeks"]
            after = "not in half of the histories" if weeks is None else f"{weeks:.0f} weeks"
            lines.append(f"A shift of {row['shift']:g} would be found after (median): {after}.")
    stands = [("all rows", told["overall"])] if told["overall"] else []
    for group, levels in told["groups"].items():
        stands += [(f"{group} {level}", stand) for level, stand in levels.items()]
    raised = [(name, stand) for name, stand in stands if stand["alarm"]]
    for name, stand in raised:
        lines.append(
            f"ALARM, {name}: {stand['direction']}, week of {stand['week']}, evidence "
            f"{stand['evidence_at_alarm']:.4g} at a level of {stand['alarm_level']:.4g}, began "
            f"about {stand['began_about']}."
        )
    drifted = [row["column"] for row in told["drift"] if row["drifted"]]
    lines.append(f"Drift of inputs: {', '.join(drifted) or 'none beyond chance and 0.1'}.")
    if not raised:
        lines.append(f"ALARM {OF_FEW}." if told["alarm"] else "No calibration alarm.")
    return [*lines, *told["notes"]]
