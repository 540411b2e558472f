"""The published peer: MEDS-tab, in an environment of its own, on our MEDS export of the events.

Its windows end at an event, the event included, and reach back to but not including their start:
``(e - w, e]``. Ours end before a prediction time: ``[t - w, t)``. The two are the same where an
event stands one microsecond before t, because times are whole microseconds; so each prediction
time gets a marker there, with a code of its own, and a label that asks for the row.

Two more differences were found in release 0.2.0. A window counts the moments at which a code
occurred, not the events; in these events no code occurs twice at one moment. And the last row of
each moment is left out (`compute_agg` takes the position of a moment's last row for the end of a
slice), so that a moment with one event counts nothing. What it gives is therefore checked against
the same task on the events without the last of each moment.

It gives counts as one sparse matrix per shard and window; it has neither last values nor days
since.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.feature_store.window_task import CELLS, COUNTS, WINDOWS
from hrob_assets.risk.exports import export_meds

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-meds-tab"
PROCESSES = 2
_MARKER = "PREDICTION"
_EVENTS_PER_SHARD = 250_000
_FOLDER, _COUNTED = "meds", "counted"


def is_installed() -> bool:
    """Whether the environment of MEDS-tab is there; `make bench-features` makes it."""
    return (ENVIRONMENT / "bin" / "meds-tab-tabularize-time-series").exists()


def prepare(folder: Path) -> None:
    """Export the events, put in the markers, and let MEDS-tab describe the codes. Not timed."""
    meds = folder / _FOLDER
    if meds.exists():
        return
    work = folder / f".{_FOLDER}"
    shutil.rmtree(work, ignore_errors=True)
    export_meds(
        work / "export",
        persons=pl.scan_parquet(folder / "persons.parquet"),
        events=pl.scan_parquet(folder / "events.parquet"),
        code_sets={},
        events_per_shard=_EVENTS_PER_SHARD,
    )
    moments = pl.read_parquet(folder / "encounters.parquet").select(
        "encounter_id",
        subject_id="person_id",
        time=pl.col("prediction_time") - pl.duration(microseconds=1),
    )
    for path in (work / "export" / "data").rglob("*.parquet"):
        shard = path.relative_to(work / "export" / "data")
        _add_markers(pl.read_parquet(path), moments, work / "data" / shard, work / "labels" / shard)
    _run("meds-tab-describe", [f"input_dir={work / 'data'}", f"output_dir={work}"])
    shutil.rmtree(work / "export")
    _write_what_it_counts(folder, work / _COUNTED)
    work.rename(meds)


def counted_folder(folder: Path) -> Path:
    """Tables of the events that MEDS-tab counts: all but the last of each moment."""
    return folder / _FOLDER / _COUNTED


def tabularize_time_series(folder: Path) -> Callable[[], pl.DataFrame]:
    """Counts of all codes in the four windows at the labels, by two processes."""
    meds = folder / _FOLDER
    output = folder / "meds-tab"
    shutil.rmtree(output, ignore_errors=True)
    arguments = [
        f"input_dir={meds / 'data'}",
        f"output_dir={output}",
        f"input_label_dir={meds / 'labels'}",
        f"tabularization.filtered_code_metadata_fp={meds / 'metadata' / 'codes.parquet'}",
        "tabularization.min_code_inclusion_count=1",
        f"tabularization.window_sizes=[{','.join(f'{days}d' for days in WINDOWS)}]",
        "tabularization.aggs=[code/count]",
    ]
    processes = [
        _start("meds-tab-tabularize-time-series", [*arguments, f"worker={number}"])
        for number in range(PROCESSES)
    ]
    _require_success([process.wait() for process in processes])
    return lambda: _cells(meds, output)


def _add_markers(
    events: pl.DataFrame, moments: pl.DataFrame, data_path: Path, label_path: Path
) -> None:
    labels = moments.join(events.select("subject_id").unique(), on="subject_id", how="semi").sort(
        "subject_id", "time", "encounter_id"
    )
    core = ("subject_id", "time", "code", "numeric_value")
    markers = labels.select(
        "subject_id", "time", code=pl.lit(_MARKER), numeric_value=pl.lit(None, pl.Float32)
    )
    marked = pl.concat([events.select(core), markers.unique()]).sort(
        "subject_id", "time", nulls_last=False, maintain_order=True
    )
    for frame, path in (
        (marked, data_path),
        (labels.rename({"time": "prediction_time"}), label_path),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)


def _write_what_it_counts(folder: Path, counted: Path) -> None:
    counted.mkdir()
    events = pl.scan_parquet(folder / "events.parquet")
    moment = pl.struct("person_id", "occurred_at")
    events.filter(~moment.is_last_distinct()).sink_parquet(counted / "events.parquet")
    (counted / "encounters.parquet").symlink_to(folder.resolve() / "encounters.parquet")


def _cells(meds: Path, output: Path) -> pl.DataFrame:
    """Counts of all shards and windows as `CELLS`, without the marker."""
    described = sorted(pl.read_parquet(meds / "metadata" / "codes.parquet")["code"])
    names = [name.removesuffix("/code") for name in described if name.endswith("/code")]
    numbers = pl.Series([_group(name) for name in names], dtype=pl.Int32)
    shards = []
    for labels in (meds / "labels").rglob("*.parquet"):
        encounters = pl.read_parquet(labels)["encounter_id"]
        shard = output / "tabularize" / labels.relative_to(meds / "labels").with_suffix("")
        cells = None
        for count, days in zip(COUNTS, WINDOWS, strict=True):
            found, row, column = np.load(shard / f"{days}d" / "code" / "count.npz")["array"]
            part = pl.DataFrame(
                {
                    "encounter_id": encounters.gather(row.astype(np.int64)),
                    "code_id": numbers.gather(column.astype(np.int64)),
                    count: found,
                }
            ).drop_nulls("code_id")
            cells = (
                part
                if cells is None
                else part.join(cells, on=["encounter_id", "code_id"], how="left")
            )
        shards.append(cells)
    whole = pl.concat(shards, how="diagonal")
    return whole.select(
        pl.col(name).fill_null(0).cast(CELLS[name]) for name in ("encounter_id", "code_id", *COUNTS)
    )


def _group(code: str) -> int | None:
    """Number of the group of a code; null for births and markers."""
    name = code.split("//")[1] if code.startswith("HROB//") else None
    return int(name.removeprefix("G")) if name else None


def _run(program: str, arguments: list[str]) -> None:
    _require_success([_start(program, arguments).wait()])


def _start(program: str, arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen(  # noqa: S603 - a fixed program of its environment
        [str(ENVIRONMENT / "bin" / program), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )


def _require_success(codes: list[int]) -> None:
    if any(codes):
        msg = (
            f"MEDS-tab must end well; its processes ended with {codes}. Run it by hand to see why."
        )
        raise RuntimeError(msg)
