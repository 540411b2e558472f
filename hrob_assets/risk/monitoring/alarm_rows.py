"""Which rows enter the alarm: mature, independent given the past, with complete follow-up."""

from datetime import timedelta

import numba
import numpy as np
import polars as pl

from hrob_assets.risk.monitoring.ledger import Ledger, week_is_over
from hrob_assets.risk.tables import TIMESTAMP


def alarm_rows(ledger: Ledger) -> pl.DataFrame:
    """Rows with mature outcomes that are independent given the past: one per patient and horizon.

    The bound on false alarms needs independent rows. Two rows of a patient within one horizon
    share outcomes, so of each model version the patient's first row counts, then the first row a
    horizon or more after the one before.

    Returns
    -------
    DataFrame
        The columns of the ledger, but ``week`` is the week in which the outcome became mature.

    Notes
    -----
    The order of the steps matters. Rows are chosen *before* outcomes are looked at: were only
    labelled rows to choose from, the choice itself would depend on the outcome. After that, rows
    without complete follow-up are left out whether they have the outcome or not: a patient who
    disenrols after an outcome has a label and one who disenrols without an outcome has none, so
    that labelled rows alone contain too many outcomes. Rows of patients who died without the
    outcome have no label and are left out, as in training. Only weeks that are over count, so
    that the e-values of a week never change.
    """
    rows = ledger.rows.sort("model_version", "person_id", "prediction_time", "encounter_id")
    block = rows.select(pl.struct("model_version", "person_id").rle_id()).to_series()
    horizon = timedelta(days=ledger.horizon_days)
    chosen = first_of_horizon(block, rows["prediction_time"], horizon)
    return (
        rows.filter(chosen)
        .filter(pl.col("label").is_not_null() & pl.col("followed") & week_is_over(ledger.as_of))
        .with_columns(pl.col("ripe_week").alias("week"))
        .sort("week", "prediction_time", "person_id", "encounter_id")
    )


def first_of_horizon(block: pl.Series, time: pl.Series, horizon: timedelta) -> pl.Series:
    """Whether each row is the first of its block, or a horizon or more after the last such row.

    Parameters
    ----------
    block : Series of int
        Equal for the rows of one patient; rows of a block stand together, ordered by time.
    time : Series of timestamps
    horizon : timedelta

    Returns
    -------
    Series of Boolean

    Examples
    --------
    >>> from datetime import datetime
    >>> days = pl.Series([datetime(2024, 1, day) for day in (1, 5, 11, 12)])
    >>> first_of_horizon(pl.Series([0, 0, 0, 0]), days, timedelta(days=10)).to_list()
    [True, False, True, False]
    """
    span = int(horizon / timedelta(microseconds=1))
    chosen = _chosen(block.to_numpy(), time.cast(TIMESTAMP).cast(pl.Int64).to_numpy(), span)
    return pl.Series("chosen", chosen, dtype=pl.Boolean)


@numba.njit(cache=True, nogil=True)
def _chosen(block: np.ndarray, time_us: np.ndarray, horizon_us: int) -> np.ndarray:
    # A loop and not a Polars expression: each choice depends on the one before.
    chosen = np.zeros(block.size, np.bool_)
    last = 0
    for row in range(block.size):
        new = row == 0 or block[row] != block[row - 1]
        if new or time_us[row] - time_us[last] >= horizon_us:
            chosen[row] = True
            last = row
    return chosen
