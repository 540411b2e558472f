"""Our engine: the sliding-window kernel over staged tables, to the table of features."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.feature_store.staged_tables import TABLES
from benchmarks.feature_store.window_task import catalogue_of_groups
from hrob_assets.risk.features.build import build_features
from hrob_assets.risk.tables import ROW_KEY

N_THREADS = 2


def sliding_windows(folder: Path) -> Callable[[], pl.DataFrame]:
    """The engine as the feature store calls it."""
    catalogue, code_sets = catalogue_of_groups()
    tables = {name: pl.scan_parquet(folder / f"{name}.parquet") for name in TABLES}
    rows = tables.pop("encounters").select(ROW_KEY).collect()
    features = build_features(
        rows, **tables, catalogue=catalogue, code_sets=code_sets, n_threads=N_THREADS
    )
    return lambda: features
