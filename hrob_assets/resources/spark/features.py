"""The weekly features on Spark: the same kernel over Arrow batches, persons dealt out by hash.

Runs in the Spark program (`hrob_assets.resources.spark.program`) and on its executors, never in a
process of Dagster.
"""

import math
import os
import re
import sys
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everywhere with Spark

from hrob_assets.resources.environment import Spark
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.features import (
    ENCOUNTER_COLUMNS,
    FACT_COLUMNS,
    WEEK_COUNTS,
    WeeklyTask,
    weekly_pieces,
    write_pieces,
)
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS

_SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.io.encryption.enabled": "true",  # what it writes beside our files are rows of persons
}
_DRIVER = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "FATAL",  # what fails is told by the program, without values of persons
}
_THIS_MACHINE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
_PYTHON = "spark.pyspark.python"
_READ = {
    "persons": tuple(PERSONS.schema),
    "coverage": tuple(COVERAGE.schema),
    "encounters": ENCOUNTER_COLUMNS,
    "events": FACT_COLUMNS,
}
_PLACE = "row_index"  # of a row in its file: the order of staging survives the exchange
_PIECES = pa.schema([("week", pa.date32()), ("piece", pa.binary())])
_WRITTEN = "week date, encounters long, persons long"
_OURS = re.compile(r"^hrob_assets\.risk\.errors\.(\w+): (.*)$", re.MULTILINE)
_THEIRS = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Interrupt))\b", re.MULTILINE)


def open_session(spark: Spark) -> SparkSession:
    """Open a session: on this machine, on a cluster, or on a server of Spark Connect.

    Parameters
    ----------
    spark : Spark
        Its ``conf`` goes over what is set here.
    """
    conf = {name: _text(value) for name, value in spark.conf.items()}
    remote = spark.resolve_remote()
    if remote is not None:
        return _configured(SparkSession.builder.remote(remote), _SESSION | conf).getOrCreate()
    os.environ["PYSPARK_PYTHON"] = conf.get(_PYTHON, sys.executable)
    own = _SESSION | _DRIVER
    if spark.master.startswith("local"):
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        own |= _THIS_MACHINE
    builder = SparkSession.builder.master(spark.master).appName("hrob weekly features")
    return _configured(builder, own | conf).getOrCreate()


