"""What each feature says, how it is spread, where it is missing, and whether it has moved."""

# SciPy has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import chi2

from hrob_assets.risk.disclosure import SMALLEST_CELL, is_small
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.features.catalogue.selection import FeatureSelection
from hrob_assets.risk.statistics import population_stability_index
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.vocabulary import CodeSet

RECENT_WEEKS = 13
DICTIONARY_GROUPS = ("race", "ethnicity", "gender")
"""Groups of persons for which the missing share is reported."""
DICTIONARY_SCHEMA: dict[str, Any] = {
    "column": pl.String,
    "family": pl.String,
    "group": pl.String,
    "meaning": pl.String,
    "rationale": pl.String,
    "source": pl.String,
    "code_set": pl.String,
    "codes": pl.Int64,
    "selected": pl.Boolean,
    "imputation": pl.String,
    "persons_with_value": pl.Int64,
    "missing_share": pl.Float64,
    "value_share": pl.Float64,
    "p01": pl.Float64,
    "p25": pl.Float64,
    "p50": pl.Float64,
    "p75": pl.Float64,
    "p99": pl.Float64,
    "first_week": pl.Date,
    "last_week": pl.Date,
    "bins": pl.List(pl.String),
    "training_share": pl.List(pl.Float64),
    "recent_share": pl.List(pl.Float64),
    "psi": pl.Float64,
    "psi_by_chance": pl.Float64,
    "drifted": pl.Boolean,
    "missing_by_group": pl.List(
        pl.Struct({"group": pl.String, "level": pl.String, "share": pl.Float64})
    ),
}
_AT_ONCE = 40
_BINS = 10
_COUNT_EDGES = (0.5, 1.5, 2.5, 3.5, 5.5, 10.5)
_CONFIDENCE = 0.95
_HALF = 0.5
_QUANTILES = {"p01": 0.01, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p99": 0.99}
_DEFAULTS = {"any": 0.0, "count": 0.0, "abnormal_any": 0.0, "missing": 1.0}


@dataclass(frozen=True)
class ComparedPeriods:
    """The two periods that drift compares.

    Parameters
    ----------
    start, end : date
        First day of the training period, and the first after it.
    recent : date
        Monday of the first of the recent weeks.
    """

    start: date
    end: date
    recent: date


def describe_features(
    features: pl.LazyFrame,
    rows: pl.DataFrame,
    *,
    catalogue: Catalogue,
    code_sets: Mapping[str, CodeSet],
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
    reference: ComparedPeriods,
) -> pl.DataFrame:
    """Describe every column of a catalogue on the rows of a cohort.

    Parameters
    ----------
    features : LazyFrame
        `ROW_KEY` and the columns of the catalogue; read a few columns at a time.
    rows : DataFrame
        `ROW_KEY`, ``week`` and `DICTIONARY_GROUPS`: the rows of the cohort.
    catalogue : Catalogue
    code_sets : mapping of str to CodeSet
    selection : FeatureSelection
        What the selection file keeps; the record of feature_selection has the screen.
    rules : mapping of column to ImputationRule
    reference : ComparedPeriods

    Returns
    -------
    DataFrame
        `DICTIONARY_SCHEMA`, one row per column in the order of the catalogue. A *value* is what
        is neither null nor what a person without history has. Where fewer than 11 persons have
        one, or lack one, whatever would show it is null. ``psi`` is the population stability
        index of the recent weeks against the training period, in deciles of the training rows
        with null as a bin of its own. ``psi_by_chance`` is its 95 % point without any change:
        `(1/n + 1/m)` times that of chi-square, with n and m persons, because the rows of a person
        are alike. ``drifted`` means beyond it.

    References
    ----------
    Yurdakul 2018, *Statistical properties of population stability index*.
    """
    families = {family.name: family for family in catalogue.families}
    described: list[dict[str, Any]] = []
    for first in range(0, len(catalogue.columns), _AT_ONCE):
        some = catalogue.columns[first : first + _AT_ONCE]
        names = [column.name for column in some]
        frame = rows.join(
            features.select(*ROW_KEY, *names).collect(),
            on=ROW_KEY,
            how="left",
            maintain_order="left",
        )
        for column in some:
            said = _said(column, families[column.family], code_sets, selection, rules)
            described.append(said | _measured(frame, column, reference))
    return pl.DataFrame(described, schema=DICTIONARY_SCHEMA)


def _said(
    column: FeatureColumn,
    family: FeatureFamily,
    code_sets: Mapping[str, CodeSet],
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
) -> dict[str, Any]:
    """What the files say of a column."""
    code_set = code_sets.get(family.code_set or "")
    return {
        "column": column.name,
        "family": column.family,
        "group": column.group,
        "meaning": meaning_of(column),
        "rationale": family.rationale,
        "source": family.source,
        "code_set": family.code_set,
        "codes": len(code_set.codes) if code_set else None,
        "selected": column.name in selection.columns,
        "imputation": _filling(rules[column.name]) if column.nullable else None,
    }


_WORDS = {
    "any": "whether recorded",
    "count": "times recorded",
    "days_since_last": "days since last recorded",
    "last_value": "last value",
    "min": "lowest value",
    "max": "highest value",
    "mean": "mean of the values",
    "slope": "change of the value per day",
    "abnormal_any": "whether any value was outside the reference range",
    "missing": "whether no value was measured",
}


_NULL_SAYS = {
    "pregnancy": "outside a pregnancy and the 42 days after it, or in the other of the two",
    "prenatal_care": "outside a pregnancy and the 42 days after it, or before the first visit",
    "earlier_pregnancies": "when no earlier pregnancy with a known end is on record",
    "coverage": "when no coverage reaches the prediction time",
    "coverage_churn": "when there was no gap",
}


def meaning_of(column: FeatureColumn) -> str:
    """Say in words what a column holds, over which window, and what null means.

    Examples
    --------
    >>> visits = FeatureColumn("ed_visit__count_30d", "ed_visit", "utilisation", "codes",
    ...     aggregation="count", window_days=30)
    >>> meaning_of(visits)
    'ed visit: times recorded in the 30 days before the prediction time'
    """
    idea = column.family.replace("_", " ")
    says = _NULL_SAYS.get(column.family, "where the history says nothing")
    empty = f"; null {says}" if column.nullable else ""
    if column.aggregation is None:
        return f"{idea}: {(column.measure or '').replace('_', ' ')}{empty}"
    days = "ever" if column.window_days is None else f"in the {column.window_days} days"
    return f"{idea}: {_WORDS[column.aggregation]} {days} before the prediction time{empty}"


def _filling(rule: ImputationRule) -> str:
    value = "" if rule.value is None else f" {rule.value:g}"
    beside = ", and a column that says so" if rule.indicator else ""
    return f"{rule.method.replace('_', ' ')}{value}{beside}"


def _measured(
    frame: pl.DataFrame, column: FeatureColumn, reference: ComparedPeriods
) -> dict[str, Any]:
    """What the rows say of a column."""
    values = frame[column.name]
    default = None if column.nullable else _DEFAULTS.get(column.aggregation or "", 0.0)
    valued = values.is_not_null() if default is None else values.is_not_null() & (values != default)
    with_value, without = (
        frame.filter(which)["person_id"].n_unique() for which in (valued, values.is_null())
    )
    everybody = frame["person_id"].n_unique()
    if _tells_few(with_value, everybody):
        return {}
    weeks = frame.filter(valued)["week"]
    told: dict[str, Any] = {
        "persons_with_value": with_value,
        "value_share": valued.mean(),
        "first_week": weeks.min(),
        "last_week": weeks.max(),
    }
    if not _tells_few(without, everybody):
        told["missing_share"] = values.is_null().mean()
        told["missing_by_group"] = list(_missing_by_group(frame, column.name))
        told |= _drift(frame, column, reference)
    if column.aggregation not in _DEFAULTS and with_value >= SMALLEST_CELL * 100:
        told |= {name: values.quantile(q) for name, q in _QUANTILES.items()}
    return told


def _tells_few(persons: int, everybody: int) -> bool:
    return is_small(persons) or is_small(everybody - persons)


def _missing_by_group(frame: pl.DataFrame, name: str) -> Iterator[dict[str, Any]]:
    """Share of null by level, but for levels in which fewer than 11 persons have or lack it."""
    lacks = pl.col(name).is_null()
    for group in DICTIONARY_GROUPS:
        levels = (
            frame.group_by(pl.col(group).alias("level"))
            .agg(
                share=lacks.mean(),
                persons=pl.col("person_id").n_unique(),
                lacking=pl.col("person_id").filter(lacks).n_unique(),
                having=pl.col("person_id").filter(~lacks).n_unique(),
            )
            .sort("level")
        )
        for row in levels.iter_rows(named=True):
            if not any(is_small(row[count]) for count in ("persons", "lacking", "having")):
                yield {"group": group, "level": row["level"], "share": row["share"]}


def _drift(
    frame: pl.DataFrame, column: FeatureColumn, reference: ComparedPeriods
) -> dict[str, Any]:
    day = pl.col("prediction_time").dt.date()
    training = frame.filter(day >= reference.start, day < reference.end)
    recent = frame.filter(pl.col("week") >= reference.recent)
    persons = [part["person_id"].n_unique() for part in (training, recent)]
    if min(persons) < SMALLEST_CELL:
        return {}
    before, after = (
        part[column.name].fill_null(float("nan")).to_numpy() for part in (training, recent)
    )
    edges = _edges(before, column)
    counts = np.stack([_binned(part, edges) for part in (before, after)])
    used = counts.sum(axis=0) > 0
    shares = counts[:, used] / counts.sum(axis=1, keepdims=True)
    psi = population_stability_index(counts[0], counts[1])
    free = int(used.sum()) - 1
    chance = float(chi2.ppf(_CONFIDENCE, free)) * sum(1 / n for n in persons) if free else 0.0
    names = [name for name, use in zip(_bin_names(edges), used, strict=True) if use]
    few = (counts[:, used] > 0) & (counts[:, used] < SMALLEST_CELL)
    shown = np.where(few, np.nan, shares)
    return {
        "bins": names,
        "training_share": [None if np.isnan(x) else float(x) for x in shown[0]],
        "recent_share": [None if np.isnan(x) else float(x) for x in shown[1]],
        "psi": psi,
        "psi_by_chance": chance,
        "drifted": psi > chance,
    }


def _edges(training: np.ndarray, column: FeatureColumn) -> np.ndarray:
    """Inner edges of the bins: 0 and 1, steps of counts, or tenths of the training rows."""
    if column.aggregation in {"any", "abnormal_any", "missing"}:
        return np.array([0.5])
    if column.aggregation == "count":
        return np.array(_COUNT_EDGES)
    known = training[~np.isnan(training)]
    if not known.size:
        return np.array([0.5])
    return np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))


