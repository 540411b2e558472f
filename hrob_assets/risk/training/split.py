"""Which rows train, which set the threshold, which test: by time and by patient."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import polars as pl

from hrob_assets.risk.statistics import person_fraction
from hrob_assets.risk.training.periods import (
    Periods,
    dated_periods,
    periods,
)
from hrob_assets.risk.training.update_split import JUDGED_SHARE, assign_update_split, update_periods
from hrob_assets.risk.use_case import Split, UseCase


@dataclass(frozen=True)
class SplitPlan:
    """Bounds, and the function that gives each row its split.

    Parameters
    ----------
    bounds : Periods
    assign : callable
        Rows in, the same rows with ``split`` and ``person_seen`` out.
    """

    bounds: Periods
    assign: Callable[[pl.DataFrame], pl.DataFrame]


def plan_split(
    use_case: UseCase, *, as_of: datetime, changed_since: datetime | None = None
) -> SplitPlan:
    """How rows are divided for a training, or for the update of a champion after a change.

    Parameters
    ----------
    use_case : UseCase
    as_of : datetime (UTC)
        End of what is known.
    changed_since : datetime (UTC), optional
        From when on the champion no longer fits; None for a training.
    """
    split, outcome = use_case.split, use_case.outcome
    days = {"horizon_days": outcome.horizon_days, "runout_days": outcome.runout_days}
    chosen = {"validation_share": split.validation_share, "seed": use_case.model.seed}
    if changed_since is None:
        trained = periods(split, as_of=as_of, **days)
        return SplitPlan(trained, partial(assign_split, bounds=trained, **chosen))
    bounds = update_periods(changed_since, as_of=as_of, train_days=_train_days(split), **days)
    assign = partial(
        assign_update_split,
        bounds=bounds,
        judged_share=JUDGED_SHARE,
        horizon_days=outcome.horizon_days,
        **chosen,
    )
    return SplitPlan(bounds, assign)


def assign_split(
    rows: pl.DataFrame, bounds: Periods, *, validation_share: float, seed: int
) -> pl.DataFrame:
    """Add ``split``: train, validation or test; null outside the periods.

    A person belongs to validation or not for ever, by a hash of the identifier and the seed;
    so training and validation share no person. The test period has everybody.

    Parameters
    ----------
    rows : DataFrame
        With ``person_id`` and ``prediction_time``.
    bounds : Periods
    validation_share : float, share of persons
    seed : int

    Returns
    -------
    DataFrame
        The same rows with ``split`` and ``person_seen`` (Boolean: the person has a training row).

    Examples
    --------
    >>> rows = pl.DataFrame({"person_id": [1], "prediction_time": [datetime(2024, 8, 1)]})
    >>> bounds = Periods(*(datetime(2022 + year, 6, 1) for year in range(4)))
    >>> assign_split(rows, bounds, validation_share=0.2, seed=1).rows()
    [(1, datetime.datetime(2024, 8, 1, 0, 0), 'test', False)]
    """
    when = pl.col("prediction_time")
    in_training = (when >= bounds.train_start) & (when < bounds.train_end)
    in_test = (when >= bounds.test_start) & (when < bounds.test_end)
    validation = pl.Series("v", person_fraction(rows["person_id"], seed) < validation_share)
    split = (
        pl.when(in_training & validation)
        .then(pl.lit("validation"))
        .when(in_training)
        .then(pl.lit("train"))
        .when(in_test)
        .then(pl.lit("test"))
    )
    seen = (pl.col("split") == "train").any().over("person_id").fill_null(value=False)
    return rows.with_columns(split.alias("split")).with_columns(seen.alias("person_seen"))


def _train_days(split: Split) -> int:
    if split.train_days is not None:
        return split.train_days
    dated = dated_periods(split)
    return (dated.train_end - dated.train_start).days
