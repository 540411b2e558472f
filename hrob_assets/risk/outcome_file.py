"""Time-stamped scores of any model with their outcomes, from a file: checked before use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from hrob_assets.risk.errors import ConfigurationError, ContractError, SourceError, nearest
from hrob_assets.risk.score_file import group_names
from hrob_assets.risk.small_cells import in_words
from hrob_assets.risk.tables import TIMESTAMP

_SUFFIXES = (".parquet", ".csv")
_OWN = ("person_id", "encounter_id", "prediction_time", "week", "model_version", "probability",
        "high_risk", "status", "label", "ripe_at", "ripe_week", "outcome", "outcome_at",
        "known_at", "label_now", "censored_at", "in_use", "all")  # fmt: skip


@dataclass(frozen=True)
class OutcomeColumns:
    """Which column of the file is what.

    Parameters
    ----------
    person : str
    time : str
        When the prediction was made.
    probability : str
        Predicted risk, 0 to 1.
    outcome : str
        0 or 1, or true or false; empty where it is not known.
    known_at : str
        When the outcome, or the absence of it, became known; empty where it is not.
    censored_at : str, optional
        When observation ended, such as on leaving the plan; empty where it did not.
    outcome_at : str, optional
        When the outcome happened; makes the sensitivity to censoring exact.
    model_version : str, optional
    groups, features : tuple of str
        Columns whose levels have a detector, and columns whose drift is looked at.
    """

    person: str
    time: str
    probability: str
    outcome: str
    known_at: str
    censored_at: str | None = None
    outcome_at: str | None = None
    model_version: str | None = None
    groups: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    @property
    def named(self) -> list[tuple[str, str]]:
        """Option and column, of all that are given."""
        single = [
            (name.replace("_", "-"), value)
            for name, value in vars(self).items()
            if isinstance(value, str)
        ]
        many = [(option, name) for option in ("groups", "features") for name in vars(self)[option]]
        return single + many


def read_outcomes(file: Path, columns: OutcomeColumns, *, threshold: float | None) -> pl.DataFrame:
    """Read a file as `ledger.ledger_of_known_outcomes` takes it.

    Parameters
    ----------
    file : Path
        Parquet, or CSV with a header.
    columns : OutcomeColumns
    threshold : float, optional
        High risk is this or more; without one no row is.

    Returns
    -------
    DataFrame
        ``person_id`` (a number that stands for the person), ``encounter_id`` (number of the row in
        the file, from 0), ``prediction_time``, ``model_version``, ``probability``,
        ``high_risk``, ``outcome``, ``known_at``, ``censored_at``, ``outcome_at``, the groups as
        text and the features as they are.

    Raises
    ------
    SourceError
        If the file cannot be read.
    ConfigurationError
        If a column is not there, or one is named twice.
    ContractError
        If a value breaks what its column must hold; no value of a person is told.
    """
    frame = _read(file, columns)
    _require_columns(frame, columns)
    if frame.is_empty():
        msg = f"{file.name} must have rows (found none); choose another file"
        raise ContractError(msg)
    return check_outcomes(frame, columns, threshold=threshold)


def _read(file: Path, columns: OutcomeColumns) -> pl.DataFrame:
    if file.suffix.lower() not in _SUFFIXES:
        msg = f"a score file must end in .parquet or .csv (found {file.name}); convert it"
        raise SourceError(msg)
    if not file.is_file():
        msg = f"a score file must exist (found none at {file}); check the path"
        raise SourceError(msg)
    try:
        if file.suffix.lower() == ".parquet":
            return pl.read_parquet(file)
        header = pl.read_csv(file, n_rows=0).columns
        words = [columns.person, columns.model_version or "", *columns.groups]
        text = {name: pl.String for name in words if name in header}  # 007 and 7 are two persons
        return pl.read_csv(
            file, infer_schema_length=None, schema_overrides=text, try_parse_dates=True
        )
    except (PolarsError, OSError, UnicodeDecodeError):
        msg = (
            f"{file.name} must be a readable {file.suffix.lower()[1:]} file (it is damaged, empty "
            "or of another format); write it again"
        )
        raise SourceError(msg) from None  # the message of the reader may quote values


def _require_columns(frame: pl.DataFrame, columns: OutcomeColumns) -> None:
    for option, name in columns.named:
        if name not in frame.columns:
            msg = (
                f"--{option} must name a column of the file (found no column {name!r}). "
                f"{nearest(name, frame.columns)}"
            )
            raise ConfigurationError(msg)
    single = [name for option, name in columns.named if option not in {"groups", "features"}]
    for names in (single, columns.groups, columns.features):
        if twice := [name for name in names if list(names).count(name) > 1]:
            msg = f"each column must be named once (found {twice[0]!r} twice); name another one"
            raise ConfigurationError(msg)
    if taken := [name for name in {*columns.groups, *columns.features} if name in _OWN]:
        msg = (
            f"a group or feature must not be called {', '.join(sorted(taken))} (a name of the "
            "ledger); rename the column"
        )
        raise ConfigurationError(msg)


def check_outcomes(
    frame: pl.DataFrame, columns: OutcomeColumns, *, threshold: float | None
) -> pl.DataFrame:
    """Check and rename columns; as `read_outcomes`, of a frame.

    Examples
    --------
    >>> frame = pl.DataFrame({"who": ["a"], "t": ["2024-13-01"], "p": [0.1], "y": [0],
    ...     "k": [None]})
    >>> check_outcomes(frame, OutcomeColumns("who", "t", "p", "y", "k"), threshold=None)
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ContractError: column 't' must hold dates or times (found fewer than
    11 of 1 rows that are not); write them as 2024-12-31 or 2024-12-31T23:59:59
    """
    person = frame[columns.person]
    _require_filled(person, "a person")
    version = frame[columns.model_version] if columns.model_version else pl.Series(["1"])
    _require_filled(version, "a model version")
    probability = _probability(frame[columns.probability])
    one = {
        "person_id": person.rank("dense").cast(pl.Int64),
        "encounter_id": pl.int_range(frame.height, dtype=pl.Int64, eager=True),
        "prediction_time": _time(frame[columns.time], required=True),
        "probability": probability,
        "high_risk": probability >= (2.0 if threshold is None else threshold),
        "outcome": _outcome(frame[columns.outcome]),
    }
    for name in ("known_at", "censored_at", "outcome_at"):
        column = getattr(columns, name)
        empty = pl.Series([None] * frame.height, dtype=TIMESTAMP)
        one[name] = empty if column is None else _time(frame[column], required=False)
    extra = [group_names(frame[name]) for name in columns.groups]
    features = (frame[name] for name in columns.features if name not in columns.groups)
    extra += [group_names(each) if each.dtype.is_nested() else each for each in features]
    checked = pl.DataFrame([series.alias(name) for name, series in one.items()] + extra)
    checked = checked.with_columns(
        (version.cast(pl.String) if columns.model_version else pl.lit("1")).alias("model_version")
    )
    _require_once(checked, columns)
    return checked


def _require_filled(values: pl.Series, what: str) -> None:
    if nulls := values.null_count():
        msg = (
            f"column {values.name!r} must have {what} in every row (found {in_words(nulls)} of "
            f"{values.len()} without); fill them in or remove the rows"
        )
        raise ContractError(msg)


def _probability(values: pl.Series) -> pl.Series:
    if not values.dtype.is_numeric():
        msg = f"column {values.name!r} must hold numbers from 0 to 1 (found {values.dtype})"
        raise ContractError(msg + "; convert it")
    numbers = values.cast(pl.Float64).fill_null(float("nan"))
    wrong = int((~numbers.is_between(0, 1) | numbers.is_nan()).sum())
    if wrong:
        msg = (
            f"column {values.name!r} must hold probabilities from 0 to 1 (found {in_words(wrong)} "
            f"of {values.len()} rows outside or without); if they are percent, divide by 100"
        )
        raise ContractError(msg)
    return numbers


def _outcome(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Boolean or values.dtype == pl.Null:  # noqa: PLR1714 - types compare, they are no members
        return values.cast(pl.Boolean)
    known = values.drop_nulls()
    if not (values.dtype.is_numeric() and known.cast(pl.Float64).is_in([0.0, 1.0]).all()):
        msg = (
            f"column {values.name!r} must hold 0 or 1, true or false, or nothing (found other "
            f"values, of type {values.dtype}); convert it"
        )
        raise ContractError(msg)
    return values.cast(pl.Boolean)


def _time(values: pl.Series, *, required: bool) -> pl.Series:
    if required:
        _require_filled(values, "a time")
    if isinstance(values.dtype, pl.Datetime):
        zoned = values.dtype.time_zone is not None
        naive = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else values
        return naive.cast(TIMESTAMP)
    if values.dtype == pl.Date or values.dtype == pl.Null:  # noqa: PLR1714 - as above
        return values.cast(TIMESTAMP)
    if values.dtype == pl.String:
        text = values.str.strip_chars()
        parsed = text.str.to_datetime("%Y-%m-%d", strict=False, time_unit="us").fill_null(
            text.str.replace(" ", "T").str.to_datetime("%FT%T%.f", strict=False, time_unit="us")
        )
        wrong = int((parsed.is_null() & values.is_not_null() & (text != "")).sum())
    else:
        parsed, wrong = values, values.len() - values.null_count()
    if wrong:
        msg = (
            f"column {values.name!r} must hold dates or times (found {in_words(wrong)} of "
            f"{values.len()} rows that are not); write them as 2024-12-31 or 2024-12-31T23:59:59"
        )
        raise ContractError(msg)
    if required:
        _require_filled(parsed, "a time")
    return parsed.cast(TIMESTAMP)


def _require_once(checked: pl.DataFrame, columns: OutcomeColumns) -> None:
    key = ["person_id", "prediction_time", "model_version"]
    if twice := checked.height - checked.select(key).n_unique():
        msg = (
            f"{columns.person!r} and {columns.time!r} must be a row's key (found {in_words(twice)} "
            "rows of a person, time and version that came before); remove duplicates"
        )
        raise ContractError(msg)


def require_as_of(checked: pl.DataFrame, as_of: datetime) -> None:
    """Refuse a moment before anything was predicted."""
    first = checked["prediction_time"].sort()[0]
    if first > as_of:
        msg = (
            f"--as-of must lie after the first prediction (found {as_of:%Y-%m-%d} and predictions "
            f"from {first:%Y-%m-%d} on); choose a later day"
        )
        raise ConfigurationError(msg)


def group_levels(checked: pl.DataFrame, groups: Sequence[str]) -> dict[str, list[str]]:
    """Levels of each group, sorted; null as ``Unknown``."""
    return {name: checked[name].fill_null("Unknown").unique().sort().to_list() for name in groups}
