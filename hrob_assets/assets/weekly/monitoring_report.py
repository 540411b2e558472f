"""The monitoring report of a use case, and where it stands in the six steps of the framework."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.as_of import known_until
from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    STAGED_POOL,
    use_case_key,
)
from hrob_assets.assets.metadata import readable
from hrob_assets.assets.partitions import ended_weeks
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.assets.weekly.monitoring import monitoring_input
from hrob_assets.assets.weekly.stored_monitoring import (
    monitored_weeks,
    stored_alarms,
    stored_ledger,
)
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import CHAMPION, ModelRegistry
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.resources.storage.io_manager import Storage, write_text
from hrob_assets.risk.governance import UseCaseStanding, framework_steps
from hrob_assets.risk.monitoring import (
    current_ledger,
    monitor_ledger,
)
from hrob_assets.risk.reporting import monitoring_summary, publish_monitoring, write_monitoring
from hrob_assets.risk.reporting.pages import status_board_page
from hrob_assets.risk.use_case import UseCase


def monitoring_report_definitions(stage: StageContext) -> dg.Definitions:
    """The report, the status board and their jobs."""
    report, board = _monitoring_report(stage), _status_board(stage)
    jobs = [
        dg.define_asset_job(
            f"report_monitoring_{stage.name}",
            selection=dg.AssetSelection.assets(report),
            description="The monitoring report, from the ledger.",
        ),
        dg.define_asset_job(
            f"status_{stage.name}",
            selection=dg.AssetSelection.assets(board),
            description="The status board, from what was made before.",
        ),
    ]
    return dg.Definitions(assets=[report, board], jobs=jobs)


def report_folder(storage: Storage, use_case_name: str) -> Path:
    """Where the pages of a use case are."""
    return storage.root / "reports" / use_case_name


def _monitoring_report(stage: StageContext) -> dg.AssetsDefinition:
    use_case = stage.use_case

    @stage.weekly_asset(
        "monitoring_report",
        kinds={"html", "json"},
        pool=STAGED_POOL,
        deps=[ENCOUNTER_FEATURES],
        ins={
            "ledger": dg.AssetIn(stage.key("outcome_ledger")),
            "runouts": dg.AssetIn(stage.key("claims_runout")),
            "e_values": dg.AssetIn(stage.key("calibration_evidence")),
            **stage.inputs(staged=["persons", "coverage", "load"]),
        },
        description=_REPORT,
    )
    def monitoring_report(
        context: dg.AssetExecutionContext,
        ledger: pl.LazyFrame,
        runouts: pl.LazyFrame,
        e_values: pl.LazyFrame,
        persons: pl.LazyFrame,
        coverage: pl.LazyFrame,
        load: pl.LazyFrame,
        storage: Storage,
        feedback: Feedback,
    ) -> dg.MaterializeResult:
        stored = stored_ledger(use_case, ledger, runouts, storage)
        built = current_ledger(stored, known_until(context, load))
        given = monitoring_input(
            use_case,
            built,
            persons=persons,
            coverage=coverage,
            storage=storage,
            feedback=feedback,
        )
        found = monitor_ledger(replace(given, stored_e_values=e_values.collect()))
        published = publish_monitoring(found, source=use_case.title)
        folder = report_folder(storage, stage.name) / "monitoring"
        write_monitoring(published, folder)
        metadata = _report_metadata(monitoring_summary(published), folder)
        return dg.MaterializeResult(metadata=metadata)

    return monitoring_report


_REPORT = (
    "One page, and the same numbers as JSON and Parquet: which outcomes are mature, calibration "
    "and e-values over time, how the alarm behaves at this volume, drift, and what is still "
    "pending."
)


def _report_metadata(summary: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    budget = summary["budget"]
    return readable(
        {
            "report": dg.MetadataValue.path(folder / "monitoring.html"),
            "open": dg.MetadataValue.url((folder / "monitoring.html").absolute().as_uri()),
            "alarm": summary["alarm"],
            "detectors": budget["detectors"],
            "false_alarms_to_be_expected_at_most": float(budget["false_alarms_at_most"]),
            "expected_behaviour": dg.MetadataValue.json(summary["expected_behaviour"]),
        }
    )


def _status_board(stage: StageContext) -> dg.AssetsDefinition:
    name, use_case = stage.name, stage.use_case
    made_before = ("champion_model", "calibration_evidence", "monitoring_report")

    @stage.weekly_asset(
        "status_board",
        kinds={"html"},
        deps=[stage.key(asset) for asset in made_before],
        description=(
            "Where the use case stands in the six steps of the framework: goal, model, evaluation, "
            "bias, prospective evaluation, monitoring."
        ),
    )
    def status_board(
        context: dg.AssetExecutionContext,
        model_registry: ModelRegistry,
        decision_records: DecisionRecords,
        storage: Storage,
    ) -> dg.MaterializeResult:
        standing = _standing(
            use_case,
            context.instance,
            storage,
            champion=model_registry.version(name, CHAMPION),
            records=decision_records.verified(name, model_registry),
            due=date.fromisoformat(ended_weeks(stage.weekly, now=datetime.now(UTC))[-1]),
        )
        steps = framework_steps(standing)
        path = report_folder(storage, name) / "status_board.html"
        page = status_board_page(steps, title=use_case.title, pages=_pages(path.parent))
        write_text(page, path)
        figures = {f"{step.number} {step.name.lower()}": step.state for step in steps}
        links = {
            "report": dg.MetadataValue.path(path),
            "open": dg.MetadataValue.url(path.absolute().as_uri()),
        }
        return dg.MaterializeResult(metadata=readable({**links, **figures}))

    return status_board


def _pages(folder: Path) -> dict[str, str]:
    """Pages of the use case that are there, by what they are about; addresses beside the board."""
    found = sorted(folder.rglob("*.html"), key=lambda path: path.stat().st_mtime)
    latest = {path.stem: path.relative_to(folder).as_posix() for path in found}
    return {name: place for name, place in latest.items() if name != "status_board"}


def _standing(
    use_case: UseCase,
    instance: dg.DagsterInstance,
    storage: Storage,
    *,
    champion: str | None,
    records: Sequence[Mapping[str, Any]],
    due: date,
) -> UseCaseStanding:
    name = use_case.name
    decisions = [record for record in records if record["champion"] == champion]
    weeks = monitored_weeks(storage, name)
    alarms = [
        f"{alarm.detector} ({alarm.direction}), week of {alarm.week}"
        for alarm in stored_alarms(storage, name, weeks)
        if alarm.model_version == champion
    ]
    return UseCaseStanding(
        goal=use_case.goal.sentence,
        champion=champion,
        judged=bool(decisions),
        fairness=_verdicts(instance, use_case_key(name, "fairness")),
        watched=max(weeks, default=None),
        due=due,
        alarms=alarms,
    )


def _verdicts(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, int]:
    """Groups by verdict, as the latest look at fairness recorded them; empty without one."""
    event = instance.get_latest_materialization_event(key)
    made = event.asset_materialization if event else None
    values = made.metadata if made else {}
    names = ("calibrated", "not calibrated", "undetermined", "too few")
    counts = {verdict: values[f"groups {verdict}"].value for verdict in names
              if f"groups {verdict}" in values}  # fmt: skip
    return {verdict: count for verdict, count in counts.items() if isinstance(count, int)}
