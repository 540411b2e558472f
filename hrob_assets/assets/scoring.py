"""The weekly list, scored by the champion every Monday or in a backfill."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.evaluation import required_model
from hrob_assets.assets.keys import (
    ENCOUNTER_FEATURES,
    staged_key,
    use_case_key,
    weekly_group,
)
from hrob_assets.assets.metadata import described, readable
from hrob_assets.assets.partitions import SINGLE_RUN, request_last_week, schedule_status
from hrob_assets.resources.model_registry import CHAMPION, ModelRegistry
from hrob_assets.resources.score_table import ScoreTable
from hrob_assets.risk.code_sets import CodeSet
from hrob_assets.risk.features.catalogue import Catalogue
from hrob_assets.risk.scoring import (
    WEEKLY_SCORES,
    explain_rows,
    score_rows,
    with_data_version,
)
from hrob_assets.risk.use_case import UseCase


def scoring_definitions(
    use_case: UseCase,
    *,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    weekly: dg.WeeklyPartitionsDefinition,
    start_schedules: bool = False,
) -> dg.Definitions:
    """The weekly scores, the job that makes a week and its schedule."""
    name, scoring = use_case.name, use_case.scoring
    cohort_key = use_case_key(name, "cohort")

    @dg.asset(
        key=use_case_key(name, "weekly_scores"),
        group_name=weekly_group(name),
        partitions_def=weekly,
        backfill_policy=SINGLE_RUN,
        owners=[use_case.owner],
        kinds={"deltalake", "scikitlearn"},
        pool=f"weekly_scores_{name}",
        deps=[use_case_key(name, "champion_model")],
        ins={
            "cohort": dg.AssetIn(cohort_key),
            "features": dg.AssetIn(ENCOUNTER_FEATURES),
            "events": dg.AssetIn(staged_key("events")),
        },
        description=(
            f"{use_case.goal.sentence} One row per eligible encounter of the week with the "
            "estimated chance, the place on the list, and the dated facts that raised it. "
            "Appended to a Delta table; what was sent is never overwritten."
        ),
    )
    def weekly_scores(
        context: dg.AssetExecutionContext,
        cohort: pl.LazyFrame,
        features: pl.LazyFrame,
        events: pl.LazyFrame,
        model_registry: ModelRegistry,
        score_table: ScoreTable,
    ) -> dg.MaterializeResult:
        champion = required_model(model_registry, name, CHAMPION)
        eligible = cohort.filter("eligible").select("person_id", "encounter_id", "prediction_time")
        columns = ["person_id", "encounter_id", "prediction_time", "week", "known_at"]
        rows = features.select(*columns, *champion.model.columns).join(
            eligible, on=["person_id", "encounter_id", "prediction_time"], how="semi"
        )
        frame = with_data_version(rows.collect())
        reasons = explain_rows(
            frame,
            champion.model,
            events=events,
            code_sets=code_sets,
            catalogue=catalogue,
            count=scoring.reasons,
        )
        scores = score_rows(
            frame,
            champion.model,
            model_version=champion.version,
            scored_at=datetime.now(UTC).replace(tzinfo=None),
            reviews_per_week=scoring.reviews_per_week,
            reasons=reasons,
        )
        new = score_table.append(name, scores)
        context.log.info("scored %d rows, %d of them new", scores.height, new)
        for week in context.partition_keys:
            of_week = scores.filter(pl.col("week") == date.fromisoformat(week))
            context.add_asset_metadata(_figures(of_week), partition_key=week)
        return dg.MaterializeResult(
            metadata=described(
                scores,
                WEEKLY_SCORES,
                model_version=champion.version,
                reviews_per_week=scoring.reviews_per_week,
                new_rows_of_the_run=new,
                **_figures(scores),
            )
        )

    job = dg.define_asset_job(
        f"score_{name}",
        selection=dg.AssetSelection.assets(cohort_key, weekly_scores.key),
        description="The list of one week: eligibility and scores by the champion.",
    )

    @dg.schedule(
        job=job,
        cron_schedule=scoring.cron,
        execution_timezone="UTC",
        name=f"score_{name}_weekly",
        default_status=schedule_status(started=start_schedules),
        description="Every Monday: the list of the week that has just ended.",
    )
    def score_last_week(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return request_last_week(weekly, context)

    return dg.Definitions(assets=[weekly_scores], jobs=[job], schedules=[score_last_week])


def _figures(scores: pl.DataFrame) -> dict[str, Any]:
    """Figures of one week; of all weeks together where the weeks have none of their own."""
    figures: dict[str, Any] = {
        "dagster/row_count": scores.height,
        "people_on_the_list": scores.filter(pl.col("rank").is_not_null()).height,
        "overflow": int(scores["overflow"].sum()),
    }
    if scores.height:
        high_risk = scores["high_risk"].cast(pl.Float64).to_numpy()
        figures["alert_rate"] = float(high_risk.mean())
        figures["mean_estimated_chance"] = float(scores["probability"].to_numpy().mean())
    return readable(figures)
