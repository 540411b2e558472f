"""Seconds and peak memory, each from a process of its own (Linux)."""

import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self

_SAMPLE_SECONDS = 0.2
_SESSION, _RSS_PAGES = 3, 21  # fields of /proc/<pid>/stat after the name


class Measured(NamedTuple):
    """What a call came to.

    Parameters
    ----------
    value : object
        What it returned or, of a program, what it printed.
    seconds : float
        Without the start of the process where a function was called.
    cpu_seconds : float
        Processor time of all threads; other work on the machine hardly changes it.
    peak_gb : float, 10^9 bytes
        Most memory that the process and, of a program, its descendants had at one time.
    """

    value: Any
    seconds: float
    cpu_seconds: float
    peak_gb: float


def in_fresh_process(function: Callable[..., Any], *arguments: object) -> Measured:
    """Call a function of a module in a new process; nothing of earlier work counts."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_call, function, arguments).result()


def run_program(command: Sequence[str]) -> Measured:
    """Run a program to its end; raise `CalledProcessError` if it fails."""
    return in_fresh_process(_run, list(command)).value


def seconds_of(forms: Mapping[str, Callable[[], object]], *, repeats: int = 3) -> dict[str, float]:
    """Time the forms in turns; return the median of each."""
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(repeats):
        for name, form in forms.items():
            started = time.perf_counter()
            form()
            taken[name].append(time.perf_counter() - started)
    return {name: median(seconds) for name, seconds in taken.items()}


class OtherWork:
    """Cores that were busy with the work of others while a block ran.

    Attributes
    ----------
    cores : float
        Known after the block: busy time of the machine less that of this process and of its
        finished descendants, per second.
    """

    cores = 0.0

    def __enter__(self) -> Self:
        self._started, self._before = time.monotonic(), _busy_of_others()
        return self

    def __exit__(self, *error: object) -> None:
        self.cores = (_busy_of_others() - self._before) / (time.monotonic() - self._started)


def _busy_of_others() -> float:
    """Seconds since the start of the machine, over all cores."""
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    busy = (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
    return busy - _cpu_seconds(resource.RUSAGE_SELF) - _cpu_seconds(resource.RUSAGE_CHILDREN)


def _cpu_seconds(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def _call(function: Callable[..., Any], arguments: Sequence[object]) -> Measured:
    started, cpu_before = time.perf_counter(), _cpu_seconds(resource.RUSAGE_SELF)
    value = function(*arguments)
    seconds = time.perf_counter() - started
    cpu_seconds = _cpu_seconds(resource.RUSAGE_SELF) - cpu_before
    # ru_maxrss would begin with the parent's; this starts anew with the program
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return Measured(value, seconds, cpu_seconds, int(line.split()[1]) * 1024 / 1e9)


def _run(command: Sequence[str]) -> Measured:
    """The larger of the exact peak of one process and the sampled sum of all."""
    started = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - a fixed program of this project
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        sampled: list[int] = [0]
        sampler = threading.Thread(target=_sample, args=(process, sampled), daemon=True)
        sampler.start()
        output, _ = process.communicate()
    seconds = time.perf_counter() - started
    sampler.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    cpu_seconds = _cpu_seconds(resource.RUSAGE_CHILDREN)
    return Measured(output, seconds, cpu_seconds, max(*sampled, largest) / 1e9)


def _sample(process: subprocess.Popen, sampled: list[int]) -> None:
    while process.poll() is None:
        sampled[0] = max(sampled[0], _session_bytes(process.pid))
        time.sleep(_SAMPLE_SECONDS)


def _session_bytes(session: int) -> int:
    pages = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            pages += int(fields[_RSS_PAGES]) if int(fields[_SESSION]) == session else 0
    return pages * resource.getpagesize()
