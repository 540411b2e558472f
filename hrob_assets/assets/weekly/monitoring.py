"""Mature outcomes, calibration, alarms and update requests, week by week."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.as_of import end_of_week, known_until
from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    STAGED_POOL,
    use_case_key,
)
from hrob_assets.assets.metadata import described, readable, table_schema
from hrob_assets.assets.partitions import (
    LATE_DAYS,
    mondays,
    request_weeks_since,
    weekly_schedule,
)
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.assets.weekly.stored_monitoring import stored_ledger
from hrob_assets.resources.records.model_registry import ModelRegistry
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.resources.storage.io_manager import KNOWN_UNTIL, Storage
from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.cohort import group_rows
from hrob_assets.risk.disclosure import shown_parts
from hrob_assets.risk.monitoring import (
    ALL_ROWS,
    CALIBRATION_ESTIMATES,
    CALIBRATION_WINDOW_WEEKS,
    E_VALUES,
    OUTCOME_LEDGER,
    RUNOUTS,
    UPDATE_REQUESTS,
    WEEKLY_CALIBRATION,
    Ledger,
    MonitoringInput,
    MonitoringResult,
    MonitoringSettings,
    StagedTables,
    build_ledger,
    first_sent,
    ledger_as_of,
    monitor_ledger,
    raised_alarms,
    shown_calibration,
    shown_evidence,
)
from hrob_assets.risk.tables import ROW_KEY, Table
from hrob_assets.risk.use_case import UseCase

_Frame = dg.Output[pl.DataFrame]


def monitoring_definitions(stage: StageContext) -> dg.Definitions:
    """The ledger, the weekly calibration with alarms and update requests, job and schedule."""
    name = stage.name
    assets = [_outcome_ledger(stage), _weekly_calibration(stage)]
    job = dg.define_asset_job(
        f"monitor_{name}",
        selection=dg.AssetSelection.assets(*assets),
        description="Mature outcomes, calibration, alarms and update requests.",
    )
    schedule = weekly_schedule(
        f"monitor_{name}_weekly",
        job=job,
        cron=stage.use_case.monitoring.cron,
        description="Every week, after the list: ledger, calibration and alarm of the week.",
        started=stage.start_schedules,
        request=partial(request_weeks_since, stage.weekly, days=LATE_DAYS),
    )
    return dg.Definitions(assets=assets, jobs=[job], schedules=[schedule])


def _outcome_ledger(stage: StageContext) -> dg.AssetsDefinition:
    name, monitoring = stage.name, stage.use_case.monitoring
    ledger_text = (
        "Whether the outcome of every row that was sent is mature, and what it is. Built from what "
        "was sent and what is known."
    )
    runout_text = (
        f"Days after the horizon until {monitoring.runout_share:.0%} of outcome facts are known, "
        "estimated each month from the facts that became known before it."
    )

    @dg.multi_asset(
        name=f"{name}__outcome_ledger",
        pool=STAGED_POOL,
        outs={
            "outcome_ledger": stage.weekly_out("outcome_ledger", ledger_text, kinds=_KINDS),
            "claims_runout": stage.weekly_out("claims_runout", runout_text, kinds=_KINDS),
        },
        deps=[stage.key("weekly_scores")],
        ins=stage.inputs(staged=["events", "coverage", "persons", "load"]),
    )
    def outcome_ledger(
        context: dg.AssetExecutionContext,
        events: pl.LazyFrame,
        coverage: pl.LazyFrame,
        persons: pl.LazyFrame,
        load: pl.LazyFrame,
        score_table: ScoreTable,
        model_registry: ModelRegistry,
    ) -> tuple[_Frame, _Frame]:
        sent = first_sent(score_table.read(name), model_registry.judged_from(name))
        ledger = build_ledger(
            sent,
            StagedTables(events, coverage, persons),
            outcome=stage.use_case.outcome,
            monitoring=monitoring,
            code_sets=stage.code_sets,
            as_of=known_until(context, load),
        )
        return (
            dg.Output(ledger.rows, metadata=_ledger_metadata(ledger)),
            dg.Output(ledger.runouts, metadata=_runout_metadata(ledger)),
        )

    return outcome_ledger


_KINDS = frozenset({"polars", "parquet"})


def _ledger_metadata(ledger: Ledger) -> dict[str, Any]:
    counts = ledger.counts()
    shown = shown_parts(list(counts.values()))
    figures = {f"{status} rows": count for status, count in zip(counts, shown, strict=True)}
    until = {KNOWN_UNTIL: ledger.as_of.isoformat()}
    return described(ledger.rows, OUTCOME_LEDGER, **until, **figures)


def _runout_metadata(ledger: Ledger) -> dict[str, Any]:
    last = ledger.runouts.row(-1, named=True)
    estimated = last["estimated_days"]
    return {
        "dagster/column_schema": table_schema(RUNOUTS),
        **readable(
            {
                "run_out_days": int(last["runout_days"]),
                "estimated_days": "too few facts" if estimated is None else int(estimated),
                "weeks_from_prediction_to_mature_outcome": -(-ledger.mature_after_days() // 7),
            }
        ),
    }


def _weekly_calibration(stage: StageContext) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"{stage.name}__weekly_calibration",
        **stage.by_week,
        pool=STAGED_POOL,
        outs=_calibration_outs(stage),
        ins={
            "ledger": dg.AssetIn(stage.key("outcome_ledger")),
            "runouts": dg.AssetIn(stage.key("claims_runout")),
            **stage.inputs(staged=["persons", "coverage", "load"]),
        },
        deps=[ENCOUNTER_FEATURES],
    )
    def weekly_calibration(
        context: dg.AssetExecutionContext,
        ledger: pl.LazyFrame,
        runouts: pl.LazyFrame,
        persons: pl.LazyFrame,
        coverage: pl.LazyFrame,
        load: pl.LazyFrame,
        storage: Storage,
        feedback: Feedback,
    ) -> tuple[_Frame, _Frame, _Frame]:
        weeks = mondays(context.partition_keys)
        as_of = min(known_until(context, load), end_of_week(weeks[-1]))
        given = monitoring_input(
            stage.use_case,
            ledger_as_of(stored_ledger(stage.use_case, ledger, runouts, storage), as_of),
            persons=persons,
            coverage=coverage,
            storage=storage,
            feedback=feedback,
        )
        found = monitor_ledger(replace(given, calibrate_from=weeks[0]))
        _add_figures(context, found, weeks, stage.name)
        return (
            _weeks_of(found.calibration, weeks, WEEKLY_CALIBRATION),
            _weeks_of(found.e_values, weeks, E_VALUES),
            _weeks_of(found.update_requests, weeks, UPDATE_REQUESTS),
        )

    return weekly_calibration


def _weeks_of(frame: pl.DataFrame, weeks: Sequence[date], table: Table) -> _Frame:
    """The rows of the weeks of a run."""
    return dg.Output(
        frame.filter(pl.col("week").is_in(weeks)),
        metadata={"dagster/column_schema": table_schema(table)},
    )


def _calibration_outs(stage: StageContext) -> dict[str, dg.AssetOut]:
    """What the weekly monitoring stores, in the order in which it is returned."""
    monitoring = stage.use_case.monitoring
    descriptions = {
        "weekly_calibration": (
            f"Calibration of the outcomes that became mature in the {CALIBRATION_WINDOW_WEEKS} "
            "weeks up to this one, of all rows and by subgroup, as known at the end of the week."
        ),
        "calibration_evidence": (
            "E-values of the hypothesis that predictions are off by no more than "
            f"{monitoring.tolerance:g} in log odds, and alarms. On average at most one false alarm "
            f"in {monitoring.alarm_weeks} weeks, of all detectors together."
        ),
        "update_requests": (
            "Model updates that alarms request, with the alarm, the version, the reason and the "
            "first day that no longer fits. The sensor calibration_drift answers them."
        ),
    }
    return {
        asset: stage.weekly_out(asset, text, kinds=_KINDS) for asset, text in descriptions.items()
    }


def monitoring_input(
    use_case: UseCase,
    ledger: Ledger,
    *,
    persons: pl.LazyFrame,
    coverage: pl.LazyFrame,
    storage: Storage,
    feedback: Feedback,
) -> MonitoringInput:
    """A ledger of a use case with its groups and with what people did, to be monitored."""
    monitoring = use_case.monitoring
    columns = group_rows(
        ledger.rows.select(ROW_KEY),
        groups=monitoring.groups,
        persons=persons,
        coverage=coverage,
        features=pl.scan_parquet(storage.asset_path(ENCOUNTER_FEATURES) / "*.parquet"),
    )
    return MonitoringInput(
        ledger=ledger,
        settings=MonitoringSettings.of_use_case(monitoring),
        columns=columns,
        actions=feedback.actions(use_case.name),
        salt=feedback.salt(monitoring.silent_arm),
    )


def _add_figures(
    context: dg.AssetExecutionContext, found: MonitoringResult, weeks: Sequence[date], name: str
) -> None:
    """Show estimates of all rows, alarms and requests of each week in the UI; nothing reads them.

    A week whose estimates may not be published by itself has none: the next one that may
    includes it.
    """
    calibration = shown_calibration(
        found.evaluable,
        as_of=found.ledger.as_of,
        window_weeks=CALIBRATION_WINDOW_WEEKS,
        since=weeks[0],
    )
    of_all = found.e_values.filter(pl.col("group") == ALL_ROWS)
    e_values = shown_evidence(of_all, found.independent)
    for week in weeks:
        of_week = pl.col("week") == week
        figures = _figures(calibration.filter(of_week), e_values.filter(of_week), found.caution)
        alarms = [alarm.facts() for alarm in raised_alarms(found.e_values.filter(of_week))]
        requests = [
            {column: str(request[column]) for column in _SHOWN_OF_REQUEST}
            for request in found.update_requests.filter(of_week).iter_rows(named=True)
        ]
        shown = {
            "weekly_calibration": readable(figures | {"alarms": dg.MetadataValue.json(alarms)}),
            "update_requests": {"requests": dg.MetadataValue.json(requests)},
        }
        for asset, metadata in shown.items():
            context.add_asset_metadata(
                metadata, asset_key=use_case_key(name, asset), partition_key=week.isoformat()
            )


_SHOWN_OF_REQUEST = ("alarm", "model_version", "kind", "reason", "changed_since", "requested_at")


def _figures(
    calibration: pl.DataFrame, e_values: pl.DataFrame, caution: str | None
) -> dict[str, Any]:
    """Estimates of one week from all rows; the UI plots them over weeks."""
    figures: dict[str, Any] = {}
    for row in calibration.iter_rows(named=True):
        figures["mature rows of the window"] = row["rows"]
        figures |= {name: row[name] for name in CALIBRATION_ESTIMATES if row[name] is not None}
    for row in e_values.iter_rows(named=True):
        figures["e-value, natural logarithm"] = row["log_evidence"]
        figures["alarm threshold, natural logarithm"] = row["log_level"]
        figures["detectors"] = row["detectors"]
    if caution is not None:
        figures["caution"] = caution
    return figures
