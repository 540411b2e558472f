"""What each feature says and how it is spread over the cohort, as a table and as a page."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.metadata import frame_schema, markdown_table, row_count
from hrob_assets.assets.stage_context import StageContext
from hrob_assets.resources.storage.io_manager import Storage, write_text
from hrob_assets.risk.disclosure import shown_count
from hrob_assets.risk.features import (
    DICTIONARY_GROUPS,
    ComparedPeriods,
    describe_features,
    drift_table,
    recent_since,
    summary_by_group,
)
from hrob_assets.risk.reporting.pages import dictionary_page
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.training import periods
from hrob_assets.risk.use_case import UseCase

_MOST_SHOWN = 15


def data_dictionary_definitions(stage: StageContext) -> dg.Definitions:
    """The data dictionary of a use case, and the job that makes it."""

    @stage.model_asset(
        "data_dictionary",
        kinds={"polars", "parquet"},
        ins=stage.inputs("cohort", staged=["persons", "load"], features=True),
        description=(
            "One row per feature: what it means, why it is there, whether the model may take it, "
            "its spread and missing share over the cohort (also by group of persons), its first "
            "and last week, and drift of the last 13 weeks against the training period."
        ),
    )
    def data_dictionary(
        features: pl.LazyFrame,
        cohort: pl.LazyFrame,
        persons: pl.LazyFrame,
        load: pl.LazyFrame,
        storage: Storage,
    ) -> dg.Output[pl.DataFrame]:
        rows = _eligible_rows(cohort, persons)
        reference = _reference(stage.use_case, rows, load)
        table = describe_features(
            features,
            rows,
            catalogue=stage.catalogue,
            code_sets=stage.code_sets,
            selection=stage.selection,
            rules=stage.rules,
            reference=reference,
        )
        page = storage.asset_path(stage.key("data_dictionary")).with_suffix(".html")
        lead = _lead(rows, reference)
        write_text(dictionary_page(table, use_case_name=stage.name, lead=lead, source=lead), page)
        return dg.Output(table, metadata=_metadata(table, page))

    job = dg.define_asset_job(
        f"describe_{stage.name}",
        selection=[data_dictionary],
        description="The data dictionary, from the features and the cohort as they are.",
    )
    return dg.Definitions(assets=[data_dictionary], jobs=[job])


def _eligible_rows(cohort: pl.LazyFrame, persons: pl.LazyFrame) -> pl.DataFrame:
    """Eligible rows with the groups of their persons."""
    return (
        cohort.filter("eligible")
        .select(*ROW_KEY, "week")
        .join(
            persons.select("person_id", *DICTIONARY_GROUPS), on="person_id", maintain_order="left"
        )
        .collect()
    )


def _reference(use_case: UseCase, rows: pl.DataFrame, load: pl.LazyFrame) -> ComparedPeriods:
    """The training period, and the first of the recent weeks."""
    bounds = periods(
        use_case.split,
        as_of=load.select("as_of").head(1).collect().item(),
        horizon_days=use_case.outcome.horizon_days,
        runout_days=use_case.outcome.runout_days,
    )
    recent = recent_since(rows["week"].unique().to_list())
    return ComparedPeriods(bounds.train_start.date(), bounds.train_end.date(), recent)


def _lead(rows: pl.DataFrame, reference: ComparedPeriods) -> str:
    encounters, persons = shown_count(rows.height), shown_count(rows["person_id"].n_unique())
    return (
        f"{encounters} eligible encounters of {persons} persons. Training period: "
        f"{reference.start} to before {reference.end}. Recent weeks: from {reference.recent}."
    )


def _metadata(table: pl.DataFrame, page: Path) -> dict[str, Any]:
    return {
        **row_count(table.height),
        "dagster/column_schema": frame_schema(table),
        "page": dg.MetadataValue.path(page),
        "open": dg.MetadataValue.url(page.absolute().as_uri()),
        "groups": markdown_table(summary_by_group(table)),
        "moved beyond chance": markdown_table(drift_table(table, most=_MOST_SHOWN)),
    }
