"""Who is eligible, week by week."""

from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import ENCOUNTER_FEATURES, model_group, use_case_key
from hrob_assets.assets.metadata import as_cells, described, markdown_table
from hrob_assets.assets.partitions import SINGLE_RUN
from hrob_assets.risk.cohort import attrition, select_cohort
from hrob_assets.risk.disclosure import shown_steps
from hrob_assets.risk.use_case import UseCase


def cohort_definitions(
    use_case: UseCase, *, weekly: dg.WeeklyPartitionsDefinition
) -> dg.Definitions:
    """The asset that says of each encounter whether it is eligible."""
    criteria = use_case.cohort.criteria
    needed = sorted({criterion.feature for criterion in criteria})

    @dg.asset(
        key=use_case_key(use_case.name, "cohort"),
        group_name=model_group(use_case.name),
        partitions_def=weekly,
        backfill_policy=SINGLE_RUN,
        owners=[use_case.owner],
        kinds={"polars", "parquet"},
        ins={"features": dg.AssetIn(ENCOUNTER_FEATURES)},
        description=(
            "Eligibility of each encounter as known at its prediction time. Criteria: "
            + "; ".join(criterion.name for criterion in criteria)
            + ". Figures of a run are of all its weeks."
        ),
    )
    def cohort(features: pl.LazyFrame) -> dg.Output[pl.DataFrame]:
        columns = ["person_id", "encounter_id", "prediction_time", "week", *needed]
        selected = select_cohort(features.select(columns).collect(), criteria)
        return dg.Output(selected, metadata=_metadata(selected, attrition(selected, criteria)))

    return dg.Definitions(assets=[cohort])


def _metadata(selected: pl.DataFrame, steps: pl.DataFrame) -> dict[str, Any]:
    encounters, persons = (shown_steps(steps[name].to_list()) for name in _COUNTED)
    shown = zip(_COUNTED, (encounters, persons), strict=True)
    table = steps.with_columns(as_cells(counts, name=name) for name, counts in shown)
    figures = {
        "eligible encounters": encounters[-1],
        "eligible persons": persons[-1],
        "attrition": markdown_table(table),
    }
    return described(selected, **figures)


_COUNTED = ("encounters", "persons")
