"""The program that Dagster starts beside itself: ``python -m hrob_assets.resources.spark.program``.

It gets a job and its task through Dagster Pipes, does it on Spark and tells how it ended, always: a
process that ends with an error has not come so far as to tell.
"""

import os
import platform
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import polars as pl
from dagster_pipes import PipesContext, open_dagster_pipes
from py4j.protocol import Py4JError
from pydantic import TypeAdapter
from pyspark import __version__ as spark_version
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from hrob_assets.resources.environment import Spark
from hrob_assets.resources.spark.features import open_session, reason_of, write_weekly_features
from hrob_assets.resources.spark.job import PARENT
from hrob_assets.resources.spark.search import search_on_spark
from hrob_assets.resources.spark.search_task import SearchTask
from hrob_assets.risk.errors import HrobError
from hrob_assets.risk.features import WeeklyTask

NOBODY_WAITS = 3
"""Status with which the program ends when the run that started it is gone."""
_LOOK_SECONDS = 0.5


def main() -> None:
    """Do the task and report what came of it, or why nothing did."""
    threading.Thread(target=_end_with, args=(int(os.environ[PARENT]),), daemon=True).start()
    with open_dagster_pipes() as pipes:
        spark = TypeAdapter(Spark).validate_python(pipes.get_extra("spark"))
        job = {"features": _features, "search": _search}[pipes.get_extra("job")]
        try:
            session = open_session(spark)
            try:
                with _ends_with_the_jvm(None if spark.resolve_remote() else session):
                    outcome = {"done": job(pipes, session, spark)}
            finally:
                session.stop()
        except HrobError as error:
            outcome = {"failed": {"kind": type(error).__name__, "reason": str(error)}}
        except (PySparkException, Py4JError) as error:
            kind, reason = reason_of(error)
            outcome = {"failed": {"kind": kind, "reason": reason}}
        pipes.report_custom_message(outcome)


def _features(pipes: PipesContext, session: SparkSession, spark: Spark) -> Mapping[str, list[Any]]:
    task = TypeAdapter(WeeklyTask).validate_json(pipes.get_extra("task"))
    _say(pipes, f"features of {len(task.weeks)} weeks")
    counts = write_weekly_features(session, task, events_per_task=spark.events_per_task)
    return counts.with_columns(counts["week"].cast(pl.String)).to_dict(as_series=False)


def _search(pipes: PipesContext, session: SparkSession, _spark: Spark) -> Mapping[str, int]:
    task = TypeAdapter(SearchTask).validate_json(pipes.get_extra("task"))
    _say(pipes, f"{task.plan.tuning.trials} trials of {task.plan.family}")
    return {"trials": len(search_on_spark(session, task))}


def _say(pipes: PipesContext, what: str) -> None:
    pipes.log.info("Spark %s, Python %s: %s", spark_version, platform.python_version(), what)


def _end_with(parent: int) -> None:
    """End this process, and with it its JVM, when the run that started it is gone.

    Else it would write on beside the run that takes its place.
    """
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(NOBODY_WAITS)


@contextmanager
def _ends_with_the_jvm(session: SparkSession | None) -> Generator[None]:
    """End this process when its JVM is gone: Hyperopt would wait for its trials for ever."""
    jvm: Any = getattr(session and session.sparkContext._gateway, "proc", None)  # noqa: SLF001
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_SECONDS):
            if jvm is not None and jvm.poll() is not None:
                sys.stderr.write("the JVM of Spark has ended; look at its log\n")
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


if __name__ == "__main__":
    main()
