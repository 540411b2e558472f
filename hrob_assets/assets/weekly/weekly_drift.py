"""What moved before outcomes are known: inputs, scores, list, codes, delays and population."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    STAGED_POOL,
    staged_key,
    use_case_key,
    weekly_group,
)
from hrob_assets.assets.metadata import markdown_table, readable, table_schema
from hrob_assets.assets.model.evaluation import decided_champion
from hrob_assets.assets.partitions import (
    LATE_DAYS,
    SINGLE_RUN,
    mondays,
    request_weeks_since,
    weekly_schedule,
)
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


def weekly_drift_definitions(
    use_case: UseCase,
    *,
    group_of_column: Mapping[str, str],
    weekly: dg.WeeklyPartitionsDefinition,
    start_schedules: bool = False,
) -> dg.Definitions:
    """The asset, its job and its schedule."""
    name = use_case.name
    asset = _weekly_drift(use_case, group_of_column, weekly)
    job = dg.define_asset_job(
        f"watch_inputs_{name}",
        selection=dg.AssetSelection.assets(asset),
        description="What moved in the inputs, scores and codes of a week.",
    )
    schedule = weekly_schedule(
        f"watch_inputs_{name}_weekly",
        job=job,
        cron=use_case.monitoring.cron,
        description="Every week, after the list: what moved before any outcome is known.",
        started=start_schedules,
        request=partial(request_weeks_since, weekly, days=LATE_DAYS),
    )
    return dg.Definitions(assets=[asset], jobs=[job], schedules=[schedule])


def _weekly_drift(
    use_case: UseCase, group_of_column: Mapping[str, str], weekly: dg.WeeklyPartitionsDefinition
) -> dg.AssetsDefinition:
    name = use_case.name

    @dg.asset(
        key=use_case_key(name, "weekly_drift"),
        group_name=weekly_group(name),
        partitions_def=weekly,
        backfill_policy=SINGLE_RUN,
        owners=[use_case.owner],
        kinds={"polars", "parquet"},
        pool=STAGED_POOL,
        deps=[use_case_key(name, "weekly_scores"), ENCOUNTER_FEATURES],
        ins={
            "evaluation": dg.AssetIn(use_case_key(name, "evaluation")),
            **{table: dg.AssetIn(staged_key(table)) for table in ("events", "persons", "coverage")},
        },
        description=(
            "Population stability of the score, the population and every feature of the champion, "
            "four weeks against the rows by which it was judged, beside the 95 % point of chance; "
            "new and retired codes, volumes and delays. Never evidence for the alarm."
        ),
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
        folder = storage.asset_path(ENCOUNTER_FEATURES)
        features = pl.scan_parquet(folder / "*.parquet").select(*ROW_KEY, "week", *champion.columns)
        scores = score_table.current(name)
        enriched = partial(
            _enriched,
            features=features,
            use_case=use_case,
            persons=persons,
            coverage=coverage,
            champion=champion,
        )
        reference = enriched(evaluation.select(ROW_KEY).collect())
        found: list[WeeklyDrift] = []
        for week in mondays(context.partition_keys):
            periods = drift_periods(week)
            first, after = (day.date() for day in periods.recent)
            known = _events(events, periods.reference[0], periods.recent[1])
            recent = enriched(
                scores.filter(pl.col("week") >= first, pl.col("week") < after).select(ROW_KEY)
            )
            moved = drift_of_week(
                week,
                DriftInputs(reference, recent, known),
                champion,
                groups=use_case.monitoring.groups,
                group_of_column=group_of_column,
            )
            of_week = scores.filter(pl.col("week") == week)
            context.add_asset_metadata(
                _figures(moved, of_week, use_case), partition_key=week.isoformat()
            )
            found.append(moved)
        return dg.Output(
            pl.concat([moved.columns for moved in found]),
            metadata={"dagster/column_schema": table_schema(WEEKLY_DRIFT)},
        )

    return weekly_drift


def _enriched(
    keys: pl.DataFrame,
    *,
    features: pl.LazyFrame,
    use_case: UseCase,
    persons: pl.LazyFrame,
    coverage: pl.LazyFrame,
    champion: FittedModel,
) -> pl.DataFrame:
    """Rows with the champion's columns, its probability, and the groups."""
    rows = keys.lazy().join(features, on=list(ROW_KEY)).collect()
    named = group_rows(
        rows,
        groups=use_case.monitoring.groups,
        persons=persons,
        coverage=coverage,
        features=features,
    )
    return named.with_columns(pl.Series("probability", predict(champion, rows)))


def _events(events: pl.LazyFrame, start: datetime, end: datetime) -> pl.DataFrame:
    return (
        events.filter(pl.col("known_at") >= start, pl.col("known_at") < end)
        .select("vocabulary", "code", "domain", "occurred_at", "known_at")
        .collect()
    )


def _figures(moved: WeeklyDrift, scores: pl.DataFrame, use_case: UseCase) -> dict[str, Any]:
    """Figures of one week, without small cells."""
    score = moved.columns.filter(pl.col("kind") == "score").row(0, named=True)
    population = moved.columns.filter(pl.col("kind") == "population", pl.col("drifted"))
    features = moved.columns.filter(pl.col("kind") == "feature", pl.col("drifted"))
    figures: dict[str, Any] = {
        "mean log-odds": moved.shift.sentence if moved.shift else "No rows to compare.",
        "population that moved": ", ".join(population["column"]) or "none",
        "features that moved": features.height,
        "strongest": markdown_table(
            features.sort("psi", descending=True)
            .head(_MOST_CODES)
            .select("column", "psi", "psi_by_chance", "reference_missing", "recent_missing")
        ),
        "codes that came or went": markdown_table(moved.codes.head(_MOST_CODES)),
        "volume by domain": markdown_table(moved.volumes),
        "delay in days": markdown_table(moved.delays),
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
