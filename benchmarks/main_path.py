"""The main path on the synthetic world, as `make demo` runs it: seconds and peak memory."""

import re
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import run_program
from benchmarks.report import Table, against

_STEP = re.compile(r"^\.\.\. (?P<what>.+)\n    done in (?P<seconds>\d+) s$", re.MULTILINE)
_TO_THE_LISTS = (
    "source: ",
    "features of ",
    ": cohort and labels",
    ": training, ",
    ": weekly lists",
)
_TARGET_SECONDS, _TARGET_GB = 240, 6


def run(scale: float) -> list[Table]:
    """Run `hrob demo` in a data root of its own."""
    sizes = {"--pregnancies": 12_000, "--patients": 8_000}
    options = [word for name, size in sizes.items() for word in (name, str(int(size * scale)))]
    with tempfile.TemporaryDirectory() as root:
        program = str(Path(sys.executable).with_name("hrob"))
        demo = run_program([program, "demo", "--data-root", f"{root}/demo", *options])
    steps = [(step["what"], int(step["seconds"])) for step in _STEP.finditer(demo.value)]
    rest = demo.seconds - sum(seconds for _, seconds in steps)
    to_lists = sum(
        seconds for what, seconds in steps if any(part in what for part in _TO_THE_LISTS)
    )
    rows = [
        *((what, f"{seconds} s", "", "") for what, seconds in steps),
        ("start of Python, definitions, printing the lists", f"{rest:.0f} s", "", ""),
        ("**from the source to the lists**", *against(to_lists + rest, _TARGET_SECONDS, "s")),
        (
            "whole path, with comparison, reports, monitoring and data dictionary",
            f"{demo.seconds:.0f} s",
            "",
            "",
        ),
        ("processor time of all threads", f"{demo.cpu_seconds:.0f} s", "", ""),
        ("**peak memory**", *against(demo.peak_gb, _TARGET_GB, "GB")),
    ]
    note = (
        f"`hrob demo {' '.join(options)}` in an empty data root, from the start of the program to "
        "its end; set-up of the Python environment excluded. Memory is of all its processes."
    )
    if sys.dont_write_bytecode:
        note += " PYTHONDONTWRITEBYTECODE was set: every module is compiled, as on a first run."
    return [Table(("step", "measured", "target", "met"), rows, note)]
