"""Which outcomes are ripe, how true the predictions were, and the alarm, week by week."""

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.as_of import end_of_week, known_until
from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    STAGED_POOL,
    staged_key,
    use_case_key,
    weekly_group,
)
from hrob_assets.assets.metadata import described, readable, table_schema
from hrob_assets.assets.partitions import (
    LATE_DAYS,
    SINGLE_RUN,
    mondays,
    request_weeks_since,
    weekly_schedule,
)
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
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import UseCase
from hrob_assets.risk.vocabulary import CodeSet

ALARMS, UPDATE_REQUEST = "alarms", "update request"
"""Names of the metadata of a week that sensors read."""


def monitoring_definitions(
    use_case: UseCase,
    *,
    code_sets: Mapping[str, CodeSet],
    weekly: dg.WeeklyPartitionsDefinition,
    start_schedules: bool = False,
) -> dg.Definitions:
    """The ledger, the weekly calibration with its evidence, their job, schedule and sensor."""
    name = use_case.name
    assets = [
        _outcome_ledger(use_case, code_sets),
        _weekly_calibration(use_case, weekly),
    ]
    job = dg.define_asset_job(
        f"monitor_{name}",
        selection=dg.AssetSelection.assets(*assets),
        description="Which outcomes are ripe, how true the predictions were, and the alarm.",
    )
    schedule = weekly_schedule(
        f"monitor_{name}_weekly",
        job=job,
        cron=use_case.monitoring.cron,
        description="Every week, after the list: ledger, calibration and alarm of the week.",
        started=start_schedules,
        request=partial(request_weeks_since, weekly, days=LATE_DAYS),
    )
    return dg.Definitions(assets=assets, jobs=[job], schedules=[schedule])


def _outcome_ledger(use_case: UseCase, code_sets: Mapping[str, CodeSet]) -> dg.AssetsDefinition:
    name, monitoring = use_case.name, use_case.monitoring

    @dg.multi_asset(
        name=f"{name}__outcome_ledger",
        pool=STAGED_POOL,
        outs={
            "outcome_ledger": _out(
                use_case,
                "outcome_ledger",
                "Of every row that was sent: whether its outcome is ripe, and what it is. Built "
                "anew from what was sent and what is known.",
            ),
            "claims_runout": _out(
                use_case,
                "claims_runout",
                f"Days after the horizon until {monitoring.runout_share:.0%} of outcome facts "
                "are known, estimated each month from the facts that became known before it.",
            ),
        },
        deps=[use_case_key(name, "weekly_scores")],
        ins={table: dg.AssetIn(staged_key(table)) for table in _TABLES},
    )
    def outcome_ledger(
        context: dg.AssetExecutionContext,
        events: pl.LazyFrame,
        coverage: pl.LazyFrame,
        persons: pl.LazyFrame,
        load: pl.LazyFrame,
        score_table: ScoreTable,
        model_registry: ModelRegistry,
    ) -> tuple[dg.Output[pl.DataFrame], dg.Output[pl.DataFrame]]:
        sent = first_sent(score_table.read(name), model_registry.judged_from(name))
        ledger = build_ledger(
            sent,
            StagedTables(events, coverage, persons),
            outcome=use_case.outcome,
            monitoring=monitoring,
            code_sets=code_sets,
            as_of=known_until(context, load),
        )
        return (
            dg.Output(ledger.rows, metadata=_ledger_metadata(ledger)),
            dg.Output(ledger.runouts, metadata=_runout_metadata(ledger)),
        )

    return outcome_ledger


_TABLES = ("events", "coverage", "persons", "load")


def _out(use_case: UseCase, asset: str, description: str) -> dg.AssetOut:
    return dg.AssetOut(
        key=use_case_key(use_case.name, asset),
        group_name=weekly_group(use_case.name),
        owners=[use_case.owner],
        kinds={"polars", "parquet"},
        description=description,
    )


def _ledger_metadata(ledger: Ledger) -> dict[str, Any]:
    counts = ledger.counts()
    shown = shown_parts(list(counts.values()))
    figures = {f"{status} rows": count for status, count in zip(counts, shown, strict=True)}
    until = {KNOWN_UNTIL: ledger.as_of.isoformat()}
    return described(ledger.rows, OUTCOME_LEDGER, **until, **figures)


def stored_ledger(
    use_case: UseCase, ledger: pl.LazyFrame, runouts: pl.LazyFrame, storage: Storage
) -> Ledger:
    """The ledger from its assets, which knows what was known when it was made."""
    until = storage.known_until(use_case_key(use_case.name, "outcome_ledger"))
    return Ledger(ledger.collect(), runouts.collect(), use_case.outcome.horizon_days, until)


