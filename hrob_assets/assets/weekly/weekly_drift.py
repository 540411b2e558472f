"""What changed before outcomes are known: inputs, scores, list, codes, delays, population."""

from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    STAGED_POOL,
)
from hrob_assets.assets.metadata import markdown_table, readable, table_schema
from hrob_assets.assets.model.evaluation import decided_champion
from hrob_assets.assets.partitions import (
    LATE_DAYS,
    mondays,
    request_weeks_since,
    weekly_schedule,
)
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import ModelRegistry
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.cohort import group_rows
from hrob_assets.risk.disclosure import SMALLEST_CELL, shown_count
from hrob_assets.risk.monitoring import (
    IF_CALIBRATED,
    WEEKLY_DRIFT,
    DriftInputs,
    WeeklyDrift,
    drift_of_week,
    drift_periods,
    expected_if_calibrated,
    worklist_sizes,
)
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.training import FittedModel, predict
from hrob_assets.risk.use_case import UseCase

_MOST_CODES = 20


def weekly_drift_definitions(stage: StageContext) -> dg.Definitions:
    """The asset, its job and its schedule."""
    name, asset = stage.name, _weekly_drift(stage)
    job = dg.define_asset_job(
        f"watch_inputs_{name}",
        selection=dg.AssetSelection.assets(asset),
        description="What changed in the inputs, scores and codes of a week.",
    )
    schedule = weekly_schedule(
        f"watch_inputs_{name}_weekly",
        job=job,
        cron=stage.use_case.monitoring.cron,
        description="Every week, after the list: what changed before any outcome is known.",
        started=stage.start_schedules,
        request=partial(request_weeks_since, stage.weekly, days=LATE_DAYS),
    )
    return dg.Definitions(assets=[asset], jobs=[job], schedules=[schedule])


def _weekly_drift(stage: StageContext) -> dg.AssetsDefinition:
    name = stage.name

    @stage.weekly_asset(
        "weekly_drift",
        **stage.by_week,
        kinds={"polars", "parquet"},
        pool=STAGED_POOL,
        deps=[stage.key("weekly_scores"), ENCOUNTER_FEATURES],
        ins=stage.inputs("evaluation", staged=["events", "persons", "coverage"]),
        description=_DESCRIPTION,
    )
    def weekly_drift(
        context: dg.AssetExecutionContext,
        evaluation: pl.LazyFrame,
        events: pl.LazyFrame,
        persons: pl.LazyFrame,
        coverage: pl.LazyFrame,
        model_registry: ModelRegistry,
        decision_records: DecisionRecords,
        score_table: ScoreTable,
        storage: Storage,
    ) -> dg.Output[pl.DataFrame]:
        champion = decided_champion(name, model_registry, decision_records).model
        scores = score_table.current(name)
        features = pl.scan_parquet(storage.asset_path(ENCOUNTER_FEATURES) / "*.parquet")
        sources = _RowSources(persons, coverage, features, champion)
        reference = _enriched(evaluation.select(ROW_KEY).collect(), sources, stage)
        weeks = mondays(context.partition_keys)
        found = [_drift_of(week, reference, scores, events, sources, stage) for week in weeks]
        for drift in found:
            of_week = scores.filter(pl.col("week") == drift.week)
            figures = _figures(drift, of_week, stage.use_case)
            context.add_asset_metadata(figures, partition_key=drift.week.isoformat())
        return dg.Output(
            pl.concat([drift.columns for drift in found]),
            metadata={"dagster/column_schema": table_schema(WEEKLY_DRIFT)},
        )

    return weekly_drift


_DESCRIPTION = (
    "Population stability of the score, the population and every feature of the champion, four "
    "weeks against the rows on which it was evaluated, with the 95th percentile of chance; new and "
    "retired codes, volumes and delays. It never raises the alarm."
)


@dataclass(frozen=True)
class _RowSources:
    """What a row key is enriched with."""

    persons: pl.LazyFrame
    coverage: pl.LazyFrame
    features: pl.LazyFrame
    champion: FittedModel


