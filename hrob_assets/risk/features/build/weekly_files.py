"""Features of many weeks, written week by week without ever being in memory at once.

Persons come block after block, weeks are written one after the other: between the two lies a
spool, a file of compressed pieces, one per block and week. Where other machines take a share of
the persons, `weekly_pieces` and `write_pieces` are the two sides of what they pass on.
"""

import io
import os
import tempfile
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import polars as pl
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]

from hrob_assets.risk.features.build.build import (
    EVENTS_PER_BLOCK,
    FeatureBlock,
    cells_frame,
    feature_blocks,
)
from hrob_assets.risk.features.build.fingerprint import FINGERPRINT_OF_NO_ROWS
from hrob_assets.risk.features.catalogue.catalogue import Catalogue
from hrob_assets.risk.files import write_parquet
from hrob_assets.risk.tables import ENCOUNTERS, ROW_KEY
from hrob_assets.risk.vocabulary import CodeSet

ROW_COLUMNS = (*ROW_KEY, "week", "known_at")
"""Columns of a weekly file that are not features."""
ENCOUNTER_COLUMNS = (*ROW_COLUMNS, "encounter_class", "occurred_at")
"""Columns of the encounters that the features need."""
WEEK_COUNTS = {"week": pl.Date, "encounters": pl.Int64, "persons": pl.Int64}
"""Columns of the counts of the weeks that were written."""
_ARROW = cast("Any", pa)  # it has no stubs
_CODEC = "lz4"


@dataclass(frozen=True)
class WeeklyTask:
    """Weeks to be made, and everything that their files depend on.

    Parameters
    ----------
    weeks, staged, folder, catalogue, code_sets, definition, fingerprints
        As in `write_weekly_features`.
    """

    weeks: tuple[date, ...]
    staged: Mapping[str, Path]
    folder: Path
    catalogue: Catalogue
    code_sets: Mapping[str, CodeSet]
    definition: str
    fingerprints: Mapping[date, str]


