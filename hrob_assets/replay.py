"""Mondays in order: score, let outcomes ripen, watch, and answer alarms; all through Dagster."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.as_of import end_of_week, knowledge_tags
from hrob_assets.assets.keys import use_case_key
from hrob_assets.assets.partitions import Weeks
from hrob_assets.assets.weekly.stored_monitoring import stored_alarms
from hrob_assets.pipeline import prepare_weeks
from hrob_assets.resources.environment import Environment, load_environment
from hrob_assets.resources.records.model_registry import CHAMPION, ModelRegistry, RegisteredModel
from hrob_assets.resources.run_launcher import execute_here
from hrob_assets.resources.sources.current_source import RawSource
from hrob_assets.resources.storage.io_manager import Storage, write_text
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.files import write_parquet
from hrob_assets.risk.reporting.pages import replay_page
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.training import predict
from hrob_assets.risk.updating import LivedMonday, TwoHistories, compare_histories

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class _Dagster:
    """The definitions, loaded once; jobs run one after the other in this process."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        from hrob_assets.definitions import defs  # noqa: PLC0415 - reads the environment

        self.instance = instance
        self.repository = defs().get_repository_def()
        self.cursors: dict[str, str | None] = {}

    def run(self, job: str, tags: Mapping[str, str]) -> str:
        """Execute a job; return the run's id."""
        result = execute_here(
            self.repository.get_job(job), self.instance, tags=dict(tags), run_config=_QUIET
        )
        return result.run_id

    def run_request(self, request: dg.RunRequest, job: str) -> str:
        """Execute what a sensor asked for; a run that fails stays for all to see, as it would."""
        tags = {**request.tags, "dagster/run_key": request.run_key or ""}
        result = execute_here(
            self.repository.get_job(job),
            self.instance,
            tags=tags,
            run_config={**_QUIET, **request.run_config},
            raise_on_error=False,
        )
        return result.run_id

    def answer(self, sensor_name: str) -> list[str]:
        """Let a sensor look, and run what it asks for; return the ids of the runs."""
        sensor = self.repository.get_sensor_def(sensor_name)
        resources = self.repository.get_top_level_resources()
        with dg.build_sensor_context(
            instance=self.instance,
            resources={key: resources[key] for key in sensor.required_resource_keys},
            cursor=self.cursors.get(sensor_name),
            repository_def=self.repository,
            sensor_name=sensor_name,
        ) as context:
            found = sensor.evaluate_tick(context)
        self.cursors[sensor_name] = found.cursor
        asked = [request for request in found.run_requests or [] if not self._is_made(request)]
        return [self.run_request(each, each.job_name or str(sensor.job_name)) for each in asked]

    def _is_made(self, request: dg.RunRequest) -> bool:
        """Whether a run has this key already, as the daemon asks before it starts one."""
        tags = {"dagster/run_key": request.run_key or ""}
        return bool(self.instance.get_run_records(dg.RunsFilter(tags=tags), limit=1))

    def metadata(self, run_id: str, key: dg.AssetKey) -> dict[str, Any]:
        """Metadata of an asset that a run made; empty where it made none."""
        for entry in self.instance.all_logs(run_id, of_type=_MATERIALIZED):
            made = entry.asset_materialization
            if made is not None and made.asset_key == key:
                return {name: value.value for name, value in made.metadata.items()}
        return {}


_MATERIALIZED = dg.DagsterEventType.ASSET_MATERIALIZATION


