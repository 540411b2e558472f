"""Arrange columns in the order in which the walk over a timeline needs them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.risk.features.kernel.walk import COUNTED, VALUED, Plan

_DEFAULTS = {
    "any": 0.0,
    "count": 0.0,
    "abnormal_any": 0.0,
    "missing": 1.0,
    "abnormal_by_trimester": 0.0,
}


class SeriesColumn(NamedTuple):
    """One column that the kernel gives: what of which series over which window.

    Parameters
    ----------
    series : int
        Number of the series (for features: of the code set).
    aggregation : str
        One of `COUNTED` or `VALUED`. ``abnormal_any`` judges values by the range outside
        pregnancy, ``abnormal_by_trimester`` by the one of the trimester in which they were taken.
    window_days : int or None, days
        None means the whole history.
    """

    series: int
    aggregation: str
    window_days: int | None


def plan_columns(columns: Sequence[SeriesColumn | None], *, n_series: int) -> Plan:
    """Arrange columns for the kernel.

    Parameters
    ----------
    columns : sequence of SeriesColumn or None
        None keeps the place of a column that is not made here; the kernel leaves NaN in it.
    n_series : int

    Raises
    ------
    ConfigurationError
        If an aggregation is unknown.

    Examples
    --------
    >>> plan = plan_columns([SeriesColumn(0, "count", None), SeriesColumn(0, "mean", 90)],
    ...     n_series=1)
    >>> plan.window_days.tolist(), plan.default.tolist()
    ([90, -1], [0.0, nan])
    """
    made = [column for column in columns if column is not None]
    for column in made:
        if column.aggregation not in COUNTED + VALUED:
            hint = nearest(column.aggregation, COUNTED + VALUED)
            msg = f"An aggregation must be known (got {column.aggregation!r}). {hint}"
            raise ConfigurationError(msg)
    days = sorted({column.window_days for column in made if column.window_days is not None})
    window = {days_: number for number, days_ in enumerate([*days, None])}
    counted: list[tuple[int, ...]] = []
    valued: list[tuple[int, ...]] = []
    groups: list[list[int]] = []
    for number, column in enumerate(columns):
        if column is None:
            continue
        place = (column.series, window[column.window_days])
        if column.aggregation in COUNTED:
            counted.append((*place, COUNTED.index(column.aggregation), number))
        else:
            valued.append((*place, VALUED.index(column.aggregation), number))
    counted.sort()
    valued.sort()
    for number, (series, window_, *_) in enumerate(valued):
        if not groups or groups[-1][:2] != [series, window_]:
            groups.append([series, window_, number, number])
        groups[-1][3] = number + 1
    return Plan(
        window_days=np.array([*days, -1], np.int64),
        default=np.array(
            [_DEFAULTS.get(c.aggregation, np.nan) if c else np.nan for c in columns], np.float32
        ),
        counted_start=_starts([row[0] for row in counted], n_series),
        counted=_table([(row[2], row[1], row[3]) for row in counted], 3),
        group_start=_starts([row[0] for row in groups], n_series),
        groups=_table([row[1:] for row in groups], 3),
        valued=_table([row[2:] for row in valued], 2),
    )


def _table(rows: Iterable[Sequence[int]], width: int) -> np.ndarray:
    return np.array(list(rows), np.int64).reshape(-1, width)


def _starts(sorted_keys: Sequence[int], n_keys: int) -> np.ndarray:
    return np.searchsorted(np.array(sorted_keys, np.int64), np.arange(n_keys + 1))
