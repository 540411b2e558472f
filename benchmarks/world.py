"""Writing the default synthetic world: seconds, peak memory, and the same bytes twice."""

import tempfile
from hashlib import sha256
from pathlib import Path

from benchmarks.measure import in_fresh_process
from benchmarks.report import Table, against
from hrob_assets.synthetic.world import WorldSpec, write_world

_TARGET_SECONDS, _TARGET_GB = 60, 4


def default_world(scale: float) -> WorldSpec:
    """The world of the demo, or a share of it."""
    whole = WorldSpec()
    return WorldSpec(
        pregnancies=int(whole.pregnancies * scale),
        oncology_patients=int(whole.oncology_patients * scale),
    )


def run(scale: float) -> list[Table]:
    """Write the world twice, each time in a process of its own."""
    spec = default_world(scale)
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder) / name for name in ("first", "second")]
        writes = [in_fresh_process(write_world, spec, folder) for folder in folders]
        digests = [_digest(folder) for folder in folders]
        megabytes = sum(path.stat().st_size for path in folders[0].rglob("*.parquet")) / 1e6
    rows = [
        ("first write", *against(writes[0].seconds, _TARGET_SECONDS, "s")),
        ("second write", *against(writes[1].seconds, _TARGET_SECONDS, "s")),
        ("processor time of the first", f"{writes[0].cpu_seconds:.1f} s", "", ""),
        ("peak memory", *against(max(write.peak_gb for write in writes), _TARGET_GB, "GB")),
        ("same bytes", *(("yes", "yes", "yes") if len(set(digests)) == 1 else ("no", "yes", "no"))),
    ]
    note = (
        f"{spec.pregnancies:,} pregnancies and {spec.oncology_patients:,} patients with cancer, "
        f"{spec.days:,} days, {megabytes:.0f} MB of Parquet; each write in a new process. Bytes "
        "are compared by SHA-256 over names and contents of all files."
    )
    return [Table(("what", "measured", "target", "met"), rows, note)]


def _digest(folder: Path) -> str:
    digest = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()
