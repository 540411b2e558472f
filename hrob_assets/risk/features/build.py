"""Build the feature store: every column of the catalogue for every row."""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise

import numpy as np
import polars as pl

from hrob_assets.risk.code_sets import CodeSet, match_codes
from hrob_assets.risk.errors import ConfigurationError, ContractError, nearest
from hrob_assets.risk.features.catalogue import Catalogue
from hrob_assets.risk.features.facts import EVENT_COLUMNS, read_facts
from hrob_assets.risk.features.kernel import Rows, SeriesColumn, plan_columns, slide
from hrob_assets.risk.features.measures import (
    coverage_measures,
    encounter_measures,
    person_measures,
)
from hrob_assets.risk.pregnancy import pregnancy_at, pregnancy_signatures
from hrob_assets.risk.pregnancy.signatures import KIND_OF_CODE_SET
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS, ROW_KEY, TIMESTAMP

EVENTS_PER_BLOCK = 4_000_000
_CELLS_LIKE_ONE_EVENT = 25  # four bytes each, against about a hundred of an event
_KEY_TYPES = {"person_id": pl.Int64, "encounter_id": pl.Int64, "prediction_time": TIMESTAMP}


def build_features(
    rows: pl.DataFrame,
    *,
    persons: pl.LazyFrame | pl.DataFrame,
    coverage: pl.LazyFrame | pl.DataFrame,
    events: pl.LazyFrame | pl.DataFrame,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    n_threads: int = 2,
    events_per_block: int = EVENTS_PER_BLOCK,
) -> pl.DataFrame:
    """Compute the features of all rows from what was known before their prediction times.

    Parameters
    ----------
    rows : DataFrame
        `ROW_KEY`, and ``encounter_class`` and ``occurred_at`` if the catalogue has features of
        this_encounter. Other columns are left out.
    persons, coverage, events : LazyFrame or DataFrame [PERSONS, COVERAGE, EVENTS]
        Staged tables. Events are read block by block; sorted by person they are read once.
    catalogue : Catalogue
    code_sets : mapping of str to CodeSet
        At least those that the catalogue names and, for pregnancy features, those of
        `hrob_assets.risk.pregnancy`.
    n_threads : int
        The result does not depend on it.
    events_per_block : int
        Events (or as many feature cells as take their room) that are in memory at one time.
        The result does not depend on it.

    Returns
    -------
    DataFrame
        One row per row of ``rows`` and in its order: the key, then one Float32 column per column
        of the catalogue. Without history, counts and flags are 0, ``missing`` is 1 and the
        others are null.

    Raises
    ------
    ContractError
        If a table breaks its contract or a row's person is not in ``persons``.
    ConfigurationError
        If the catalogue names a code set that is not there.
    """
    blocks = feature_blocks(
        rows,
        persons=persons,
        coverage=coverage,
        events=events,
        catalogue=catalogue,
        code_sets=code_sets,
        n_threads=n_threads,
        events_per_block=events_per_block,
    )
    built = pl.concat([_empty(catalogue), *blocks])
    return built[_in_order(rows)["row"].arg_sort()]


def feature_blocks(
    rows: pl.DataFrame,
    *,
    persons: pl.LazyFrame | pl.DataFrame,
    coverage: pl.LazyFrame | pl.DataFrame,
    events: pl.LazyFrame | pl.DataFrame,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    n_threads: int = 2,
    events_per_block: int = EVENTS_PER_BLOCK,
) -> Iterator[pl.DataFrame]:
    """Compute the features block after block, to write them where they do not fit in memory.

    Parameters
    ----------
    rows, persons, coverage, events, catalogue, code_sets, n_threads, events_per_block
        As in `build_features`.

    Yields
    ------
    DataFrame
        All rows of some persons, ordered by person and prediction time; later blocks have
        greater person ids. Together they have one row per row of ``rows``.
    """
    _check_rows(rows)
    for table, frame in ((PERSONS, persons), (COVERAGE, coverage), (EVENTS, events)):
        table.check(frame)
    needed = _needed_code_sets(catalogue, code_sets)
    for block in _person_blocks(_in_order(rows), events, catalogue, events_per_block):
        ids = block.select("person_id").unique().sort("person_id")
        yield _build_block(
            block,
            _of_persons(persons, ids),
            _of_persons(coverage, ids),
            _of_persons(events, ids),
            catalogue,
            needed,
            n_threads,
        )


def _build_block(
    rows: pl.DataFrame,
    persons: pl.LazyFrame,
    coverage: pl.LazyFrame,
    events: pl.LazyFrame,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    n_threads: int,
) -> pl.DataFrame:
    """Build all kinds of features for all rows of some persons."""
    kinds = {family.kind for family in catalogue.families}
    wanted = events if kinds & {"codes", "pregnancy"} else events.clear()
    read = wanted.select(EVENT_COLUMNS).collect()
    makers = {
        "codes": partial(_coded_columns, rows, read, catalogue, code_sets, n_threads),
        "person": lambda: person_measures(rows, persons.collect()),
        "coverage": lambda: coverage_measures(rows, coverage.collect()),
        "encounter": lambda: encounter_measures(rows),
        "pregnancy": partial(_pregnancy_columns, rows, read, code_sets),
    }
    columns = pl.concat([makers[kind]() for kind in sorted(kinds)], how="horizontal")
    features = columns.select(pl.col(catalogue.column_names).cast(pl.Float32))
    return pl.concat([rows.select(ROW_KEY), features], how="horizontal")


