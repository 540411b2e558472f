"""The program that Dagster starts beside itself: ``python -m hrob_assets.resources.spark_program``.

It gets a task through Dagster Pipes, runs it on Spark and tells how it ended, always: a process
that ends with an error has not come so far as to tell.
"""

import platform
from typing import Any

import polars as pl
from dagster_pipes import PipesContext, open_dagster_pipes
from py4j.protocol import Py4JError
from pydantic import TypeAdapter
from pyspark import __version__ as spark_version
from pyspark.errors import PySparkException

from hrob_assets.resources.environment import Spark
from hrob_assets.resources.spark_features import open_session, reason_of, write_weekly_features
from hrob_assets.risk.errors import HrobError
from hrob_assets.risk.features.weekly_files import WeeklyTask


def main() -> None:
    """Do the task and report its counts, or why there are none."""
    with open_dagster_pipes() as pipes:
        spark = TypeAdapter(Spark).validate_python(pipes.get_extra("spark"))
        task = TypeAdapter(WeeklyTask).validate_json(pipes.get_extra("task"))
        try:
            outcome = {"counts": _run(pipes, spark, task)}
        except HrobError as error:
            outcome = {"failed": {"kind": type(error).__name__, "reason": str(error)}}
        except (PySparkException, Py4JError) as error:
            kind, reason = reason_of(error)
            outcome = {"failed": {"kind": kind, "reason": reason}}
        pipes.report_custom_message(outcome)


def _run(pipes: PipesContext, spark: Spark, task: WeeklyTask) -> dict[str, list[Any]]:
    session = open_session(spark)
    try:
        python, weeks = platform.python_version(), len(task.weeks)
        pipes.log.info("Spark %s, Python %s: features of %d weeks", spark_version, python, weeks)
        counts = write_weekly_features(session, task, events_per_task=spark.events_per_task)
    finally:
        session.stop()
    return counts.with_columns(counts["week"].cast(pl.String)).to_dict(as_series=False)


if __name__ == "__main__":
    main()
