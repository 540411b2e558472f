"""The task that every engine gets: counts of 120 code groups in four windows, and the last labs.

For each encounter, at its prediction time t and strictly before it: how often each group occurred
in ``[t - w, t)`` for w = 5, 30, 90 and 365 days and, of the 30 groups that are labs, the last
value within 365 days and the calendar days since. One code is one group, facts are known when
they happen, and prediction times are midnights: as much of what the feature store does as can be
asked of every engine.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from hrob_assets.risk.features import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.vocabulary import Code, CodeSet

N_GROUPS, LAB_EVERY = 120, 4  # every fourth group is a lab
WINDOWS = (5, 30, 90, 365)
COUNTS = tuple(f"n{days}" for days in WINDOWS)
LABS = range(0, N_GROUPS, LAB_EVERY)
CELLS = {
    "encounter_id": pl.Int64,
    "code_id": pl.Int32,
    **dict.fromkeys(COUNTS, pl.Int32),
    "last_value": pl.Float32,
    "days_since": pl.Int32,
}
"""Columns of a result: one row per encounter and group that occurred within 365 days."""


class Digest(NamedTuple):
    """What two equal results have in common, in whatever order their rows are.

    Parameters
    ----------
    cells : int
    counts : int
        Of the counts alone.
    labs : int or None
        Of last values and days; None where an engine has none.
    """

    cells: int
    counts: int
    labs: int | None


def group_codes() -> pl.DataFrame:
    """Codes of the groups, some common and most of them rare."""
    number = pl.int_range(N_GROUPS, eager=True)
    share = 1 / (number + 5)
    is_lab = pl.Series("lab", [group in LABS for group in range(N_GROUPS)])
    return pl.select(
        vocabulary=pl.lit("HROB"),
        code=pl.format("G{}", number.cast(pl.String).str.zfill(3)),
        standard_vocabulary=pl.lit(None, pl.String),
        standard_code=pl.lit(None, pl.String),
        unit=pl.when(is_lab).then(pl.lit("g/L")),
        domain=pl.when(is_lab).then(pl.lit("measurement")).otherwise(pl.lit("condition")),
        share=share / share.sum(),
        middle=pl.when(is_lab).then(100.0),
    )


def catalogue_of_groups() -> tuple[Catalogue, dict[str, CodeSet]]:
    """The task as a catalogue: one code set and one family per group."""
    families, code_sets = [], {}
    for row in group_codes().iter_rows(named=True):
        name = row["code"].lower()
        code = Code(row["vocabulary"], row["code"], name, "benchmark", unit=row["unit"])
        code_sets[name] = CodeSet(name, (code,))
        made = [("count", days) for days in WINDOWS]
        if row["unit"]:
            made += [("last_value", WINDOWS[-1]), ("days_since_last", WINDOWS[-1])]
        columns = tuple(
            FeatureColumn(f"{name}__{what}_{days}d", name, "groups", "codes", what, None, days)
            for what, days in made
        )
        families.append(FeatureFamily(name, "groups", "codes", name, columns, "-", "-"))
    return Catalogue(tuple(families)), code_sets


def column_names(group: int) -> list[str]:
    """Names of the counts of a group, shortest window first."""
    return [f"g{group:03d}__count_{days}d" for days in WINDOWS]


def lab_names(group: int) -> list[str]:
    """Names of the last value and of the days since."""
    return [f"g{group:03d}__{what}_{WINDOWS[-1]}d" for what in ("last_value", "days_since_last")]


def cells_of(result: pl.DataFrame) -> pl.DataFrame:
    """Give `CELLS`, also of a table with one row per encounter and one column per feature."""
    if "code_id" in result.columns:
        return result.select(
            pl.col(name).cast(dtype) for name, dtype in CELLS.items() if name in result.columns
        )
    parts = []
    for group in range(N_GROUPS):
        made = dict(zip(COUNTS, column_names(group), strict=True))
        if group in LABS:
            made |= dict(zip(("last_value", "days_since"), lab_names(group), strict=True))
        cells = result.filter(pl.col(made[COUNTS[-1]]) > 0).select(
            "encounter_id", code_id=pl.lit(group, pl.Int32), **made
        )
        parts.append(cells.cast({name: CELLS[name] for name in made}))
    return pl.concat(parts, how="diagonal")


def digest(cells: pl.DataFrame) -> Digest:
    """Add up a mixture of each row's numbers; two results are equal when their digests are."""
    key = ("encounter_id", "code_id")
    counts = _mixed(cells.select(*key, *COUNTS))
    if "last_value" not in cells.columns:
        return Digest(cells.height, counts, None)
    known = cells.drop_nulls("last_value").select(
        *key, pl.col("last_value").reinterpret(dtype=pl.UInt32), "days_since"
    )
    return Digest(cells.height, counts, _mixed(known))


def _mixed(frame: pl.DataFrame) -> int:
    """Sum over rows, modulo 2^64, of a hash that depends on every column."""
    mixed = np.zeros(frame.height, np.uint64)
    for column in frame:
        mixed ^= column.cast(pl.Int64).to_numpy().astype(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        mixed += np.uint64(0x9E3779B97F4A7C15)
    return int(mixed.sum(dtype=np.uint64))
