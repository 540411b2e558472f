"""Build the feature store: every column of the catalogue for every row."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import polars as pl
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]

from hrob_assets.risk.errors import ConfigurationError, ContractError, nearest
from hrob_assets.risk.features.build.coverage_measures import coverage_measures
from hrob_assets.risk.features.build.person_measures import encounter_measures, person_measures
from hrob_assets.risk.features.build.pregnancy_measures import pregnancy_measures
from hrob_assets.risk.features.catalogue.catalogue import Catalogue
from hrob_assets.risk.features.kernel.blocks import of_persons, row_blocks
from hrob_assets.risk.features.kernel.facts import (
    FACT_COLUMNS,
    CodeMap,
    map_codes,
    number_codes,
    read_facts,
)
from hrob_assets.risk.features.kernel.plan import SeriesColumn, plan_columns
from hrob_assets.risk.features.kernel.slide import Rows, slide
from hrob_assets.risk.features.kernel.walk import Plan, Pregnancies
from hrob_assets.risk.pregnancy import (
    PREGNANCY_CODE_SETS,
    KnownPregnancies,
    known_pregnancies,
    pregnancy_signatures,
)
from hrob_assets.risk.tables import CODE_COLUMNS, COVERAGE, EVENTS, PERSONS, ROW_KEY, TIMESTAMP
from hrob_assets.risk.vocabulary import CodeSet, match_codes

EVENTS_PER_BLOCK = 4_000_000
_ARROW = cast("Any", pa)  # it has no stubs
_CELLS_LIKE_ONE_EVENT = 25  # four bytes each, against about a hundred of an event
_KEY_TYPES = {"person_id": pl.Int64, "encounter_id": pl.Int64, "prediction_time": TIMESTAMP}


class FeatureBlock(NamedTuple):
    """All features of all rows of some persons.

    Parameters
    ----------
    rows : DataFrame
        As given, ordered by person and prediction time.
    cells : float32 array, shape (n_columns, n_rows)
        Columns in the order of the catalogue; NaN means null.
    """

    rows: pl.DataFrame
    cells: np.ndarray


def build_features(
    rows: pl.DataFrame,
    *,
    persons: pl.LazyFrame | pl.DataFrame,
    coverage: pl.LazyFrame | pl.DataFrame,
    events: pl.LazyFrame | pl.DataFrame,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    codes: pl.LazyFrame | pl.DataFrame | None = None,
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
        Staged tables.
    catalogue : Catalogue
    code_sets : mapping of str to CodeSet
        At least those that the catalogue names and, for pregnancy features and reference ranges
        by trimester, those of `hrob_assets.risk.pregnancy`.
    codes : LazyFrame or DataFrame [CODES], optional
        With it, ``events`` are read block by block in the order of staging, and only their
        ``code_id``. None takes events in any order and numbers their codes in memory.
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
        codes=codes,
        n_threads=n_threads,
        events_per_block=events_per_block,
    )
    parts = [(block.rows.select(ROW_KEY), block.cells) for block in blocks]
    nothing = (pl.DataFrame(schema=_KEY_TYPES), np.empty((len(catalogue.columns), 0), np.float32))
    keys, cells = zip(*(parts or [nothing]), strict=True)
    frames = [cells_frame(each, catalogue) for each in cells]
    built = pl.concat([pl.concat(keys), pl.concat(frames)], how="horizontal")
    order = _in_order(rows)["row"]
    return built if order.is_sorted() else built[order.arg_sort()]


def cells_frame(cells: np.ndarray, catalogue: Catalogue) -> pl.DataFrame:
    """Name the cells of a block; NaN of a nullable column is null. No cell is copied.

    Parameters
    ----------
    cells : float32 array, shape (n_columns, n_rows)
        Each column contiguous.
    catalogue : Catalogue

    Returns
    -------
    DataFrame
        One Float32 column per column of the catalogue.
    """
    columns = [
        _arrow_column(vector, nullable=column.nullable)
        for vector, column in zip(cells, catalogue.columns, strict=True)
    ]
    return pl.DataFrame(_ARROW.table(columns, names=list(catalogue.column_names)))


def _arrow_column(values: np.ndarray, *, nullable: bool) -> object:
    known = np.packbits(~np.isnan(values), bitorder="little") if nullable else None
    buffers = [None if known is None else _ARROW.py_buffer(known), _ARROW.py_buffer(values)]
    return _ARROW.Array.from_buffers(_ARROW.float32(), values.size, buffers)


def feature_blocks(
    rows: pl.DataFrame,
    *,
    persons: pl.LazyFrame | pl.DataFrame,
    coverage: pl.LazyFrame | pl.DataFrame,
    events: pl.LazyFrame | pl.DataFrame,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    codes: pl.LazyFrame | pl.DataFrame | None = None,
    n_threads: int = 2,
    events_per_block: int = EVENTS_PER_BLOCK,
) -> Iterator[FeatureBlock]:
    """Compute the features block after block, to write them where they do not fit in memory.

    Parameters
    ----------
    rows, persons, coverage, events, catalogue, code_sets, codes, n_threads, events_per_block
        As in `build_features`.

    Yields
    ------
    FeatureBlock
        Of some persons; later blocks have greater person ids. Together they have all rows.
    """
    _check_rows(rows)
    for table, frame in ((PERSONS, persons), (COVERAGE, coverage), (EVENTS, events)):
        table.check(frame)
    if codes is None:
        events, codes = number_codes(events)
    numbered = codes.lazy().collect()
    recipe = _recipe(catalogue, _needed_code_sets(catalogue, code_sets), numbered, n_threads)
    like_an_event = _CELLS_LIKE_ONE_EVENT / len(catalogue.columns)
    for block in row_blocks(
        _in_order(rows), events, events_per_block=events_per_block, rows_like_an_event=like_an_event
    ):
        ids = block["person_id"].unique().sort()
        cells = _build_block(
            block,
            of_persons(persons, ids),
            of_persons(coverage, ids),
            of_persons(events.lazy().select(FACT_COLUMNS), ids),
            recipe,
        )
        yield FeatureBlock(block.drop("row"), cells)


class _Recipe(NamedTuple):
    """What is the same for all blocks."""

    catalogue: Catalogue
    code_map: CodeMap
    measure_map: CodeMap
    plan: Plan
    pregnancy_codes: pl.DataFrame
    pregnancy_matches: pl.DataFrame
    n_threads: int


def _recipe(
    catalogue: Catalogue, code_sets: Mapping[str, CodeSet], codes: pl.DataFrame, n_threads: int
) -> _Recipe:
    """Match all codes once: to the series of the kernel and to the signatures of pregnancies."""
    series = {name: number for number, name in enumerate(catalogue.code_sets)}
    code_set = {family.name: family.code_set for family in catalogue.families}
    columns = [
        SeriesColumn(
            series[name],
            "abnormal_by_trimester"
            if column.aggregation == "abnormal_any" and code_sets[name].by_trimester
            else column.aggregation,
            column.window_days,
        )
        if column.aggregation is not None and (name := code_set[column.family]) is not None
        else None
        for column in catalogue.columns
    ]
    text = codes.cast(dict.fromkeys(CODE_COLUMNS, pl.String))
    pairs = [
        text.select("code_id", vocabulary=vocabulary, code=code)
        for vocabulary, code in (("vocabulary", "code"), ("standard_vocabulary", "standard_code"))
    ]
    stated = pl.concat(pairs).drop_nulls()
    of_pregnancy = [code_sets[name] for name in PREGNANCY_CODE_SETS if name in code_sets]
    matches = match_codes(stated.select("vocabulary", "code").unique(), of_pregnancy)
    told = stated.join(matches, on=["vocabulary", "code"], how="semi")
    return _Recipe(
        catalogue,
        map_codes(codes, [code_sets[name] for name in series]),
        map_codes(codes, [code_sets[name] for name in catalogue.measure_code_sets]),
        plan_columns(columns, n_series=len(series)),
        text.join(told, on="code_id", how="semi"),
        matches,
        n_threads,
    )


def _build_block(
    rows: pl.DataFrame,
    persons: pl.LazyFrame,
    coverage: pl.LazyFrame,
    events: pl.LazyFrame,
    recipe: _Recipe,
) -> np.ndarray:
    """Build all kinds of features for all rows of some persons."""
    kinds = {family.kind for family in recipe.catalogue.families}
    read = (events if kinds & {"codes", "pregnancy"} else events.clear()).collect()
    known = _known_pregnancies(rows, read, recipe)
    cells = _coded_cells(rows, read, known, recipe)
    makers = {
        "person": lambda: person_measures(rows, persons.collect()),
        "coverage": lambda: coverage_measures(rows, coverage.collect()),
        "encounter": lambda: encounter_measures(rows),
        "pregnancy": lambda: _pregnancy_columns(rows, read, known, recipe),
    }
    place = {name: number for number, name in enumerate(recipe.catalogue.column_names)}
    for kind in sorted(kinds - {"codes"}):
        for column in makers[kind]():
            if column.name in place:
                filled = column.cast(pl.Float32).fill_null(float("nan"))
                cells[place[column.name]] = filled.to_numpy()
    return cells


def _coded_cells(
    rows: pl.DataFrame, events: pl.DataFrame, known: KnownPregnancies, recipe: _Recipe
) -> np.ndarray:
    """Cells of all columns, with those of the kind ``codes`` filled: one series per code set."""
    persons = rows["person_id"].unique().sort().to_numpy()
    return slide(
        read_facts(events, persons, recipe.code_map, n_threads=recipe.n_threads),
        Rows(
            np.append(np.searchsorted(rows["person_id"].to_numpy(), persons), rows.height),
            rows["prediction_time"].to_physical().to_numpy(),
        ),
        recipe.plan,
        n_threads=recipe.n_threads,
        pregnancies=Pregnancies(known.first, known.end, known.start_day, known.last_day),
    )


def _known_pregnancies(
    rows: pl.DataFrame, events: pl.DataFrame, recipe: _Recipe
) -> KnownPregnancies:
    """Find the pregnancies that each row knows, from the few events that are signatures."""
    told = events.join(recipe.pregnancy_codes, on="code_id", maintain_order="left")
    complete = told.match_to_schema(EVENTS.schema, missing_columns="insert", extra_columns="ignore")
    return known_pregnancies(rows, pregnancy_signatures(complete, recipe.pregnancy_matches))


def _pregnancy_columns(
    rows: pl.DataFrame, events: pl.DataFrame, known: KnownPregnancies, recipe: _Recipe
) -> pl.DataFrame:
    """Columns of the kind ``pregnancy``."""
    persons = rows["person_id"].unique().sort().to_numpy()
    facts = read_facts(events, persons, recipe.measure_map, n_threads=recipe.n_threads)
    return pregnancy_measures(rows, known, facts, recipe.catalogue.measure_code_sets)


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
    needed = [*catalogue.code_sets, *catalogue.measure_code_sets]
    by_trimester = [name for name in needed if name in code_sets and code_sets[name].by_trimester]
    if by_trimester or any(family.kind == "pregnancy" for family in catalogue.families):
        needed += PREGNANCY_CODE_SETS
    for name in needed:
        if name not in code_sets:
            msg = f"Code set {name!r} must be given; it is not. {nearest(name, code_sets)}"
            raise ConfigurationError(msg)
    return {name: code_sets[name] for name in needed}


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_row_index("row").sort("person_id", "prediction_time", "row")
