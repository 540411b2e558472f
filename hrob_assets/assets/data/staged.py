"""Staged tables, their quarantine, and the expectations that block what follows."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from hrob_assets.assets.keys import RAW, STAGED, STAGED_POOL, raw_key, staged_key
from hrob_assets.assets.metadata import as_cells, markdown_table, row_count, table_schema
from hrob_assets.resources.storage.io_manager import Storage, refuse, withdraw_refusal
from hrob_assets.risk.disclosure import shown_count, shown_parts, shown_share
from hrob_assets.risk.files import write_parquet
from hrob_assets.risk.sources import (
    NEEDS_EARLIER_LOAD,
    OMOP_TABLES,
    QUARANTINE,
    SUITES,
    Expectation,
    ExpectationResult,
    StagingResult,
    ValidationReport,
    stage,
    validate,
)
from hrob_assets.risk.tables import CODES, TIMESTAMP, Column, Table
from hrob_assets.risk.tables import STAGED as STAGED_TABLES

LOAD = Table(
    "load",
    "One row per staged table: what the last load brought, and up to when its facts are known.",
    ("table_name",),
    (
        Column("table_name", pl.String, "Staged table."),
        Column("rows", pl.Int64, "Rows of this load."),
        Column(
            "previous_rows",
            pl.Int64,
            "Rows of the last accepted load before; null at first.",
            nullable=True,
        ),
        Column("quarantine_share", pl.Float64, "Share of source rows that are in quarantine."),
        Column("as_of", TIMESTAMP, "First moment of which the source knows nothing."),
    ),
)
_DOMAINS = "load_domains"  # beside `load`: events per domain, of this load and of the accepted one
_SEVERITY = {
    "critical": dg.AssetCheckSeverity.ERROR,
    "warning": dg.AssetCheckSeverity.WARN,
}


def staged_definitions(
    *, known_lag_days: Mapping[str, int], as_of: datetime | None, owner: str
) -> dg.Definitions:
    """The staged tables in one step, and one set of checks per table."""

    @dg.multi_asset(
        name="staging",
        pool=STAGED_POOL,
        specs=[_spec(table, owner) for table in (*STAGED_TABLES, CODES, QUARANTINE, LOAD)],
    )
    def staging(
        context: dg.AssetExecutionContext, storage: Storage
    ) -> Iterator[dg.MaterializeResult]:
        folder = storage.root / "assets" / STAGED
        snapshot = storage.root / "assets" / RAW

        def write_load(made: StagingResult) -> None:
            before = _rows_accepted(folder, "load", "table_name")
            write_parquet(_load(made, before), made.path("load"))
            domains = _domains(made, _rows_accepted(folder, _DOMAINS, "domain"))
            write_parquet(domains, made.path(_DOMAINS))

        result = stage(
            snapshot, folder, known_lag_days=known_lag_days, as_of=as_of, complete=write_load
        )
        context.log.info("staged facts known before %s", result.as_of.isoformat())
        yield from _results(result)

    checks = [_checks_of(table) for table in STAGED_TABLES]
    return dg.Definitions(assets=[staging], asset_checks=checks)


def _results(result: StagingResult) -> Iterator[dg.MaterializeResult]:
    """One result per staged table, and those of codes, quarantine and load."""
    for table in STAGED_TABLES:
        yield dg.MaterializeResult(
            asset_key=staged_key(table.name), metadata=_table_metadata(result, table)
        )
    yield dg.MaterializeResult(
        asset_key=staged_key(CODES.name),
        metadata={
            **row_count(result.rows[CODES.name]),
            "dagster/column_schema": table_schema(CODES),
        },
    )
    yield dg.MaterializeResult(
        asset_key=staged_key("quarantine"), metadata=_quarantine_metadata(result)
    )
    yield dg.MaterializeResult(
        asset_key=staged_key("load"),
        metadata={
            "dagster/row_count": len(STAGED_TABLES),
            "dagster/column_schema": table_schema(LOAD),
            "as_of": result.as_of.isoformat(),
        },
    )


def _spec(table: Table, owner: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        staged_key(table.name),
        deps=[raw_key(source.name) for source in OMOP_TABLES],
        description=table.description,
        group_name=STAGED,
        owners=[owner],
        kinds={"parquet", "duckdb"},
        metadata={"dagster/column_schema": table_schema(table)},
    )


def _checks_of(table: Table) -> dg.AssetChecksDefinition:
    """One Dagster check per expectation; a critical one that fails blocks what follows."""
    suite = SUITES[table.name]

    @dg.multi_asset_check(
        name=f"expectations_of_{table.name}",
        specs=[
            dg.AssetCheckSpec(
                expectation.name,
                asset=staged_key(table.name),
                description=f"Great Expectations: {expectation.description}",
                blocking=expectation.severity == "critical",
                additional_deps=[] if table.name == "persons" else [staged_key("persons")],
            )
            for expectation in suite
        ],
    )
    def expectations(storage: Storage) -> Iterator[dg.AssetCheckResult]:
        report = _validate(storage, table)
        _record_verdict(storage.root / "assets" / STAGED, report)
        found = {result.name: result for result in report.results}
        for expectation in suite:
            yield _check_result(table, expectation, found.get(expectation.name))

    return expectations


def _validate(storage: Storage, table: Table) -> ValidationReport:
    folder = storage.root / "assets" / STAGED
    load = pl.read_parquet(folder / "load.parquet").filter(pl.col("table_name") == table.name)
    before = load["previous_rows"].drop_nulls().to_list()
    return validate(
        table.name,
        folder / f"{table.name}.parquet",
        persons=folder / "persons.parquet",
        encounters=folder / "encounters.parquet",
        previous_row_counts=before,
        previous_domain_counts=_previous_domains(folder) if table.name == "events" else None,
        quarantine_share=load["quarantine_share"].item(),
        as_of=load["as_of"].item(),
    )


def _check_result(
    table: Table, expectation: Expectation, found: ExpectationResult | None
) -> dg.AssetCheckResult:
    """A result as Dagster shows it: what was not evaluated fails, unless it needs an earlier load.

    An expectation that is not evaluated for another reason is one of a table whose columns are
    missing or of the wrong type.
    """
    if found is not None:
        passed, observed = found.success, found.observed
    elif expectation.name in NEEDS_EARLIER_LOAD:
        passed = True
        observed = "not evaluated: there is no earlier load with rows to compare with"
    else:
        passed = False
        observed = "not evaluated: columns are missing or of the wrong type"
    return dg.AssetCheckResult(
        asset_key=staged_key(table.name),
        check_name=expectation.name,
        passed=passed,
        severity=_SEVERITY[expectation.severity],
        metadata={"observed": observed, "severity": expectation.severity},
    )


def _record_verdict(folder: Path, report: ValidationReport) -> None:
    """Leave beside the tables that this one is accepted, or that the load is refused and why.

    Both stand in the staged folder, so that the next staging takes them away with the tables.
    """
    failed = sorted(result.name for result in report.critical_failures)
    accepted = _accepted(folder, report.table_name)
    if failed:
        accepted.unlink(missing_ok=True)
        refuse(folder, report.table_name, rows=report.row_count, failed=failed)
    else:
        withdraw_refusal(folder, report.table_name)
        accepted.touch()


def _accepted(folder: Path, table_name: str) -> Path:
    return folder / f"accepted_{table_name}"


def _rows_accepted(folder: Path, name: str, key: str) -> dict[str, int]:
    """Rows by key of the last load of which each table passed its critical expectations.

    A load that was refused, or never checked, hands on what it was compared with itself.
    """
    path = folder / f"{name}.parquet"
    if not path.exists():
        return {}
    accepted = all(_accepted(folder, table.name).exists() for table in STAGED_TABLES)
    column = "rows" if accepted else "previous_rows"
    counts = pl.read_parquet(path).select(key, column).drop_nulls()
    return dict(counts.iter_rows())


def _domains(result: StagingResult, before: Mapping[str, int]) -> pl.DataFrame:
    names = sorted({*result.domain_rows, *before})
    rows = [(name, result.domain_rows.get(name, 0), before.get(name)) for name in names]
    schema = {"domain": pl.String, "rows": pl.Int64, "previous_rows": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _previous_domains(folder: Path) -> dict[str, int]:
    counts = pl.read_parquet(folder / f"{_DOMAINS}.parquet").select("domain", "previous_rows")
    return dict(counts.drop_nulls().iter_rows())


def _load(result: StagingResult, before: Mapping[str, int]) -> pl.DataFrame:
    rows = [
        (
            table.name,
            result.rows[table.name],
            before.get(table.name),
            result.quarantine_share(table.name),
            result.as_of,
        )
        for table in STAGED_TABLES
    ]
    return pl.DataFrame(rows, schema=LOAD.schema, orient="row")


def _table_metadata(result: StagingResult, table: Table) -> dict[str, Any]:
    quarantined = sum(result.quarantined.get(table.name, {}).values())
    share = result.quarantine_share(table.name)
    shown = shown_share(quarantined, quarantined + result.rows[table.name])
    return {
        **row_count(result.rows[table.name]),
        "dagster/column_schema": table_schema(table),
        "as_of": result.as_of.isoformat(),
        "quarantined rows": shown_count(quarantined),
        "quarantine share": share if isinstance(shown, float) else shown,
    }


def _quarantine_metadata(result: StagingResult) -> dict[str, Any]:
    counts = [
        {"table": table, "reason": reason, "rows": rows}
        for table, reasons in sorted(result.quarantined.items())
        for reason, rows in sorted(reasons.items())
    ]
    schema = {"table": pl.String, "reason": pl.String, "rows": pl.Int64}
    table = pl.DataFrame(counts, schema=schema)
    shown = as_cells(shown_parts(table["rows"].to_list()), name="rows")
    return {
        **row_count(result.rows["quarantine"]),
        "dagster/column_schema": table_schema(QUARANTINE),
        "rows by reason": markdown_table(table.with_columns(shown)),
    }
