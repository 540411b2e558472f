"""The task in Polars: pairs, spread pairs, and joins on cumulative counts."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.feature_store.window_task import (
    CELLS,
    COUNTS,
    LABS,
    N_GROUPS,
    WINDOWS,
    column_names,
    lab_names,
)

_BITS = 15  # of each of four counts in one integer
_LONGEST = WINDOWS[-1]
_KEY = ("encounter_id", "code_id")


def expanded_pairs(folder: Path) -> Callable[[], pl.DataFrame]:
    """Pairs of a moment and a fact, joined by person and year, grouped; to cells."""
    cells = _pairs(folder)
    return lambda: cells


def expanded_pairs_spread(folder: Path) -> Callable[[], pl.DataFrame]:
    """The same, spread by `pivot` to one row per encounter and one column per feature."""
    values = [*COUNTS, "last_value", "days_since"]
    cells = _pairs(folder).with_columns(pl.col(values).cast(pl.Float32))
    wide = cells.pivot("code_id", index="encounter_id", values=values)
    counts = {
        name: pl.coalesce(_given(wide, f"{count}_{group}"), pl.lit(0, pl.Float32))
        for group in range(N_GROUPS)
        for count, name in zip(COUNTS, column_names(group), strict=True)
    }
    labs = {
        name: _given(wide, f"{what}_{group}")
        for group in LABS
        for what, name in zip(("last_value", "days_since"), lab_names(group), strict=True)
    }
    moments = _moments(folder).select("encounter_id").collect()
    of_moments = moments.join(wide, on="encounter_id", how="left", maintain_order="left")
    table = of_moments.select("encounter_id", **counts, **labs)
    return lambda: table


def cumulative_counts(folder: Path) -> Callable[[], pl.DataFrame]:
    """As-of joins on cumulative counts: the count so far less the count before the window."""
    facts = _facts(folder).drop("place")
    group = ("person_id", "code_id")
    running = (
        facts.with_columns(so_far=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(group))
        .group_by(*group, "day", maintain_order=True)
        .agg(pl.col("so_far", "value").last())
        .sort("day")
        .collect()
        .lazy()
    )
    asked = _moments(folder).join(facts.select(group).unique(), on="person_id").sort("t")
    day_before = pl.col("t") - 1
    found = asked.with_columns(until=day_before).join_asof(
        running.with_columns(last_day="day"),
        left_on="until",
        right_on="day",
        by=group,
        tolerance=_LONGEST - 1,
        check_sortedness=False,
    )
    found = found.drop_nulls("last_day").with_columns(
        last_value=pl.col("value").cast(pl.Float32),
        days_since=pl.when(pl.col("value").is_not_null()).then(pl.col("t") - pl.col("last_day")),
    )
    for count, days in zip(COUNTS, WINDOWS, strict=True):
        before = running.select(*group, "day", pl.col("so_far").alias("before"))
        found = (
            found.select(pl.exclude("day", "value"))
            .with_columns(until=day_before - days)
            .join_asof(before, left_on="until", right_on="day", by=group, check_sortedness=False)
            .with_columns((pl.col("so_far") - pl.col("before").fill_null(0)).alias(count))
            .drop("before")
        )
    cells = found.select(CELLS.keys()).collect()
    return lambda: cells


def _pairs(folder: Path) -> pl.DataFrame:
    facts = _facts(folder).with_columns(year=pl.col("day") // _LONGEST).collect()
    year = (pl.col("t") - 1) // _LONGEST
    moments = _moments(folder)
    years = [moments.with_columns(year=year), moments.with_columns(year=year - 1)]
    age = pl.col("t") - pl.col("day")
    one_of_each = sum(
        ((pl.col("age") <= days).cast(pl.Int64) * (1 << _BITS * at) for at, days in _packed()),
        start=pl.lit(0, pl.Int64),
    )
    packed = (
        pl.concat(years)
        .join(facts.lazy().drop("value"), on=["person_id", "year"])
        .with_columns(age=age)
        .filter(pl.col("age").is_between(1, _LONGEST))
        .with_columns(counts=one_of_each)
        .group_by(_KEY)
        .agg(pl.col("counts").sum(), pl.col("place").max(), pl.col("age").min())
        .collect()
    )
    last = facts["value"].gather(packed["place"]).cast(pl.Float32)
    return packed.select(
        *_KEY,
        *(
            (pl.col("counts") // (1 << _BITS * at) % (1 << _BITS)).cast(pl.Int32).alias(f"n{days}")
            for at, days in _packed()
        ),
        last_value=last,
        days_since=pl.when(last.is_not_null()).then("age"),
    )


def _packed() -> list[tuple[int, int]]:
    return list(enumerate(reversed(WINDOWS)))


def _given(frame: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name) if name in frame.columns else pl.lit(None, pl.Float32)


def _facts(folder: Path) -> pl.LazyFrame:
    day = pl.col("occurred_at").dt.date().to_physical()
    return pl.scan_parquet(folder / "events.parquet").select(
        "person_id", "code_id", "value", day=day, place=pl.int_range(pl.len(), dtype=pl.Int32)
    )


def _moments(folder: Path) -> pl.LazyFrame:
    t = pl.col("prediction_time").dt.date().to_physical()
    return pl.scan_parquet(folder / "encounters.parquet").select("encounter_id", "person_id", t=t)
