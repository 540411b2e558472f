"""Table 1: who is in training, validation and test, and whether they are alike."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import SMALLEST_CELL, hidden_parts, is_small, shown_count
from hrob_assets.risk.errors import ConfigurationError, ContractError, nearest
from hrob_assets.risk.use_case import Characteristic

MISSING = "missing"
YES = "yes"
UNITS = ("encounter", "patient")
STUDY = (
    Characteristic("Age", feature="age__years", unit="years"),
    Characteristic("Gender", person="gender"),
    Characteristic("Race", person="race"),
    Characteristic("Ethnicity", person="ethnicity"),
    Characteristic("Medicaid", feature="coverage__medicaid", kind="yes_no"),
)
"""What the Huntsman / Flatiron study reports of its patients, whatever the cancer."""
BASELINE_SCHEMA: dict[str, Any] = {
    "unit": pl.String,
    "part": pl.String,
    "characteristic": pl.String,
    "measured_in": pl.String,
    "level": pl.String,
    "count": pl.Int64,
    "share": pl.Float64,
    "median": pl.Float64,
    "first_quartile": pl.Float64,
    "third_quartile": pl.Float64,
    "minimum": pl.Float64,
    "maximum": pl.Float64,
    "minimum_is_exact": pl.Boolean,
    "maximum_is_exact": pl.Boolean,
    "smd": pl.Float64,
    "suppressed": pl.Boolean,
}
_FIGURES = tuple(BASELINE_SCHEMA)[5:15]


@dataclass(frozen=True)
class _Part:
    """One part of the rows, described per encounter or per patient."""

    name: str
    unit: str
    rows: pl.DataFrame


def characteristics_of(extra: Sequence[Characteristic]) -> tuple[Characteristic, ...]:
    """The characteristics of the study, then those of the use case."""
    return (*STUDY, *extra)


def require_characteristics(columns: Iterable[str], extra: Iterable[Characteristic]) -> None:
    """Refuse a characteristic whose feature the catalogue does not have.

    Examples
    --------
    >>> require_characteristics(["age__years"], [Characteristic("Age", feature="age__year")])
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ConfigurationError: ... Did you mean 'age__years'?
    """
    known = set(columns)
    for each in extra:
        if each.feature is not None and each.feature not in known:
            msg = (
                f"characteristic {each.name!r} must name a feature of the catalogue "
                f"(found {each.feature!r}). {nearest(each.feature, known)}"
            )
            raise ConfigurationError(msg)


def baseline_table(
    rows: pl.DataFrame,
    *,
    characteristics: Sequence[Characteristic],
    parts: Sequence[str],
    part_column: str = "split",
) -> pl.DataFrame:
    """Describe the parts of a data set, per encounter and per patient, without small cells.

    Parameters
    ----------
    rows : DataFrame
        ``person_id``, ``prediction_time``, `part_column`, and the column of each characteristic.
    characteristics : sequence of Characteristic
    parts : sequence of str
        Values of `part_column`, such as train, validation and test, or the arms of a trial; the
        first is the one that the others are compared with.
    part_column : str

    Returns
    -------
    DataFrame
        `BASELINE_SCHEMA`: one row per unit, part, characteristic and level. A patient is described
        by their first row of the part. ``median``, quartiles, ``minimum`` and ``maximum`` are
        of numbers (level null), ``count`` and ``share`` of the levels of the others; each
        characteristic with missing values has the level `MISSING`. ``smd`` is the standardised
        mean difference from the first part. All figures of a row are null where ``suppressed``.

    Raises
    ------
    ContractError
        If a column is not there.

    Notes
    -----
    A level is hidden where under 11 patients have it, and so are further levels until the rest
    of the part does not reveal it. Where under 11 patients share the least (greatest) value, the
    value that 11 patients are at or below (above) stands in its place, marked as not exact.
    The difference is (m1 - m0) / sqrt((s1^2 + s0^2) / 2), for a share p with p (1 - p) as the
    variance (Austin, Stat Med 2009; 28:3083).

    Examples
    --------
    >>> from datetime import datetime
    >>> rows = pl.DataFrame({"person_id": range(40), "split": ["train"] * 20 + ["test"] * 20,
    ...     "prediction_time": [datetime(2024, 1, 1)] * 40, "age": [30.0, 40.0] * 20})
    >>> table = baseline_table(rows, characteristics=[Characteristic("Age", feature="age")],
    ...     parts=["train", "test"])
    >>> age = table.filter(unit="patient", part="test", characteristic="Age")
    >>> age.select("median", "minimum", "smd").row(0)
    (35.0, 40.0, 0.0)
    """
    _require_columns(rows, characteristics, part_column)
    found: list[dict[str, Any]] = []
    for unit in UNITS:
        described = [_Part(name, unit, _rows_of(rows, part_column, name, unit)) for name in parts]
        persons = [_rows_of(rows, part_column, name, UNITS[0]) for name in parts]
        for each in characteristics:
            found += _totals(described) if each is characteristics[0] else []
            describe = _numbers if each.kind == "number" else _levels
            found += describe(each, described, persons)
    return pl.DataFrame(found, schema=BASELINE_SCHEMA)


def baseline_summary(table: pl.DataFrame, *, part: str) -> str:
    """The patients of a part in one sentence, as studies say it.

    Parameters
    ----------
    table : DataFrame
        As `baseline_table` gives it.
    part : str

    Returns
    -------
    str
        Empty where nothing may be told.

    Examples
    --------
    >>> baseline_summary(pl.DataFrame(schema=BASELINE_SCHEMA), part="test")
    ''
    """
    of_part = table.filter(unit="patient", part=part, suppressed=False)
    said: list[str] = []
    median = of_part.filter(pl.col("median").is_not_null())
    if median.height:
        first = median.row(0, named=True)
        said.append(
            f"the median {first['characteristic'].lower()} was {first['median']:.0f} "
            f"{first['measured_in'] or ''}".rstrip()
        )
    shares = of_part.filter(pl.col("share").is_not_null(), pl.col("level") != MISSING)
    for name in shares["characteristic"].unique(maintain_order=True):
        most = shares.filter(characteristic=name).sort("share", descending=True).row(0, named=True)
        what = f"had {name}" if most["level"] == YES else f"{most['level']}"
        said.append(f"{most['share']:.0%} {what}")
    total = of_part.filter(pl.col("characteristic") == _ALL)
    if not said or not total.height:
        return ""
    return f"Of {total['count'].item():,} patients, " + ", ".join(said) + "."


_ALL = "All"


def _require_columns(
    rows: pl.DataFrame, characteristics: Sequence[Characteristic], part_column: str
) -> None:
    needed = ["person_id", "prediction_time", part_column, *(c.column for c in characteristics)]
    for name in needed:
        if name not in rows.columns:
            msg = f"the rows must have the column {name} (found none). " + nearest(
                name, rows.columns
            )
            raise ContractError(msg)


def _rows_of(rows: pl.DataFrame, part_column: str, part: str, unit: str) -> pl.DataFrame:
    found = rows.filter(pl.col(part_column) == part).sort("person_id", "prediction_time")
    if unit == UNITS[0]:
        return found
    return found.unique("person_id", keep="first", maintain_order=True)


def _totals(parts: Sequence[_Part]) -> Iterator[dict[str, Any]]:
    for part in parts:
        shown = shown_count(part.rows.height)
        persons = part.rows["person_id"].n_unique()
        told = isinstance(shown, int) and not is_small(persons)
        yield _row(part, _ALL, None, count=shown if told else None, suppressed=not told)


def _row(part: _Part, name: str, level: str | None, **figures: Any) -> dict[str, Any]:
    empty = dict.fromkeys(BASELINE_SCHEMA)
    given = {"unit": part.unit, "part": part.name, "characteristic": name, "level": level}
    return empty | given | {"suppressed": False} | figures


def _numbers(
    each: Characteristic, parts: Sequence[_Part], persons: Sequence[pl.DataFrame]
) -> Iterator[dict[str, Any]]:
    """One row per part, and one for the missing values where there are any."""
    any_missing = any(rows[each.column].null_count() for rows in persons)
    first: np.ndarray | None = None
    for part, all_rows in zip(parts, persons, strict=True):
        valued = part.rows.select("person_id", value=pl.col(each.column).cast(pl.Float64))
        valued = valued.drop_nulls()
        values = valued["value"].to_numpy()
        names = {"measured_in": each.unit}
        if valued["person_id"].n_unique() < SMALLEST_CELL:
            yield _row(part, each.name, None, suppressed=True, **names)
        else:
            smd = None if first is None else _smd(first, values)
            yield _row(part, each.name, None, **names, **_spread(valued), smd=smd)
            first = values if part is parts[0] else first
        if any_missing:
            yield _missing(each, part, all_rows)


def _spread(valued: pl.DataFrame) -> dict[str, Any]:
    """Median, quartiles and ends; an end that few patients have is replaced by a safe one."""
    value = pl.col("value")
    per_person = valued.group_by("person_id").agg(
        value.min().alias("low"), value.max().alias("high")
    )
    low = np.sort(per_person["low"].to_numpy())
    high = np.sort(per_person["high"].to_numpy())[::-1]
    last = SMALLEST_CELL - 1
    quartiles = [float(valued["value"].quantile(q, "linear") or 0.0) for q in (0.25, 0.5, 0.75)]
    return {
        "median": quartiles[1],
        "first_quartile": quartiles[0],
        "third_quartile": quartiles[2],
        "minimum": float(low[last]),
        "maximum": float(high[last]),
        "minimum_is_exact": bool(low[last] == low[0]),
        "maximum_is_exact": bool(high[last] == high[0]),
    }


def _missing(each: Characteristic, part: _Part, all_rows: pl.DataFrame) -> dict[str, Any]:
    """The missing values of a number; hidden where they, or the others, are few patients."""
    flags = pl.col(each.column).is_null()
    persons = [all_rows.filter(side)["person_id"].n_unique() for side in (flags, ~flags)]
    count = part.rows[each.column].null_count()
    if any(map(is_small, (*persons, count, part.rows.height - count))):
        return _row(part, each.name, MISSING, suppressed=True)
    share = count / part.rows.height if part.rows.height else None
    return _row(part, each.name, MISSING, count=count, share=share)


def _levels(
    each: Characteristic, parts: Sequence[_Part], persons: Sequence[pl.DataFrame]
) -> list[dict[str, Any]]:
    """One row per level and part; levels in order of size in all parts, missing last."""
    names = _level_names(each, persons)
    shares: list[dict[str, float | None]] = []
    found: list[dict[str, Any]] = []
    for part, all_rows in zip(parts, persons, strict=True):
        counts = [_count(each, part.rows, name).height for name in names]
        hidden = _hidden(each, part, all_rows, names)
        whole = part.rows.height
        shares.append(
            {
                name: None if hide or not whole else count / whole
                for name, count, hide in zip(names, counts, hidden, strict=True)
            }
        )
        for name, count, hide in zip(names, counts, hidden, strict=True):
            if each.kind == "yes_no" and name not in {YES, MISSING}:
                continue
            smd = _smd_of_shares(shares[0][name], shares[-1][name])
            figures = {"count": count, "share": shares[-1][name], "smd": smd}
            if len(shares) == 1:
                figures["smd"] = None
            found.append(_row(part, each.name, name, **({"suppressed": True} if hide else figures)))
    order = {name: number for number, name in enumerate(names)}
    return sorted(found, key=lambda row: order[row["level"]])


def _hidden(
    each: Characteristic, part: _Part, all_rows: pl.DataFrame, names: Sequence[str]
) -> list[bool]:
    """Levels that are hidden: by patients of any row, by first rows, or by encounters."""
    first = all_rows.unique("person_id", keep="first", maintain_order=True)
    ways = [
        [_count(each, rows, name).height for name in names] for rows in (all_rows, first, part.rows)
    ]
    ways.append([_count(each, all_rows, name)["person_id"].n_unique() for name in names])
    return [any(flags) for flags in zip(*map(hidden_parts, ways), strict=True)]


def _level_names(each: Characteristic, persons: Sequence[pl.DataFrame]) -> list[str]:
    values = pl.concat([_as_levels(each, rows) for rows in persons])
    counts = values.value_counts(sort=True)
    names = [str(name) for name in counts.to_series(0).to_list() if name != MISSING]
    if each.kind == "yes_no":
        names = [YES, "no"]
    return [*names, *([MISSING] if (values == MISSING).any() else [])]


def _as_levels(each: Characteristic, rows: pl.DataFrame) -> pl.Series:
    column = pl.col(each.column)
    if each.kind == "yes_no":
        column = pl.when(column > 0).then(pl.lit(YES)).when(column <= 0).then(pl.lit("no"))
    else:
        column = column.cast(pl.String)
    return rows.select(column.fill_null(MISSING).alias("level")).to_series()


def _count(each: Characteristic, rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows.select("person_id").filter(_as_levels(each, rows) == name)


def _smd(first: np.ndarray, other: np.ndarray) -> float | None:
    deviation = float(np.sqrt((first.var(ddof=1) + other.var(ddof=1)) / 2))
    if deviation == 0:
        return 0.0 if first.mean() == other.mean() else None
    return float((other.mean() - first.mean()) / deviation)


def _smd_of_shares(first: float | None, other: float | None) -> float | None:
    if first is None or other is None:
        return None
    deviation = float(np.sqrt((first * (1 - first) + other * (1 - other)) / 2))
    if deviation == 0:
        return 0.0 if first == other else None
    return (other - first) / deviation
