"""An evaluation as flat tables: the same numbers as `evaluation.json`, for Parquet."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from hrob_assets.risk.evaluation.analysis import Analysis
from hrob_assets.risk.evaluation.report import EvaluationReport

SCHEMA, VERSION = "hrob/schema", "hrob/schema_version"
"""Metadata of each file: what `evaluation.json` calls ``schema`` and ``schema_version``."""

_KEY = {
    "analysis": pl.String,
    "dimension": pl.String,
    "level": pl.String,
    "unit": pl.String,
    "tag": pl.String,
}
METRICS_SCHEMA = _KEY | {
    "rows": pl.Int64,
    "persons": pl.Int64,
    "events": pl.Int64,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "interval": pl.String,
    "design_effect": pl.Float64,
    "expected": pl.Float64,
    "note": pl.String,
}
VERDICTS_SCHEMA = _KEY | {
    "verdict": pl.String,
    "zero_in_interval": pl.Boolean,
    "simultaneous_low": pl.Float64,
    "simultaneous_high": pl.Float64,
    "patients_for_margin": pl.Int64,
    "patients_still_needed": pl.Int64,
}
CURVE_SCHEMA = _KEY | dict.fromkeys(("predicted", "observed", "low", "high"), pl.Float64)
THRESHOLDS_SCHEMA = _KEY | dict.fromkeys(
    (
        "threshold",
        "alert_rate",
        "sensitivity",
        "specificity",
        "positive_predictive_value",
        "negative_predictive_value",
        "net_benefit",
        "net_benefit_low",
        "net_benefit_high",
        "net_benefit_of_all",
        "interventions_avoided_per_100",
    ),
    pl.Float64,
)


def evaluation_tables(report: EvaluationReport) -> dict[str, pl.DataFrame]:
    """Four tables, by file name.

    Returns
    -------
    dict of str to DataFrame
        ``metrics`` (one row per analysis and metric, groups among them), ``verdicts`` (one per
        group), ``calibration_curves`` and ``thresholds``.
    """
    analyses = list(_analyses(report))
    fairness = report.fairness
    groups = () if fairness is None else (*fairness.groups, *fairness.two_way)
    fields = list(VERDICTS_SCHEMA)[len(_KEY) :]
    return {
        "metrics": pl.DataFrame(
            [row for each in analyses for row in _metrics(each)], schema=METRICS_SCHEMA
        ),
        "verdicts": pl.DataFrame(
            [
                _key(group.analysis) | {name: getattr(group, name) for name in fields}
                for group in groups
            ],
            schema=VERDICTS_SCHEMA,
        ),
        "calibration_curves": pl.DataFrame(
            [_key(each) | asdict(point) for each in analyses for point in each.calibration_curve],
            schema=CURVE_SCHEMA,
        ),
        "thresholds": pl.DataFrame(
            [_key(each) | asdict(row) for each in analyses for row in each.thresholds],
            schema=THRESHOLDS_SCHEMA,
        ),
    }


def write_evaluation_tables(report: EvaluationReport, folder: Path) -> list[str]:
    """Write the tables as Parquet files that name their schema and its version.

    Returns
    -------
    list of str
        Names of the files.
    """
    metadata = {SCHEMA: report.schema, VERSION: report.schema_version}
    tables = {f"{name}.parquet": table for name, table in evaluation_tables(report).items()}
    for name, table in tables.items():
        table.write_parquet(folder / name, metadata=metadata)
    return list(tables)


def _analyses(report: EvaluationReport) -> Iterator[Analysis]:
    yield from report.analyses
    if report.fairness is not None:
        for group in (*report.fairness.groups, *report.fairness.two_way):
            yield group.analysis


def _key(analysis: Analysis) -> dict[str, Any]:
    return {
        "analysis": analysis.name,
        "dimension": analysis.dimension,
        "level": analysis.level,
        "unit": analysis.unit,
        "tag": analysis.tag,
    }


def _metrics(analysis: Analysis) -> Iterator[dict[str, Any]]:
    counts = analysis.counts
    told = {"rows": counts.rows, "persons": counts.persons, "events": counts.events}
    for name, metric in analysis.metrics.items():
        yield _key(analysis) | told | {"metric": name} | asdict(metric)
