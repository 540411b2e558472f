"""All forms of the task by name."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import polars as pl

from benchmarks.feature_store import meds_tab_forms

OURS, OURS_TO_FILES = "ours", "ours_to_files"
_PACKAGE = "benchmarks.feature_store"


class Form(NamedTuple):
    """One way to do the task.

    Parameters
    ----------
    label : str
    gives : str
        ``table`` (one row per encounter, one column per feature) or ``cells`` (one row per
        encounter and group that occurred, with its four counts, the last value and the days).
    engine : str
        What ``--engines`` names.
    function : str
        ``<module>.<function>`` of this package. It takes the folder of staged tables and returns
        a function that gives the result as a frame.
    """

    label: str
    gives: str
    engine: str
    function: str

    def build(self, folder: Path) -> Callable[[], pl.DataFrame]:
        """Do the task."""
        module, _, name = self.function.rpartition(".")
        return getattr(import_module(f"{_PACKAGE}.{module}"), name)(folder)


FORMS: Mapping[str, Form] = {
    OURS: Form("sliding windows (ours)", "table", "ours", "kernel_forms.sliding_windows"),
    OURS_TO_FILES: Form(
        "sliding windows, by blocks of persons, to files (ours)",
        "table",
        "ours",
        "kernel_forms.sliding_windows_to_files",
    ),
    "duckdb_packed_scattered": Form(
        "DuckDB, sums packed in one BIGINT, spread by NumPy",
        "table",
        "duckdb",
        "duckdb_forms.packed_sums_scattered",
    ),
    "duckdb_packed_spread": Form(
        "DuckDB, sums packed in one BIGINT, spread by SQL",
        "table",
        "duckdb",
        "duckdb_forms.packed_sums_spread",
    ),
    "polars_pairs_spread": Form(
        "Polars, group-by on expanded pairs, pivoted",
        "table",
        "polars",
        "polars_forms.expanded_pairs_spread",
    ),
    "spark_kernel": Form(
        "Spark local[2], our kernel through Arrow",
        "table",
        "spark",
        "spark_forms.kernel_through_arrow",
    ),
    "duckdb_packed": Form(
        "DuckDB, sums packed in one BIGINT", "cells", "duckdb", "duckdb_forms.packed_sums"
    ),
    "duckdb_asof": Form(
        "DuckDB, ASOF joins on cumulative counts",
        "cells",
        "duckdb",
        "duckdb_forms.cumulative_counts",
    ),
    "duckdb_range": Form("DuckDB, RANGE frames", "cells", "duckdb", "duckdb_forms.range_frames"),
    "polars_pairs": Form(
        "Polars, group-by on expanded pairs", "cells", "polars", "polars_forms.expanded_pairs"
    ),
    "polars_asof": Form(
        "Polars, as-of joins on cumulative counts",
        "cells",
        "polars",
        "polars_forms.cumulative_counts",
    ),
    "pandas": Form("pandas, merge and group-by", "cells", "pandas", "pandas_forms.merged_pairs"),
    "spark_sql": Form("Spark local[2], SQL", "cells", "spark", "spark_forms.packed_sums"),
    "meds_tab": Form(
        "MEDS-tab 0.2.0, 2 processes (counts only)",
        "cells",
        "meds_tab",
        "meds_tab_forms.tabularize_time_series",
    ),
}
ENGINES = tuple(dict.fromkeys(form.engine for form in FORMS.values()))


def missing_engines() -> dict[str, str]:
    """Engines that cannot run here, and what to do about it."""
    missing = {}
    if find_spec("pyspark") is None:
        missing["spark"] = "install the extra `spark`"
    if not meds_tab_forms.is_installed():
        missing["meds_tab"] = "run `make bench-features`, which makes its environment"
    return missing
