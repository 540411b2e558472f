"""The whole catalogue from staged files to weekly files, against the limit of reading and writing.

The limit is what it takes to read the columns of the input that the engine reads, and to write
files equal to its output, with nothing in between.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from benchmarks.feature_store.comparison import PeakMemory
from benchmarks.feature_store.staged_tables import TABLES
from benchmarks.measure import in_fresh_process
from hrob_assets.components.catalogue import shared_catalogue
from hrob_assets.risk.features import FACT_COLUMNS, Catalogue, write_week, write_weekly_features
from hrob_assets.risk.tables import CODE_COLUMNS
from hrob_assets.risk.vocabulary import Code, CodeSet

USE_CASES = ("high_risk_obstetrics", "oncology_ed_visit")
N_THREADS = 2
_OTHER_SHARE, _N_OTHERS = 0.5, 5_000  # codes that belong to no code set
_STANDARD_SHARE = 0.2  # of events that have a standard code beside the source code
_DEFINITION = "benchmark"
_WEEKS_AT_ONCE = 8
_DOMAINS = {
    "LOINC": "measurement",
    "RxNorm": "drug",
    "NDC": "drug",
    "ATC": "drug",
    "CPT4": "procedure",
    "HCPCS": "procedure",
    "ICD10PCS": "procedure",
    "Visit": "visit",
}


class Written(NamedTuple):
    """What it took to write the weeks.

    Parameters
    ----------
    events, encounters, columns, weeks : int
    seconds, peak_gb : float
        Of the engine; memory is that of its process.
    read_seconds, write_seconds : float
        Of the limit.
    one_week_seconds, one_week_encounters : float or int
        Of one week in the middle of the last year; median of 3.
    """

    events: int
    encounters: int
    columns: int
    weeks: int
    seconds: float
    peak_gb: float
    read_seconds: float
    write_seconds: float
    one_week_seconds: float
    one_week_encounters: int


def measure(folder: Path, tiny: Path) -> Written:
    """Write all weeks, read and write the same without computing, and write one week."""
    output = folder / "features"
    shutil.rmtree(output, ignore_errors=True)
    try:
        engine = in_fresh_process(_write_all_weeks, folder, tiny, output).value
        read_seconds, write_seconds = in_fresh_process(_limit, folder, output).value
        one_week = in_fresh_process(_write_one_week, folder, tiny, output).value
    finally:
        shutil.rmtree(output, ignore_errors=True)
    return Written(*engine, read_seconds, write_seconds, *one_week)


def realistic_codes(seed: int = 1) -> pl.DataFrame:
    """Codes of all code sets and as many events of other codes; few are common, most are rare."""
    _, code_sets = obstetrics_and_oncology()
    rng = np.random.default_rng(seed)
    commonness = rng.permutation(1 / np.arange(1, len(code_sets) + 1))
    shares: dict[tuple, float] = {}
    middles: dict[tuple, float | None] = {}
    for code_set, common in zip(code_sets.values(), commonness / commonness.sum(), strict=True):
        for code in code_set.codes:
            key = (code.vocabulary, code.code, code.unit)
            shares[key] = shares.get(key, 0.0) + common / len(code_set.codes)
            middles[key] = _middle(code)
    named = pl.DataFrame(
        [(*key, share * (1 - _OTHER_SHARE), middles[key]) for key, share in shares.items()],
        ["vocabulary", "code", "unit", "share", "middle"],
        orient="row",
    )
    rare = 1 / np.arange(10, _N_OTHERS + 10)
    others = pl.DataFrame(
        {
            "vocabulary": rng.choice(["ICD10CM", "CPT4", "RxNorm", "LOINC"], _N_OTHERS),
            "code": [f"ZZ{number}" for number in range(_N_OTHERS)],
            "share": rare / rare.sum() * _OTHER_SHARE,
        }
    )
    return _with_standard_codes(pl.concat([named, others], how="diagonal"), rng)


def obstetrics_and_oncology() -> tuple[Catalogue, dict[str, CodeSet]]:
    """The catalogue that is deployed."""
    return shared_catalogue(USE_CASES)


def _with_standard_codes(codes: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Each code twice: as most sources give it, and with a standard code from the code sets."""
    standards = codes.filter(pl.col("vocabulary").is_in(["SNOMED", "RxNorm", "LOINC"]))
    drawn = standards[rng.integers(0, standards.height, codes.height)]
    mapped = codes.with_columns(
        drawn["vocabulary"].alias("standard_vocabulary"),
        drawn["code"].alias("standard_code"),
        share=pl.col("share") * _STANDARD_SHARE,
    )
    plain = codes.with_columns(
        pl.lit(None, pl.String).alias("standard_vocabulary"),
        pl.lit(None, pl.String).alias("standard_code"),
        share=pl.col("share") * (1 - _STANDARD_SHARE),
    )
    domain = pl.col("vocabulary").replace_strict(_DOMAINS, default="condition")
    both = pl.concat([plain, mapped]).with_columns(
        domain=domain, share=pl.col("share") / pl.col("share").sum()
    )
    return both.select(*CODE_COLUMNS, "domain", "share", "middle")


