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
    staged_key,
    use_case_key,
    weekly_group,
)
from hrob_assets.assets.metadata import readable
from hrob_assets.assets.partitions import ended_weeks
from hrob_assets.assets.weekly.monitoring import ALARMS, stored_ledger
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import CHAMPION, ModelRegistry
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.resources.storage.io_manager import Storage, write_text
from hrob_assets.risk.arms import contamination, flag_feedback, readable_rows
from hrob_assets.risk.cohort import group_rows
from hrob_assets.risk.files import OutcomeColumns
from hrob_assets.risk.governance import UseCaseStanding, framework_steps
from hrob_assets.risk.monitoring import present_ledger
from hrob_assets.risk.reporting import MonitoringPlan, monitor_ledger, summary, write_monitoring
from hrob_assets.risk.reporting.pages import status_board_page
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import UseCase

_LEDGER_COLUMNS = OutcomeColumns(
    person="person_id",
    time="prediction_time",
    probability="probability",
    outcome="label",
    known_at="ripe_at",
    model_version="model_version",
)


def monitoring_report_definitions(
    use_case: UseCase, *, weekly: dg.WeeklyPartitionsDefinition
) -> dg.Definitions:
    """The report, the status board and their jobs."""
    report, board = _monitoring_report(use_case), _status_board(use_case, weekly)
    jobs = [
        dg.define_asset_job(
            f"report_monitoring_{use_case.name}",
            selection=dg.AssetSelection.assets(report),
            description="The monitoring report, from the ledger.",
        ),
        dg.define_asset_job(
            f"status_{use_case.name}",
            selection=dg.AssetSelection.assets(board),
            description="The status board, from what was made before.",
        ),
    ]
    return dg.Definitions(assets=[report, board], jobs=jobs)


def report_folder(storage: Storage, use_case_name: str) -> Path:
    """Where the pages of a use case are."""
    return storage.root / "reports" / use_case_name


def _monitoring_report(use_case: UseCase) -> dg.AssetsDefinition:
    name, monitoring = use_case.name, use_case.monitoring

    @dg.asset(
        key=use_case_key(name, "monitoring_report"),
        group_name=weekly_group(name),
        owners=[use_case.owner],
        kinds={"html", "json"},
        pool=STAGED_POOL,
        deps=[use_case_key(name, "weekly_calibration"), ENCOUNTER_FEATURES],
        ins={
            "ledger": dg.AssetIn(use_case_key(name, "outcome_ledger")),
            "runouts": dg.AssetIn(use_case_key(name, "claims_runout")),
            "persons": dg.AssetIn(staged_key("persons")),
            "coverage": dg.AssetIn(staged_key("coverage")),
            "load": dg.AssetIn(staged_key("load")),
        },
        description=(
            "One page, and the same numbers as JSON and Parquet: which outcomes are ripe, "
            "calibration and evidence over time, how the alarm behaves at this volume, drift, and "
            "what is not ripe yet."
        ),
    )
    def monitoring_report(
        context: dg.AssetExecutionContext,
        ledger: pl.LazyFrame,
        runouts: pl.LazyFrame,
        persons: pl.LazyFrame,
        coverage: pl.LazyFrame,
        load: pl.LazyFrame,
        storage: Storage,
        feedback: Feedback,
    ) -> dg.MaterializeResult:
        stored = stored_ledger(use_case, ledger, runouts, storage)
        built = present_ledger(stored, known_until(context, load))
        features = pl.scan_parquet(storage.asset_path(ENCOUNTER_FEATURES) / "*.parquet")
        named = built.rows.join(
            group_rows(
                built.rows.select(ROW_KEY),
                groups=monitoring.groups,
                persons=persons,
                coverage=coverage,
                features=features,
            ),
            on=list(ROW_KEY),
        )
        flagged = flag_feedback(named, feedback.actions(name))
        arm = monitoring.silent_arm
        monitored = monitor_ledger(
            built,
            named,
            replace(_LEDGER_COLUMNS, groups=monitoring.groups),
            MonitoringPlan(
                as_of=built.as_of,
                horizon_days=built.horizon_days,
                runout_share=monitoring.runout_share,
                tolerance=monitoring.tolerance,
                alarm_weeks=monitoring.alarm_weeks,
            ),
            source=use_case.title,
            readable=readable_rows(flagged, arm, salt=feedback.salt(arm)),
            caution=contamination(flagged.filter(pl.col("label").is_not_null()), arm),
        )
        folder = report_folder(storage, name) / "monitoring"
        write_monitoring(monitored, folder)
        return dg.MaterializeResult(metadata=_report_metadata(summary(monitored), folder))

    return monitoring_report


def _report_metadata(told: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    budget = told["budget"]
    return readable(
        {
            "report": dg.MetadataValue.path(folder / "monitoring.html"),
            "open": dg.MetadataValue.url((folder / "monitoring.html").absolute().as_uri()),
            "alarm": told["alarm"],
            "detectors": budget["detectors"],
            "false_alarms_to_be_expected_at_most": float(budget["false_alarms_at_most"]),
            "expected_behaviour": dg.MetadataValue.json(told["expected_behaviour"]),
        }
    )


def _status_board(use_case: UseCase, weekly: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    name = use_case.name

    @dg.asset(
        key=use_case_key(name, "status_board"),
        group_name=weekly_group(name),
        owners=[use_case.owner],
        kinds={"html"},
        deps=[
            use_case_key(name, stage)
            for stage in ("champion_model", "weekly_calibration", "monitoring_report")
        ],
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
            champion=model_registry.version(name, CHAMPION),
            records=decision_records.verified(name, model_registry),
            due=date.fromisoformat(ended_weeks(weekly, now=datetime.now(UTC))[-1]),
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
    *,
    champion: str | None,
    records: Sequence[Mapping[str, Any]],
    due: date,
) -> UseCaseStanding:
    name = use_case.name
    judged = [record for record in records if record["champion"] == champion]
    weeks = _watched_weeks(instance, use_case_key(name, "weekly_calibration"))
    alarms = [
        f"{alarm['who']} ({alarm['direction']}), week of {alarm['week of ripe outcomes']}"
        for week in weeks.values()
        for alarm in week
        if alarm["model version"] == champion
    ]
    return UseCaseStanding(
        goal=use_case.goal.sentence,
        champion=champion,
        judged=bool(judged),
        fairness=_verdicts(instance, use_case_key(name, "fairness")),
        watched=max(weeks, default=None),
        due=due,
        alarms=alarms,
    )


def _watched_weeks(
    instance: dg.DagsterInstance, key: dg.AssetKey
) -> dict[date, list[dict[str, str]]]:
    """Alarms of each week that was looked at, as it was looked at last."""
    records = instance.fetch_materializations(key, limit=_MOST_RECORDS, ascending=True).records
    found: dict[date, list[dict[str, str]]] = {}
    for record in records:
        made = record.asset_materialization
        if made is not None and made.partition is not None and ALARMS in made.metadata:
            alarms: Any = made.metadata[ALARMS].value
            found[date.fromisoformat(made.partition)] = alarms
    return found


_MOST_RECORDS = 10_000


def _verdicts(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, int]:
    """Groups by verdict, as the latest look at fairness recorded them; empty without one."""
    event = instance.get_latest_materialization_event(key)
    made = event.asset_materialization if event else None
    values = made.metadata if made else {}
    names = ("calibrated", "not calibrated", "undetermined", "too few")
    counts = {verdict: values[f"groups {verdict}"].value for verdict in names
              if f"groups {verdict}" in values}  # fmt: skip
    return {verdict: count for verdict, count in counts.items() if isinstance(count, int)}
