"""The feature engine against plain SQL and against a Polars group-by, on the same events."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from benchmarks.measure import in_fresh_process, seconds_of
from benchmarks.report import Table
from hrob_assets.components.catalogue import shared_catalogue
from hrob_assets.risk.code_sets import Code, CodeSet, match_codes
from hrob_assets.risk.features.build import build_features
from hrob_assets.risk.features.catalogue import Catalogue
from hrob_assets.risk.features.sql_oracle import build_features_sql
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS, ROW_KEY, TIMESTAMP
from hrob_assets.risk.windows import DAY_US

_EVENTS, _EVENTS_PER_ROW, _EVENTS_PER_PERSON = 300_000, 15, 50
_OTHER_SHARE = 0.5  # of codes that belong to no code set
_STANDARD_SHARE = 0.2  # of events that have a standard code beside the source code
_FIRST_DAY, _DAYS = 18_631, 1_826  # 2021-01-04 in days since 1970; five years
_EVER_DAYS = 36_500
_APPROXIMATE = ("mean", "slope")  # sums of floats depend on their order
_COUNTED = ("any", "count")


def run(scale: float) -> list[Table]:
    """Compare the forms; then measure the engine alone on ten times the events."""
    side_by_side = in_fresh_process(_compare, int(_EVENTS * scale)).value
    return [*side_by_side, _alone(int(_EVENTS * scale * 10))]


def _compare(n_events: int) -> list[Table]:
    catalogue, code_sets = _obstetrics()
    data = _generated(n_events, code_sets, np.random.default_rng(1))
    counts = _only(catalogue, _COUNTED)
    return [
        _side_by_side(
            data | {"catalogue": catalogue, "code_sets": code_sets},
            {"plain SQL (DuckDB, 1 thread)": build_features_sql},
            "all code families",
        ),
        _side_by_side(
            data | {"catalogue": counts, "code_sets": code_sets},
            {
                "plain SQL (DuckDB, 1 thread)": build_features_sql,
                f"Polars group-by ({pl.thread_pool_size()} threads)": _build_counts_polars,
            },
            "their columns `count` and `any`",
        ),
    ]


def _side_by_side(data: Mapping, others: Mapping, what: str) -> Table:
    """Check that all forms give the same frame, then time them in turns."""
    forms = {
        "sliding windows (ours, 2 threads)": partial(build_features, n_threads=2),
        "sliding windows (ours, 1 thread)": partial(build_features, n_threads=1),
    }
    forms = {name: partial(form, **data) for name, form in (forms | dict(others)).items()}
    first, *rest = [form() for form in forms.values()]
    for built in rest:
        _assert_same(first, built, data["catalogue"])
    seconds = seconds_of(forms)
    base = next(iter(seconds.values()))
    rows = [(name, f"{each:.2f} s", f"{each / base:.1f}") for name, each in seconds.items()]
    note = (
        f"{_sizes(data)}: {what}. Results equal; medians of 3, in turns. Threads are those "
        "of the kernel and of DuckDB; the Polars parts of all forms may use every core."
    )
    return Table(("form", "seconds", "ratio"), rows, note)


def _assert_same(one: pl.DataFrame, other: pl.DataFrame, catalogue: Catalogue) -> None:
    close = [x.name for x in catalogue.columns if x.aggregation in _APPROXIMATE]
    assert_frame_equal(one.drop(close), other.drop(close), check_exact=True)
    assert_frame_equal(one.select(close), other.select(close), rel_tol=1e-5, abs_tol=1e-4)


def _alone(n_events: int) -> Table:
    measured = in_fresh_process(_measure_alone, n_events)
    seconds, sizes = measured.value
    rows = [
        (
            "sliding windows (ours, 2 threads)",
            f"{seconds:.2f} s",
            f"{n_events / seconds / 1e6:.2f} million",
            f"{measured.peak_gb:.1f} GB",
        )
    ]
    note = f"{sizes}, events in memory; median of 3; memory includes making the events."
    return Table(("form", "seconds", "events per second", "peak memory"), rows, note)


def _measure_alone(n_events: int) -> tuple[float, str]:
    catalogue, code_sets = _obstetrics()
    given = {"catalogue": catalogue, "code_sets": code_sets}
    build_features(**_generated(1_000, code_sets, np.random.default_rng(1)), **given)  # compiles
    data = _generated(n_events, code_sets, np.random.default_rng(2)) | given
    (seconds,) = seconds_of({"": partial(build_features, **data)}).values()
    return seconds, _sizes(data)


def _sizes(data: Mapping) -> str:
    return (
        f"{data['events'].height:,} events of {data['events']['person_id'].n_unique():,} people, "
        f"{data['rows'].height:,} rows, {len(data['catalogue'].columns)} columns"
    )


def _obstetrics() -> tuple[Catalogue, dict[str, CodeSet]]:
    catalogue, code_sets = shared_catalogue(("high_risk_obstetrics",))
    coded = Catalogue(tuple(x for x in catalogue.families if x.kind == "codes"))
    return coded, {name: code_sets[name] for name in coded.code_sets}


def _only(catalogue: Catalogue, aggregations: tuple[str, ...]) -> Catalogue:
    families = [
        replace(family, columns=columns)
        for family in catalogue.families
        if (columns := tuple(x for x in family.columns if x.aggregation in aggregations))
    ]
    return Catalogue(tuple(families))


def _build_counts_polars(
    rows: pl.DataFrame,
    *,
    events: pl.DataFrame,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    **_: object,
) -> pl.DataFrame:
    """Pair every row with every earlier fact of its person, group, and spread out the groups."""
    t = pl.col("prediction_time")
    windows = sorted({column.window_days or _EVER_DAYS for column in catalogue.columns})
    inside = {f"n{days}": pl.col("occurred_at") >= t - pl.duration(days=days) for days in windows}
    counts = (
        rows.lazy()
        .with_row_index("row")
        .join(_coded_facts(events.lazy(), code_sets), on="person_id")
        .filter(pl.col("available_at") < t)
        .group_by("row", "code_set")
        .agg(within.sum().alias(name) for name, within in inside.items())
        .collect()
    )
    wide = counts.pivot("code_set", index="row", values=list(inside))
    cells = [
        (n.clip(upper_bound=1) if column.aggregation == "any" else n).alias(column.name)
        for family in catalogue.families
        for column in family.columns
        for name in (f"n{column.window_days or _EVER_DAYS}_{family.code_set}",)
        for n in (pl.col(name) if name in wide.columns else pl.lit(0),)
    ]
    of_rows = rows.with_row_index("row").join(wide, on="row", how="left", maintain_order="left")
    filled = of_rows.select(*ROW_KEY, pl.selectors.starts_with("n").fill_null(0))
    return filled.select(*ROW_KEY, *(cell.cast(pl.Float32) for cell in cells))


def _coded_facts(events: pl.LazyFrame, code_sets: Mapping[str, CodeSet]) -> pl.LazyFrame:
    """One row per event and code set that its source code or its standard code belongs to."""
    numbered = events.with_row_index("event").with_columns(
        available_at=pl.max_horizontal("occurred_at", "known_at")
    )
    kept = ("event", "person_id", "occurred_at", "available_at", "unit")
    both = [
        numbered.select(*kept, vocabulary=vocabulary, code=code)
        for vocabulary, code in (
            ("vocabulary", "code"),
            ("standard_vocabulary", "standard_code"),
        )
    ]
    pairs = pl.concat(both).drop_nulls(["vocabulary", "code"])
    key = ["vocabulary", "code", "unit"]
    matches = match_codes(pairs.select(key).unique().collect(), code_sets.values())
    return (
        pairs.join(matches.lazy().select(*key, "code_set"), on=key, nulls_equal=True)
        .with_columns(pl.col("code_set").cast(pl.Enum(sorted(code_sets))))
        .unique(["event", "code_set"])
        .select("person_id", "occurred_at", "available_at", "code_set")
    )


def _generated(
    n_events: int, code_sets: Mapping[str, CodeSet], rng: np.random.Generator
) -> dict[str, pl.DataFrame]:
    """Events in a random order of codes, known late by some days, and random rows."""
    n_persons, n_rows = n_events // _EVENTS_PER_PERSON, n_events // _EVENTS_PER_ROW
    occurred = rng.integers(0, _DAYS * 24, n_events) * (DAY_US // 24)
    late = rng.exponential(10, n_events).astype(np.int64) * DAY_US
    standard = _drawn_codes(code_sets, n_events, rng).select("vocabulary", "code")
    events = _drawn_codes(code_sets, n_events, rng).with_columns(
        pl.when(pl.Series(rng.random(n_events) < _STANDARD_SHARE))
        .then(column)
        .alias(f"standard_{column.name}")
        for column in standard
    )
    events = events.with_columns(
        person_id=pl.Series(rng.integers(0, n_persons, n_events)),
        domain=pl.lit("measurement"),
        source_row_id=pl.int_range(n_events),
        encounter_id=pl.lit(None, pl.Int64),
        occurred_at=_moment(occurred),
        known_at=_moment(occurred + late),
    )
    rows = pl.DataFrame(
        {
            "person_id": rng.integers(0, n_persons, n_rows),
            "encounter_id": np.arange(n_rows),
            "prediction_time": _moment(rng.integers(_DAYS // 3, _DAYS, n_rows) * DAY_US),
        }
    )
    return {
        "rows": rows,
        "persons": PERSONS.empty(),
        "coverage": COVERAGE.empty(),
        "events": events.select(*EVENTS.schema).sort("person_id", "occurred_at", "known_at"),
    }


def _drawn_codes(
    code_sets: Mapping[str, CodeSet], n_events: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Vocabulary, code, value and unit; few sets are common, many are rare."""
    commonness = 1 / np.arange(1, len(code_sets) + 1)
    table = pl.DataFrame(
        [
            (code.vocabulary, code.code, code.match, code.unit, _middle(code), share / len(x.codes))
            for x, share in zip(code_sets.values(), rng.permutation(commonness), strict=True)
            for code in x.codes
        ],
        schema=["vocabulary", "code", "match", "unit", "middle", "share"],
        orient="row",
    )
    drawn = table[rng.choice(table.height, n_events, p=table["share"] / table["share"].sum())]
    ending = pl.Series(rng.integers(0, 10, n_events)).cast(pl.String)
    other = pl.lit("ZZ") + pl.Series(rng.integers(0, 5_000, n_events)).cast(pl.String)
    is_other = pl.Series(rng.random(n_events) < _OTHER_SHARE)
    value = pl.col("middle") * pl.Series(rng.lognormal(0, 0.3, n_events))
    return drawn.select(
        "vocabulary",
        "unit",
        code=pl.when(is_other)
        .then(other)
        .when(pl.col("match") == "prefix")
        .then(pl.col("code") + ending)
        .otherwise("code"),
        value=pl.when(pl.col("unit").is_not_null()).then(value),
    )


def _middle(code: Code) -> float:
    """Middle of the reference range in the unit of the code."""
    return ((code.low or 1.0) + (code.high or 100.0)) / 2 / code.factor


def _moment(microseconds: np.ndarray) -> pl.Series:
    return pl.Series(microseconds + _FIRST_DAY * DAY_US).cast(TIMESTAMP)
