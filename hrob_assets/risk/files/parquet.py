"""Parquet files that are there whole or not at all."""

import os
import uuid
from pathlib import Path

import polars as pl

DEFINITION = "hrob/definition"
"""Metadata of an asset and of its files: version of what defines the columns."""
INPUTS = "hrob/inputs"
"""Metadata of a file: fingerprint of what it was made from."""
UNTIL = "hrob/known_until"
"""Metadata of a file: the first moment of which it knows nothing."""
_ROW_GROUP = 131_072


def write_parquet(
    frame: pl.DataFrame,
    path: Path,
    *,
    definition: str | None = None,
    inputs: str | None = None,
    until: str | None = None,
) -> None:
    """Write a frame beside its place and move it there, so that no reader sees a part of it.

    Equal frames give the same bytes.

    Parameters
    ----------
    frame : DataFrame
    path : Path
    definition : str, optional
        Version of what defines the columns; kept in the file's metadata.
    inputs : str, optional
        Fingerprint of what the frame was made from; kept there too.
    until : str, optional
        First moment of which the frame knows nothing (ISO 8601); kept there too.
    """
    known = {DEFINITION: definition, INPUTS: inputs, UNTIL: until}
    metadata = {name: value for name, value in known.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        frame.write_parquet(
            temporary,
            compression="zstd",
            row_group_size=_ROW_GROUP,
            metadata=metadata or None,
        )
        os.replace(temporary, path)  # noqa: PTH105 - works for two names on one file system
    finally:
        temporary.unlink(missing_ok=True)
