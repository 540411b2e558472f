"""What happened afterwards, week by week, as far as it is mature."""

from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import STAGED_POOL
from hrob_assets.assets.metadata import described
from hrob_assets.assets.partitions import (
    LATE_DAYS,
    request_weeks_since,
    weekly_schedule,
)
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.risk.cohort import LABEL_STATUS, label_rows
from hrob_assets.risk.disclosure import SUPPRESSED, is_small, shown_parts, shown_share
from hrob_assets.risk.files import DEFINITION


def label_definitions(stage: StageContext) -> dg.Definitions:
    """The label asset, and the weekly job that labels again the weeks that can still change."""
    name, outcome = stage.name, stage.use_case.outcome
    labels = _labels(stage)
    job = dg.define_asset_job(
        f"ripen_{name}",
        selection=dg.AssetSelection.assets(stage.key("cohort"), labels.key),
        description="Cohort and labels; again for the weeks whose outcomes may have become mature.",
    )
    days = outcome.horizon_days + outcome.runout_days + LATE_DAYS
    schedule = weekly_schedule(
        f"ripen_{name}_weekly",
        job=job,
        cron=stage.use_case.scoring.cron,
        description=(
            "Every week: labels again for the weeks whose outcomes may still be pending, the last "
            f"{days} days."
        ),
        started=stage.start_schedules,
        request=partial(request_weeks_since, stage.weekly, days=days),
    )
    return dg.Definitions(assets=[labels], jobs=[job], schedules=[schedule])


def _labels(stage: StageContext) -> dg.AssetsDefinition:
    outcome = stage.use_case.outcome
    everybody = stage.use_case.cohort.train_on == "all"

    @stage.model_asset(
        "labels",
        **stage.by_week,
        kinds={"polars", "parquet"},
        pool=STAGED_POOL,
        metadata={DEFINITION: _DEFINITION},
        ins=stage.inputs("cohort", staged=_TABLES),
        description=(
            f"{outcome.name} within {outcome.horizon_days} days of the prediction time: true, "
            f"false, or null while pending (mature {outcome.runout_days} days after the horizon) "
            "or when censored. Figures of a run are of all its weeks."
        ),
    )
    def labels(
        cohort: pl.LazyFrame,
        persons: pl.LazyFrame,
        coverage: pl.LazyFrame,
        events: pl.LazyFrame,
        load: pl.LazyFrame,
    ) -> dg.Output[pl.DataFrame]:
        labelled = label_rows(
            cohort.filter(pl.lit(everybody) | pl.col("eligible")).collect(),
            events=events,
            coverage=coverage,
            persons=persons,
            outcome=outcome,
            code_sets=stage.code_sets,
            as_of=load.select("as_of").head(1).collect().item(),
        )
        return dg.Output(labelled, metadata=_metadata(labelled))

    return labels


_DEFINITION = "2"  # of the columns and what they mean; weeks of another one are to be made again
_TABLES = ("persons", "coverage", "events", "load")


def _metadata(labelled: pl.DataFrame) -> dict[str, Any]:
    counts = dict(labelled.group_by("label_status").len().iter_rows())
    mature = labelled.filter(pl.col("label").is_not_null())
    shown = shown_parts([counts.get(status, 0) for status in LABEL_STATUS])
    figures: dict[str, Any] = {
        f"{status} rows": count for status, count in zip(LABEL_STATUS, shown, strict=True)
    }
    events = int(mature["label"].sum())
    share = shown_share(events, mature.height)
    figures["share with outcome"] = share
    for name in (n for n in mature.columns if n.startswith("outcome__")):
        part = int(mature[name].sum())
        hidden = SUPPRESSED if share == SUPPRESSED or is_small(events - part) else None
        figures[f"share with {name.removeprefix('outcome__')}"] = hidden or shown_share(
            part, mature.height
        )
    return described(labelled, **figures)