def write_weekly_features(
    weeks: Sequence[date],
    *,
    staged: Mapping[str, Path],
    folder: Path,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    definition: str,
    fingerprints: Mapping[date, str] | None = None,
    n_threads: int = 2,
    events_per_block: int = EVENTS_PER_BLOCK,
) -> pl.DataFrame:
    """Compute the features of weeks and write one file for each.

    Parameters
    ----------
    weeks : sequence of date
        Mondays.
    staged : mapping of str to Path
        Files of ``persons``, ``coverage``, ``encounters``, ``events`` and ``codes``.
    folder : Path
        Gets ``<week>.parquet``. No file is replaced before the features of all weeks are there.
    catalogue : Catalogue
    code_sets : mapping of str to CodeSet
    definition : str
        Version of what defines the columns; kept in the files' metadata.
    fingerprints : mapping of date to str, optional
        What each week is made from (`week_fingerprints`); kept there too.
    n_threads, events_per_block : int
        As in `build_features`; the files do not depend on them.

    Returns
    -------
    DataFrame
        ``week`` (date), ``encounters`` and ``persons``: one row per week asked for, in order.

    Raises
    ------
    ContractError, ConfigurationError
        As `build_features` does; the files are then as they were.
    """
    tables = {name: pl.scan_parquet(path) for name, path in staged.items()}
    encounters = tables.pop("encounters").filter(pl.col("week").is_in(list(weeks)))
    rows = encounters.select(ENCOUNTER_COLUMNS).collect()
    blocks = feature_blocks(
        rows.sort("person_id", "prediction_time", "encounter_id"),
        **tables,
        catalogue=catalogue,
        code_sets=code_sets,
        n_threads=n_threads,
        events_per_block=events_per_block,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with _spool(folder) as spool, ThreadPoolExecutor(n_threads) as pool:
        for block in blocks:
            spool.add(block, pool)
        empty = rows.clear().select(ROW_COLUMNS)

        def write(week: date) -> tuple[date, int, int]:
            frame = spool.week(week, empty, catalogue)
            inputs = (fingerprints or {}).get(week, FINGERPRINT_OF_NO_ROWS)
            write_week(frame, folder / f"{week}.parquet", definition=definition, inputs=inputs)
            return week, frame.height, frame["person_id"].n_unique()

        counts = list(pool.map(write, weeks))
    return pl.DataFrame(counts, schema=WEEK_COUNTS, orient="row")


def weekly_pieces(
    rows: pl.DataFrame,
    *,
    persons: pl.DataFrame,
    coverage: pl.DataFrame,
    events: pl.DataFrame,
    codes: pl.DataFrame,
    task: WeeklyTask,
) -> Iterator[tuple[date, bytes]]:
    """Compute the features of some persons, cut by week, to be passed on to who writes the weeks.

    Parameters
    ----------
    rows : DataFrame
        `ENCOUNTER_COLUMNS`, in any order.
    persons, coverage, events, codes : DataFrame
        As in `build_features`; all that is known of these persons.
    task : WeeklyTask

    Yields
    ------
    week : date
    piece : bytes
        A frame as `write_week` takes it, in Arrow's file format, compressed. A week may come
        more than once.

    Raises
    ------
    ContractError, ConfigurationError
        As `build_features` does.
    """
    blocks = feature_blocks(
        rows.sort("person_id", "prediction_time", "encounter_id"),
        persons=persons,
        coverage=coverage,
        events=events,
        codes=codes,
        catalogue=task.catalogue,
        code_sets=task.code_sets,
        n_threads=1,
    )
    for block in blocks:
        places, keys, spans = _by_week(block)
        for week, begin, end in spans:
            cells = block.cells.take(places[begin:end], axis=1)
            frame = pl.concat(
                [keys[begin:end], cells_frame(cells, task.catalogue)], how="horizontal"
            )
            piece = io.BytesIO()
            frame.write_ipc(piece, compression=_CODEC)
            yield week, piece.getvalue()


def write_pieces(week: date, pieces: Iterable[bytes], task: WeeklyTask) -> tuple[date, int, int]:
    """Write one week from all its pieces, in any order.

    Parameters
    ----------
    week : date
    pieces : iterable of bytes
        As `weekly_pieces` yields them; none writes an empty file with all columns.
    task : WeeklyTask

    Returns
    -------
    tuple
        The week, its encounters and its persons: a row of what `write_weekly_features` returns.
    """
    empty = pl.concat(
        [
            ENCOUNTERS.empty().select(ROW_COLUMNS),
            cells_frame(np.empty((len(task.catalogue.columns), 0), np.float32), task.catalogue),
        ],
        how="horizontal",
    )
    frame = pl.concat([empty, *(pl.read_ipc(piece) for piece in pieces)])
    inputs = task.fingerprints.get(week, FINGERPRINT_OF_NO_ROWS)
    path = task.folder / f"{week}.parquet"
    write_week(frame, path, definition=task.definition, inputs=inputs)
    return week, frame.height, frame["person_id"].n_unique()


def write_week(
    frame: pl.DataFrame, path: Path, *, definition: str, inputs: str = FINGERPRINT_OF_NO_ROWS
) -> None:
    """Write the features of one week; the same rows give the same bytes, whoever made them.

    Parameters
    ----------
    frame : DataFrame
        `ROW_COLUMNS` and the columns of the catalogue in its order; rows in any order.
    path : Path
    definition, inputs : str
        Versions of what defines the columns and of what the rows are made from.
    """
    features = pl.exclude(ROW_COLUMNS)
    ordered = frame.select(*ROW_KEY, features, *ROW_COLUMNS[len(ROW_KEY) :]).sort(
        "person_id", "prediction_time", "encounter_id"
    )
    write_parquet(ordered, path, definition=definition, inputs=inputs)


class _Piece(NamedTuple):
    """The rows of one week of one block, and where their cells lie in the spool."""

    rows: pl.DataFrame
    offset: int
    size: int


class _Spool:
    """Cells by week, compressed, in one file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pieces: dict[date, list[_Piece]] = defaultdict(list)
        self._end = 0

    def add(self, block: FeatureBlock, pool: ThreadPoolExecutor) -> None:
        """Append all rows of a block."""
        places, rows, spans = _by_week(block)
        compress = partial(_compressed, block.cells, places)
        for (week, begin, end), piece in zip(spans, pool.map(compress, spans), strict=True):
            os.pwrite(self._descriptor, piece, self._end)
            self._pieces[week].append(_Piece(rows[begin:end], self._end, len(piece)))
            self._end += len(piece)

    def week(self, week: date, empty: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
        """All rows of a week with their features."""
        pieces = self._pieces.get(week, [])
        rows = pl.concat([empty, *(piece.rows for piece in pieces)])
        cells = np.empty((len(catalogue.columns), rows.height), np.float32)
        begin = 0
        for piece in pieces:
            part = cells[:, begin : begin + piece.rows.height]
            found = os.pread(self._descriptor, piece.size, piece.offset)
            raw = _ARROW.decompress(found, part.nbytes, codec=_CODEC, asbytes=True)
            part[:] = np.frombuffer(raw, np.float32).reshape(part.shape)
            begin += piece.rows.height
        return pl.concat([rows, cells_frame(cells, catalogue)], how="horizontal")


def _by_week(block: FeatureBlock) -> tuple[np.ndarray, pl.DataFrame, list[tuple[date, int, int]]]:
    """Order the rows of a block by week: old places, the rows, and where each week lies."""
    order = block.rows["week"].arg_sort()
    rows = block.rows.select(ROW_COLUMNS)[order]
    runs = rows["week"].rle().struct.unnest().with_columns(end=pl.col("len").cum_sum())
    spans = [(week, end - size, end) for size, week, end in runs.iter_rows()]
    return order.to_numpy(), rows, spans


def _compressed(cells: np.ndarray, places: np.ndarray, span: tuple[date, int, int]) -> bytes:
    _, begin, end = span
    return _ARROW.compress(cells.take(places[begin:end], axis=1), codec=_CODEC, asbytes=True)


@contextmanager
def _spool(folder: Path) -> Generator[_Spool]:
    """Open a spool on the disk of the folder; it has no name and ends with the process."""
    with tempfile.TemporaryFile(dir=folder) as file:
        yield _Spool(file.fileno())
