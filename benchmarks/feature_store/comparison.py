"""The forms in turns: each time in a new process, after a warm-up on tiny tables."""

import os
import resource
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple, Self

import numpy as np

from benchmarks.feature_store.forms import FORMS, Form
from benchmarks.feature_store.meds_tab_forms import counted_folder, prepare
from benchmarks.feature_store.window_task import Digest, cells_of, digest
from benchmarks.measure import in_fresh_process

TURNS = 3
_ONE_TURN_SECONDS = 15.0
_SAMPLE_SECONDS = 0.05
_PARENT, _RSS_PAGES = 1, 21  # fields of /proc/<pid>/stat after the name
_RESET_PEAK = "5"


class Run(NamedTuple):
    """One run of a form.

    Parameters
    ----------
    seconds : float
        From Parquet files to the result in memory; without start and warm-up.
    cpu_seconds : float
        Of the process and its children that ended.
    peak_gb : float, 10^9 bytes
        Most memory of the process and its descendants at one time.
    digest : Digest
    """

    seconds: float
    cpu_seconds: float
    peak_gb: float
    digest: Digest


class Result(NamedTuple):
    """All runs of a form at one size, as medians."""

    form: str
    events: int
    encounters: int
    seconds: float
    cpu_seconds: float
    peak_gb: float
    turns: int


def compare(
    folder: Path, tiny: Path, names: Sequence[str], *, sizes: tuple[int, int]
) -> list[Result]:
    """Run the forms in turns and check that all give the same.

    A form that took over 15 seconds is not run again.

    Parameters
    ----------
    folder, tiny : Path
        Staged tables of the task and of the warm-up.
    names : sequence of str
        Keys of `FORMS`; ours is the first.
    sizes : tuple of int
        Events and encounters, for the results.

    Raises
    ------
    AssertionError
        If two results differ.
    """
    if "meds_tab" in names:
        in_fresh_process(prepare, folder)
        in_fresh_process(prepare, tiny)
    runs: dict[str, list[Run]] = defaultdict(list)
    for _ in range(TURNS):
        for name in names:
            if not runs[name] or runs[name][0].seconds <= _ONE_TURN_SECONDS:
                run: Run = in_fresh_process(run_form, FORMS[name], folder, tiny).value
                runs[name].append(run)
                print(f"... {name}: {run.seconds:.2f} s, {run.peak_gb:.2f} GB", flush=True)
    check_equal(folder, {name: [run.digest for run in found] for name, found in runs.items()})
    return [_result(name, found, sizes) for name, found in runs.items()]


def run_form(form: Form, folder: Path, tiny: Path) -> Run:
    """Warm up, then do the task once and look at the clock and at memory."""
    seconds_of_tiny = min(_seconds(form.build, tiny)[0] for _ in range(2))
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
    cpu = _cpu_seconds()
    with PeakMemory() as memory:
        seconds, result = _seconds(form.build, folder)
    cpu = _cpu_seconds() - cpu
    if form.engine == "meds_tab":  # its processes start anew: what they take for next to nothing
        seconds -= seconds_of_tiny
    return Run(seconds, cpu, memory.peak_gb, digest(cells_of(result())))


def check_equal(folder: Path, digests: dict[str, list[Digest]]) -> None:
    """Compare all results with the first; counts alone where a form has no labs."""
    (first, *_), *_ = digests.values()
    for name, found in digests.items():
        expected = first
        if name == "meds_tab":
            expected = in_fresh_process(
                _digest, FORMS["duckdb_packed"], counted_folder(folder)
            ).value
        for each in found:
            same = each[:2] == expected[:2] and (each.labs in (None, expected.labs))
            if not same:
                msg = f"{name} must give the same as the others; {each} is not {expected}"
                raise AssertionError(msg)


def scaling_exponent(results: Iterable[Result]) -> float:
    """Slope of log seconds over log events: 1 is linear."""
    points = np.log([(result.events, result.seconds) for result in results])
    return float(np.polyfit(points[:, 0], points[:, 1], 1)[0])


class PeakMemory:
    """Most memory that this process and its descendants have at one time, in a block.

    Attributes
    ----------
    peak_gb : float, 10^9 bytes
        Known after the block: the larger of the sampled sum and the exact peak of this process.
    """

    peak_gb = 0.0

    def __enter__(self) -> Self:
        self._sampled, self._ended = 0, threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._sampler.join()
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        (line,) = (line for line in status if "VmHWM" in line)
        self.peak_gb = max(self._sampled, int(line.split()[1]) * 1024) / 1e9

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self._sampled = max(self._sampled, _tree_bytes(os.getpid()))


def _tree_bytes(root: int) -> int:
    """Memory of a process and all that it started."""
    children, pages = defaultdict(list), {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        process = int(path.parent.name)
        children[int(fields[_PARENT])].append(process)
        pages[process] = int(fields[_RSS_PAGES])
    found, total = [root], 0
    while found:
        process = found.pop()
        total += pages.get(process, 0)
        found += children[process]
    return total * os.sysconf("SC_PAGE_SIZE")


def _seconds(function: Callable, folder: Path) -> tuple[float, Callable]:
    started = time.perf_counter()
    result = function(folder)
    return time.perf_counter() - started, result


def _digest(form: Form, folder: Path) -> Digest:
    return digest(cells_of(form.build(folder)()))


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _result(name: str, runs: Sequence[Run], sizes: tuple[int, int]) -> Result:
    seconds, cpu_seconds, peak_gb, _ = zip(*runs, strict=True)
    return Result(name, *sizes, median(seconds), median(cpu_seconds), median(peak_gb), len(runs))
