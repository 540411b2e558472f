"""What has moved before any outcome is known: inputs, scores, list, codes, delays and population.

Nothing here feeds the alarm. Inputs may move while predictions stay true, and predictions may go
wrong while inputs stay; only ripe outcomes tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import SMALLEST_CELL, is_small
from hrob_assets.risk.tables import Column, Table
from hrob_assets.risk.windows import became_known

SMALLEST_SHIFT = 0.1
"""PSI below which a shift is small, whatever chance says (rule of thumb)."""
_BINS = 10
_SMALLEST_SHARE = 1e-4
_DRAWS = 999
_CONFIDENCE = 0.95
_FEW_VALUES = 12
DRIFT = Table(
    "drift",
    "One row per column that was looked at.",
    ("kind", "column"),
    (
        Column("kind", pl.String, "feature, score or population."),
        Column("column", pl.String, "What was looked at."),
        Column("psi", pl.Float64, "Population stability index.", nullable=True),
        Column("psi_by_chance", pl.Float64, "Its 95 % point without a change.", nullable=True),
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
        Inner edges of the bins of a number; values at an edge lie below it.
    levels : tuple of str or None
        Levels of a column of words; others are taken together.
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
    """Bins of a column: tenths of the reference rows, its few values, or its levels.

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
    if values.size == 1:  # what leaves a constant must be seen, on either side of it
        return Bins(np.array([np.nextafter(values[0], -np.inf), values[0]]), None)
    if values.size <= _FEW_VALUES:
        return Bins((values[:-1] + values[1:]) / 2, None)
    tenths = np.quantile(known.to_numpy(), np.linspace(0, 1, _BINS + 1)[1:-1])
    return Bins(np.unique(tenths), None)


def stability_index(reference: np.ndarray, recent: np.ndarray) -> float:
    """PSI of counts in the same bins; shares below 1e-4 count as 1e-4.

    Examples
    --------
    >>> round(stability_index(np.array([50, 50]), np.array([80, 20])), 4)
    0.4159
    >>> stability_index(np.array([50, 0]), np.array([10, 0]))
    0.0
    """
    used = (reference + recent) > 0
    shares = [
        np.maximum(counts[..., used] / counts.sum(axis=-1, keepdims=True), _SMALLEST_SHARE)
        for counts in (reference, recent)
    ]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def index_by_chance(
    counts: np.ndarray, reference_size: int, recent_size: int, *, seed: int
) -> float:
    """95 % point of the PSI of two samples from the same distribution, by simulation.

    Parameters
    ----------
    counts : int array, shape (n_bins,)
        Of both samples together.
    reference_size, recent_size : int
        Independent rows of each: persons, because the rows of a person are alike.
    seed : int
    """
    used = counts[counts > 0]
    if used.size < 2:  # noqa: PLR2004 - one bin cannot move
        return 0.0
    share = used / used.sum()
    rng = np.random.default_rng(seed)
    drawn = [
        np.maximum(rng.multinomial(size, share, _DRAWS) / size, _SMALLEST_SHARE)
        for size in (reference_size, recent_size)
    ]
    index = np.sum((drawn[1] - drawn[0]) * np.log(drawn[1] / drawn[0]), axis=1)
    return float(np.quantile(index, _CONFIDENCE))


def compare_columns(
    reference: pl.DataFrame, recent: pl.DataFrame, *, columns: Sequence[str], kind: str, seed: int
) -> pl.DataFrame:
    """PSI of columns of recent rows against reference rows, with what chance alone would give.

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
        `DRIFT`, one row per column; figures are null where fewer than 11 persons are in either
        part. Shares of null are null where fewer than 11 persons have or lack a value.
    """
    persons = [part["person_id"].n_unique() for part in (reference, recent)]
    rows: list[dict[str, Any]] = []
    for column in columns:
        row: dict[str, Any] = {"kind": kind, "column": column}
        if min(persons) >= SMALLEST_CELL:
            bins = bins_of(reference[column])
            before, now = (bins.counts(part[column]) for part in (reference, recent))
            row["psi"] = stability_index(before, now)
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


