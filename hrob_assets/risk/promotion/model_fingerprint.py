"""Whether two fitted models say the same of everybody, whatever they are called."""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from hrob_assets.risk.models import enters_as_logarithm
from hrob_assets.risk.training import FittedModel, predict

_ROWS = 2048
_COLUMNS_KNOWN = 8  # of a row, on average: the others are as where nothing is known
_MOST_KNOWN = 0.5
_SPREAD = 2.0  # of the logarithm of a value
_DECIMALS = 9  # what differs further on is arithmetic, not the model


def model_fingerprint(model: FittedModel) -> str:
    """Hash of what a model says of invented rows; no person, period or version has a part in it.

    A model that is fitted again on the same rows has the same; one that weighs any column
    differently has another. The threshold, trials and counts have no part in it.

    Returns
    -------
    str
        SHA-256 in hexadecimal digits.
    """
    said = predict(model, invented_rows(model.columns))
    whole = np.rint(said * 10**_DECIMALS).astype("<i8")
    return hashlib.sha256(whole.tobytes()).hexdigest()


def invented_rows(columns: Sequence[str]) -> pl.DataFrame:
    """Rows in which few columns are known, so that each tells and no probability is 0 or 1.

    Returns
    -------
    DataFrame
        Float64, null where not known. A column is filled by its name alone.

    Examples
    --------
    >>> one, two = invented_rows(["age__years"]), invented_rows(["ed__count_30d", "age__years"])
    >>> one["age__years"].equals(two["age__years"])
    True
    """
    known = min(_MOST_KNOWN, _COLUMNS_KNOWN / max(len(columns), 1))
    return pl.DataFrame({name: _invented(name, known) for name in columns})


def _invented(column: str, known: float) -> pl.Series:
    seed = int.from_bytes(hashlib.sha256(column.encode()).digest()[:8], "little")
    generator = np.random.default_rng(seed)
    value = generator.lognormal(1.0, _SPREAD, _ROWS)
    if not enters_as_logarithm(column):
        value *= generator.choice([1.0, 1.0, -1.0], _ROWS)
    is_known = generator.random(_ROWS) < known
    return pl.DataFrame({"value": value, "known": is_known}).select(
        pl.when("known").then("value").alias(column)
    )[column]
