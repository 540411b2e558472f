"""Evaluation: 2,000 cluster-bootstrap replicates of every metric, for all rows and 12 groups."""

from functools import partial

import numpy as np

from benchmarks.measure import in_fresh_process
from benchmarks.report import Table, against
from hrob_assets.risk.evaluation import Draw, measure, measure_groups
from hrob_assets.risk.statistics import rank_rows

REPLICATES, THRESHOLD = 2000, 0.2
SIZES = ((30_000, 2_400, 10.0, 4.0), (1_000_000, 200_000, 120.0, 4.0))
"""Rows, patients, seconds and GB that must not be passed."""
_LEVELS = {"race": 5, "payer": 5, "gender": 2}


def run(scale: float) -> list[Table]:
    """Measure both sizes, each in a process of its own that has compiled before."""
    lines = []
    for rows, patients, seconds, memory in SIZES:
        count = int(rows * scale)
        work = partial(evaluated, count, int(patients * scale))
        found = in_fresh_process(work)
        took, metrics, intervals = found.value
        lines.append(
            (
                f"{count:,}",
                f"{int(patients * scale):,}",
                *against(took, seconds, "s"),
                f"{found.cpu_seconds:.0f} s",
                *against(found.peak_gb, memory, "GB"),
                f"{metrics}, {intervals} with interval",
            )
        )
    header = (
        "rows",
        "patients",
        *("seconds", "target", "met", "processor"),
        *("peak memory", "target", "met", "figures"),
    )
    note = (
        f"{REPLICATES:,} replicates of 24 metrics, of the flexible calibration curve and of net "
        "benefit at 50 thresholds, for all rows and for the 12 groups of three dimensions. Without "
        "the compilation, which is done once and kept. Processor: of all threads, with making the "
        "rows; other work on the machine hardly changes it."
    )
    return [Table(header, lines, note)]


def evaluated(rows: int, patients: int) -> tuple[float, int, int]:
    """Seconds of the whole evaluation, and how many figures it has."""
    import time  # noqa: PLC0415 - the process is measured here

    person, probability, outcome, groups = population(rows, patients)
    small = rank_rows(person[:500], probability[:500], outcome[:500])
    measure(small, threshold=THRESHOLD, draw=Draw(32, 1))  # compiles or reads the cache
    started = time.perf_counter()
    ranked = rank_rows(person, probability, outcome)
    draw = Draw(REPLICATES, 1)
    whole = measure(ranked, threshold=THRESHOLD, draw=draw)
    parts = [g.measured for g in measure_groups(ranked, groups, threshold=THRESHOLD, draw=draw)]
    estimates = [each for found in (whole, *parts) for each in found.estimates.values()]
    took = time.perf_counter() - started
    return took, len(estimates), sum(each.low is not None for each in estimates)


def population(
    rows: int, patients: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Rows of patients with risks of their own, and three dimensions of groups."""
    rng = np.random.default_rng(20260105)
    person = rng.integers(0, patients, rows)
    level = rng.normal(-2.6, 0.8, patients)
    score = level[person] + rng.normal(0, 0.6, rows)
    effect = rng.normal(0, 0.5, patients)[person]
    outcome = (rng.random(rows) < 1 / (1 + np.exp(-score - effect))).astype(np.int8)
    groups = {
        name: rng.integers(0, levels, patients).astype("U1")[person]
        for name, levels in _LEVELS.items()
    }
    return person, 1 / (1 + np.exp(-score)), outcome, groups
