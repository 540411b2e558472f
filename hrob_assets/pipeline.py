"""The main path as a sequence of Dagster runs, for the command line."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import yaml

from hrob_assets.assets.data.feature_store import definition_version, stale_ranges
from hrob_assets.assets.keys import use_case_key
from hrob_assets.assets.partitions import Weeks
from hrob_assets.components.catalogue import shared_catalogue
from hrob_assets.resources.environment import (
    Environment,
    load_environment,
    read_data_environment,
    value_of,
    write_data_environment,
)
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.lineage import run_tags
from hrob_assets.resources.records.model_registry import ModelRegistry
from hrob_assets.resources.run_launcher import execute_here
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.evaluation import bands_from, feature_figures, judge_bands, model_figures

PROJECT = Path(__file__).resolve().parents[1]
STAGING_BANDS = Path(__file__).parent / "resources" / "staging_bands.yaml"
_DAGSTER_HOME = "dagster_home"
_MOST_WEEKS = 522  # ten years of weekly partitions; older encounters are history only


def use_data_root(root: Path) -> None:
    """Point this process, and Dagster, to a data root; create its Dagster home."""
    home = (root / _DAGSTER_HOME).absolute()
    os.environ["HROB_DATA_ROOT"] = str(root)
    os.environ["DAGSTER_HOME"] = str(home)
    write_dagster_home(home, load_environment())
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")


def write_dagster_home(home: Path, environment: Environment) -> None:
    """Write ``dagster.yaml``, with the database of the environment where it names one.

    The file holds the name of the variable; Dagster reads the address itself.
    """
    settings = yaml.safe_load((PROJECT / "dagster.yaml").read_text(encoding="utf-8"))
    if variable := environment.dagster_database_variable:
        value_of(variable, "the PostgreSQL address of Dagster's storage")
        settings["storage"] = {"postgres": {"postgres_url": {"env": variable}}}
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f".dagster.yaml.{os.getpid()}"
    temporary.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    temporary.replace(home / "dagster.yaml")


@dataclass(frozen=True)
class PipelineOutcome:
    """What a run of the main path came to.

    Parameters
    ----------
    environment : Environment
    scored : tuple of str
        Use cases that have weekly lists now.
    not_trained : mapping of str to str
        Use cases whose source is too small to train on, and the counts found and needed.
    refused : mapping of str to str
        Use cases whose first challenger the gate refused, and the criteria it does not meet.
    """

    environment: Environment
    scored: tuple[str, ...]
    not_trained: Mapping[str, str]
    refused: Mapping[str, str] = field(default_factory=dict)


def run_pipeline(
    *, score_weeks: int, say: Callable[[str], None], train: bool = True
) -> PipelineOutcome:
    """Stage, build features, label, train and score, each as one Dagster run that the UI shows.

    Parameters
    ----------
    score_weeks : int
        How many of the latest weeks get a list.
    say : callable
        Told of each step when it starts and ends.
    train : bool
        False scores with the champion of the registry and writes nothing into it.

    Returns
    -------
    PipelineOutcome
        A source that is too small to train on is scored where there is a champion already; a
        use case whose challenger is refused does not stop the others.

    Raises
    ------
    Exception
        The first other error of a step; what was made before stays.
    """
    with dg.DagsterInstance.get() as instance:
        run = _Runner(instance, say)
        environment, weeks = _prepared(run)
        scored, not_trained, refused = [], {}, {}
        for name in environment.use_cases:
            run(f"ripen_{name}", weeks, f"{name}: cohort and labels")
            try:
                if train:
                    run(f"train_{name}", None, f"{name}: training, evaluation and the gate")
            except TooSmallError as error:
                not_trained[name] = str(error)
            except dg.Failure as error:
                refused[name] = error.description or "the gate refused the challenger"
            if train and name not in not_trained:
                run(f"compare_families_{name}", None, f"{name}: families of models side by side")
                run(f"report_{name}", None, f"{name}: reports")
            if _has_champion(environment, name):
                run(f"score_{name}", weeks.latest(score_weeks), f"{name}: weekly lists")
                _monitor(run, name, weeks_to_monitor(environment, name, weeks, latest=score_weeks))
                run(f"describe_{name}", None, f"{name}: data dictionary")
                scored.append(name)
            elif name not in refused:
                not_trained.setdefault(name, "the registry has no champion that could score it")
    return PipelineOutcome(environment, tuple(scored), not_trained, refused)


def _monitor(run: "_Runner", name: str, weeks: Weeks) -> None:
    """Ledger, calibration and alarm of some weeks, and what changed in the last one."""
    run(f"monitor_{name}", weeks, f"{name}: mature outcomes, calibration and alarm")
    run(f"watch_inputs_{name}", weeks.latest(1), f"{name}: what changed in the last week")
    try:
        run(f"report_monitoring_{name}", None, f"{name}: monitoring report")
    except TooSmallError as error:
        run.say(f"    no monitoring report yet: {error}")
    run(f"status_{name}", None, f"{name}: status board")


def weeks_to_monitor(environment: Environment, name: str, weeks: Weeks, *, latest: int) -> Weeks:
    """The latest weeks, and all weeks from the first scored one that was never monitored.

    An alarm of a week between two runs would otherwise be lost: its detector restarts, so later
    weeks do not show it.
    """
    root = str(environment.data_root)
    folder = Storage(data_root=root).asset_path(use_case_key(name, "calibration_evidence"))
    first_scored = min(ScoreTable(data_root=root).scorings(name)["week"].to_list(), default=None)
    missing = [
        week
        for week in weeks.mondays
        if first_scored is not None and week >= first_scored
        if not (folder / f"{week}.parquet").exists()
    ]
    return Weeks(min([*missing, weeks.latest(latest).first]), weeks.last)


def prepare_weeks(
    instance: dg.DagsterInstance, say: Callable[[str], None]
) -> tuple[Environment, Weeks]:
    """Stage the source and build the features of all its weeks, where they are not up to date."""
    return _prepared(_Runner(instance, say))


def _prepared(run: "_Runner") -> tuple[Environment, Weeks]:
    run("stage_source", None, "source: snapshot, staging and validation")
    environment = _with_first_week(load_environment())
    weeks = weeks_of_the_data(environment)
    _build_features(run, environment, weeks)
    return environment, weeks


def run_comparison(
    use_case_name: str, selections: Sequence[Path], *, say: Callable[[str], None]
) -> pl.DataFrame:
    """Compare feature selections of a use case that was trained before, as one Dagster run.

    Parameters
    ----------
    use_case_name : str
    selections : sequence of Path
        Files; none means those of the use case's folder.
    say : callable
        Told when it starts and ends.

    Returns
    -------
    DataFrame
        As `hrob_assets.risk.training.compare_selections.comparison_table` gives it.
    """
    paths = [str(path.absolute()) for path in selections]
    key = use_case_key(use_case_name, "selection_comparison")
    config = {"ops": {key.to_python_identifier(): {"config": {"paths": paths}}}}
    with dg.DagsterInstance.get() as instance:
        run = _Runner(instance, say)
        what = f"{use_case_name}: feature selections side by side"
        run(f"compare_selections_{use_case_name}", None, what, config)
    storage = Storage(data_root=str(load_environment().data_root))
    return pl.read_parquet(storage.asset_path(key).with_suffix(".parquet"))


def _build_features(run: "_Runner", environment: Environment, weeks: Weeks) -> None:
    """Build the weeks that are missing or whose facts or definition have changed, and no others."""
    definition = definition_version(*shared_catalogue(environment.use_cases))
    storage = Storage(data_root=str(environment.data_root))
    for part in stale_ranges(storage, definition, weeks=weeks):
        run("build_features", part, f"features of {part.count} weeks")


class _Runner:
    """Runs one job after the other in this process and tells how long each took."""

    def __init__(self, instance: dg.DagsterInstance, say: Callable[[str], None]) -> None:
        self._instance, self.say = instance, say

    def __call__(
        self, job_name: str, weeks: Weeks | None, what: str, config: Mapping[str, Any] | None = None
    ) -> None:
        """Execute a job of the definitions as they are now, over weeks where it has partitions."""
        from hrob_assets.definitions import defs  # noqa: PLC0415 - reads the environment

        self.say(f"... {what}")
        started = time.monotonic()
        execute_here(
            defs().resolve_job_def(job_name),
            self._instance,
            tags=run_tags(load_environment().name) | (weeks.tags if weeks else {}),
            # the event log has everything; the error itself is raised
            run_config={
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                **(config or {}),
            },
        )
        self.say(f"    done in {time.monotonic() - started:.0f} s")


def _with_first_week(environment: Environment) -> Environment:
    """Let the weeks begin with the data, once, where the source is somebody's own."""
    values = read_data_environment(environment.data_root)
    if environment.source.kind != "omop" or "first_week" in values:
        return environment
    staged = pl.scan_parquet(environment.data_root / "assets" / "staged" / "encounters.parquet")
    first, last = (
        staged.select(pl.col("week").min().alias("first"), pl.col("week").max().alias("last"))
        .collect()
        .row(0)
    )
    if first is None:
        msg = "the source must have at least one valid encounter (found none); see quarantine"
        raise TooSmallError(msg)
    earliest = last - timedelta(weeks=_MOST_WEEKS)
    write_data_environment(environment.data_root, values | {"first_week": max(first, earliest)})
    return load_environment()


