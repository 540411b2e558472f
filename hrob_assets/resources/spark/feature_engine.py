"""Which engine makes the weekly features: this process, or a program on Spark beside it."""

from datetime import date

import dagster as dg
import polars as pl
from pydantic import TypeAdapter

from hrob_assets.resources.environment import Spark
from hrob_assets.resources.spark.job import run_on_spark
from hrob_assets.risk.features import WEEK_COUNTS, WeeklyTask, write_weekly_features


def make_weekly_features(
    context: dg.AssetExecutionContext, task: WeeklyTask, *, threads: int, spark: Spark | None
) -> pl.DataFrame:
    """Write the files of the weeks with the engine of the environment.

    Parameters
    ----------
    context : AssetExecutionContext
    task : WeeklyTask
    threads : int
        Of the local engine; the files do not depend on it.
    spark : Spark, optional
        None means the local engine.

    Returns
    -------
    DataFrame
        ``week`` (date), ``encounters`` and ``persons``: one row per week asked for, in order.

    Raises
    ------
    HrobError
        As the engine says, in the same words on Spark as here; `SparkJobError` where it is about
        Spark itself.
    """
    if spark is not None:
        counts = run_on_spark(
            context, spark, "features", TypeAdapter(WeeklyTask).dump_json(task).decode()
        )
        weeks = [date.fromisoformat(week) for week in counts["week"]]
        return pl.DataFrame({**counts, "week": weeks}, WEEK_COUNTS)
    return write_weekly_features(
        task.weeks,
        staged=task.staged,
        folder=task.folder,
        catalogue=task.catalogue,
        code_sets=task.code_sets,
        definition=task.definition,
        fingerprints=task.fingerprints,
        n_threads=threads,
    )
