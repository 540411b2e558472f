"""Start the program on Spark beside this process, and hear how it ended."""

import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import TypeAdapter

from hrob_assets.resources.environment import Spark
from hrob_assets.risk import errors
from hrob_assets.risk.errors import ConfigurationError, HrobError

_PROGRAM = "hrob_assets.resources.spark.program"
PARENT = "HROB_SPARK_PARENT"
"""Variable with the process that waits for the program, which ends with it."""


class SparkJobError(HrobError, RuntimeError):
    """Spark could not do its job; what it was to write is as it was, or whole."""


def require_spark(spark: Spark) -> None:
    """Raise `ConfigurationError` unless a program on Spark can be started here."""
    if find_spec("pyspark") is None:
        msg = (
            "an engine on spark needs the package pyspark (found none); install the extra: "
            'pip install "hrob-assets[spark]"'
        )
        raise ConfigurationError(msg)
    home = os.environ.get("JAVA_HOME")
    if spark.resolve_remote() is None and not (
        shutil.which("java") or (home and (Path(home) / "bin" / "java").exists())
    ):
        msg = (
            "an engine on spark needs Java 17 or later (found no java in PATH or JAVA_HOME); "
            "install it, on Debian: apt-get install openjdk-17-jre-headless"
        )
        raise ConfigurationError(msg)


def run_on_spark(
    context: dg.AssetExecutionContext, spark: Spark, job: str, task: str
) -> Mapping[str, Any]:
    """Start the program and wait; no JVM and no pyspark come into this process.

    Parameters
    ----------
    context : AssetExecutionContext
    spark : Spark
    job : str
        Name of a job of the program.
    task : str
        What the job is to do, in JSON.

    Returns
    -------
    mapping
        What the job reports.

    Raises
    ------
    HrobError
        Of the kind that the job failed with; `SparkJobError` where it is about Spark itself.
    """
    require_spark(spark)
    invocation = dg.PipesSubprocessClient().run(
        context=context.op_execution_context,  # of the other, Pipes reads what is deprecated
        command=[sys.executable, "-m", _PROGRAM],
        extras={
            "spark": TypeAdapter(Spark).dump_python(spark, mode="json"),
            "job": job,
            "task": task,
        },
        env={PARENT: str(os.getpid())},
    )
    (outcome,) = invocation.get_custom_messages()
    if failed := outcome.get("failed"):
        raise _error(**failed)
    return outcome["done"]


def _error(kind: str, reason: str) -> HrobError:
    known: Any = getattr(errors, kind, SparkJobError)
    return known(reason)
