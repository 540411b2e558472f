"""Which engine makes the weekly features: this process, or a program on Spark beside it."""

import os
import shutil
import sys
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import TypeAdapter

from hrob_assets.resources.environment import Spark
from hrob_assets.risk import errors
from hrob_assets.risk.errors import ConfigurationError, HrobError
from hrob_assets.risk.features.weekly_files import COUNTS, WeeklyTask, write_weekly_features

_PROGRAM = "hrob_assets.resources.spark_program"


class SparkJobError(HrobError, RuntimeError):
    """Spark could not do its job; the weekly files are as they were or whole."""


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
        return _on_spark(context, task, spark)
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


def require_spark(spark: Spark) -> None:
    """Raise `ConfigurationError` unless a program on Spark can be started here."""
    if find_spec("pyspark") is None:
        msg = (
            "feature_engine: spark needs the package pyspark (found none); install the extra: "
            'pip install "hrob-assets[spark]"'
        )
        raise ConfigurationError(msg)
    home = os.environ.get("JAVA_HOME")
    if spark.resolve_remote() is None and not (
        shutil.which("java") or (home and (Path(home) / "bin" / "java").exists())
    ):
        msg = (
            "feature_engine: spark needs Java 17 or later (found no java in PATH or JAVA_HOME); "
            "install it, on Debian: apt-get install openjdk-17-jre-headless"
        )
        raise ConfigurationError(msg)


def _on_spark(context: dg.AssetExecutionContext, task: WeeklyTask, spark: Spark) -> pl.DataFrame:
    """Start the program and wait; no JVM and no pyspark come into this process."""
    require_spark(spark)
    invocation = dg.PipesSubprocessClient().run(
        context=context.op_execution_context,  # of the other, Pipes reads what is deprecated
        command=[sys.executable, "-m", _PROGRAM],
        extras={
            "spark": TypeAdapter(Spark).dump_python(spark, mode="json"),
            "task": TypeAdapter(WeeklyTask).dump_json(task).decode(),
        },
    )
    (outcome,) = invocation.get_custom_messages()
    if failed := outcome.get("failed"):
        raise _error(**failed)
    counts = outcome["counts"]
    weeks = [date.fromisoformat(week) for week in counts["week"]]
    return pl.DataFrame(counts | {"week": weeks}, COUNTS)


def _error(kind: str, reason: str) -> HrobError:
    known: Any = getattr(errors, kind, SparkJobError)
    return known(reason)
