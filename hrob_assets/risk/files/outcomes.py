"""Time-stamped scores of any model with their outcomes, from a file: checked before use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from hrob_assets.risk.disclosure import in_words
from hrob_assets.risk.errors import ConfigurationError, ContractError
from hrob_assets.risk.files.table import (
    flags,
    group_names,
    probabilities,
    read_table,
    require_columns,
    require_filled,
    require_key,
    times,
)
from hrob_assets.risk.tables import TIMESTAMP

_OWN = ("person_id", "encounter_id", "prediction_time", "week", "model_version", "probability",
        "high_risk", "status", "label", "ripe_at", "ripe_week", "outcome", "outcome_at",
        "known_at", "label_now", "censored_at", "followed", "in_use", "all")  # fmt: skip


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
    words = [columns.person, columns.model_version or "", *columns.groups]
    frame = read_table(file, text=words)
    _require_names(frame, columns)
    return check_outcomes(frame, columns, threshold=threshold)


def _require_names(frame: pl.DataFrame, columns: OutcomeColumns) -> None:
    require_columns(frame, columns.named)
    single = [name for option, name in columns.named if option not in {"groups", "features"}]
    for names in (single, columns.groups, columns.features):
        if twice := [name for name in names if list(names).count(name) > 1]:
            msg = f"each column must be named once (found {twice[0]!r} twice); name another one"
            raise ConfigurationError(msg)
    for option in ("groups", "features"):
        for name in {columns.person, columns.time} & {*getattr(columns, option)}:
            msg = (
                f"--{option} must not name the column of --person or of --time (found {name!r}): "
                "what is told of a level would tell of one person; leave it out"
            )
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
    11 of 1 rows that are not); write them as 2024-12-31, 2024-12-31T23:59:59 or
    2024-12-31T23:59:59Z
    """
    person = frame[columns.person]
    require_filled(person, "a person", then=_FILL)
    version = frame[columns.model_version] if columns.model_version else pl.Series(["1"])
    require_filled(version, "a model version", then=_FILL)
    probability = probabilities(frame[columns.probability])
    one = {
        "person_id": group_names(person).rank("dense").cast(pl.Int64),
        "encounter_id": pl.int_range(frame.height, dtype=pl.Int64, eager=True),
        "prediction_time": times(frame[columns.time]),
        "probability": probability,
        "high_risk": probability >= (2.0 if threshold is None else threshold),
        "outcome": flags(frame[columns.outcome]),
    }
    for name in ("known_at", "censored_at", "outcome_at"):
        column = getattr(columns, name)
        empty = pl.Series([None] * frame.height, dtype=TIMESTAMP)
        one[name] = empty if column is None else times(frame[column], required=False)
    extra = [group_names(frame[name]) for name in columns.groups]
    features = (frame[name] for name in columns.features if name not in columns.groups)
    extra += [group_names(each) if each.dtype.is_nested() else each for each in features]
    checked = pl.DataFrame([series.alias(name) for name, series in one.items()] + extra)
    checked = checked.with_columns(
        (version.cast(pl.String) if columns.model_version else pl.lit("1")).alias("model_version")
    )
    key = ["person_id", "prediction_time", "model_version"]
    require_key(checked, key, named=[columns.person, columns.time])
    for name in ("known_at", "outcome_at"):
        _require_after(checked, name, getattr(columns, name), columns.time)
    return checked


_FILL = "fill them in or remove the rows"


def _require_after(checked: pl.DataFrame, name: str, column: str | None, time: str) -> None:
    """Refuse outcomes that happened, or were known, before they were predicted."""
    early = int((checked[name] < checked["prediction_time"]).sum())
    if early:
        msg = (
            f"column {column!r} must not lie before {time!r} (found {in_words(early)} of "
            f"{checked.height} rows in which it does): what is known before a prediction is no "
            "outcome of it; correct the times or remove the rows"
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
