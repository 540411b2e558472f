"""A table from a file, and the checks that its columns share; no value of a person is told."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from hrob_assets.risk.disclosure import in_words
from hrob_assets.risk.errors import ConfigurationError, ContractError, SourceError, nearest
from hrob_assets.risk.tables import TIMESTAMP

_SUFFIXES = (".parquet", ".csv")
_DAY = "%Y-%m-%d"
_CLOCK = ("%FT%T%.f", "%FT%R")
_HOW = "write them as 2024-12-31, 2024-12-31T23:59:59 or 2024-12-31T23:59:59Z"


def read_table(file: Path, *, text: Sequence[str] = ()) -> pl.DataFrame:
    """Read Parquet, or CSV with a header; dates of a CSV stay text, for `times` to read.

    Parameters
    ----------
    file : Path
    text : sequence of str
        Columns of a CSV that are words even where they look like numbers: 007 and 7 are two.

    Raises
    ------
    SourceError
        If it is not there, of another format, or damaged.
    ContractError
        If it has no rows.
    """
    kind = file.suffix.lower()
    if kind not in _SUFFIXES:
        msg = (
            f"a score file must end in .parquet or .csv (found {file.name}); "
            "convert it, or change its name"
        )
        raise SourceError(msg)
    if not file.is_file():
        msg = f"a score file must exist (found none at {file}); check the path"
        raise SourceError(msg)
    try:
        frame = pl.read_parquet(file) if kind == ".parquet" else _read_csv(file, text)
    except (PolarsError, OSError, UnicodeDecodeError):
        msg = (
            f"{file.name} must be a readable {kind[1:]} file with a header (it is damaged, empty "
            "or of another format); write it again"
        )
        raise SourceError(msg) from None  # the message of the reader may quote values
    if frame.is_empty():
        msg = f"a score file must have rows (found none in {file.name}); choose another file"
        raise ContractError(msg)
    return frame


def _read_csv(file: Path, text: Sequence[str]) -> pl.DataFrame:
    header = pl.read_csv(file, n_rows=0).columns
    words = {name: pl.String for name in text if name in header}
    return pl.read_csv(file, infer_schema_length=None, schema_overrides=words)


def require_columns(frame: pl.DataFrame, named: Sequence[tuple[str, str]]) -> None:
    """Refuse a name of a column that is not there.

    Parameters
    ----------
    frame : DataFrame
    named : sequence of (option, column)
    """
    for option, name in named:
        if name not in frame.columns:
            msg = (
                f"--{option} must name a column of the score file (found no column {name!r}). "
                f"{nearest(name, frame.columns)}"
            )
            raise ConfigurationError(msg)


def require_filled(values: pl.Series, what: str, *, then: str) -> None:
    """Refuse a column with rows that have nothing in it.

    Parameters
    ----------
    values : Series
    what : str
        That must be in every row.
    then : str
        What to do.
    """
    missing = values.null_count()
    if values.dtype.is_float():
        missing += int(values.is_nan().sum())
    if missing:
        msg = (
            f"column {values.name!r} must have {what} in every row (found {in_words(missing)} of "
            f"{len(values)} without); {then}"
        )
        raise ContractError(msg)


def probabilities(values: pl.Series) -> pl.Series:
    """Numbers from 0 to 1, one in every row."""
    if not values.dtype.is_numeric():
        msg = (
            f"column {values.name!r} must hold probabilities as numbers (found {values.dtype}); "
            "convert it"
        )
        raise ContractError(msg)
    numbers = values.cast(pl.Float64)
    require_filled(numbers, "a probability", then="score these rows")
    outside = numbers.filter((numbers < 0) | (numbers > 1))
    if len(outside):
        sides = [
            side
            for side, found in (("below 0", (outside < 0).any()), ("above 1", (outside > 1).any()))
            if found
        ]
        msg = (
            f"column {values.name!r} must hold probabilities from 0 to 1 (found "
            f"{in_words(len(outside))} of {len(values)} rows {' and '.join(sides)}); "
            "if they are percent, divide by 100"
        )
        raise ContractError(msg)
    return numbers


def flags(values: pl.Series) -> pl.Series:
    """Booleans of 0 or 1, true or false; null stays null."""
    known = values.drop_nulls()
    if known.is_empty():
        return pl.Series(values.name, [None] * len(values), dtype=pl.Boolean)
    if values.dtype == pl.Boolean:
        return values
    if not (values.dtype.is_numeric() and known.cast(pl.Float64).is_in([0.0, 1.0]).all()):
        msg = (
            f"column {values.name!r} must hold 0 or 1, or true or false (found other values, "
            f"of type {values.dtype}); convert it"
        )
        raise ContractError(msg)
    return values.cast(pl.Boolean)


def times(values: pl.Series, *, required: bool = True) -> pl.Series:
    """Dates, times and their ISO 8601 texts as times in UTC, without a zone.

    Parameters
    ----------
    values : Series
        A text may end with ``Z`` or an offset; without one it is UTC. A day is its midnight.
    required : bool
        Whether every row must have one.

    Examples
    --------
    >>> text = ["2024-01-02", "2024-01-02T03:04:05Z", "2024-01-02 03:04:05.5+02:00", ""]
    >>> times(pl.Series("t", text), required=False).dt.to_string("%F %T%.3f").to_list()
    ['2024-01-02 00:00:00.000', '2024-01-02 03:04:05.000', '2024-01-02 01:04:05.500', None]
    """
    if required:
        require_filled(values, "a time", then="fill it in")
    if isinstance(values.dtype, pl.Datetime):
        zoned = values.dtype.time_zone is not None
        naive = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else values
        return naive.cast(TIMESTAMP)
    if values.dtype == pl.Date or values.dtype == pl.Null:  # noqa: PLR1714 - types compare, they are no members
        return values.cast(TIMESTAMP)
    wrong = len(values) - values.null_count()
    parsed = values
    if values.dtype == pl.String:
        text = values.str.strip_chars()
        parsed = _parsed(text)
        wrong = int((parsed.is_null() & values.is_not_null() & (text != "")).sum())
    if wrong:
        msg = (
            f"column {values.name!r} must hold dates or times (found {in_words(wrong)} of "
            f"{len(values)} rows that are not); {_HOW}"
        )
        raise ContractError(msg)
    if required:
        require_filled(parsed, "a time", then="fill it in")
    return parsed.cast(TIMESTAMP)


def _parsed(text: pl.Series) -> pl.Series:
    """Times of texts, null where one is none."""
    iso = pl.col("text").str.replace(r"^(\S+) +(\d)", "${1}T${2}")
    zoned = iso.str.replace(r"[Zz]$", "+00:00").str.replace(r"([+-]\d\d)$", "${1}:00")
    tries = [iso.str.to_datetime(_DAY, strict=False, time_unit="us")]
    for clock in _CLOCK:
        tries.append(iso.str.to_datetime(clock, strict=False, time_unit="us"))
        at = zoned.str.to_datetime(f"{clock}%z", strict=False, time_unit="us")
        tries.append(at.dt.convert_time_zone("UTC").dt.replace_time_zone(None))
    frame = text.alias("text").to_frame()
    return frame.select(pl.coalesce(tries)).to_series().alias(text.name)


def group_names(values: pl.Series) -> pl.Series:
    """Levels of a group as text.

    Raises
    ------
    ContractError
        If they are lists, records or bytes.
    """
    if values.dtype.is_nested() or isinstance(values.dtype, pl.Binary | pl.Object):
        msg = (
            f"column {values.name!r} must hold one name or number per row (found "
            f"{values.dtype.base_type()}); make a column of each part"
        )
        raise ContractError(msg)
    return values.cast(pl.String)


def require_key(checked: pl.DataFrame, key: Sequence[str], *, named: Sequence[str]) -> None:
    """Refuse rows that come twice.

    Parameters
    ----------
    checked : DataFrame
    key : sequence of str
        Columns that are different in every two rows.
    named : sequence of str
        What they are called in the file.
    """
    if twice := checked.height - checked.select(key).n_unique():
        together = " and ".join(repr(name) for name in named)
        msg = (
            f"{together} must be one row's key (found {in_words(twice)} rows whose key came "
            "before); remove duplicates"
        )
        raise ContractError(msg)
