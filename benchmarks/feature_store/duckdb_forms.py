"""The task in SQL, as DuckDB runs it best: four forms."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from benchmarks.feature_store.window_task import (
    COUNTS,
    LABS,
    N_GROUPS,
    WINDOWS,
    column_names,
    lab_names,
)
from hrob_assets.risk.sources import quoted

_BITS = 15  # of each of four counts in one BIGINT; a count over 32,767 would spill over
_LONGEST = WINDOWS[-1]

_VIEWS = """
CREATE TEMP VIEW facts AS
SELECT person_id, code_id, value, occurred_at,
  CAST(epoch_us(occurred_at) // 86400000000 AS INTEGER) AS day
FROM read_parquet({events});
CREATE TEMP VIEW moments AS
SELECT encounter_id, person_id, CAST(epoch_us(prediction_time) // 86400000000 AS INTEGER) AS t
FROM read_parquet({encounters})
"""
_PACKED_PAIRS = """
CREATE TEMP TABLE packed AS
SELECT encounter_id, code_id,
  CAST(sum_no_overflow({one_of_each}) AS BIGINT) AS counts,
  CAST(arg_max(value, occurred_at) AS FLOAT) AS last_value,
  min(t - day) FILTER (value IS NOT NULL) AS days_since
FROM (
  SELECT encounter_id, person_id, t, (t - 1) // {longest} - earlier AS year
  FROM moments, (VALUES (0), (1)) AS years(earlier)
) AS moment
JOIN (SELECT *, day // {longest} AS year FROM facts) AS fact
  ON fact.person_id = moment.person_id AND fact.year = moment.year
  AND day < t AND day >= t - {longest}
GROUP BY encounter_id, code_id
"""
_UNPACKED = """
CREATE TEMP TABLE cells AS
SELECT encounter_id, code_id, {counts}, last_value, days_since FROM packed
"""
_SPREAD = """
CREATE TEMP TABLE wide AS
SELECT encounter_id, {columns}
FROM moments
LEFT JOIN (
  SELECT encounter_id, map(list(code_id),
    list(struct_pack(counts, last_value, days_since))) AS found
  FROM packed GROUP BY encounter_id
) USING (encounter_id)
"""
_CUMULATIVE = """
CREATE TEMP TABLE running AS
SELECT person_id, code_id, day, CAST(max(place) AS INTEGER) AS so_far,
  CAST(arg_max(value, place) AS FLOAT) AS value
FROM (
  SELECT *, row_number() OVER (PARTITION BY person_id, code_id ORDER BY occurred_at) AS place
  FROM facts
)
GROUP BY person_id, code_id, day;
CREATE TEMP TABLE asked AS
SELECT encounter_id, person_id, code_id, t
FROM moments JOIN (SELECT DISTINCT person_id, code_id FROM facts) USING (person_id);
CREATE TEMP TABLE cells AS
SELECT asked.encounter_id, asked.code_id, {counts}, latest.value AS last_value,
  CASE WHEN latest.value IS NOT NULL THEN t - latest.day END AS days_since
FROM asked
ASOF JOIN running AS latest
  ON latest.person_id = asked.person_id AND latest.code_id = asked.code_id AND latest.day < t
{before}
WHERE latest.day >= t - {longest}
"""
_BEFORE = """ASOF LEFT JOIN running AS before{days}
  ON before{days}.person_id = asked.person_id AND before{days}.code_id = asked.code_id
  AND before{days}.day < t - {days}"""
_FRAMES = """
CREATE TEMP TABLE cells AS
SELECT encounter_id, code_id, {counts}, CAST(value AS FLOAT) AS last_value,
  CASE WHEN value IS NOT NULL THEN moment - last_day END AS days_since
FROM (
  SELECT encounter_id, code_id, moment, {framed},
    arg_max(value, occurred_at) OVER within{longest} AS value,
    max(day) OVER within{longest} AS last_day
  FROM (
    SELECT person_id, code_id, day AS moment, day, occurred_at, value, NULL AS encounter_id
    FROM facts
    UNION ALL
    SELECT person_id, code_id, t, NULL, NULL, NULL, encounter_id
    FROM moments JOIN (SELECT DISTINCT person_id, code_id FROM facts) USING (person_id)
  )
  WINDOW {windows}
)
WHERE encounter_id IS NOT NULL AND n{longest} > 0
"""
_WINDOW = """within{days} AS (PARTITION BY person_id, code_id ORDER BY moment
  RANGE BETWEEN {days} PRECEDING AND 1 PRECEDING)"""


def packed_sums(folder: Path) -> Callable[[], pl.DataFrame]:
    """Pairs of a moment and a fact; four counts as conditional sums in one BIGINT; to cells."""
    engine = _packed(folder)
    counts = ", ".join(f"CAST({_count('counts', days)} AS INTEGER) AS n{days}" for days in WINDOWS)
    engine.execute(_UNPACKED.format(counts=counts))
    return lambda: engine.sql("FROM cells").pl()


def packed_sums_spread(folder: Path) -> Callable[[], pl.DataFrame]:
    """The same, spread by SQL to one row per encounter and one column per feature."""
    engine = _packed(folder)
    counts = [
        f"CAST({_count(f'coalesce(found[{group}].counts, 0)', days)} AS FLOAT) AS {name}"
        for group in range(N_GROUPS)
        for days, name in zip(WINDOWS, column_names(group), strict=True)
    ]
    labs = [
        f"CAST(found[{group}].{what} AS FLOAT) AS {name}"
        for group in LABS
        for what, name in zip(("last_value", "days_since"), lab_names(group), strict=True)
    ]
    engine.execute(_SPREAD.format(columns=", ".join(counts + labs)))
    return lambda: engine.sql("FROM wide").pl()


def packed_sums_scattered(folder: Path) -> Callable[[], pl.DataFrame]:
    """The same, spread by NumPy: cells are written at their places in one array."""
    engine = _packed(folder)
    found = engine.execute("FROM packed").fetchnumpy()
    moments = engine.execute("SELECT encounter_id FROM moments").fetchnumpy()["encounter_id"]
    number = np.empty(moments.max() + 1, np.int64)
    number[moments] = np.arange(moments.size)
    place = {name: at for at, name in enumerate(_all_names())}
    table = np.zeros((moments.size, len(place)), np.float32)
    first = np.array([place[column_names(group)[0]] for group in range(N_GROUPS)])
    row, group = number[np.asarray(found["encounter_id"])], np.asarray(found["code_id"])
    counts = np.asarray(found["counts"])
    for number, days in enumerate(WINDOWS):
        table[row, first[group] + number] = counts >> _shift(days) & (1 << _BITS) - 1
    table[:, len(COUNTS) * N_GROUPS :] = np.nan
    measured = ~np.ma.getmaskarray(found["last_value"])
    first_lab = np.full(N_GROUPS, -1)
    first_lab[list(LABS)] = [place[lab_names(lab)[0]] for lab in LABS]
    at = first_lab[group[measured]]
    table[row[measured], at] = np.asarray(found["last_value"])[measured]
    table[row[measured], at + 1] = np.asarray(found["days_since"])[measured]
    return lambda: pl.from_numpy(table, list(place)).with_columns(
        pl.col([name for lab in LABS for name in lab_names(lab)]).fill_nan(None),
        encounter_id=moments,
    )


def cumulative_counts(folder: Path) -> Callable[[], pl.DataFrame]:
    """ASOF joins on cumulative counts: the count so far less the count before the window."""
    engine = _engine(folder)
    counts = ", ".join(
        f"latest.so_far - coalesce(before{days}.so_far, 0) AS n{days}" for days in WINDOWS
    )
    before = "\n".join(_BEFORE.format(days=days) for days in WINDOWS)
    engine.execute(_CUMULATIVE.format(counts=counts, before=before, longest=_LONGEST))
    return lambda: engine.sql("FROM cells").pl()


def range_frames(folder: Path) -> Callable[[], pl.DataFrame]:
    """Window functions over RANGE frames, on facts and moments in one line."""
    engine = _engine(folder)
    engine.execute(
        _FRAMES.format(
            counts=", ".join(f"CAST(n{days} AS INTEGER) AS n{days}" for days in WINDOWS),
            framed=", ".join(f"count(day) OVER within{days} AS n{days}" for days in WINDOWS),
            windows=", ".join(_WINDOW.format(days=days) for days in WINDOWS),
            longest=_LONGEST,
        )
    )
    return lambda: engine.sql("FROM cells").pl()


def _packed(folder: Path) -> duckdb.DuckDBPyConnection:
    engine = _engine(folder)
    bounds = zip(WINDOWS[:-1], range(len(WINDOWS)), strict=False)
    cases = " ".join(
        f"WHEN t - day <= {days} THEN {sum(1 << _shift(longer) for longer in WINDOWS[at:])}"
        for days, at in bounds
    )
    engine.execute(
        _PACKED_PAIRS.format(
            one_of_each=f"CASE {cases} ELSE {1 << _shift(_LONGEST)} END", longest=_LONGEST
        )
    )
    return engine


def _count(packed: str, days: int) -> str:
    return f"({packed} >> {_shift(days)}) & {(1 << _BITS) - 1}"


def _shift(days: int) -> int:
    return _BITS * (len(WINDOWS) - 1 - WINDOWS.index(days))


def _all_names() -> list[str]:
    """Counts of all groups, then labs."""
    counts = [name for group in range(N_GROUPS) for name in column_names(group)]
    return counts + [name for group in LABS for name in lab_names(group)]


def _engine(folder: Path) -> duckdb.DuckDBPyConnection:
    engine = duckdb.connect(":memory:", config={"threads": 2})
    engine.execute("SET enable_progress_bar = false")
    engine.execute(
        _VIEWS.format(
            events=quoted(folder / "events.parquet"),
            encounters=quoted(folder / "encounters.parquet"),
        )
    )
    return engine
