"""What each week's features are made from, as one number per week.

Two loads give a week the same fingerprint when all its rows know the same facts in both. So a
row that the source restates changes the fingerprints of the weeks that it touches, and no other:
those whose encounters are of that person and come after the fact, or its new form, was known.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import numba
import numpy as np
import polars as pl

from hrob_assets.risk.features.build.build import EVENTS_PER_BLOCK
from hrob_assets.risk.features.kernel.availability import order_by_availability
from hrob_assets.risk.features.kernel.blocks import of_persons, row_blocks
from hrob_assets.risk.features.kernel.facts import FACT_COLUMNS
from hrob_assets.risk.files import DEFINITION, INPUTS
from hrob_assets.risk.statistics import GAMMA, scramble
from hrob_assets.risk.tables import CODE_COLUMNS, ROW_KEY, TIMESTAMP
from hrob_assets.risk.windows import available_at, is_history

_ROWS_READ = (*ROW_KEY, "week", "encounter_class", "occurred_at", "known_at")
_PERSON_FACTS = ("birth_date", "gender", "race", "ethnicity")
FINGERPRINT_OF_NO_ROWS = "0" * 16
"""Fingerprint of a week without encounters."""


def week_fingerprints(
    staged: Mapping[str, Path], *, events_per_block: int = EVENTS_PER_BLOCK
) -> pl.DataFrame:
    """Fingerprint what is known to the rows of each week.

    Parameters
    ----------
    staged : mapping of str to Path
        Files of ``persons``, ``coverage``, ``encounters``, ``events`` and ``codes``.
    events_per_block : int
        Events that are in memory at one time; the result does not depend on it.

    Returns
    -------
    DataFrame
        ``week`` (date), ``fingerprint`` (16 hexadecimal digits), ``encounters`` (rows), by week.
        Weeks without encounters are absent.
    """
    tables = {name: pl.scan_parquet(path) for name, path in staged.items()}
    rows = tables["encounters"].select(_ROWS_READ).collect().sort("person_id", "prediction_time")
    code = _text_hashes(tables["codes"].sort("code_id").select(CODE_COLUMNS).collect())
    prints = [
        _of_block(block, tables, code)
        for block in row_blocks(rows, tables["events"], events_per_block=events_per_block)
    ]
    nothing = rows.select("week").clear().with_columns(fingerprint=pl.lit(0, pl.UInt64))
    return (
        pl.concat([nothing, *prints])
        .group_by("week")
        .agg(pl.col("fingerprint").sum(), encounters=pl.len().cast(pl.Int64))
        .with_columns(pl.col("fingerprint").map_elements("{:016x}".format, return_dtype=pl.String))
        .select("week", "fingerprint", "encounters")
        .sort("week")
    )


def stale_weeks(
    weeks: Iterable[date], *, folder: Path, fingerprints: pl.DataFrame, definition: str
) -> list[date]:
    """Weeks whose file is missing, of another definition, or made from other facts.

    Parameters
    ----------
    weeks : iterable of date
        Mondays to look at.
    folder : Path
        Holds ``<week>.parquet`` as `write_weekly_features` writes them.
    fingerprints : DataFrame
        As `week_fingerprints` returns it, of the present load.
    definition : str
        Version of what defines the columns at present.

    Returns
    -------
    list of date
        In the order given.
    """
    wanted = dict(fingerprints.select("week", "fingerprint").iter_rows())
    return [
        week
        for week in weeks
        if _made_from(folder / f"{week}.parquet")
        != (definition, wanted.get(week, FINGERPRINT_OF_NO_ROWS))
    ]


def _made_from(path: Path) -> tuple[str | None, str | None] | None:
    if not path.exists():
        return None
    metadata = pl.read_parquet_metadata(path)
    return metadata.get(DEFINITION), metadata.get(INPUTS)


def _of_block(
    rows: pl.DataFrame, tables: Mapping[str, pl.LazyFrame], code_hash: np.ndarray
) -> pl.DataFrame:
    """Fingerprint of each row of some persons."""
    ids = rows["person_id"].unique().sort()
    persons = of_persons(tables["persons"], ids).sort("person_id").collect()
    events = of_persons(tables["events"].select(FACT_COLUMNS), ids).collect()
    coverage = of_persons(tables["coverage"], ids).collect()
    place = np.searchsorted(persons["person_id"].to_numpy(), rows["person_id"].to_numpy())
    times = [rows[name].to_physical() for name in ("prediction_time", "occurred_at", "known_at")]
    parts = [
        _text_hashes(persons.select(_PERSON_FACTS))[place],
        _text_hashes(rows.select("encounter_class")),
        *(_bits(part) for part in (rows["encounter_id"], *times)),
        _sum_of_history(rows, ids, _moments(events), _events(events, code_hash)),
        _sum_of_history(rows, ids, *_coverage(coverage)),
    ]
    return rows.select("week", fingerprint=pl.Series(_combined(np.stack(parts))))


def _moments(events: pl.DataFrame) -> pl.DataFrame:
    available = available_at(pl.col("occurred_at"), pl.col("known_at"))
    return events.select("person_id", available.alias("available_at"))


def _events(events: pl.DataFrame, code_hash: np.ndarray) -> np.ndarray:
    """Hash of each event; of events of one moment also their order counts."""
    moment = ("person_id", "occurred_at", "known_at")
    number = events.select(pl.int_range(pl.len()).over(moment)).to_series()
    value = events["value"].fill_null(float("nan")).to_numpy().view(np.uint64)
    times = [_bits(events[name].to_physical()) for name in moment[1:]]
    return _combined(
        np.stack([code_hash[events["code_id"].to_numpy()], value, *times, _bits(number)])
    )


def _coverage(spans: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
    """A span is two facts: that it has begun, and that it has ended."""
    begun = spans.select(
        "person_id",
        "started_at",
        "payer",
        pl.lit(None, TIMESTAMP).alias("ended_at"),
        available_at(pl.col("started_at"), pl.col("known_at")).alias("available_at"),
    )
    ended = spans.drop_nulls(["ended_at", "end_known_at"]).select(
        "person_id",
        "started_at",
        "payer",
        "ended_at",
        available_at(pl.col("ended_at"), pl.col("end_known_at")).alias("available_at"),
    )
    facts = pl.concat([begun, ended]).sort("person_id")
    return facts.select("person_id", "available_at"), _text_hashes(
        facts.select("started_at", "payer", "ended_at")
    )


def _sum_of_history(
    rows: pl.DataFrame, persons: pl.Series, facts: pl.DataFrame, hashes: np.ndarray
) -> np.ndarray:
    """Sum of the hashes of the facts that each row knows; a sum forgets their order."""
    known = facts["available_at"].to_physical().to_numpy()
    starts = [
        np.append(np.searchsorted(one["person_id"].to_numpy(), persons.to_numpy()), one.height)
        for one in (facts, rows)
    ]
    t_us = rows["prediction_time"].to_physical().to_numpy()
    return _sums(known, hashes, starts[0], t_us, starts[1])


def _text_hashes(frame: pl.DataFrame) -> np.ndarray:
    """Hash of the text of each row, the same on every machine."""
    parts = [pl.col(name).cast(pl.String).fill_null("\x00") for name in frame.columns]
    text = frame.select(pl.concat_str(parts, separator="\x1f").alias("text"))
    distinct = text.unique()
    digests = [hashlib.blake2b(one.encode(), digest_size=8).digest() for one in distinct["text"]]
    known = distinct.with_columns(hash=pl.Series(np.frombuffer(b"".join(digests), np.uint64)))
    return text.join(known, on="text", how="left", maintain_order="left")["hash"].to_numpy()


def _bits(numbers: pl.Series) -> np.ndarray:
    return numbers.cast(pl.Int64).to_numpy().view(np.uint64)


@numba.njit(cache=True, nogil=True)
def _combined(parts: np.ndarray) -> np.ndarray:
    """Hash of each column of numbers, in which the place of a number counts (splitmix64)."""
    hashes = np.zeros(parts.shape[1], np.uint64)
    for part in parts:
        for place in range(part.size):
            hashes[place] = scramble((hashes[place] ^ part[place]) + GAMMA)
    return hashes


@numba.njit(cache=True, nogil=True)
def _sums(
    available_us: np.ndarray,
    hashes: np.ndarray,
    fact_start: np.ndarray,
    t_us: np.ndarray,
    row_start: np.ndarray,
) -> np.ndarray:
    order: np.ndarray = order_by_availability(available_us, fact_start)
    in_order = available_us[order]
    sums = np.zeros(t_us.size, np.uint64)
    for person in range(fact_start.size - 1):
        known: int = fact_start[person]
        so_far = np.uint64(0)
        for row in range(row_start[person], row_start[person + 1]):
            while known < fact_start[person + 1] and is_history(in_order[known], t_us[row]):
                so_far += hashes[order[known]]
                known += 1
            sums[row] = so_far
    return sums