def _middle(code: Code) -> float | None:
    """Middle of the reference range in the unit of the code; null without a unit."""
    if code.unit is None:
        return None
    return ((code.low or 1.0) + (code.high or 100.0)) / 2 / code.factor


def _write_all_weeks(
    folder: Path, tiny: Path, output: Path
) -> tuple[int, int, int, int, float, float]:
    catalogue, code_sets = obstetrics_and_oncology()
    _write(tiny, _weeks(tiny)[:3], output, catalogue, code_sets)
    weeks = _weeks(folder)
    with PeakMemory() as memory:
        seconds, counts = _timed(lambda: _write(folder, weeks, output, catalogue, code_sets))
    events = pq.read_metadata(folder / "events.parquet").num_rows
    encounters = counts["encounters"].sum()
    return events, encounters, len(catalogue.columns), len(weeks), seconds, memory.peak_gb


def _write_one_week(folder: Path, tiny: Path, output: Path) -> tuple[float, int]:
    catalogue, code_sets = obstetrics_and_oncology()
    _write(tiny, _weeks(tiny)[:3], output, catalogue, code_sets)
    taken, encounters = [], 0
    for week in _weeks(folder)[-28:-25]:
        seconds, counts = _timed(
            lambda week=week: _write(folder, [week], output, catalogue, code_sets)
        )
        taken.append(seconds)
        encounters = counts["encounters"].sum()
    return median(taken), encounters


def _write(
    folder: Path,
    weeks: list[date],
    output: Path,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
) -> pl.DataFrame:
    return write_weekly_features(
        weeks,
        staged={name: folder / f"{name}.parquet" for name in TABLES},
        folder=output,
        catalogue=catalogue,
        code_sets=code_sets,
        definition=_DEFINITION,
        n_threads=N_THREADS,
    )


def _limit(folder: Path, output: Path) -> tuple[float, float]:
    """Read the input row group by row group; write the output from memory, some weeks at a time."""
    read_seconds, _ = _timed(lambda: _read_input(folder))
    write_seconds = 0.0
    copies = output.with_name("copies")
    with ThreadPoolExecutor(N_THREADS) as pool:
        paths = sorted(output.glob("*.parquet"))
        for first in range(0, len(paths), _WEEKS_AT_ONCE):
            some = paths[first : first + _WEEKS_AT_ONCE]
            frames = [(pl.read_parquet(path), copies / path.name) for path in some]
            seconds, _ = _timed(lambda frames=frames: list(pool.map(_write_frame, frames)))
            write_seconds += seconds
            shutil.rmtree(copies)
    return read_seconds, write_seconds


def _read_input(folder: Path) -> None:
    for name in TABLES:
        file = pq.ParquetFile(folder / f"{name}.parquet")
        columns = list(FACT_COLUMNS) if name == "events" else None
        for group in range(file.num_row_groups):
            file.read_row_group(group, columns=columns, use_threads=True)


def _write_frame(frame_and_path: tuple[pl.DataFrame, Path]) -> None:
    frame, path = frame_and_path
    write_week(frame, path, definition=_DEFINITION)


def _weeks(folder: Path) -> list[date]:
    encounters = pl.scan_parquet(folder / "encounters.parquet")
    return encounters.select(pl.col("week").unique().sort()).collect()["week"].to_list()


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    value = function()
    return time.perf_counter() - started, value
