"""Predictions of any model, from a file: checked before anything is computed from them."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from hrob_assets.risk.errors import ConfigurationError, ContractError, SourceError, nearest
from hrob_assets.risk.small_cells import in_words

_OF_FILE = (".parquet", ".csv")


@dataclass(frozen=True)
class ScoreColumns:
    """Which column of a score file is what.

    Parameters
    ----------
    person : str
        Patient or member, of any type; rows of one are drawn together.
    probability : str
        Predicted risk, 0 to 1.
    outcome : str
        What happened: 0 or 1, or true or false.
    time : str, optional
        When the prediction was made, a date or a time; with the person it is the key of a row.
    seen : str, optional
        Whether training has a row of the patient: 0 or 1, or true or false.
    groups : tuple of str
        Columns whose levels are groups.
    """

    person: str
    probability: str
    outcome: str
    time: str | None = None
    seen: str | None = None
    groups: tuple[str, ...] = ()

    @property
    def named(self) -> dict[str, str]:
        """Option and column, of all that are given."""
        named = {
            "person": self.person,
            "probability": self.probability,
            "outcome": self.outcome,
            "time": self.time,
            "seen": self.seen,
        }
        groups = {f"groups ({name})": name for name in self.groups}
        return {option: name for option, name in named.items() if name is not None} | groups


def read_scores(file: Path, columns: ScoreColumns) -> pl.DataFrame:
    """Read a score file as `evaluate_scores` takes it.

    Parameters
    ----------
    file : Path
        Parquet or CSV with a header.
    columns : ScoreColumns

    Returns
    -------
    DataFrame
        ``person_id`` (a number that stands for the person), ``probability``, ``outcome``, and
        where they are named ``prediction_time``, ``person_seen`` and the groups as text.

    Raises
    ------
    SourceError
        If the file cannot be read.
    ConfigurationError
        If a column is not there, or two options name the same one.
    ContractError
        If a value breaks what its column must hold; no value is told.
    """
    frame = _read(file, columns.person)
    _require_columns(frame, columns)
    if frame.is_empty():
        msg = f"a score file must have rows (found none in {file.name}); choose another file"
        raise ContractError(msg)
    return check_scores(frame, columns)


def check_scores(frame: pl.DataFrame, columns: ScoreColumns) -> pl.DataFrame:
    """Check and rename the columns of scores; as `read_scores`, of a frame.

    Examples
    --------
    >>> frame = pl.DataFrame({"member": ["a", "a", "b"], "p": [0.1, 0.2, 1.3], "y": [0, 1, 0]})
    >>> check_scores(frame, ScoreColumns("member", "p", "y"))
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ContractError: column 'p' must hold probabilities from 0 to 1 (found
    fewer than 11 of 3 rows outside, the highest 1.3); if they are percent, divide by 100
    """
    person = frame[columns.person]
    if nulls := person.null_count():
        _refuse(columns.person, "a person in every row", nulls, frame.height, "remove these rows")
    found = {
        "person_id": _numbered(person),
        "probability": _probability(frame[columns.probability]),
        "outcome": _flag(frame[columns.outcome], "outcome"),
    }
    if columns.time is not None:
        found["prediction_time"] = _time(frame[columns.time])
    if columns.seen is not None:
        found["person_seen"] = _flag(frame[columns.seen], "mark").cast(pl.Boolean)
    for name in columns.groups:
        found[name] = group_names(frame[name])
    checked = pl.DataFrame({name: values.alias(name) for name, values in found.items()})
    _require_key(checked, columns)
    return checked


def _numbered(person: pl.Series) -> pl.Series:
    """Number persons in the order in which they appear, the same whatever their type."""
    frame = person.alias("person").to_frame()
    numbers = frame.unique(maintain_order=True).with_row_index("number", offset=1)
    joined = frame.join(numbers, on="person", how="left", maintain_order="left")
    return joined["number"].cast(pl.Int64)


def _read(file: Path, person: str) -> pl.DataFrame:
    if file.suffix.lower() not in _OF_FILE:
        msg = (
            f"a score file must end in .parquet or .csv (found {file.name}); "
            "convert it, or change its name"
        )
        raise SourceError(msg)
    if not file.is_file():
        msg = f"a score file must exist (found none at {file}); check the path"
        raise SourceError(msg)
    try:
        if file.suffix.lower() == ".parquet":
            return pl.read_parquet(file)
        header = pl.read_csv(file, n_rows=0).columns
        text = {person: pl.String} if person in header else {}  # 007 and 7 are two persons
        return pl.read_csv(
            file, infer_schema_length=None, schema_overrides=text, try_parse_dates=True
        )
    except (PolarsError, OSError, UnicodeDecodeError):
        kind = file.suffix.lower().removeprefix(".")
        msg = (
            f"{file.name} must be a readable {kind} file with a header (it is damaged, empty or "
            "of another format); write it again"
        )
        raise SourceError(msg) from None  # the message of the reader may quote values


def _require_columns(frame: pl.DataFrame, columns: ScoreColumns) -> None:
    for option, name in columns.named.items():
        if name not in frame.columns:
            msg = (
                f"--{option} must name a column of the score file (found no column {name!r}). "
                f"{nearest(name, frame.columns)}"
            )
            raise ConfigurationError(msg)
    taken: dict[str, str] = {}
    for option, name in columns.named.items():
        if name in taken and not (option.startswith("groups") and taken[name] != option):
            msg = f"--{taken[name]} and --{option} must name two columns (found {name!r} twice)"
            raise ConfigurationError(msg)
        taken[name] = option
    standard = {"person_id", "probability", "outcome", "prediction_time", "person_seen"}
    for name in columns.groups:
        if name in standard or columns.groups.count(name) > 1:
            msg = (
                f"--groups must name each group once, and not {', '.join(sorted(standard))} "
                f"(found {name!r}); rename the column"
            )
            raise ConfigurationError(msg)


def _probability(values: pl.Series) -> pl.Series:
    if not values.dtype.is_numeric() or values.dtype == pl.Boolean:
        msg = (
            f"column {values.name!r} must hold probabilities as numbers (found {values.dtype}); "
            "convert it"
        )
        raise ContractError(msg)
    numbers = values.cast(pl.Float64)
    missing = numbers.null_count() + int(numbers.is_nan().sum())
    if missing:
        _refuse(values.name, "a probability in every row", missing, len(values), "score them")
    outside = numbers.filter((numbers < 0) | (numbers > 1))
    if len(outside):
        extreme = max(outside.to_list(), key=lambda value: abs(value - 0.5))
        side = "highest" if extreme > 1 else "lowest"
        msg = (
            f"column {values.name!r} must hold probabilities from 0 to 1 (found "
            f"{in_words(len(outside))} of {len(values)} rows outside, the {side} {extreme:g}); "
            "if they are percent, divide by 100"
        )
        raise ContractError(msg)
    return numbers


def _flag(values: pl.Series, what: str) -> pl.Series:
    if nulls := values.null_count():
        _refuse(
            values.name, f"the {what} in every row", nulls, len(values),
            "keep only rows whose outcome is known, and say how many are not",
        )  # fmt: skip
    if values.dtype != pl.Boolean and not (
        values.dtype.is_numeric() and values.cast(pl.Float64).is_in([0.0, 1.0]).all()
    ):
        msg = (
            f"column {values.name!r} must hold 0 or 1, or true or false (found other values, "
            f"of type {values.dtype}); convert it"
        )
        raise ContractError(msg)
    return values.cast(pl.Int8)


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


def _time(values: pl.Series) -> pl.Series:
    if values.dtype != pl.Date and not isinstance(values.dtype, pl.Datetime):
        msg = (
            f"column {values.name!r} must hold dates or times (found {values.dtype}); "
            "write them as 2024-12-31 or 2024-12-31T23:59:59"
        )
        raise ContractError(msg)
    if nulls := values.null_count():
        _refuse(values.name, "a time in every row", nulls, len(values), "fill it in")
    if isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone is not None:
        values = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return values.cast(pl.Datetime("us"))


def _require_key(scores: pl.DataFrame, columns: ScoreColumns) -> None:
    if columns.time is None:
        return
    twice = scores.height - scores.select("person_id", "prediction_time").n_unique()
    if twice:
        msg = (
            f"{columns.person!r} and {columns.time!r} must be one row's key (found "
            f"{in_words(twice)} rows of a person and time that came before); remove duplicates"
        )
        raise ContractError(msg)


def _refuse(column: str, what: str, count: int, rows: int, then: str) -> None:
    msg = f"column {column!r} must have {what} (found {in_words(count)} of {rows} without); {then}"
    raise ContractError(msg)
