"""What happened afterwards, week by week, as far as it is ripe."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import STAGED_POOL, model_group, staged_key, use_case_key
from hrob_assets.assets.metadata import described
from hrob_assets.assets.partitions import (
    LATE_DAYS,
    SINGLE_RUN,
    request_weeks_since,
    weekly_schedule,
)
from hrob_assets.risk.cohort import LABEL_STATUS, label_rows
from hrob_assets.risk.disclosure import SUPPRESSED, is_small, shown_parts, shown_share
from hrob_assets.risk.files import DEFINITION
from hrob_assets.risk.use_case import UseCase
from hrob_assets.risk.vocabulary import CodeSet


def label_definitions(
    use_case: UseCase,
    *,
    code_sets: Mapping[str, CodeSet],
    weekly: dg.WeeklyPartitionsDefinition,
    start_schedules: bool = False,
) -> dg.Definitions:
    """The label asset, and the weekly job that ripens the weeks that can still change."""
    name, outcome = use_case.name, use_case.outcome
    labels = _labels(use_case, code_sets=code_sets, weekly=weekly)
    job = dg.define_asset_job(
        f"ripen_{name}",
        selection=dg.AssetSelection.assets(use_case_key(name, "cohort"), labels.key),
        description="Cohort and labels; again for the weeks whose outcomes may have become ripe.",
    )
    days = outcome.horizon_days + outcome.runout_days + LATE_DAYS
    schedule = weekly_schedule(
        f"ripen_{name}_weekly",
        job=job,
        cron=use_case.scoring.cron,
        description=(
            "Every week: labels again for the weeks whose outcomes may still be pending, the last "
            f"{days} days."
        ),
        started=start_schedules,
        request=partial(request_weeks_since, weekly, days=days),
    )
    return dg.Definitions(assets=[labels], jobs=[job], schedules=[schedule])


def _labels(
    use_case: UseCase, *, code_sets: Mapping[str, CodeSet], weekly: dg.WeeklyPartitionsDefinition
) -> dg.AssetsDefinition:
    outcome = use_case.outcome
    everybody = use_case.cohort.train_on == "all"

    @dg.asset(
        key=use_case_key(use_case.name, "labels"),
        group_name=model_group(use_case.name),
        partitions_def=weekly,
        backfill_policy=SINGLE_RUN,
        owners=[use_case.owner],
        kinds={"polars", "parquet"},
        pool=STAGED_POOL,
        metadata={DEFINITION: _DEFINITION},
        ins={
            "cohort": dg.AssetIn(use_case_key(use_case.name, "cohort")),
            **{name: dg.AssetIn(staged_key(name)) for name in _TABLES},
        },
        description=(
            f"{outcome.name} within {outcome.horizon_days} days of the prediction time: true, "
            f"false, or null while pending (ripe {outcome.runout_days} days after the horizon) "
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
            code_sets=code_sets,
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
        told = SUPPRESSED if share == SUPPRESSED or is_small(events - part) else None
        figures[f"share with {name.removeprefix('outcome__')}"] = told or shown_share(
            part, mature.height
        )
    return described(labelled, **figures)
