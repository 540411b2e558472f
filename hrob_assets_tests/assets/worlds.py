"""One use case of two columns, its tables on disk, and models that rank its people."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from hrob_assets.assets.partitions import weekly_partitions
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.resources.storage.io_manager import ParquetIOManager, Storage
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.features.catalogue.selection import FeatureSelection, Screening
from hrob_assets.risk.files.parquet import write_parquet
from hrob_assets.risk.promotion.audit_trail import Decision
from hrob_assets.risk.training.periods import Periods
from hrob_assets.risk.use_case import use_case_from
from hrob_assets_tests.example import example_values

COLUMNS = ("age__years", "ed__last_value_ever")
CANDIDATES = (
    FeatureColumn("age__years", "age", "demographics", "person", measure="years"),
    FeatureColumn("ed__last_value_ever", "ed", "utilisation", "codes", aggregation="last_value"),
)
CATALOGUE = Catalogue(
    tuple(
        FeatureFamily(each.family, each.group, each.kind, None, (each,), "Reason", "Study")
        for each in CANDIDATES
    )
)
RULES = dict.fromkeys(COLUMNS, ImputationRule("median"))
BOUNDS = Periods(
    datetime(2023, 1, 2), datetime(2024, 1, 1), datetime(2024, 3, 4), datetime(2024, 6, 3)
)


WEEKLY = weekly_partitions(date(2023, 1, 2))


def use_case_named(name):
    return use_case_from(example_values() | {"name": name})


def stage_of(use_case, **changes: object) -> StageContext:
    """What the stages of a use case of two columns are made from; keywords change it."""
    values = {
        "catalogue": CATALOGUE,
        "code_sets": {},
        "selection": FeatureSelection(Path("none.yml"), COLUMNS, {}, Screening()),
        "selection_variants": (),
        "rules": RULES,
        "lineage": {"git_commit": "abc"},
        "comparator": None,
        "weekly": WEEKLY,
        "start_schedules": False,
        "spark": None,
    }
    return StageContext(use_case, **values | changes)


def selection_of(folder: Path, *columns, **limits: object):
    """A selection file on disk that keeps these columns, or all."""
    path = folder / "feature_selection_config.yml"
    path.write_text("groups: {demographics: keep, utilisation: keep}\n")
    kept = columns or COLUMNS
    dropped = {name: f"column {name}" for name in COLUMNS if name not in kept}
    return FeatureSelection(path, kept, dropped, Screening(**limits))


def training_set(rows=2400, seed=5):
    """Two rows per person; the log-odds are ``-1 + ed``, and age says nothing."""
    rng = np.random.default_rng(seed)
    split = np.array(["train", "train", "validation", "test"])[np.arange(rows) % 1200 % 4]
    start = {"train": BOUNDS.train_start, "validation": BOUNDS.train_start}
    moment = [
        start.get(name, BOUNDS.test_start) + timedelta(days=int(day))
        for name, day in zip(split, rng.integers(0, 90, rows), strict=True)
    ]
    score = rng.normal(size=rows)
    return pl.DataFrame(
        {
            "person_id": np.arange(rows) % 1200,
            "encounter_id": np.arange(rows),
            "prediction_time": pl.Series(moment, dtype=pl.Datetime("us")),
            "week": [each.date() - timedelta(days=each.weekday()) for each in moment],
            "split": split,
            "person_seen": split == "train",
            "eligible": True,
            "label": rng.random(rows) < 1 / (1 + np.exp(1 - score)),
            "age__years": rng.uniform(20, 80, rows).astype(np.float32),
            "ed__last_value_ever": score.astype(np.float32),
        }
    )


def store(root, tables):
    """Write frames to the places of their asset keys."""
    for key, frame in tables.items():
        write_parquet(frame, root / "assets" / f"{key}.parquet")


def crown(root, registry, name, version):
    """Make a version the champion by a record, as a gate would."""
    records = DecisionRecords(folder=str(root / "decisions"))
    before = records.champion(name, registry)
    decision = Decision(
        use_case=name,
        kind="promoted",
        decided_at=datetime(2024, 3, 4, tzinfo=UTC),
        challenger=version,
        champion_before=before,
        champion=version,
        previous_champion=before,
        reason="a test",
    )
    records.change_champion(decision, registry)


def logged(registry, name):
    """Names of all metrics and CSV files that the runs of an experiment have in MLflow."""
    mlflow, client = registry._mlflow()
    runs = client.search_runs([mlflow.get_experiment_by_name(name).experiment_id])
    files = (file.path for run in runs for file in client.list_artifacts(run.info.run_id))
    metrics = {metric for run in runs for metric in run.data.metrics}
    return metrics, {path for path in files if path.endswith(".csv")}


def materialise(
    definitions,
    root,
    registry,
    *,
    only,
    weeks=None,
    weekly=(),
    partitions=None,
    tags=None,
    **resources: object,
):
    """Materialise one step, or several in one run; other inputs are read from the data root.

    `only` is the last part of one of its keys, or several; keys in `weekly` name the inputs that
    are partitioned like it or, where it has no partitions, by `partitions`.
    """
    names = {only} if isinstance(only, str) else set(only)
    assets = [each for each in definitions.assets if names & {key.path[-1] for key in each.keys}]
    made = {key for each in assets for key in each.keys}
    of_step = {key: each.partitions_def for each in assets for key in each.dependency_keys}
    inputs = [
        dg.AssetSpec(key, partitions_def=(found or partitions) if key.path[-1] in weekly else None)
        for key, found in of_step.items()
        if key not in made
    ]
    range_tags = {
        "dagster/asset_partition_range_start": weeks[0],
        "dagster/asset_partition_range_end": weeks[1],
    } if weeks else {}  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [*assets, *inputs],
            instance=instance,
            resources={
                "io_manager": ParquetIOManager(root),
                "model_registry": registry,
                "storage": Storage(data_root=str(root)),
                "decision_records": DecisionRecords(folder=str(root / "decisions")),
                "feedback": Feedback(folder=str(root / "feedback")),
                **resources,
            },
            tags={**range_tags, **(tags or {})},
            selection=assets,
        )