def list_sizes(scores: pl.DataFrame, *, reviews_per_week: int) -> pl.DataFrame:
    """People on each week's list, against how many can be reviewed.

    Parameters
    ----------
    scores : DataFrame
        ``week``, ``person_id`` and ``high_risk``.
    reviews_per_week : int

    Returns
    -------
    DataFrame
        ``week``, ``rows``, ``people`` (high risk), ``capacity``, ``over_capacity`` (people).
    """
    return (
        scores.group_by("week")
        .agg(rows=pl.len(), people=pl.col("person_id").filter(pl.col("high_risk")).n_unique())
        .with_columns(capacity=pl.lit(reviews_per_week))
        .with_columns(
            over_capacity=(pl.col("people").cast(pl.Int64) - reviews_per_week).clip(lower_bound=0)
        )
        .sort("week")
    )


@dataclass(frozen=True)
class Stretches:
    """Two stretches of time that are compared, each [start, end)."""

    reference: tuple[datetime, datetime]
    recent: tuple[datetime, datetime]

    @property
    def ratio(self) -> float:
        """Length of the recent stretch over that of the reference."""
        lengths = [end - start for start, end in (self.recent, self.reference)]
        return lengths[0] / lengths[1]


_NOT_BY_CHANCE = 1e-6


def code_changes(events: pl.DataFrame, stretches: Stretches) -> pl.DataFrame:
    """Codes that came or went, of events by the time at which they became known.

    Parameters
    ----------
    events : DataFrame
        ``vocabulary``, ``code`` and ``known_at``.
    stretches : Stretches

    Returns
    -------
    DataFrame
        ``vocabulary``, ``code``, ``change`` (new: none before; retired: none now), ``before`` and
        ``now`` (events, 11 or more on the side where there are any) and ``expected`` (now, by
        the rate before). Rarer codes come and go by chance and are left out: a code counts as
        retired when so many would be expected that none has a chance below one in a million.
    """
    counted: list[pl.DataFrame] = []
    for name, (start, end) in (("before", stretches.reference), ("now", stretches.recent)):
        part = became_known(events, since=start, before=end)
        counted.append(part.group_by("vocabulary", "code").agg(pl.len().alias(name)))
    both = counted[0].join(counted[1], on=["vocabulary", "code"], how="full", coalesce=True)
    fewest = max(SMALLEST_CELL, -np.log(_NOT_BY_CHANCE))
    expected = pl.col("before") * stretches.ratio
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


def volumes(events: pl.DataFrame, stretches: Stretches, *, by: str) -> pl.DataFrame:
    """Events that became known in each stretch, by source.

    Parameters
    ----------
    events : DataFrame
        ``known_at`` and the column `by`, such as ``domain``.
    stretches : Stretches
    by : str

    Returns
    -------
    DataFrame
        The column `by`, ``before``, ``now``, ``expected`` (now, by the rate before) and
        ``ratio`` (now over expected; null where none was expected). Small counts are null.
    """
    counted = [
        became_known(events, since=start, before=end).group_by(by).agg(pl.len().alias(name))
        for name, (start, end) in (("before", stretches.reference), ("now", stretches.recent))
    ]
    small = [(pl.col(name) > 0) & (pl.col(name) < SMALLEST_CELL) for name in ("before", "now")]
    expected = pl.col("before") * stretches.ratio
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


def delay_changes(delays: pl.DataFrame, stretches: Stretches) -> pl.DataFrame:
    """Days from happening to being known, of facts that became known in each stretch.

    Parameters
    ----------
    delays : DataFrame
        As `completion.estimate_runouts` takes them: ``kind``, ``started_at``, ``known_at``.
    stretches : Stretches

    Returns
    -------
    DataFrame
        One row per kind: ``kind``, ``median_before``, ``median_now``, ``p95_before``, ``p95_now``;
        null with fewer than 11 facts.
    """
    parts: list[pl.DataFrame] = []
    waited = (pl.col("known_at") - pl.col("started_at")).dt.total_seconds() / 86_400
    for name, (start, end) in (("before", stretches.reference), ("now", stretches.recent)):
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


CBPE_LABEL = "expected if still calibrated"


