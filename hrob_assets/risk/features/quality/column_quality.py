"""How a column is spread over the training rows: missing values, persons and shift."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import is_small
from hrob_assets.risk.statistics import population_stability_index

_LARGEST_SAMPLE = 20_000
_BINS = 10


@dataclass(frozen=True)
class ColumnQuality:
    """What the training rows show of one column.

    Parameters
    ----------
    rows, missing, valued : int
        Rows; those that are null; those that differ from the value that most rows share.
    persons, persons_missing, persons_with_value : int
        Persons; those with a null; those who differ at least once from the common value.
    shift : float
        Population stability index between the first and the last third of the rows.
    """

    rows: int
    missing: int
    valued: int
    persons: int
    persons_missing: int
    persons_with_value: int
    shift: float

    @property
    def missing_share(self) -> float:
        """Share of rows that are null."""
        return self.missing / self.rows

    def safe(self) -> dict[str, float | int | None]:
        """The figures as they may be shown."""
        few_values = either_is_small(self.persons_with_value, self.persons)
        few_missing = either_is_small(self.persons_missing, self.persons)
        return {
            "persons_with_value": None if few_values else self.persons_with_value,
            "missing_share": None if few_missing else self.missing_share,
            "value_share": None if few_values else self.valued / self.rows,
            "shift": None if few_values or few_missing else self.shift,
        }


def shift_of(before: np.ndarray, now: np.ndarray) -> float:
    """How far the distribution of a column has moved: its population stability index.

    Parameters
    ----------
    before, now : ndarray of float
        NaN is missing, which is a bin of its own; the other bins are the deciles of `before`.

    Examples
    --------
    >>> before, now = np.array([0.0, 0.0, 1.0, np.nan]), np.array([0.0, 1.0, 1.0, 1.0])
    >>> shift_of(before, before)
    0.0
    >>> round(shift_of(before, now), 2)
    2.68
    """
    edges = np.unique(_quantiles(before[~np.isnan(before)]))
    return population_stability_index(_counts(before, edges), _counts(now, edges))


def _quantiles(values: np.ndarray) -> np.ndarray:
    if not values.size:
        return np.empty(0, dtype=values.dtype)
    ranks = np.arange(1, _BINS) * values.size // _BINS
    return np.partition(values, ranks)[ranks]


def _counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Rows up to each edge, beyond the last, and missing."""
    measured = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, measured), minlength=edges.size + 1)
    return np.append(counts, values.size - measured.size)


def measure_columns(
    train: pl.DataFrame, names: Sequence[str]
) -> Iterator[tuple[str, ColumnQuality]]:
    """Measure columns of the training rows, ordered by time; pairs of name and quality."""
    person = train["person_id"].rank("dense").to_numpy().astype(np.int64) - 1
    third = train.height // 3
    for name in names:
        yield name, _measure(values_of(train, name), person, third)


def values_of(train: pl.DataFrame, name: str) -> np.ndarray:
    """Values of a column as float32, NaN where null."""
    return train[name].cast(pl.Float32).fill_null(float("nan")).to_numpy()


def _measure(values: np.ndarray, person: np.ndarray, third: int) -> ColumnQuality:
    missing = np.isnan(values)
    common = _common_value(values, missing)
    valued = ~missing if np.isnan(common) else values != common  # NaN differs from every value
    persons = int(person.max()) + 1

    def count(rows: np.ndarray) -> int:
        return int(np.count_nonzero(np.bincount(person[rows], minlength=persons)))

    return ColumnQuality(
        rows=values.size,
        missing=int(missing.sum()),
        valued=int(valued.sum()),
        persons=persons,
        persons_missing=count(missing) if missing.any() else 0,
        persons_with_value=count(valued),
        shift=shift_of(
            values[evenly_spaced(0, third)], values[evenly_spaced(values.size - third, values.size)]
        )
        if third
        else 0.0,
    )


def evenly_spaced(start: int, stop: int) -> slice:
    """At most `_LARGEST_SAMPLE` rows from here to there, evenly spaced."""
    return slice(start, stop, -(-(stop - start) // _LARGEST_SAMPLE) or 1)


def _common_value(values: np.ndarray, missing: np.ndarray) -> float:
    """The value that more than half of the rows share; where there is none, the median.

    Missing counts as a value. A value of more than half of all rows is the median of those that
    are measured.
    """
    half = values.size / 2
    if missing.sum() > half:
        return float("nan")
    if np.count_nonzero(values == 0) > half:
        return 0.0
    measured = values[~missing]
    middle = (measured.size - 1) // 2
    return float(np.partition(measured, middle)[middle])


def either_is_small(part: int, whole: int) -> bool:
    """Whether a part or the rest of the whole is a small cell."""
    return is_small(part) or is_small(whole - part)