def write_replay(use_case_name: str, *, weeks: int, say: Callable[[str], None]) -> Path:
    """Run a replay, tell what the updates were worth, and write its page and its numbers.

    Returns
    -------
    Path
        The page; beside it are the calibration (Parquet) and the Mondays (JSON).
    """
    found = run_replay(use_case_name, weeks=weeks, say=say)
    environment = load_environment()
    source = RawSource.of(environment.source, environment.data_root)
    folder = environment.data_root / "replay" / use_case_name
    page = replay_page(
        found,
        title=use_case_name.replace("_", " "),
        world=source.description,
        drift=planted_change(environment.data_root / "source" / "truth"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(found.calibration, folder / "calibration.parquet")
    mondays = json.dumps([asdict(monday) for monday in found.mondays], indent=1, default=str)
    write_text(mondays + "\n", folder / "mondays.json")
    write_text(page, folder / "replay.html")
    return folder / "replay.html"


def planted_change(truth: Path) -> str:
    """What the synthetic world says of itself; empty where nothing changes or no world is there."""
    path = truth / "drift_log.parquet"
    if not path.exists():
        return ""
    told = [
        f"Planted from {row['drift_at']}: {row['what']}"
        for row in pl.read_parquet(path).iter_rows(named=True)
    ]
    return " ".join(told)


def run_replay(use_case_name: str, *, weeks: int, say: Callable[[str], None]) -> TwoHistories:
    """Run the last weeks of the data as if each were today, in order.

    The first champion is trained on what was known before the first of these weeks. Then, for each
    week: the list by the champion of that day, ledger, calibration and alarm as known that Monday;
    the sensors look, and what they ask for is run: alerts, the update, the gate.

    Parameters
    ----------
    use_case_name : str
    weeks : int
    say : callable
        Told of each step.

    Raises
    ------
    ContractError
        If the first training has no champion to show.
    """
    with dg.DagsterInstance.get() as instance:
        environment, all_weeks = prepare_weeks(instance, say)
        replayed = all_weeks.latest(weeks)
        dagster = _Dagster(instance)
        say(f"... {use_case_name}: cohort and labels")
        dagster.run(f"ripen_{use_case_name}", all_weeks.tags)
        start = end_of_week(replayed.first)
        say(f"... first champion, on what was known on {start.date()}")
        registry, storage = _registry(environment), Storage(data_root=str(environment.data_root))
        first = _first_champion(dagster, registry, use_case_name, knowledge_tags(start))
        mondays: list[LivedMonday] = []
        for week in replayed.mondays:
            monday = _live(dagster, registry, storage, use_case_name, week)
            mondays.append(monday)
            _tell(monday, say)
    rows = _two_histories(environment, use_case_name, first.model)
    return compare_histories(rows, use_case=use_case_name, mondays=tuple(mondays))


def _first_champion(
    dagster: _Dagster, registry: ModelRegistry, name: str, tags: Mapping[str, str]
) -> RegisteredModel:
    why = "none was trained"
    try:
        dagster.run(f"train_{name}", tags)
    except dg.Failure as refused:
        why = refused.description or "the gate refused the challenger"
    first = registry.load(name, CHAMPION)
    if first is None:
        msg = (
            f"a replay of {name} must begin with a champion (found none: {why}); take more weeks, "
            "so that it is trained before the world changes, or a larger world"
        )
        raise ContractError(msg)
    return first


def _live(
    dagster: _Dagster, registry: ModelRegistry, storage: Storage, name: str, week: date
) -> LivedMonday:
    """One Monday."""
    tags = {**Weeks(week, week).tags, **knowledge_tags(end_of_week(week))}
    champion = registry.version(name, CHAMPION) or ""
    dagster.run(f"score_{name}", tags)
    dagster.run(f"monitor_{name}", tags)
    dagster.answer(f"alert_list_and_champion_{name}")
    dagster.answer(f"alert_calibration_drift_{name}")
    updates = dagster.answer(f"calibration_drift_{name}")
    raised = stored_alarms(storage, name, [week])
    alarms = tuple(f"{alarm.detector}: {alarm.direction}" for alarm in raised)
    update = None
    for run_id in updates:
        decision = dagster.metadata(run_id, use_case_key(name, "update_decision"))
        update = decision.get("update", "failed")
    after = registry.version(name, CHAMPION) or ""
    return LivedMonday(week, champion, alarms, update, after if after != champion else None)


def _tell(monday: LivedMonday, say: Callable[[str], None]) -> None:
    told = [f"alarm ({alarm})" for alarm in monday.alarms]
    if monday.update is not None:
        told.append(f"update: {monday.update}")
        told.append(
            f"champion is version {monday.promoted} now"
            if monday.promoted
            else "the champion stays"
        )
    if told:
        say(f"    {monday.week}: {'; '.join(told)}")


def _registry(environment: Environment) -> ModelRegistry:
    root = environment.data_root.absolute()
    return ModelRegistry(
        tracking_uri=environment.tracking_uri, artifact_root=str(root / "mlflow_artifacts")
    )


def _two_histories(environment: Environment, name: str, first: Any) -> pl.DataFrame:
    """Ripe rows with what was sent and what the first champion would have said."""
    storage = Storage(data_root=str(environment.data_root))
    path = storage.asset_path(use_case_key(name, "outcome_ledger")).with_suffix(".parquet")
    ripe = pl.scan_parquet(path).filter(pl.col("label").is_not_null())
    folder = storage.asset_path(dg.AssetKey(["feature_store", "encounter_features"]))
    features = pl.scan_parquet(folder / "*.parquet").select(*ROW_KEY, *first.columns)
    rows = ripe.join(features, on=list(ROW_KEY)).collect()
    said = pl.Series("never_updated", predict(first, rows))
    return rows.select(
        *ROW_KEY, "week", "ripe_week", "model_version", "label", "probability", "high_risk"
    ).with_columns(said, never_updated_high_risk=said >= first.threshold)
