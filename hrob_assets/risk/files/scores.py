"""Predictions of any model, from a file: checked before anything is computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from hrob_assets.risk.disclosure import SMALLEST_CELL
from hrob_assets.risk.errors import ConfigurationError
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
    frame = read_table(file, text=[columns.person])
    _require_names(frame, columns)
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
    fewer than 11 of 3 rows above 1); if they are percent, divide by 100
    """
    person = frame[columns.person]
    require_filled(person, "a person", then="remove these rows")
    outcome = frame[columns.outcome]
    require_filled(outcome, "the outcome", then=_KNOWN)
    found = {
        "person_id": _numbered(person),
        "probability": probabilities(frame[columns.probability]),
        "outcome": flags(outcome).cast(pl.Int8),
    }
    if columns.time is not None:
        found["prediction_time"] = times(frame[columns.time])
    if columns.seen is not None:
        seen = frame[columns.seen]
        require_filled(seen, "the mark", then="fill it in")
        found["person_seen"] = flags(seen)
    for name in columns.groups:
        found[name] = group_names(frame[name])
    checked = pl.DataFrame({name: values.alias(name) for name, values in found.items()})
    if columns.time is not None:
        require_key(checked, ["person_id", "prediction_time"], named=[columns.person, columns.time])
    return checked


_KNOWN = "keep only rows whose outcome is known, and say how many are not"


FEW_PERSONS = f"levels of fewer than {SMALLEST_CELL} persons"


def without_small_levels(scores: pl.DataFrame, groups: Sequence[str]) -> pl.DataFrame:
    """Take levels of fewer than 11 persons together: the name of one may tell who they are.

    ``Unknown`` tells nobody and stays.

    Parameters
    ----------
    scores : DataFrame
        From `read_scores`.
    groups : sequence of str

    Examples
    --------
    >>> scores = pl.DataFrame({"person_id": range(14), "site": ["A"] * 12 + ["Dr X", "Dr Y"]})
    >>> without_small_levels(scores, ["site"])["site"].unique().sort().to_list()
    ['A', 'levels of fewer than 11 persons']
    """
    persons = pl.col("person_id").n_unique()
    return scores.with_columns(
        pl.when(
            (pl.col(name).fill_null("Unknown") == "Unknown") | (persons.over(name) >= SMALLEST_CELL)
        )
        .then(name)
        .otherwise(pl.lit(FEW_PERSONS))
        .alias(name)
        for name in groups
    )


def _numbered(person: pl.Series) -> pl.Series:
    """Number persons in the order in which they appear, the same whatever their type."""
    frame = person.alias("person").to_frame()
    numbers = frame.unique(maintain_order=True).with_row_index("number", offset=1)
    joined = frame.join(numbers, on="person", how="left", maintain_order="left")
    return joined["number"].cast(pl.Int64)


def _require_names(frame: pl.DataFrame, columns: ScoreColumns) -> None:
    require_columns(frame, [*columns.named.items()])
    taken: dict[str, str] = {}
    for option, name in columns.named.items():
        whose = taken.get(name) in {"person", "time"}
        if name in taken and (whose or not option.startswith("groups")):
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
