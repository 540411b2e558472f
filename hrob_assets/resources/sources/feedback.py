"""What people did with the list, and the secret by which the silent arm is drawn."""

import os
from pathlib import Path

import dagster as dg
import polars as pl

from hrob_assets.risk.errors import ConfigurationError, ContractError, nearest
from hrob_assets.risk.tables import TIMESTAMP
from hrob_assets.risk.use_case import SilentArm

_COLUMNS = {"person_id": pl.Int64, "reviewed_at": TIMESTAMP, "acted_at": TIMESTAMP}


class Feedback(dg.ConfigurableResource):
    """Reviews and actions, one file per use case, and the salt of the silent arm.

    Parameters
    ----------
    folder : str
        With ``<use case>.csv`` or ``<use case>.parquet``: ``person_id``, ``reviewed_at`` and
        ``acted_at`` (UTC, ISO 8601; empty when not). No file: nothing was recorded.
    salt_variable : str, optional
        Name of the variable with the secret; needed where a use case has a silent arm.
    """

    folder: str
    salt_variable: str | None = None

    def actions(self, use_case_name: str) -> pl.DataFrame | None:
        """What was recorded; None without a file.

        Raises
        ------
        ContractError
            If a column is missing or cannot be read as what it must be.
        """
        for suffix, read in ((".parquet", pl.read_parquet), (".csv", _read_csv)):
            path = Path(self.folder) / f"{use_case_name}{suffix}"
            if path.exists():
                return _checked(read(path), path.name)
        return None

    def salt(self, arm: SilentArm) -> str:
        """The secret; empty where there is no silent arm.

        Raises
        ------
        ConfigurationError
            If there is a silent arm and no secret.
        """
        if arm.share == 0:
            return ""
        found = os.environ.get(self.salt_variable or "")
        if not found:
            name = self.salt_variable or "silent_arm_salt_variable of the environment"
            msg = (
                f"a silent arm must be drawn by a secret (found nothing in {name}); name a "
                "variable in the environment YAML and set it, for good"
            )
            raise ConfigurationError(msg)
        return found


def _read_csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def _checked(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    for column in _COLUMNS:
        if column not in frame.columns:
            hint = nearest(column, frame.columns)
            msg = f"{name} must have the columns {', '.join(_COLUMNS)} (no {column}). {hint}"
            raise ContractError(msg)
    try:
        return frame.select(
            pl.col("person_id").cast(pl.Int64),
            *(_moment(frame, column) for column in ("reviewed_at", "acted_at")),
        )
    except pl.exceptions.PolarsError:
        msg = (
            f"{name} must have whole numbers as person_id and moments such as 2025-01-06T11:00:00 "
            "or nothing in the others (found something else); correct the file"
        )
        raise ContractError(msg) from None


def _moment(frame: pl.DataFrame, column: str) -> pl.Expr:
    if frame.schema[column] == pl.String:
        text = pl.when(pl.col(column).str.strip_chars() != "").then(pl.col(column))
        return (
            text.str.to_datetime(time_unit="us", time_zone="UTC")
            .dt.replace_time_zone(None)
            .alias(column)
        )
    return pl.col(column).cast(TIMESTAMP)
