"""The search of every family, and the final fit, on the obstetric cohort of the demo world."""

import tempfile
from pathlib import Path
from time import perf_counter

import polars as pl

from benchmarks.measure import in_fresh_process
from benchmarks.report import Table, against
from hrob_assets.resources.storage.trial_file import TrialFolder
from hrob_assets.risk.features import ImputationRule
from hrob_assets.risk.training import TRAINING_COLUMNS, best_trial, fit_model
from hrob_assets.risk.use_case import FamilySpec, ModelSpec, Threshold, Tuning

_TRIALS, _FOLDS, _ROWS, _TARGET_SECONDS = 30, 2, 8000, 300
_TRAINING_SET = Path("data/demo/assets/high_risk_obstetrics/training_set.parquet")
_FAMILIES = ("logistic_regression", "random_forest", "hist_gradient_boosting", "comorbidity_score")


def run(scale: float, training_set: Path = _TRAINING_SET) -> list[Table]:
    """Search the families that have something to choose, each in a process of its own."""
    trials = max(int(_TRIALS * scale), 1)
    measured = {
        name: in_fresh_process(_searched, training_set, name, trials) for name in _FAMILIES[:3]
    }
    rows = []
    for name, found in measured.items():
        counts, search, fit, loss = found.value
        rows.append(
            (
                name,
                str(counts[2]),
                f"{search:.1f} s",
                f"{fit:.1f} s",
                f"{found.cpu_seconds:.0f} s",
                f"{found.peak_gb:.1f} GB",
                f"{loss:.5f}",
            )
        )
    total = sum(found.value[1] + found.value[2] for found in measured.values())
    took, target, met = against(total, _TARGET_SECONDS, "s")
    rows.append(("**all**", "", took, target, met, "", ""))
    header = ("family", "trials", "search", "final fit", "processor", "memory", "best log loss")
    (n_rows, n_columns, _), *_ = next(iter(measured.values())).value
    note = (
        f"High-risk obstetrics in the demo world: {n_rows:,} training rows x {n_columns} columns. "
        f"Each trial: {_FOLDS} folds by patient of a sample of at most {_ROWS:,} rows; no early "
        "stop. The last row adds searches and final fits; its next cells are target and verdict. "
        "Needs the training set that `make demo` writes."
    )
    return [Table(header, rows, note)]


def _searched(
    path: Path, family: str, trials: int
) -> tuple[tuple[int, int, int], float, float, float]:
    frame = pl.read_parquet(path).filter(pl.col("split") != "test")
    train = frame.filter(pl.col("split") == "train")
    columns = [name for name in frame.columns if name not in TRAINING_COLUMNS]
    columns = [name for name in columns if train[name].n_unique() > 1]
    rules = dict.fromkeys(columns, ImputationRule("median"))
    tuning = Tuning(trials=trials, folds=_FOLDS, maximum_rows=_ROWS)
    model = ModelSpec(family, tuning, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        log = TrialFolder(Path(folder))
        started = perf_counter()
        fitted = fit_model(
            frame,
            columns=columns,
            rules=rules,
            model=model,
            threshold=Threshold(capacity_share=0.1, decimals=3),
            family=FamilySpec(family),
            log=log,
        )
        seconds = perf_counter() - started
    search = sum(trial.seconds for trial in fitted.trials)
    loss = best_trial(fitted.trials).log_loss
    counts = (train.height, len(columns), len(fitted.trials))
    return counts, search, seconds - search, float(loss or 0.0)
