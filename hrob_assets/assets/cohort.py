"""Who is eligible, week by week."""

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import ENCOUNTER_FEATURES, model_group, use_case_key
from hrob_assets.assets.metadata import described, markdown_table
from hrob_assets.assets.partitions import SINGLE_RUN
from hrob_assets.risk.cohort import attrition, select_cohort
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
        steps = attrition(selected, criteria)
        figures = {
            "eligible encounters": int(selected["eligible"].sum()),
            "eligible persons": selected.filter("eligible")["person_id"].n_unique(),
            "attrition": markdown_table(steps),
        }
        return dg.Output(selected, metadata=described(selected, **figures))

    return dg.Definitions(assets=[cohort])
