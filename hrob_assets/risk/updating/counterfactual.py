"""The same weeks twice: with the model as it was updated, and with the first model for ever."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from hrob_assets.risk.evaluation import paired_mean_difference
from hrob_assets.risk.monitoring import calibrate_weeks
from hrob_assets.risk.statistics import Estimate, row_log_loss

UPDATED, NEVER = "updated", "never updated"
_WINDOW_WEEKS = 13


@dataclass(frozen=True)
class LivedMonday:
    """What one Monday brought.

    Parameters
    ----------
    week : date
        Monday of the week that had ended.
    champion : str
        Version that made the list.
    alarms : tuple of str
        Whom they are about, and the direction.
    update : str, optional
        none, intercept, intercept and slope, refit, or failed; None where none was asked for.
    promoted : str, optional
        Version that became champion.
    """

    week: date
    champion: str
    alarms: tuple[str, ...] = ()
    update: str | None = None
    promoted: str | None = None


@dataclass(frozen=True)
class TwoHistories:
    """Two histories of the same ripe rows.

    Parameters
    ----------
    use_case : str
    mondays : tuple of LivedMonday
    calibration : DataFrame
        `weekly_calibration.WEEKLY_CALIBRATION` of everybody in windows of 13 weeks, and
        ``history`` (updated, never updated).
    log_loss_difference : Estimate or None
        Never updated minus updated, on the rows that an updated version scored; positive means
        that the updates helped. None where no such row is ripe.
    """

    use_case: str
    mondays: tuple[LivedMonday, ...]
    calibration: pl.DataFrame
    log_loss_difference: Estimate | None


def compare_histories(
    rows: pl.DataFrame, *, use_case: str, mondays: tuple[LivedMonday, ...]
) -> TwoHistories:
    """Compare what was sent with what the first champion would have said.

    Parameters
    ----------
    rows : DataFrame
        Ripe rows of the ledger: ``person_id``, ``ripe_week``, ``label``, ``high_risk``,
        ``model_version``, ``probability`` (sent), and of the first champion ``never_updated``
        (probability) and ``never_updated_high_risk`` (by its own threshold).
    use_case : str
    mondays : tuple of LivedMonday

    Returns
    -------
    TwoHistories
    """
    forms = {
        UPDATED: ("probability", "high_risk"),
        NEVER: ("never_updated", "never_updated_high_risk"),
    }
    weekly = [
        calibrate_weeks(
            rows.with_columns(probability=pl.col(probability), high_risk=pl.col(high_risk)),
            window_weeks=_WINDOW_WEEKS,
        ).with_columns(pl.lit(history).alias("history"))
        for history, (probability, high_risk) in forms.items()
    ]
    return TwoHistories(use_case, mondays, pl.concat(weekly), _difference(rows))


def _difference(rows: pl.DataFrame) -> Estimate | None:
    first = rows.sort("ripe_week")["model_version"].first()
    later = rows.filter(pl.col("model_version") != first)
    if later.is_empty():
        return None
    outcome = later["label"].to_numpy().astype(np.int8)
    never, updated = (
        row_log_loss(later[column].to_numpy(), outcome)
        for column in ("never_updated", "probability")
    )
    return paired_mean_difference(later["person_id"].to_numpy(), outcome, never, updated)
