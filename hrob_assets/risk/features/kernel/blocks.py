"""Blocks of persons: of equal work for threads, and small enough for memory."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import polars as pl


def person_blocks(work: np.ndarray, n_blocks: int) -> list[slice]:
    """Cut persons into blocks of about equal work.

    Parameters
    ----------
    work : int64 array, shape (n_persons + 1,)
        Work up to each person, cumulated.
    n_blocks : int
        At most so many blocks.

    Examples
    --------
    >>> person_blocks(np.array([0, 4, 5, 9]), 2)
    [slice(0, 2, None), slice(2, 3, None)]
    """
    aims = np.linspace(float(work[0]), float(work[-1]), n_blocks + 1)[1:-1]
    edges = np.unique([0, *np.searchsorted(work, aims), work.size - 1]).tolist()
    return [slice(first, end) for first, end in pairwise(edges)]


def row_blocks(
    rows: pl.DataFrame,
    events: pl.LazyFrame | pl.DataFrame,
    *,
    events_per_block: int,
    rows_like_an_event: float = 1.0,
) -> Iterator[pl.DataFrame]:
    """Cut rows so that the events of a block's persons fit in memory.

    Parameters
    ----------
    rows : DataFrame
        Ordered by ``person_id``.
    events : LazyFrame or DataFrame
        With ``person_id``.
    events_per_block : int
    rows_like_an_event : float
        So many rows take the room of one event.

    Yields
    ------
    DataFrame
        All rows of some persons; later blocks have greater person ids.
    """
    sizes = (
        rows.lazy()
        .group_by("person_id")
        .agg(rows=(pl.len() / rows_like_an_event).cast(pl.Int64))
        .join(events.lazy().group_by("person_id").agg(events=pl.len()), on="person_id", how="left")
        .sort("person_id")
        .select("person_id", block=(pl.col("rows") + pl.col("events").fill_null(0)).cum_sum())
        .with_columns(pl.col("block") // events_per_block)
        .collect()
    )
    blocks = rows.join(sizes, on="person_id", how="left", maintain_order="left")["block"]
    edges = [0, *(np.flatnonzero(np.diff(blocks.to_numpy())) + 1).tolist(), rows.height]
    for begin, end in pairwise(edges):
        if end > begin:
            yield rows[begin:end]


def of_persons(table: pl.LazyFrame | pl.DataFrame, persons: pl.Series) -> pl.LazyFrame:
    """Rows of these persons, in order; the range lets a sorted Parquet file skip most row groups.

    Parameters
    ----------
    table : LazyFrame or DataFrame
        With ``person_id``.
    persons : Series of int
        Ascending, not empty.
    """
    within = pl.col("person_id").is_between(persons[0], persons[-1])
    return table.lazy().filter(within & pl.col("person_id").is_in(persons.implode()))
