"""Drift: what changed before any outcome is known, in inputs, scores, population, codes and delays.

Nothing here feeds the alarm. Inputs may change while predictions stay calibrated, and predictions
may become miscalibrated while inputs stay the same; only mature outcomes show it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import SMALLEST_CELL, is_small
from hrob_assets.risk.statistics import index_of_shares, population_stability_index
from hrob_assets.risk.tables import Column, Table
from hrob_assets.risk.windows import became_known

SMALLEST_SHIFT = 0.1
"""PSI below which a shift is small, even where chance cannot explain it (rule of thumb)."""
RECENT_WEEKS, REFERENCE_WEEKS = 13, 26
"""Weeks that `drift_of_rows` compares: the latest ones with the first ones."""
_BINS = 10
_DRAWS = 999
_CONFIDENCE = 0.95
_FEW_VALUES = 12
DRIFT = Table(
    "drift",
    "One row per examined column.",
    ("kind", "column"),
    (
        Column("kind", pl.String, "feature, score or population."),
        Column("column", pl.String, "The examined column."),
        Column("psi", pl.Float64, "Population stability index.", nullable=True),
        Column("psi_by_chance", pl.Float64, "Its 95th percentile without a change.", nullable=True),
        Column("drifted", pl.Boolean, "Beyond chance and 0.1 or more.", nullable=True),
        Column("reference_missing", pl.Float64, "Share of null before.", nullable=True),
        Column("recent_missing", pl.Float64, "Share of null now.", nullable=True),
    ),
)


@dataclass(frozen=True)
class Bins:
    """Bins of one column, from the reference rows; null is a bin of its own.

    Parameters
    ----------
    edges : ndarray of float or None
        Inner edges of the bins of a numeric column; values at an edge lie below it.
    levels : tuple of str or None
        Levels of a text column; all other levels share one bin.
    """

    edges: np.ndarray | None
    levels: tuple[str, ...] | None

    def counts(self, values: pl.Series) -> np.ndarray:
        """Rows in each bin, the last one null."""
        if self.levels is not None:
            text = values.cast(pl.String)
            known = [int((text == level).sum()) for level in self.levels]
            null = values.null_count()
            return np.array([*known, values.len() - sum(known) - null, null])
        edges = self.edges if self.edges is not None else np.array([])
        numbers = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        place = np.searchsorted(edges, numbers, side="left")
        place[np.isnan(numbers)] = edges.size + 1
        return np.bincount(place, minlength=edges.size + 2)


def bins_of(reference: pl.Series) -> Bins:
    """Bins of a column: deciles of the reference rows, its few values, or its levels.

    Examples
    --------
    >>> bins_of(pl.Series([0, 1, 1, None])).counts(pl.Series([0, 0, None, 5])).tolist()
    [2, 1, 1]
    """
    if not (reference.dtype.is_numeric() or reference.dtype == pl.Boolean):
        levels = reference.drop_nulls().cast(pl.String).unique().sort().to_list()
        return Bins(None, tuple(levels))
    known = reference.drop_nulls().cast(pl.Float64).drop_nans()
    values = known.unique().sort().to_numpy()
    if values.size == 1:  # bins on either side, so that any other value than the constant shows
        return Bins(np.array([np.nextafter(values[0], -np.inf), values[0]]), None)
    if values.size <= _FEW_VALUES:
        return Bins((values[:-1] + values[1:]) / 2, None)
    deciles = np.quantile(known.to_numpy(), np.linspace(0, 1, _BINS + 1)[1:-1])
    return Bins(np.unique(deciles), None)


def index_by_chance(
    counts: np.ndarray, reference_size: int, recent_size: int, *, seed: int
) -> float:
    """95th percentile of the PSI of two samples from the same distribution, by simulation.

    Parameters
    ----------
    counts : int array, shape (n_bins,)
        Of both samples together.
    reference_size, recent_size : int
        Independent rows of each: patients, because the rows of a patient resemble each other.
    seed : int
    """
    used = counts[counts > 0]
    if used.size < 2:  # noqa: PLR2004 - one bin cannot move
        return 0.0
    share = used / used.sum()
    rng = np.random.default_rng(seed)
    drawn = [rng.multinomial(size, share, _DRAWS) / size for size in (reference_size, recent_size)]
    return float(np.quantile(index_of_shares(*drawn), _CONFIDENCE))


def column_drift(
    reference: pl.DataFrame, recent: pl.DataFrame, *, columns: Sequence[str], kind: str, seed: int
) -> pl.DataFrame:
    """PSI of columns of recent rows against reference rows, and what chance alone would give.

    Parameters
    ----------
    reference, recent : DataFrame
        ``person_id`` and the columns.
    columns : sequence of str
    kind : str
        feature, score or population.
    seed : int

    Returns
    -------
    DataFrame
        `DRIFT`, one row per column; estimates are null where either part has fewer than 11
        patients. Shares of null are null where fewer than 11 patients have or lack a value.
    """
    persons = [part["person_id"].n_unique() for part in (reference, recent)]
    rows: list[dict[str, Any]] = []
    for column in columns:
        row: dict[str, Any] = {"kind": kind, "column": column}
        if min(persons) >= SMALLEST_CELL:
            bins = bins_of(reference[column])
            before, now = (bins.counts(part[column]) for part in (reference, recent))
            row["psi"] = population_stability_index(before, now)
            row["psi_by_chance"] = index_by_chance(before + now, *persons, seed=seed)
            row["drifted"] = row["psi"] > max(row["psi_by_chance"], SMALLEST_SHIFT)
            row["reference_missing"] = _missing(reference, column)
            row["recent_missing"] = _missing(recent, column)
        rows.append(row)
    return pl.DataFrame(rows, schema=DRIFT.schema)


def _missing(part: pl.DataFrame, column: str) -> float | None:
    lacks = part[column].is_null()
    counts = [part.filter(which)["person_id"].n_unique() for which in (lacks, ~lacks)]
    if any(is_small(count) for count in counts):
        return None
    return float(lacks.cast(pl.Float64).sum()) / part.height


def drift_of_rows(
    rows: pl.DataFrame,
    *,
    features: Sequence[str],
    groups: Sequence[str],
    as_of: datetime,
    seed: int,
) -> pl.DataFrame:
    """Drift of scores, features and population: the latest weeks against the first ones.

    Parameters
    ----------
    rows : DataFrame
        ``week``, ``person_id``, ``probability``, the features and the groups.
    features, groups : sequence of str
        Columns to examine, besides the probability.
    as_of : datetime (UTC)
        Weeks that are not over by then are not recent.
    seed : int

    Returns
    -------
    DataFrame
        `DRIFT`. `RECENT_WEEKS` are compared with `REFERENCE_WEEKS`, or fewer where there are not
        so many weeks that do not overlap.
    """
    weeks = rows["week"].unique().sort().to_list()
    over = [week for week in weeks if week + timedelta(days=7) <= as_of.date()]
    recent = over[-min(RECENT_WEEKS, len(over) // 2) :] if len(over) > 1 else []
    first = [week for week in weeks if not recent or week < recent[0]][:REFERENCE_WEEKS]
    parts = [rows.filter(pl.col("week").is_in(some)) for some in (first, recent)]
    examined = {"score": ("probability",), "feature": features, "population": groups}
    return pl.concat(
        column_drift(*parts, columns=columns, kind=kind, seed=seed)
        for kind, columns in examined.items()
    )


@dataclass(frozen=True)
class DriftPeriods:
    """Two periods that are compared, each [start, end)."""

    reference: tuple[datetime, datetime]
    recent: tuple[datetime, datetime]

    @property
    def ratio(self) -> float:
        """Length of the recent period over that of the reference."""
        lengths = [end - start for start, end in (self.recent, self.reference)]
        return lengths[0] / lengths[1]


_NOT_BY_CHANCE = 1e-6


def code_changes(events: pl.DataFrame, periods: DriftPeriods) -> pl.DataFrame:
    """Codes that are new or retired, of events by the time at which they became known.

    Parameters
    ----------
    events : DataFrame
        ``vocabulary``, ``code`` and ``known_at``.
    periods : DriftPeriods

    Returns
    -------
    DataFrame
        ``vocabulary``, ``code``, ``change`` (new: none before; retired: none now), ``before`` and
        ``now`` (events, 11 or more on the side where there are any) and ``expected`` (now, by
        the rate before). Rarer codes appear and disappear by chance and are left out: a code
        counts as retired when the chance to see none of the expected events is below one in a
        million.
    """
    counted: list[pl.DataFrame] = []
    for name, (start, end) in (("before", periods.reference), ("now", periods.recent)):
        part = became_known(events, since=start, before=end)
        counted.append(part.group_by("vocabulary", "code").agg(pl.len().alias(name)))
    both = counted[0].join(counted[1], on=["vocabulary", "code"], how="full", coalesce=True)
    fewest = max(SMALLEST_CELL, -np.log(_NOT_BY_CHANCE))
    expected = pl.col("before") * periods.ratio
    return (
        both.fill_null(0)
        .with_columns(expected.alias("expected"))
        .with_columns(
            pl.when((pl.col("before") == 0) & (pl.col("now") >= fewest))
            .then(pl.lit("new"))
            .when((pl.col("now") == 0) & (pl.col("expected") >= fewest))
            .then(pl.lit("retired"))
            .alias("change")
        )
        .filter(pl.col("change").is_not_null())
        .select("vocabulary", "code", "change", "before", "now", "expected")
        .sort("change", "vocabulary", "code")
    )


def volumes(events: pl.DataFrame, periods: DriftPeriods, *, by: str) -> pl.DataFrame:
    """Events that became known in each period, by source.

    Parameters
    ----------
    events : DataFrame
        ``known_at`` and the column `by`, such as ``domain``.
    periods : DriftPeriods
    by : str

    Returns
    -------
    DataFrame
        The column `by`, ``before``, ``now``, ``expected`` (now, by the rate before) and
        ``ratio`` (now over expected; null where none was expected). Small counts are null.
    """
    counted = [
        became_known(events, since=start, before=end).group_by(by).agg(pl.len().alias(name))
        for name, (start, end) in (("before", periods.reference), ("now", periods.recent))
    ]
    small = [(pl.col(name) > 0) & (pl.col(name) < SMALLEST_CELL) for name in ("before", "now")]
    expected = pl.col("before") * periods.ratio
    return (
        counted[0]
        .join(counted[1], on=by, how="full", coalesce=True)
        .fill_null(0)
        .with_columns(
            pl.when(~small[0]).then("before").alias("before"),
            pl.when(~small[1]).then("now").alias("now"),
        )
        .with_columns(expected.alias("expected"))
        .with_columns(
            pl.when(pl.col("expected") > 0).then(pl.col("now") / pl.col("expected")).alias("ratio")
        )
        .sort(by)
    )


def delay_changes(delays: pl.DataFrame, periods: DriftPeriods) -> pl.DataFrame:
    """Days from happening to being known, of facts that became known in each period.

    Parameters
    ----------
    delays : DataFrame
        As `estimate_runouts` takes them: ``kind``, ``started_at``, ``known_at``.
    periods : DriftPeriods

    Returns
    -------
    DataFrame
        One row per kind: ``kind``, ``median_before``, ``median_now``, ``p95_before``, ``p95_now``;
        null with fewer than 11 facts.
    """
    parts: list[pl.DataFrame] = []
    waited = (pl.col("known_at") - pl.col("started_at")).dt.total_seconds() / 86_400
    for name, (start, end) in (("before", periods.reference), ("now", periods.recent)):
        part = became_known(delays, since=start, before=end)
        enough = pl.len() >= SMALLEST_CELL
        parts.append(
            part.group_by("kind").agg(
                pl.when(enough).then(waited.quantile(quantile)).alias(f"{word}_{name}")
                for word, quantile in (("median", 0.5), ("p95", 0.95))
            )
        )
    wanted = ["kind", "median_before", "median_now", "p95_before", "p95_now"]
    return parts[0].join(parts[1], on="kind", how="full", coalesce=True).select(wanted).sort("kind")
