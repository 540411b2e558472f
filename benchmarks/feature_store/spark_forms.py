"""The task on Spark local[2]: in its SQL, and with our kernel on Arrow batches."""

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from benchmarks.feature_store.window_task import CELLS, WINDOWS, catalogue_of_groups
from hrob_assets.risk.features import FACT_COLUMNS, build_features
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS, ROW_KEY

_BITS = 15  # of each of four counts in one BIGINT
_LONGEST = WINDOWS[-1]
_PARTS = 8  # of the persons
_READ = {"events": FACT_COLUMNS, "encounters": ROW_KEY}
_PACKED = """
SELECT encounter_id, code_id, {counts}, last_value, days_since FROM (
  SELECT encounter_id, code_id,
    sum({one_of_each}) AS counts,
    CAST(max_by(value, occurred_at) AS FLOAT) AS last_value,
    min(CASE WHEN value IS NOT NULL THEN t - day END) AS days_since
  FROM (
    SELECT encounter_id, person_id, t,
      explode(array((t - 1) div {longest}, (t - 1) div {longest} - 1)) AS year
    FROM (SELECT *, unix_date(CAST(prediction_time AS DATE)) AS t FROM encounters)
  ) AS moment
  JOIN (
    SELECT person_id, code_id, value, occurred_at, day, day div {longest} AS year
    FROM (SELECT *, unix_date(CAST(occurred_at AS DATE)) AS day FROM events)
  ) AS fact
  ON fact.person_id = moment.person_id AND fact.year = moment.year
    AND day < t AND day >= t - {longest}
  GROUP BY encounter_id, code_id
)
"""


def packed_sums(folder: Path) -> Callable[[], pl.DataFrame]:
    """Pairs of a moment and a fact; four counts as conditional sums in one BIGINT; to cells."""
    spark = _session()
    for name in ("events", "encounters"):
        spark.read.parquet(str(folder / f"{name}.parquet")).createOrReplaceTempView(name)
    one_of_each = " + ".join(
        f"CASE WHEN t - day <= {days} THEN {1 << _BITS * at}L ELSE 0L END"
        for at, days in enumerate(WINDOWS)
    )
    counts = ", ".join(
        f"CAST(shiftright(counts, {_BITS * at}) & {(1 << _BITS) - 1} AS INT) AS n{days}"
        for at, days in enumerate(WINDOWS)
    )
    cells = spark.sql(_PACKED.format(counts=counts, one_of_each=one_of_each, longest=_LONGEST))
    return _made(cells.select(*CELLS))


def kernel_through_arrow(folder: Path) -> Callable[[], pl.DataFrame]:
    """Events and encounters of a group of persons as Arrow tables, to our kernel, to the table."""
    spark = _session()
    catalogue, code_sets = catalogue_of_groups()
    codes = pl.read_parquet(folder / "codes.parquet")

    def features(events: pa.Table, encounters: pa.Table) -> pa.Table:
        facts = pl.DataFrame(events).drop("part").sort("person_id", "occurred_at", "known_at")
        built = build_features(
            pl.DataFrame(encounters).select(ROW_KEY),
            persons=PERSONS.empty(),
            coverage=COVERAGE.empty(),
            events=facts.match_to_schema(
                {**EVENTS.schema, "code_id": pl.Int32}, missing_columns="insert"
            ),
            codes=codes,
            catalogue=catalogue,
            code_sets=code_sets,
            n_threads=1,
        )
        return built.select("encounter_id", *catalogue.column_names).to_arrow()

    part = f"person_id % {_PARTS} AS part"
    read = {name: spark.read.parquet(str(folder / f"{name}.parquet")) for name in _READ}
    events, encounters = (
        read[name].selectExpr(*columns, part).groupBy("part") for name, columns in _READ.items()
    )
    columns = ", ".join(f"{name} FLOAT" for name in catalogue.column_names)
    made = events.cogroup(encounters).applyInArrow(features, f"encounter_id BIGINT, {columns}")
    return _made(made)


@cache
def _session() -> SparkSession:
    """Two threads, everything on this machine, no limits that a small job would not need."""
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "8g",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master("local[2]").appName("benchmark")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _made(frame: DataFrame) -> Callable[[], pl.DataFrame]:
    """Make every row and keep none, which is Spark's best case; later, make them again to look."""
    frame.write.format("noop").mode("overwrite").save()
    return lambda: pl.DataFrame(frame.toArrow())