def expected_if_calibrated(rows: pl.DataFrame) -> pl.DataFrame:
    """What weeks without ripe outcomes would come to, if the predictions were still true.

    By construction this cannot see that they are not. It is for planning, and never evidence.

    Parameters
    ----------
    rows : DataFrame
        ``week``, ``probability`` and ``high_risk`` of rows that are pending.

    Returns
    -------
    DataFrame
        ``week``, ``rows``, ``events``, ``positive_predictive_value``, ``sensitivity`` and
        ``label`` (always "expected if still calibrated"). Null where the denominator is 0.

    References
    ----------
    NannyML, *Confidence-based performance estimation*.

    Examples
    --------
    >>> rows = pl.DataFrame({"week": [date(2024, 1, 1)] * 3, "probability": [0.5, 0.3, 0.2],
    ...     "high_risk": [True, False, False]})
    >>> expected_if_calibrated(rows).row(0)[2:5]
    (1.0, 0.5, 0.5)
    """
    high = pl.col("probability").filter(pl.col("high_risk"))
    return (
        rows.group_by("week")
        .agg(
            rows=pl.len(),
            events=pl.col("probability").sum(),
            positive_predictive_value=high.mean(),
            sensitivity=pl.when(pl.col("probability").sum() > 0).then(
                high.sum() / pl.col("probability").sum()
            ),
        )
        .with_columns(label=pl.lit(CBPE_LABEL))
        .sort("week")
    )


def contributions_by_group(
    contributions: np.ndarray, group_of_term: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Sums of the log odds that the terms of a linear model add, by group of features.

    Parameters
    ----------
    contributions : ndarray of float, shape (n_rows, n_terms)
        Of `models.logistic_regression.contributions`.
    group_of_term : sequence of str
        Feature group of each term.

    Returns
    -------
    ndarray of float, shape (n_rows, n_groups), and the names of the groups, sorted
    """
    names = sorted(set(group_of_term))
    belongs = np.array([[group == name for name in names] for group in group_of_term], dtype=float)
    return contributions @ belongs, names


@dataclass(frozen=True)
class RiskShift:
    """The shift of the mean log odds, split by group of features.

    Parameters
    ----------
    total : float, log odds
    by_group : dict of str to float
        Adds up to the total; largest first.
    """

    total: float
    by_group: Mapping[str, float]

    @property
    def sentence(self) -> str:
        """The shift in one sentence.

        Examples
        --------
        >>> RiskShift(0.12, {"labs": 0.1, "utilisation": 0.05, "age": -0.03}).sentence
        'The mean log odds rose by 0.12: labs +0.10, utilisation +0.05, age -0.03.'
        """
        if abs(self.total) < _TOO_LITTLE and not self._named:
            return "The mean log odds did not move."
        way = "rose" if self.total >= 0 else "fell"
        parts = ", ".join(f"{name} {value:+.2f}" for name, value in self._named)
        return f"The mean log odds {way} by {abs(self.total):.2f}: {parts or 'many small shifts'}."

    @property
    def _named(self) -> list[tuple[str, float]]:
        return [(name, x) for name, x in self.by_group.items() if abs(x) >= _TOO_LITTLE][:_MOST]


_TOO_LITTLE = 0.005
_MOST = 5


def risk_shift(reference: np.ndarray, recent: np.ndarray, names: Sequence[str]) -> RiskShift:
    """Split the shift of the mean log odds of a linear model by group of features.

    Parameters
    ----------
    reference, recent : ndarray of float, shape (n_rows, n_groups)
        Of `contributions_by_group`.
    names : sequence of str
    """
    moved = recent.mean(axis=0) - reference.mean(axis=0)
    order = np.argsort(-np.abs(moved), kind="stable")
    return RiskShift(float(moved.sum()), {names[int(i)]: float(moved[i]) for i in order})


def recent_weeks(last: date, *, count: int) -> tuple[datetime, datetime]:
    """The stretch of so many weeks that ends with the week of a Monday.

    Examples
    --------
    >>> [day.date().isoformat() for day in recent_weeks(date(2024, 3, 4), count=2)]
    ['2024-02-26', '2024-03-11']
    """
    end = datetime(last.year, last.month, last.day) + timedelta(days=7)
    return end - timedelta(weeks=count), end