def _drift_of(
    week: date,
    reference: pl.DataFrame,
    scores: pl.DataFrame,
    events: pl.LazyFrame,
    sources: _RowSources,
    stage: StageContext,
) -> WeeklyDrift:
    recent = _enriched(_recent_rows(scores, week), sources, stage)
    return drift_of_week(
        week,
        DriftInputs(reference, recent, _known_events(events, week)),
        sources.champion,
        groups=stage.use_case.monitoring.groups,
        group_of_column=stage.group_of_column,
    )


def _enriched(keys: pl.DataFrame, sources: _RowSources, stage: StageContext) -> pl.DataFrame:
    """Rows with the champion's columns, its probability, and the groups."""
    columns = sources.features.select(*ROW_KEY, "week", *sources.champion.columns)
    rows = keys.lazy().join(columns, on=list(ROW_KEY)).collect()
    named = group_rows(
        rows,
        groups=stage.use_case.monitoring.groups,
        persons=sources.persons,
        coverage=sources.coverage,
        features=sources.features,
    )
    return named.with_columns(pl.Series("probability", predict(sources.champion, rows)))


def _recent_rows(scores: pl.DataFrame, week: date) -> pl.DataFrame:
    """Keys of the rows that were scored in the recent weeks up to this one."""
    first, after = (moment.date() for moment in drift_periods(week).recent)
    return scores.filter(pl.col("week") >= first, pl.col("week") < after).select(ROW_KEY)


def _known_events(events: pl.LazyFrame, week: date) -> pl.DataFrame:
    """Events that became known in the recent weeks up to this one, or the year before them."""
    periods = drift_periods(week)
    return _events(events, periods.reference[0], periods.recent[1])


def _events(events: pl.LazyFrame, start: datetime, end: datetime) -> pl.DataFrame:
    return (
        events.filter(pl.col("known_at") >= start, pl.col("known_at") < end)
        .select("vocabulary", "code", "domain", "occurred_at", "known_at")
        .collect()
    )


def _figures(drift: WeeklyDrift, scores: pl.DataFrame, use_case: UseCase) -> dict[str, Any]:
    """Figures of one week, without small cells."""
    score = drift.columns.filter(pl.col("kind") == "score").row(0, named=True)
    population = drift.columns.filter(pl.col("kind") == "population", pl.col("drifted"))
    features = drift.columns.filter(pl.col("kind") == "feature", pl.col("drifted"))
    figures: dict[str, Any] = {
        "mean log-odds": drift.shift.sentence if drift.shift else "No rows to compare.",
        "population that moved": ", ".join(population["column"]) or "none",
        "features that moved": features.height,
        "strongest": markdown_table(
            features.sort("psi", descending=True)
            .head(_MOST_CODES)
            .select("column", "psi", "psi_by_chance", "reference_missing", "recent_missing")
        ),
        "codes that came or went": markdown_table(drift.codes.head(_MOST_CODES)),
        "volume by domain": markdown_table(drift.volumes),
        "delay in days": markdown_table(drift.delays),
        **_list_figures(scores, use_case.scoring.reviews_per_week),
    }
    if score["psi"] is not None:
        figures |= {"psi of the score": score["psi"], "psi by chance": score["psi_by_chance"]}
    return readable(figures)


def _list_figures(scores: pl.DataFrame, reviews_per_week: int) -> dict[str, Any]:
    """List size, and what the week would come to if the model were still calibrated."""
    if scores["person_id"].n_unique() < SMALLEST_CELL:
        return {}
    size = worklist_sizes(scores, reviews_per_week=reviews_per_week).row(0, named=True)
    expected = expected_if_calibrated(scores).row(0, named=True)
    figures: dict[str, Any] = {
        "people on the list": shown_count(size["people"]),
        "capacity": reviews_per_week,
    }
    if expected["events"] >= SMALLEST_CELL:
        figures[f"events, {IF_CALIBRATED}"] = float(expected["events"])
    return figures
