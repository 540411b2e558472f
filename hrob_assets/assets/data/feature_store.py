"""The feature store: every encounter of every person, as known at its prediction time."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    FEATURE_STORE,
    INPUT_FINGERPRINTS,
    RAW,
    STAGED,
    STAGED_POOL,
    WEEK_INPUTS,
    staged_key,
)
from hrob_assets.assets.metadata import add_counts_of_weeks, frame_schema, readable, weekly_plot
from hrob_assets.assets.partitions import (
    LATE_DAYS,
    SINGLE_RUN,
    Weeks,
    mondays,
    request_weeks_since,
    week_ranges,
    weekly_schedule,
)
from hrob_assets.resources.environment import Spark
from hrob_assets.resources.spark.feature_engine import make_weekly_features
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.disclosure import shown_count
from hrob_assets.risk.features import (
    FINGERPRINT_OF_NO_ROWS,
    Catalogue,
    FeatureColumn,
    FeatureFamily,
    WeeklyTask,
    stale_weeks,
    week_fingerprints,
)
from hrob_assets.risk.files import DEFINITION
from hrob_assets.risk.tables import ROW_KEY, TIMESTAMP
from hrob_assets.risk.vocabulary import CodeSet


def feature_store_definitions(
    *,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    weekly: dg.WeeklyPartitionsDefinition,
    owner: str,
    threads: int,
    spark: Spark | None = None,
    start_schedules: bool = False,
) -> dg.Definitions:
    """The asset of weekly encounter features, shared by all use cases, and what it is made from.

    Features are made on Spark where it is given, else in the process of the run.
    """
    definition = definition_version(catalogue, code_sets)
    features = _encounter_features(
        catalogue,
        code_sets=code_sets,
        definition=definition,
        weekly=weekly,
        owner=owner,
        threads=threads,
        spark=spark,
    )
    stage, refresh, build = jobs = _jobs(features)
    schedule = weekly_schedule(
        "refresh_weekly",
        job=refresh,
        cron=_REFRESH,
        description="Every Monday before the lists are made: the source, and the week that ended.",
        started=start_schedules,
        request=partial(request_weeks_since, weekly, days=LATE_DAYS),
    )
    return dg.Definitions(
        assets=[
            _input_fingerprints(definition, weekly=weekly, owner=owner),
            _week_inputs(weekly, owner=owner),
            features,
        ],
        jobs=jobs,
        schedules=[schedule],
        sensors=[_stale_weeks_sensor(definition, [stage, refresh], build, started=start_schedules)],
    )


def _jobs(features: dg.AssetsDefinition) -> list[Any]:
    """Jobs that stage the source, refresh all of it, and build features of weeks."""
    stage = dg.define_asset_job(
        "stage_source",
        selection=dg.AssetSelection.groups(RAW, STAGED),
        description="A new snapshot of the source, staged, validated and fingerprinted.",
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
    return [stage, refresh, build]


def _week_inputs(weekly: dg.WeeklyPartitionsDefinition, *, owner: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        WEEK_INPUTS,
        deps=[dg.AssetDep(INPUT_FINGERPRINTS)],
        partitions_def=weekly,
        group_name=FEATURE_STORE,
        owners=[owner],
        kinds={"parquet"},
        description=(
            "What the rows of each week know. A load that restates facts of the week gives it a "
            "new version here, and its features show as out of date; other weeks do not."
        ),
    )


def _input_fingerprints(
    definition: str, *, weekly: dg.WeeklyPartitionsDefinition, owner: str
) -> dg.AssetsDefinition:
    @dg.asset(
        key=INPUT_FINGERPRINTS,
        group_name=STAGED,
        owners=[owner],
        kinds={"numpy", "parquet"},
        pool=STAGED_POOL,
        deps=[staged_key(name) for name in _TABLES],
        description="One row per week: a fingerprint of all facts that its encounters know.",
    )
    def input_fingerprints(
        context: dg.AssetExecutionContext, storage: Storage
    ) -> dg.Output[pl.DataFrame]:
        found = week_fingerprints(storage.staged_files(_TABLES))
        stale = [
            week
            for week in _stale_of(weekly, storage, found, definition)
            if (storage.asset_path(ENCOUNTER_FEATURES) / f"{week}.parquet").exists()
        ]
        # Dagster compares with what was observed before; so each load is observed as a whole too.
        context.log_event(dg.AssetObservation(WEEK_INPUTS, metadata={"weeks": found.height}))
        for week in stale:
            context.log_event(_new_inputs(week, found))
        metadata = {"dagster/row_count": found.height, "weeks out of date": len(stale)}
        # What changed is shown week by week in `week_inputs`; a version of the whole table would
        # show all weeks as out of date.
        context.set_data_version(INPUT_FINGERPRINTS, dg.DataVersion("see week_inputs"))
        return dg.Output(found, metadata=metadata)

    return input_fingerprints


def _new_inputs(week: date, fingerprints: pl.DataFrame) -> dg.AssetObservation:
    known = fingerprints.filter(pl.col("week") == week)["fingerprint"].to_list()
    return dg.AssetObservation(
        WEEK_INPUTS,
        partition=week.isoformat(),
        tags={"dagster/data_version": known[0] if known else FINGERPRINT_OF_NO_ROWS},
    )


def _stale_of(
    weekly: dg.WeeklyPartitionsDefinition,
    storage: Storage,
    fingerprints: pl.DataFrame,
    definition: str,
) -> list[date]:
    return stale_weeks(
        mondays(weekly.get_partition_keys()),
        folder=storage.asset_path(ENCOUNTER_FEATURES),
        fingerprints=fingerprints,
        definition=definition,
    )


def _stale_weeks_sensor(
    definition: str, after: Sequence[Any], build: Any, *, started: bool
) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name="rebuild_stale_weeks",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=list(after),
        request_jobs=[build],
        default_status=dg.DefaultSensorStatus.RUNNING
        if started
        else dg.DefaultSensorStatus.STOPPED,
        description="After a new load: builds again the weeks whose facts were restated.",
    )
    def rebuild_stale_weeks(
        context: dg.RunStatusSensorContext, storage: Storage
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        ranges = stale_ranges(storage, definition)
        if not ranges:
            yield dg.SkipReason("all weeks that were made are up to date")
        for weeks in ranges:
            key = f"{context.dagster_run.run_id} {weeks.first}..{weeks.last}"
            yield dg.RunRequest(run_key=key, job_name=build.name, tags=weeks.tags)

    return rebuild_stale_weeks


def stale_ranges(storage: Storage, definition: str, *, weeks: Weeks | None = None) -> list[Weeks]:
    """Ranges of weeks to be built again, because of the facts or the definition that they had.

    Parameters
    ----------
    storage : Storage
    definition : str
        As `definition_version` gives it.
    weeks : Weeks, optional
        Weeks that must be there afterwards. None looks only at those that were made.
    """
    folder = storage.asset_path(ENCOUNTER_FEATURES)
    made = [date.fromisoformat(path.stem) for path in folder.glob("????-??-??.parquet")]
    wanted = weeks.mondays if weeks else sorted(made)
    (path,) = storage.staged_files([INPUT_FINGERPRINTS.path[-1]]).values()
    prints = pl.read_parquet(path)
    stale = stale_weeks(wanted, folder=folder, fingerprints=prints, definition=definition)
    return week_ranges(stale, most=_MOST_RANGES)


def _encounter_features(
    catalogue: Catalogue,
    *,
    code_sets: Mapping[str, CodeSet],
    definition: str,
    weekly: dg.WeeklyPartitionsDefinition,
    owner: str,
    threads: int,
    spark: Spark | None,
) -> dg.AssetsDefinition:
    @dg.asset(
        key=ENCOUNTER_FEATURES,
        code_version=definition,
        group_name=FEATURE_STORE,
        partitions_def=weekly,
        backfill_policy=SINGLE_RUN,
        owners=[owner],
        kinds={"numba", "parquet", *(["spark"] if spark else [])},
        pool=STAGED_POOL,
        metadata={"dagster/column_schema": _columns(catalogue), DEFINITION: definition},
        ins={"fingerprints": dg.AssetIn(INPUT_FINGERPRINTS)},
        deps=[WEEK_INPUTS],
        description=_description(catalogue),
    )
    def encounter_features(
        context: dg.AssetExecutionContext, fingerprints: pl.LazyFrame, storage: Storage
    ) -> dg.MaterializeResult:
        task = WeeklyTask(
            weeks=tuple(mondays(context.partition_keys)),
            staged=storage.staged_files(_TABLES),
            folder=storage.asset_path(ENCOUNTER_FEATURES),
            catalogue=catalogue,
            code_sets=code_sets,
            definition=definition,
            fingerprints=dict(fingerprints.select("week", "fingerprint").collect().iter_rows()),
        )
        counts = make_weekly_features(context, task, threads=threads, spark=spark)
        add_counts_of_weeks(context, counts)
        return dg.MaterializeResult(metadata=_metadata(counts))

    return encounter_features


def definition_version(catalogue: Catalogue, code_sets: Mapping[str, CodeSet]) -> str:
    """Hash of everything that gives the columns their meaning (16 hexadecimal digits)."""
    digest = hashlib.sha256(repr(catalogue.families).encode())
    for name in sorted(code_sets):
        digest.update(repr(code_sets[name]).encode())
    return digest.hexdigest()[:16]


_REFRESH = "0 5 * * 1"
_KEY = dict(zip(ROW_KEY, (pl.Int64, pl.Int64, TIMESTAMP), strict=True))
_TABLES = ("persons", "coverage", "encounters", "events", "codes")
_MOST_RANGES = 25


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


def _metadata(counts: pl.DataFrame) -> dict[str, Any]:
    encounters = int(counts["encounters"].sum())
    figures: dict[str, Any] = {"encounters of the run": shown_count(encounters)}
    if counts.height > 1:
        plot = weekly_plot(counts, "encounters", title="Encounters that became known, by week")
        figures["encounters of the run by week"] = plot
    return readable(figures)
