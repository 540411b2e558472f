"""Coverage: how often a 95 % interval has the truth in it, when patients come again and again.

500 worlds of patients with several rows, a model that knows part of each patient's risk, and an
effect of the patient that it does not know. The truth is that of a population of a million.
"""

from functools import partial

import numpy as np

from benchmarks.report import Table
from hrob_assets.risk.evaluation import Draw, measure, measure_sums
from hrob_assets.risk.statistics import Estimate, rank_rows

WORLDS, PATIENTS, POPULATION = 500, 800, 1_000_000
THRESHOLD, REPLICATES = 0.2, 1000
MEAN_ROWS = 12
LEAST, MOST = 0.92, 0.97
_REQUIRED = ("calibration_factor", "positive_predictive_value", "odds_ratio")
_OTHERS = ("auroc", "auprc", "brier", "calibration_in_the_large", "calibration_slope")
_WORDS = {
    "calibration_factor": "calibration factor",
    "positive_predictive_value": "positive predictive value",
    "odds_ratio": "ln odds ratio",
    "calibration_in_the_large": "calibration in the large",
    "calibration_slope": "calibration slope",
}


def run(scale: float) -> list[Table]:
    """Simulate the worlds and count."""
    worlds = max(int(WORLDS * scale), 20)
    truth = _values(*world(int(POPULATION * min(scale, 1.0)), seed=0))
    covered: dict[str, list[bool]] = {name: [] for name in (*_REQUIRED, *_OTHERS)}
    by_row: dict[str, list[bool]] = {name: [] for name in _REQUIRED}
    effects: dict[str, list[float]] = {name: [] for name in _REQUIRED}
    for number in range(1, worlds + 1):
        person, probability, outcome = world(PATIENTS, seed=number)
        draw = Draw(REPLICATES, number)
        rows = rank_rows(person, probability, outcome)
        found = measure(rows, threshold=THRESHOLD, draw=draw).estimates
        alone = rank_rows(np.arange(person.size), probability, outcome)
        as_rows = measure_sums(alone, threshold=THRESHOLD, draw=draw).estimates
        for name, flags in covered.items():
            flags.append(_has(found[name], truth[name]))
        for name in _REQUIRED:
            by_row[name].append(_has(as_rows[name], truth[name]))
            effects[name].append(found[name].design_effect or np.nan)
    return [_table(covered, by_row, effects, truth, worlds)]


def world(patients: int, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Persons, predictions and outcomes; the effect of the patient is not in the predictions."""
    rng = np.random.default_rng([20260105, seed])
    rows = 1 + rng.negative_binomial(2, 2 / (1 + MEAN_ROWS), patients)
    person = np.repeat(np.arange(patients), rows)
    score = rng.normal(-2.7, 0.7, patients)[person] + rng.normal(0, 0.5, person.size)
    effect = rng.normal(0, 0.8, patients)[person]
    outcome = rng.random(person.size) < 1 / (1 + np.exp(-score - effect))
    return person, 1 / (1 + np.exp(-score)), outcome.astype(np.int8)


def _values(person: np.ndarray, probability: np.ndarray, outcome: np.ndarray) -> dict[str, float]:
    rows = rank_rows(person, probability, outcome)
    draw = Draw(16, 1)
    return {
        name: found.value
        for name, found in measure(rows, threshold=THRESHOLD, draw=draw).estimates.items()
    }


def _has(found: Estimate, truth: float) -> bool:
    assert found.low is not None  # noqa: S101 - a world of this size has intervals
    assert found.high is not None  # noqa: S101
    return found.low <= truth <= found.high


def _table(
    covered: dict[str, list[bool]],
    by_row: dict[str, list[bool]],
    effects: dict[str, list[float]],
    truth: dict[str, float],
    worlds: int,
) -> Table:
    shown = partial(_row, covered=covered, by_row=by_row, effects=effects, truth=truth)
    note = (
        f"{worlds} worlds of {PATIENTS} patients with {MEAN_ROWS + 1} rows on average, "
        f"{REPLICATES} replicates, threshold {THRESHOLD}; the odds ratio covers what its logarithm "
        "does. Wanted: 92 to 97 % for the first three. By row: as if every row were of another "
        f"patient. With {worlds} worlds, a true 95 % is found between "
        f"{0.95 - 1.96 * np.sqrt(0.95 * 0.05 / worlds):.1%} and "
        f"{0.95 + 1.96 * np.sqrt(0.95 * 0.05 / worlds):.1%} in 19 of 20 studies."
    )
    header = ("metric", "truth", "covers, by patient", "92-97 %", "covers, by row", "design effect")
    return Table(header, [shown(name) for name in covered], note)


def _row(
    name: str,
    *,
    covered: dict[str, list[bool]],
    by_row: dict[str, list[bool]],
    effects: dict[str, list[float]],
    truth: dict[str, float],
) -> tuple[str, ...]:
    share = float(np.mean(covered[name]))
    value = np.log(truth[name]) if name == "odds_ratio" else truth[name]
    row = f"{np.mean(by_row[name]):.1%}" if name in by_row else ""
    effect = f"{np.nanmean(effects[name]):.2f}" if name in effects else ""
    within = "yes" if LEAST <= share <= MOST else "**no**"
    return (
        _WORDS.get(name, name.upper() if name.startswith("au") else name),
        (f"{value:.4f}"),
        f"{share:.1%}",
        within,
        row,
        effect,
    )
