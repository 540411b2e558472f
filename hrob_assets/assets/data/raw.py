"""Raw OMOP tables: a snapshot of the source, as it is."""

from collections.abc import Iterator

import dagster as dg

from hrob_assets.assets.keys import RAW, raw_key
from hrob_assets.assets.metadata import row_count
from hrob_assets.resources.sources.current_source import RawSource
from hrob_assets.resources.sources.source_database import open_source
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.risk.sources import OMOP_TABLES


def raw_definitions(*, owner: str) -> dg.Definitions:
    """Assets of the raw tables, all taken in one step so that they belong together."""
    specs = [
        dg.AssetSpec(
            raw_key(table.name),
            description=f"OMOP CDM 5.4 table `{table.name}`, as the source has it: lower-case "
            "column names, normalised types, nothing filtered.",
            group_name=RAW,
            owners=[owner],
            kinds={"parquet", "duckdb"},
        )
        for table in OMOP_TABLES
    ]

    @dg.multi_asset(name="raw_snapshot", specs=specs)
    def raw_snapshot(
        context: dg.AssetExecutionContext, raw_source: RawSource, storage: Storage
    ) -> Iterator[dg.MaterializeResult]:
        context.log.info("taking a snapshot of the source: %s", raw_source.description)
        location = raw_source.prepare()
        tables = open_source(location).snapshot(storage.root / "assets" / RAW)
        for table in tables:
            yield dg.MaterializeResult(
                asset_key=raw_key(table.name),
                metadata={
                    **row_count(table.rows),
                    "bytes": table.size_bytes,
                    "in source": table.found,
                    "source": raw_source.description,
                },
            )

    return dg.Definitions(assets=[raw_snapshot])
