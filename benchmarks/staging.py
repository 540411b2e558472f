"""Staging the default synthetic world: seconds per million events, and peak memory."""

import tempfile
from pathlib import Path

from benchmarks.measure import in_fresh_process
from benchmarks.report import Table
from benchmarks.world import default_world
from hrob_assets.resources.sources.source_database import open_source
from hrob_assets.risk.sources import StagingResult, stage
from hrob_assets.synthetic.world import write_world


def run(scale: float) -> list[Table]:
    """Take a snapshot of the world and stage it, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        in_fresh_process(write_world, default_world(scale), root / "world")
        snapshot = in_fresh_process(_snapshot, root / "world" / "omop", root / "snapshot")
        stagings = [in_fresh_process(_stage, root / "snapshot", root / "staged") for _ in range(3)]
    staging = sorted(stagings, key=lambda measured: measured.seconds)[1]
    rows_of: StagingResult = staging.value
    million_events = rows_of.rows["events"] / 1e6
    rows = [
        (
            name,
            f"{measured.seconds:.1f} s",
            f"{measured.seconds / million_events:.2f} s",
            f"{measured.cpu_seconds / million_events:.2f} s",
            f"{measured.peak_gb:.1f} GB",
        )
        for name, measured in (("snapshot of the source", snapshot), ("staging", staging))
    ]
    source_rows = sum(rows_of.source_rows.values())
    note = (
        f"{source_rows / 1e6:.2f} million OMOP rows become {million_events:.2f} million events, "
        f"{rows_of.rows['encounters']:,} encounters and {rows_of.rows['quarantine']:,} rows of "
        "quarantine. The snapshot was taken once, staging is the median of 3; the engine may use "
        "3 GB before it spills."
    )
    million = "per million events"
    header = ("step", "seconds", million, f"processor time {million}", "peak memory")
    return [Table(header, rows, note)]


def _snapshot(source: Path, folder: Path) -> None:
    open_source(str(source)).snapshot(folder)


def _stage(snapshot: Path, folder: Path) -> StagingResult:
    return stage(snapshot, folder, known_lag_days={})  # the world states every known_at