def _has_champion(environment: Environment, name: str) -> bool:
    registry = _registry(environment)
    return _decision_records(environment).champion(name, registry) is not None


def decisions_on(use_case_name: str) -> tuple[Mapping[str, Any], ...]:
    """The verified records of decisions on a use case, oldest first, as `DecisionRecords` says."""
    environment = load_environment()
    return _decision_records(environment).verified(use_case_name, _registry(environment))


def roll_back(use_case_name: str, *, reason: str) -> Mapping[str, Any]:
    """Make the previous champion the champion, and tell the Dagster UI; returns the record."""
    environment = load_environment()
    records = _decision_records(environment)
    return _told(records.roll_back(use_case_name, _registry(environment), reason=reason))


def restore_aliases(use_case_name: str, *, reason: str) -> Mapping[str, Any]:
    """Put aliases that were moved by hand back, and tell the Dagster UI; returns the record."""
    environment = load_environment()
    records = _decision_records(environment)
    return _told(records.restore(use_case_name, _registry(environment), reason=reason))


def adopt_champion(use_case_name: str, *, reason: str) -> Mapping[str, Any]:
    """Vouch for a champion that no gate judged, and tell the Dagster UI; returns the record."""
    environment = load_environment()
    records = _decision_records(environment)
    return _told(records.adopt(use_case_name, _registry(environment), reason=reason))