def _binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Rows in each bin, and in the last one the nulls."""
    bins = np.searchsorted(edges, values, side="left")  # NaN goes behind the last edge
    bins[np.isnan(values)] = edges.size + 1
    return np.bincount(bins, minlength=edges.size + 2)


def _bin_names(edges: np.ndarray) -> list[str]:
    inner = [f"up to {edge:.4g}" for edge in edges]
    return [*inner, f"over {edges[-1]:.4g}", "null"]


def drift_table(dictionary: pl.DataFrame, *, most: int) -> pl.DataFrame:
    """The columns that have moved beyond chance, the farthest first.

    Returns
    -------
    DataFrame
        ``column``, ``psi``, ``psi_by_chance``; at most so many rows.
    """
    moved = dictionary.filter("drifted").sort("psi", descending=True).head(most)
    return moved.select("column", pl.col("psi", "psi_by_chance").round(4))


def summary_by_group(dictionary: pl.DataFrame) -> pl.DataFrame:
    """Counts of columns by group.

    Returns
    -------
    DataFrame
        ``group``, ``columns``, ``selected``, ``with values`` (of 11 persons or more),
        ``mostly missing`` (null in over half the rows) and ``drifted``.
    """
    return dictionary.group_by("group", maintain_order=True).agg(
        columns=pl.len(),
        selected=pl.col("selected").sum(),
        **{
            "with values": (pl.col("persons_with_value") > 0).sum(),
            "mostly missing": (pl.col("missing_share") > _HALF).sum(),
        },
        drifted=pl.col("drifted").sum(),
    )


def recent_since(weeks: Sequence[date]) -> date:
    """Monday of the first of the recent weeks, of those that are there."""
    return sorted(weeks)[-RECENT_WEEKS:][0]
