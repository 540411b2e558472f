"""Table 1 of the study: who is in training, validation and test."""

from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.metadata import frame_schema, markdown_table, row_count
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.risk.cohort import baseline_summary, baseline_table, characteristics_of
from hrob_assets.risk.reporting.pages import baseline_cells

PARTS = ("train", "validation", "test")
_PERSON = ("gender", "race", "ethnicity")


def baseline_definitions(stage: StageContext) -> dg.Definitions:
    """The baseline table of the training set, per encounter and per patient."""
    characteristics = characteristics_of(stage.use_case.baseline)
    columns = list(dict.fromkeys(each.feature for each in characteristics if each.feature))

    @stage.model_asset(
        "baseline",
        kinds={"polars", "parquet"},
        ins=stage.inputs("training_set", staged=["persons"]),
        description=(
            "Table 1: characteristics of training, validation and test, per encounter and per "
            "patient, as median [minimum-maximum; quartiles] or count (share), with the "
            "standardised difference from training. Small cells are suppressed, also those that "
            "a difference would tell."
        ),
    )
    def baseline(training_set: pl.LazyFrame, persons: pl.LazyFrame) -> dg.Output[pl.DataFrame]:
        rows = training_set.select("person_id", "prediction_time", "split", *columns).join(
            persons.select("person_id", *_PERSON), on="person_id", how="left"
        )
        table = baseline_table(rows.collect(), characteristics=characteristics, parts=PARTS)
        return dg.Output(table, metadata=_metadata(table))

    return dg.Definitions(assets=[baseline])


def _metadata(table: pl.DataFrame) -> dict[str, Any]:
    return {
        **row_count(table.height),
        "dagster/column_schema": frame_schema(table),
        "patients of the test period": baseline_summary(table, part="test") or "too few to tell",
        "per patient": markdown_table(baseline_cells(table, unit="patient")),
        "per encounter": markdown_table(baseline_cells(table, unit="encounter")),
    }
