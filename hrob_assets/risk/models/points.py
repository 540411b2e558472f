"""Published scores as data: which finding gives how many points."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hrob_assets.risk.errors import ConfigurationError, nearest

_HEADER = ["condition", "columns", "at_least", "points", "source"]


@dataclass(frozen=True)
class PointRule:
    """Points for a condition, once, when any of its columns reaches a value.

    Parameters
    ----------
    condition : str
    columns : tuple of str
        Feature columns; a null one reaches nothing.
    at_least : float, in the unit of the columns
    points : float
    """

    condition: str
    columns: tuple[str, ...]
    at_least: float
    points: float


def read_points(path: Path, *, column_names: Collection[str]) -> tuple[PointRule, ...]:
    """Read a score from a CSV file.

    Parameters
    ----------
    path : Path
        Header ``condition,columns,at_least,points,source``; several columns of one condition are
        separated by ``|``. Every row names its source.
    column_names : collection of str
        Of the catalogue.

    Raises
    ------
    ConfigurationError
        If the file is missing or has another header, or a row names an unknown column, no source
        or no number.
    """
    if not path.exists():
        msg = f"a comparator's score must be a CSV file beside defs.yaml (found no {path})"
        raise ConfigurationError(msg)
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        if reader.fieldnames != _HEADER:
            msg = f"{path} must have the header {','.join(_HEADER)} (found {reader.fieldnames})"
            raise ConfigurationError(msg)
        rules = tuple(
            _rule(row, place=f"{path}:{reader.line_num}", column_names=column_names)
            for row in reader
        )
    if not rules:
        msg = f"{path} must have at least one row of points (found none)"
        raise ConfigurationError(msg)
    return rules


def _rule(row: dict[str, str], *, place: str, column_names: Collection[str]) -> PointRule:
    columns = tuple(row["columns"].split("|"))
    for column in columns:
        if column not in column_names:
            msg = (
                f"{place}: columns must name columns of feature_mappings.yml (found {column!r}). "
                f"{nearest(column, list(column_names))}"
            )
            raise ConfigurationError(msg)
    if not row["source"]:
        msg = f"{place}: every row of points must name its source (found none)"
        raise ConfigurationError(msg)
    try:
        return PointRule(
            row["condition"], columns, at_least=float(row["at_least"]), points=float(row["points"])
        )
    except ValueError as error:
        msg = f"{place}: at_least and points must be numbers ({error})"
        raise ConfigurationError(msg) from error
