"""The weekly list, scored by the champion every Monday or in a backfill."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import (
    STAGED_POOL,
)
from hrob_assets.assets.metadata import add_figures_of_weeks, readable, table_schema
from hrob_assets.assets.model.evaluation import decided_champion, moved_alias
from hrob_assets.assets.partitions import (
    LATE_DAYS,
    mondays,
    request_weeks_since,
    weekly_schedule,
)
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import ModelRegistry, RegisteredModel
from hrob_assets.resources.sources.feedback import Feedback
from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.arms import in_silent_arm
from hrob_assets.risk.disclosure import (
    SMALLEST_CELL,
    SUPPRESSED,
    in_words,
    is_small,
    shown_count,
    shown_share,
)
from hrob_assets.risk.scoring import WEEKLY_SCORES, explain_rows, score_rows, with_data_version
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import UseCase

AS_DECIDED = "champion_is_as_decided"
"""The check that fails when the alias of the champion was moved by hand."""
MOVED_ALIAS = "moved alias"
"""Metadata of a list that was made while it was: what was found, and what to do."""


def scoring_definitions(stage: StageContext) -> dg.Definitions:
    """The weekly scores, the job that makes a week and its schedule."""
    name = stage.name
    weekly_scores = _weekly_scores(stage)
    job = dg.define_asset_job(
        f"score_{name}",
        selection=dg.AssetSelection.assets(stage.key("cohort"), weekly_scores.key),
        description="The list of one week: eligibility and scores by the champion.",
    )
    schedule = weekly_schedule(
        f"score_{name}_weekly",
        job=job,
        cron=stage.use_case.scoring.cron,
        description=(
            "Every Monday: the list of the week that has just ended; again the lists of the four "
            "weeks before, where late rows have changed them."
        ),
        started=stage.start_schedules,
        request=partial(request_weeks_since, stage.weekly, days=LATE_DAYS),
    )
    return dg.Definitions(assets=[weekly_scores], jobs=[job], schedules=[schedule])


def _weekly_scores(stage: StageContext) -> dg.AssetsDefinition:
    name, scoring = stage.name, stage.use_case.scoring
    explain = partial(explain_rows, code_sets=stage.code_sets, catalogue=stage.catalogue)

    @stage.weekly_asset(
        "weekly_scores",
        **stage.by_week,
        kinds={"deltalake", "scikitlearn"},
        pool=STAGED_POOL,
        deps=[stage.key("champion_model")],
        ins=stage.inputs("cohort", staged=["events"], features=True),
        description=_description(stage.use_case),
        check_specs=[
            dg.AssetCheckSpec(AS_DECIDED, asset=stage.key("weekly_scores"), description=_CHECKED)
        ],
    )
    def weekly_scores(
        context: dg.AssetExecutionContext,
        cohort: pl.LazyFrame,
        features: pl.LazyFrame,
        events: pl.LazyFrame,
        model_registry: ModelRegistry,
        decision_records: DecisionRecords,
        score_table: ScoreTable,
        feedback: Feedback,
    ) -> dg.MaterializeResult:
        champion = decided_champion(name, model_registry, decision_records)
        frame = _eligible_rows(features, cohort, champion.model.columns)
        reasons = explain(frame, champion.model, events=events, count=scoring.reasons)
        arm = stage.use_case.monitoring.silent_arm
        silent = in_silent_arm(frame["person_id"], arm, salt=feedback.salt(arm))
        scores = _scored_now(frame, champion, reasons, scoring.reviews_per_week, silent)
        new = score_table.append(name, scores)
        score_table.record(name, mondays(context.partition_keys), scores, champion.version)
        context.log.info("scored %s rows, %s of them new", in_words(scores.height), in_words(new))
        add_figures_of_weeks(context, scores, _figures)
        moved = moved_alias(champion, model_registry)
        metadata = _metadata(champion.version, new, scoring.reviews_per_week, moved)
        return dg.MaterializeResult(metadata=metadata, check_results=[_as_decided(moved)])

    return weekly_scores


_CHECKED = (
    "Fails when the alias of the champion was moved by hand; the list is made by the version that "
    "was decided on all the same."
)


def _description(use_case: UseCase) -> str:
    return (
        f"{use_case.goal.sentence} One row per eligible encounter of the week with the "
        "estimated chance, the place on the list, and the dated facts that raised it. "
        "Appended to a Delta table; what was sent is never overwritten."
    )


def _eligible_rows(
    features: pl.LazyFrame, cohort: pl.LazyFrame, columns: Sequence[str]
) -> pl.DataFrame:
    """Features of the rows to score, with the version of their data."""
    eligible = cohort.filter("eligible").select(ROW_KEY)
    rows = features.select(*ROW_KEY, "week", "known_at", *columns)
    return with_data_version(rows.join(eligible, on=list(ROW_KEY), how="semi").collect())


def _scored_now(
    frame: pl.DataFrame,
    champion: RegisteredModel,
    reasons: pl.DataFrame,
    reviews_per_week: int,
    silent: pl.Series,
) -> pl.DataFrame:
    return score_rows(
        frame,
        champion.model,
        model_version=champion.version,
        scored_at=datetime.now(UTC).replace(tzinfo=None),
        reviews_per_week=reviews_per_week,
        reasons=reasons,
        silent=silent,
    )


def _figures(scores: pl.DataFrame) -> dict[str, Any]:
    """Figures of one week, without small cells: those on the list and beyond it are high risk."""
    people = scores.filter(pl.col("rank").is_not_null()).height
    overflow, high_risk = int(scores["overflow"].sum()), int(scores["high_risk"].sum())
    reportable = not (is_small(people) or is_small(overflow))
    mean = scores["probability"].to_numpy().mean() if scores.height >= SMALLEST_CELL else None
    figures: dict[str, Any] = {
        "people_on_the_list": shown_count(people),
        "overflow": shown_count(overflow),
        "alert_rate": shown_share(high_risk, scores.height) if reportable else SUPPRESSED,
        "mean_estimated_chance": SUPPRESSED if mean is None else float(mean),
    }
    return readable(figures)


def _as_decided(moved: str | None) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=moved is None, check_name=AS_DECIDED, description=moved or "as it was decided"
    )


def _metadata(
    model_version: str, new_rows: int, reviews_per_week: int, moved: str | None
) -> dict[str, Any]:
    figures = {
        **({MOVED_ALIAS: moved} if moved else {}),
        "model_version": model_version,
        "reviews_per_week": reviews_per_week,
        "new_rows_of_the_run": shown_count(new_rows),
    }
    return {"dagster/column_schema": table_schema(WEEKLY_SCORES), **readable(figures)}
