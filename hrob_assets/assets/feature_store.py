"""The feature store: every encounter of every person, as known at its prediction time."""

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    FEATURE_STORE,
    RAW,
    STAGED,
    STAGED_POOL,
    staged_key,
)
from hrob_assets.assets.metadata import (
    add_figures_of_weeks,
    frame_schema,
    readable,
    weekly_plot,
)
from hrob_assets.assets.partitions import (
    LATE_DAYS,
    SINGLE_RUN,
    mondays,
    request_weeks_since,
    weekly_schedule,
)
from hrob_assets.risk.code_sets import CodeSet
from hrob_assets.risk.features.build import build_features
from hrob_assets.risk.features.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.parquet_files import DEFINITION
from hrob_assets.risk.small_cells import shown_count
from hrob_assets.risk.tables import ROW_KEY, TIMESTAMP


def feature_store_definitions(
    *,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    weekly: dg.WeeklyPartitionsDefinition,
    owner: str,
    threads: int,
    start_schedules: bool = False,
) -> dg.Definitions:
    """The asset of weekly encounter features, shared by all use cases."""
    features = _encounter_features(
        catalogue, code_sets=code_sets, weekly=weekly, owner=owner, threads=threads
    )
    refresh = dg.define_asset_job(
        "refresh",
        selection=dg.AssetSelection.groups(RAW, STAGED, FEATURE_STORE),
        description="A new snapshot of the source, staged and validated, and features.",
    )
    build = dg.define_asset_job(
        "build_features",
        selection=[features],
        description="Features of weeks from the staged tables as they are.",
    )
    schedule = weekly_schedule(
        "refresh_weekly",
        job=refresh,
        cron=_REFRESH,
        description="Every Monday before the lists are made: the source, and the week that ended.",
        started=start_schedules,
        request=partial(request_weeks_since, weekly, days=LATE_DAYS),
    )
    return dg.Definitions(assets=[features], jobs=[refresh, build], schedules=[schedule])


def _encounter_features(
    catalogue: Catalogue,
    *,
    code_sets: Mapping[str, CodeSet],
    weekly: dg.WeeklyPartitionsDefinition,
    owner: str,
    threads: int,
) -> dg.AssetsDefinition:
    definition = definition_version(catalogue, code_sets)

    @dg.asset(
        key=ENCOUNTER_FEATURES,
        code_version=definition,
        group_name=FEATURE_STORE,
        partitions_def=weekly,
        backfill_policy=SINGLE_RUN,
        owners=[owner],
        kinds={"polars", "parquet"},
        pool=STAGED_POOL,
        metadata={"dagster/column_schema": _columns(catalogue), DEFINITION: definition},
        ins={name: dg.AssetIn(staged_key(name)) for name in _TABLES},
        description=_description(catalogue),
    )
    def encounter_features(
        context: dg.AssetExecutionContext,
        persons: pl.LazyFrame,
        coverage: pl.LazyFrame,
        encounters: pl.LazyFrame,
        events: pl.LazyFrame,
    ) -> dg.Output[pl.DataFrame]:
        weeks = mondays(context.partition_keys)
        rows = encounters.filter(pl.col("week").is_in(weeks)).sort("week", "encounter_id").collect()
        features = build_features(
            rows,
            persons=persons,
            coverage=coverage,
            events=events,
            catalogue=catalogue,
            code_sets=dict(code_sets),
            n_threads=threads,
        ).with_columns(rows["week"], rows["known_at"])
        add_figures_of_weeks(context, features, _figures)
        return dg.Output(features, metadata=_metadata(features))

    return encounter_features


def definition_version(catalogue: Catalogue, code_sets: Mapping[str, CodeSet]) -> str:
    """Hash of everything that gives the columns their meaning (16 hexadecimal digits)."""
    digest = hashlib.sha256(repr(catalogue.families).encode())
    for name in sorted(code_sets):
        digest.update(repr(code_sets[name]).encode())
    return digest.hexdigest()[:16]


_REFRESH = "0 5 * * 1"
_KEY = dict(zip(ROW_KEY, (pl.Int64, pl.Int64, TIMESTAMP), strict=True))
_TABLES = ("persons", "coverage", "encounters", "events")


def _description(catalogue: Catalogue) -> str:
    return (
        "One row per encounter that became known in the week, with what was known strictly "
        f"before its prediction time: {len(catalogue.columns)} columns of "
        f"{len(catalogue.families)} families in {len(catalogue.groups)} groups."
    )


def _columns(catalogue: Catalogue) -> dg.TableSchema:
    """All columns with their meaning: too many to be repeated with every week."""
    families = {family.name: family for family in catalogue.families}
    meanings = {
        column.name: _meaning(column, families[column.family]) for column in catalogue.columns
    }
    features = dict.fromkeys(meanings, pl.Float32)
    frame = pl.LazyFrame(schema={**_KEY, **features, "week": pl.Date, "known_at": TIMESTAMP})
    return frame_schema(frame, meanings)


def _meaning(column: FeatureColumn, family: FeatureFamily) -> str:
    what = (column.measure or column.aggregation or "").replace("_", " ")
    days = "ever" if column.window_days is None else f"in {column.window_days} days"
    window = "" if column.measure else f" {days}"
    empty = " Null when the history says nothing." if column.nullable else ""
    return f"{column.group}, {what}{window}. {family.rationale.rstrip('.')}.{empty}"


def _figures(features: pl.DataFrame) -> dict[str, Any]:
    return {"persons": shown_count(features["person_id"].n_unique())}


def _metadata(features: pl.DataFrame) -> dict[str, Any]:
    by_week = features.group_by("week").len("encounters").sort("week")
    figures: dict[str, Any] = {"encounters of the run": shown_count(features.height)}
    if by_week.height > 1:
        plot = weekly_plot(by_week, "encounters", title="Encounters that became known, by week")
        figures["encounters of the run by week"] = plot
    return readable(figures)