def _coded_columns(
    rows: pl.DataFrame,
    events: pl.DataFrame,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    n_threads: int,
) -> pl.DataFrame:
    """Columns of the kind ``codes``: one series per code set, shared by its families."""
    persons = rows["person_id"].unique().sort().to_numpy()
    series = {name: number for number, name in enumerate(catalogue.code_sets)}
    sets = [code_sets[name] for name in series]
    columns = {
        column: SeriesColumn(series[family.code_set], column.aggregation, column.window_days)
        for family in catalogue.families
        if family.code_set is not None
        for column in family.columns
        if column.aggregation is not None
    }
    cells = slide(
        read_facts(events, persons, sets, n_threads=n_threads),
        Rows(
            np.append(np.searchsorted(rows["person_id"].to_numpy(), persons), rows.height),
            rows["prediction_time"].to_physical().to_numpy(),
        ),
        plan_columns(list(columns.values()), n_series=len(series)),
        n_threads=n_threads,
    )
    frame = pl.from_numpy(cells, [column.name for column in columns], orient="row")
    nullable = [column.name for column in columns if column.nullable]
    return frame.with_columns(pl.col(nullable).fill_nan(None))


def _pregnancy_columns(
    rows: pl.DataFrame, events: pl.DataFrame, code_sets: Mapping[str, CodeSet]
) -> pl.DataFrame:
    """Columns ``pregnancy__<measure>``."""
    pairs = [
        events.lazy().select(pl.col(vocabulary).alias("vocabulary"), pl.col(code).alias("code"))
        for vocabulary, code in (
            ("vocabulary", "code"),
            ("standard_vocabulary", "standard_code"),
        )
    ]
    codes = pl.concat(pairs).unique().drop_nulls().collect()
    matches = match_codes(codes, [code_sets[name] for name in KIND_OF_CODE_SET])
    complete = events.match_to_schema(EVENTS.schema, missing_columns="insert")
    states = pregnancy_at(rows, pregnancy_signatures(complete, matches))
    return states.drop("person_id", "prediction_time").rename(lambda name: f"pregnancy__{name}")


def _check_rows(rows: pl.DataFrame) -> None:
    wrong = [name for name, dtype in _KEY_TYPES.items() if rows.schema.get(name) != dtype]
    if wrong:
        types = ", ".join(f"{name} ({_KEY_TYPES[name]})" for name in wrong)
        msg = f"rows must have the columns {types}; found {dict(rows.schema)}. Cast or add them."
        raise ContractError(msg)
    if nulls := sum(rows[name].null_count() for name in ROW_KEY):
        msg = f"rows must have no null in {', '.join(ROW_KEY)}; found {nulls}. Remove them."
        raise ContractError(msg)


def _needed_code_sets(
    catalogue: Catalogue, code_sets: Mapping[str, CodeSet]
) -> Mapping[str, CodeSet]:
    needed = list(catalogue.code_sets)
    if any(family.kind == "pregnancy" for family in catalogue.families):
        needed += KIND_OF_CODE_SET
    for name in needed:
        if name not in code_sets:
            msg = f"Code set {name!r} must be given; it is not. {nearest(name, code_sets)}"
            raise ConfigurationError(msg)
    return {name: code_sets[name] for name in needed}


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_row_index("row").sort("person_id", "prediction_time", "row")


def _person_blocks(
    rows: pl.DataFrame,
    events: pl.LazyFrame | pl.DataFrame,
    catalogue: Catalogue,
    events_per_block: int,
) -> Iterator[pl.DataFrame]:
    """Cut ordered rows where the events and cells of the persons so far fill a block."""
    cells = pl.col("rows") * len(catalogue.columns) // _CELLS_LIKE_ONE_EVENT
    sizes = (
        rows.lazy()
        .group_by("person_id")
        .agg(rows=pl.len())
        .join(events.lazy().group_by("person_id").agg(events=pl.len()), on="person_id", how="left")
        .sort("person_id")
        .select("person_id", block=(cells + pl.col("events").fill_null(0)).cum_sum())
        .with_columns(pl.col("block") // events_per_block)
        .collect()
    )
    blocks = rows.join(sizes, on="person_id", how="left", maintain_order="left")["block"]
    edges = [0, *(np.flatnonzero(np.diff(blocks.to_numpy())) + 1).tolist(), rows.height]
    for begin, end in pairwise(edges):
        if end > begin:
            yield rows[begin:end]


def _of_persons(table: pl.LazyFrame | pl.DataFrame, persons: pl.DataFrame) -> pl.LazyFrame:
    """Rows of these persons; the range lets a sorted Parquet file skip most row groups."""
    ids = persons["person_id"]
    within = table.lazy().filter(pl.col("person_id").is_between(ids[0], ids[-1]))
    return within.join(persons.lazy(), on="person_id", how="semi")


def _empty(catalogue: Catalogue) -> pl.DataFrame:
    features = dict.fromkeys(catalogue.column_names, pl.Float32)
    return pl.DataFrame(schema=_KEY_TYPES | features)