def _runout_metadata(ledger: Ledger) -> dict[str, Any]:
    last = ledger.runouts.row(-1, named=True)
    estimated = last["estimated_days"]
    return {
        "dagster/column_schema": table_schema(RUNOUTS),
        **readable(
            {
                "run_out_days": int(last["runout_days"]),
                "estimated_days": "too few facts" if estimated is None else int(estimated),
                "weeks_from_prediction_to_ripe_outcome": -(-ledger.mature_after_days() // 7),
            }
        ),
    }


def _weekly_calibration(
    use_case: UseCase, weekly: dg.WeeklyPartitionsDefinition
) -> dg.AssetsDefinition:
    name, monitoring = use_case.name, use_case.monitoring

    @dg.multi_asset(
        name=f"{name}__weekly_calibration",
        partitions_def=weekly,
        backfill_policy=SINGLE_RUN,
        pool=STAGED_POOL,
        outs={
            "weekly_calibration": _out(
                use_case,
                "weekly_calibration",
                "Calibration of the outcomes that became mature in the "
                f"{CALIBRATION_WINDOW_WEEKS} weeks up to this one, of everybody and by group, as "
                "it was known at the end of the week.",
            ),
            "calibration_evidence": _out(
                use_case,
                "calibration_evidence",
                f"Evidence that predictions are off by more than {monitoring.tolerance:g} in "
                "log-odds. The alarm: at most one false one in "
                f"{monitoring.alarm_weeks} weeks in the mean, all detectors together.",
            ),
        },
        ins={
            "ledger": dg.AssetIn(use_case_key(name, "outcome_ledger")),
            "runouts": dg.AssetIn(use_case_key(name, "claims_runout")),
            "persons": dg.AssetIn(staged_key("persons")),
            "coverage": dg.AssetIn(staged_key("coverage")),
            "load": dg.AssetIn(staged_key("load")),
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
    ) -> tuple[dg.Output[pl.DataFrame], dg.Output[pl.DataFrame]]:
        weeks = mondays(context.partition_keys)
        as_of = known_until(context, load)
        built = stored_ledger(use_case, ledger, runouts, storage)
        cut = ledger_as_of(built, min(as_of, end_of_week(weeks[-1])))
        columns = group_rows(
            cut.rows.select(ROW_KEY),
            groups=monitoring.groups,
            persons=persons,
            coverage=coverage,
            features=pl.scan_parquet(storage.asset_path(ENCOUNTER_FEATURES) / "*.parquet"),
        )
        found = monitor_ledger(
            MonitoringInput(
                ledger=cut,
                settings=MonitoringSettings.of_use_case(monitoring),
                columns=columns,
                actions=feedback.actions(name),
                salt=feedback.salt(monitoring.silent_arm),
                calibrate_from=weeks[0],
            )
        )
        shown = _shown(found, weeks[0])
        for week in weeks:
            context.add_asset_metadata(
                _figures(found, shown, week),
                asset_key=use_case_key(name, "weekly_calibration"),
                partition_key=week.isoformat(),
            )
        asked = pl.col("week").is_in(weeks)
        tables = ((found.calibration, WEEKLY_CALIBRATION), (found.e_values, E_VALUES))
        one, other = (
            dg.Output(
                frame.filter(asked), metadata={"dagster/column_schema": table_schema(contract)}
            )
            for frame, contract in tables
        )
        return one, other

    return weekly_calibration


def _shown(found: MonitoringResult, since: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Calibration and e-values of all rows as they may be published, week by week."""
    of_all = found.e_values.filter(pl.col("group") == ALL_ROWS)
    calibration = shown_calibration(
        found.evaluable,
        as_of=found.ledger.as_of,
        window_weeks=CALIBRATION_WINDOW_WEEKS,
        since=since,
    )
    return calibration, shown_evidence(of_all, found.independent)


def _figures(
    found: MonitoringResult, shown: tuple[pl.DataFrame, pl.DataFrame], week: date
) -> dict[str, Any]:
    """Estimates of one week from all rows; the UI plots them over weeks.

    A week that may not be published by itself has none: the next one that may includes it.
    """
    calibration, e_values = (frame.filter(pl.col("week") == week) for frame in shown)
    figures: dict[str, Any] = {}
    for row in calibration.iter_rows(named=True):
        figures["ripe rows of the window"] = row["rows"]
        figures |= {name: row[name] for name in CALIBRATION_ESTIMATES if row[name] is not None}
    for row in e_values.iter_rows(named=True):
        figures["evidence, natural logarithm"] = row["log_evidence"]
        figures["alarm from, natural logarithm"] = row["log_level"]
        figures["detectors"] = row["detectors"]
    if found.caution is not None:
        figures["caution"] = found.caution
    alarms = [
        {"key": alarm.key, **alarm.facts()}
        for alarm in raised_alarms(found.e_values)
        if alarm.week == week
    ]
    figures[ALARMS] = dg.MetadataValue.json(alarms)
    requests = found.update_requests.filter(pl.col("week") == week)
    for request in requests.iter_rows(named=True):
        asked = {
            "key": request["alarm"],
            "model_version": request["model_version"],
            "week": week.isoformat(),
            "changed_since": request["changed_since"].isoformat(),
        }
        figures[UPDATE_REQUEST] = dg.MetadataValue.json(asked)
    return readable(figures)
