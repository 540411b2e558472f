"""Our engine: the sliding-window kernel over staged tables, to the table of features."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.feature_store.staged_tables import TABLES
from benchmarks.feature_store.window_task import catalogue_of_groups
from hrob_assets.risk.features import build_features
from hrob_assets.risk.tables import ROW_KEY

N_THREADS, _PERSONS_PER_BLOCK = 2, 1000


def sliding_windows(folder: Path) -> Callable[[], pl.DataFrame]:
    """The engine as the feature store calls it."""
    catalogue, code_sets = catalogue_of_groups()
    tables = {name: pl.scan_parquet(folder / f"{name}.parquet") for name in TABLES}
    rows = tables.pop("encounters").select(ROW_KEY).collect()
    features = build_features(
        rows, **tables, catalogue=catalogue, code_sets=code_sets, n_threads=N_THREADS
    )
    return lambda: features


def sliding_windows_to_files(folder: Path) -> Callable[[], pl.DataFrame]:
    """The same, some persons at a time, each block a file."""
    catalogue, code_sets = catalogue_of_groups()
    output = folder / "ours"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    rows = pl.read_parquet(folder / "encounters.parquet", columns=list(ROW_KEY))
    persons = rows["person_id"].unique().sort()
    for number, start in enumerate(range(0, persons.len(), _PERSONS_PER_BLOCK)):
        block = persons[start : start + _PERSONS_PER_BLOCK]
        inside = pl.col("person_id").is_between(block[0], block[-1])
        tables = {name: pl.scan_parquet(folder / f"{name}.parquet") for name in TABLES}
        del tables["encounters"]
        tables |= {name: tables[name].filter(inside) for name in tables if name != "codes"}
        build_features(
            rows.filter(inside),
            **tables,
            catalogue=catalogue,
            code_sets=code_sets,
            n_threads=N_THREADS,
        ).write_parquet(output / f"{number}.parquet", compression="zstd", compression_level=1)
    return lambda: pl.read_parquet(output / "*.parquet")
