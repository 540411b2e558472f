"""Who is eligible, week by week."""

from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.metadata import as_cells, described, markdown_table
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.risk.cohort import attrition, select_cohort
from hrob_assets.risk.disclosure import shown_steps


def cohort_definitions(stage: StageContext) -> dg.Definitions:
    """The asset that says of each encounter whether it is eligible."""
    criteria = stage.use_case.cohort.criteria
    needed = sorted({criterion.feature for criterion in criteria})

    @stage.model_asset(
        "cohort",
        **stage.by_week,
        kinds={"polars", "parquet"},
        ins=stage.inputs(features=True),
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