def write_weekly_features(
    session: SparkSession, task: WeeklyTask, *, events_per_task: int
) -> pl.DataFrame:
    """Compute the features of weeks on Spark and write one file for each.

    The files are those of `hrob_assets.risk.features.write_weekly_features`, to the
    byte. None is replaced before the features of all weeks are there.

    Parameters
    ----------
    session : SparkSession
    task : WeeklyTask
        Its paths must be the same on all executors.
    events_per_task : int
        About so many events are in the memory of a task; the files do not depend on it.

    Returns
    -------
    DataFrame
        As the local engine returns it.

    Raises
    ------
    PySparkException
        If a task fails; `reason_of` says why.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    with _marked(task.folder) as mark:
        pieces = (
            _facts_of_persons(session, task)
            .repartition(_parts(task, events_per_task), "person_id")
            .mapInArrow(partial(_cut, task, mark), "week date, piece binary")
        )
        weeks = session.createDataFrame([(week, None) for week in task.weeks], pieces.schema)
        by_week = pieces.union(weeks).groupBy("week")
        counts = pl.DataFrame(by_week.applyInArrow(_writer(task), _WRITTEN).toArrow())
    asked = pl.DataFrame({"week": task.weeks}, schema={"week": pl.Date})
    return asked.join(counts, on="week", how="left", maintain_order="left")


def reason_of(error: Exception) -> tuple[str, str]:
    """Say why a job failed, without any value of a person.

    Parameters
    ----------
    error : Exception
        Of Spark, with what an executor raised in its text.

    Returns
    -------
    kind : str
        One of the errors of this project, or ``SparkJobError``.
    reason : str
    """
    text = str(error)
    if ours := _OURS.findall(text):
        return ours[-1]
    if "Traceback" in text and (theirs := _THEIRS.findall(text)):
        return "SparkJobError", (
            f"every task must end well; one failed with {theirs[-1]}. Its message may hold values "
            "of persons and is not repeated here: look at the logs of the executors."
        )
    first = next(iter(text.strip().splitlines()), type(error).__name__)
    return "SparkJobError", f"Spark must be able to run the job; it says: {first}"


def _configured(builder: SparkSession.Builder, conf: Mapping[str, str]) -> SparkSession.Builder:
    for name, value in conf.items():
        builder = builder.config(name, value)
    return builder


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parts(task: WeeklyTask, events_per_task: int) -> int:
    """Number of tasks: the events of those who have an encounter in these weeks, by their share."""
    tables = {name: pl.scan_parquet(task.staged[name]) for name in ("persons", "encounters")}
    in_weeks = tables["encounters"].filter(pl.col("week").is_in(list(task.weeks)))
    who = in_weeks.select(pl.col("person_id").n_unique()).collect().item()
    everybody = max(_height(task.staged["persons"]), 1)
    events = _height(task.staged["events"]) * who / everybody
    return max(1, math.ceil(events / events_per_task))


def _height(path: Path) -> int:
    return pl.scan_parquet(path).select(pl.len()).collect().item()


def _facts_of_persons(session: SparkSession, task: WeeklyTask) -> DataFrame:
    """All that is known of those who have an encounter: one row per row of any table."""
    tables = {
        name: session.read.parquet(str(task.staged[name])).select(
            *columns, F.col(f"_metadata.{_PLACE}").alias(_PLACE)
        )
        for name, columns in _READ.items()
    }
    tables["encounters"] = tables["encounters"].where(F.col("week").isin(list(task.weeks)))
    persons = tables["encounters"].select("person_id").distinct()
    parts = [
        table.select(
            "person_id",
            F.struct(*(name for name in table.columns if name != "person_id")).alias(name),
        )
        for name, table in tables.items()
    ]
    first, *others = parts
    for other in others:
        first = first.unionByName(other, allowMissingColumns=True)
    return first.join(persons, "person_id", "left_semi")


def _cut(
    task: WeeklyTask, mark: Path, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Executor: the persons of one part, to pieces of weeks."""
    if not mark.exists():
        msg = (
            "every executor must see the folder of the features under the same path as the "
            "program (one does not); mount it there"
        )
        raise ConfigurationError(msg)
    tables = _tables(batches)
    if "encounters" not in tables:
        return
    pieces = weekly_pieces(
        tables["encounters"],
        persons=_complete(tables.get("persons"), PERSONS.schema),
        coverage=_complete(tables.get("coverage"), COVERAGE.schema),
        events=_complete(tables.get("events"), EVENTS.schema | {"code_id": pl.Int32}),
        codes=pl.read_parquet(task.staged["codes"]),
        task=task,
    )
    for week, piece in pieces:
        yield pa.RecordBatch.from_pydict({"week": [week], "piece": [piece]}, _PIECES)


def _tables(batches: Iterable[pa.RecordBatch]) -> dict[str, pl.DataFrame]:
    """Sort the rows back into their tables, in the order of their files."""
    found: dict[str, list[pl.DataFrame]] = {}
    for batch in batches:
        frame = pl.DataFrame(pa.Table.from_batches([batch]))
        for name in _READ:
            part = frame.select("person_id", name).filter(pl.col(name).is_not_null())
            if part.height:
                found.setdefault(name, []).append(part.unnest(name))
    return {name: pl.concat(parts).sort(_PLACE).drop(_PLACE) for name, parts in found.items()}


def _complete(frame: pl.DataFrame | None, schema: Mapping[str, Any]) -> pl.DataFrame:
    """Give a table the columns that were not sent; a table without rows is an empty one."""
    if frame is None:
        return pl.DataFrame(schema=schema)
    return frame.match_to_schema(schema, missing_columns="insert")


def _writer(task: WeeklyTask) -> Callable[[pa.Table], pa.Table]:
    """Executor: all pieces of a week, to its file. Spark reads the types, so it is a closure."""

    def write(pieces: pa.Table) -> pa.Table:
        (week,) = pieces["week"].unique().to_pylist()
        sent = (piece.as_py() for piece in pieces["piece"] if piece.is_valid)
        return pl.DataFrame([write_pieces(week, sent, task)], WEEK_COUNTS, orient="row").to_arrow()

    return write


@contextmanager
def _marked(folder: Path) -> Generator[Path]:
    """Leave a mark in a folder while the job runs, by which executors know that it is the same."""
    mark = folder / f".{uuid.uuid4().hex}.mark"
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)