def _told(record: Mapping[str, Any]) -> Mapping[str, Any]:
    names = ("champion", "previous_champion", "reason", "sequence")
    metadata = {name.replace("_", " "): str(record[name]) for name in names}
    event = dg.AssetMaterialization(
        use_case_key(record["use_case"], "champion_model"),
        description=f"{record['kind']} on the command line",
        metadata={"decision": record["kind"], **metadata},
    )
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(event)
    return record


def _decision_records(environment: Environment) -> DecisionRecords:
    return DecisionRecords(
        folder=str(environment.records_folder), key_variable=environment.decision_key_variable
    )


def _registry(environment: Environment) -> ModelRegistry:
    root = environment.data_root.absolute()
    return ModelRegistry(
        tracking_uri=environment.tracking_uri, artifact_root=str(root / "mlflow_artifacts")
    )


def golden_table(environment: Environment, bands: Path = STAGING_BANDS) -> pl.DataFrame:
    """Compare what the main path made with the bands of the staging world.

    Returns
    -------
    DataFrame
        As `hrob_assets.risk.evaluation.golden_bands.judge_bands`, with ``use_case`` before it.

    Raises
    ------
    ConfigurationError
        If a use case has no bands, or a band cannot be read.
    """
    values = yaml.safe_load(bands.read_text(encoding="utf-8")) or {}
    assets = environment.data_root / "assets"
    features = pl.scan_parquet(assets / "feature_store" / "encounter_features" / "*.parquet")
    scores = ScoreTable(data_root=str(environment.data_root))
    tables = []
    for name in environment.use_cases:
        golden = bands_from(values.get(name) or {}, place=f"{bands.name}, {name}")
        evaluation = assets / name / "evaluation.parquet"
        figures = model_figures(pl.read_parquet(evaluation)) if evaluation.exists() else {}
        figures |= feature_figures(features, golden)
        figures["weekly lists"] = float(scores.scorings(name)["week"].n_unique())
        tables.append(judge_bands(figures, golden).select(pl.lit(name).alias("use_case"), pl.all()))
    return pl.concat(tables)


def weeks_of_the_data(environment: Environment) -> Weeks:
    """Weeks from the first partition to the last that the data fill to its end."""
    load = pl.scan_parquet(environment.data_root / "assets" / "staged" / "load.parquet")
    as_of = load.select("as_of").head(1).collect().item()
    this_monday = as_of.date() - timedelta(days=as_of.weekday())
    return Weeks(environment.first_week, this_monday - timedelta(weeks=1))


def evaluation_figures(use_case_name: str) -> dict[str, float]:
    """Figures of the latest evaluation, as its Dagster run recorded them; empty without one."""
    key = use_case_key(use_case_name, "evaluation")
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(key)
    recorded = event.asset_materialization if event else None
    values = recorded.metadata if recorded else {}
    return {
        name: float(value.value)
        for name, value in values.items()
        if isinstance(value, dg.FloatMetadataValue | dg.IntMetadataValue)
        and value.value is not None
    }


def last_list(environment: Environment, use_case_name: str) -> pl.DataFrame:
    """The list of the latest scored week, first place first; empty when nobody is on it."""
    table = ScoreTable(data_root=str(environment.data_root))
    last = table.scorings(use_case_name)["week"].max()
    scores = table.current(use_case_name)
    return scores.filter(pl.col("week") == last, pl.col("rank").is_not_null())
