"""Which rows fit an update after a change, and which patients evaluate it."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.statistics import person_fraction
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.training.periods import Periods, dated_periods, mature_end
from hrob_assets.risk.use_case import UseCase

JUDGED_SHARE = 0.4
"""Share of the persons who are not of the validation set that judge an update."""


_JUDGES = 2  # another division of persons than those of validation and of the search


def update_periods(
    changed_since: datetime,
    *,
    as_of: datetime,
    train_days: int,
    horizon_days: int,
    runout_days: int,
) -> Periods:
    """Bounds of an update: judged on what is ripe since a change, trained on the days up to there.

    Training and judgement overlap in time, so `assign_update_split` keeps their persons apart.

    Parameters
    ----------
    changed_since : datetime (UTC)
        From when on the model no longer fits.
    as_of : datetime (UTC)
        End of what is known.
    train_days : int, days
        Length of the training period.
    horizon_days, runout_days : int, days

    Raises
    ------
    ConfigurationError
        If nothing since the change is ripe.

    Examples
    --------
    >>> found = update_periods(datetime(2024, 7, 1), as_of=datetime(2025, 1, 1), train_days=365,
    ...     horizon_days=60, runout_days=30)
    >>> found.test_start == datetime(2024, 7, 1), found.test_end == found.train_end
    (True, True)
    """
    end = mature_end(as_of, horizon_days=horizon_days, runout_days=runout_days)
    if changed_since >= end:
        msg = (
            "an update must have ripe rows since the change (found that outcomes are ripe up to "
            f"{end.date()}, and the change at {changed_since.date()}); wait until they are ripe"
        )
        raise ConfigurationError(msg)
    start = min(end - timedelta(days=train_days), changed_since)
    return Periods(start, end, changed_since, end)


def judges(person_id: pl.Series, *, seed: int, judged_share: float = JUDGED_SHARE) -> np.ndarray:
    """Whether each person is one of those who judge an update, or would if not of validation.

    Examples
    --------
    >>> judges(pl.Series([1, 2, 3, 4]), seed=1).tolist()
    [False, False, True, False]
    """
    return person_fraction(person_id, seed + _JUDGES) < judged_share


def assign_update_split(
    rows: pl.DataFrame,
    bounds: Periods,
    *,
    validation_share: float,
    judged_share: float,
    horizon_days: int,
    seed: int,
) -> pl.DataFrame:
    """Add ``split`` for an update: what it is fitted on, and other persons who judge it.

    ``test`` are the rows since the change of a share of persons, ``validation`` those of another
    share (as in `assign_split`), ``train`` all rows of everybody else. Rows before the change of
    the persons who judge or validate train too, where their outcomes end before it.

    Parameters
    ----------
    rows : DataFrame
        With ``person_id`` and ``prediction_time``.
    bounds : Periods
        From `update_periods`.
    validation_share, judged_share : float, share of persons
    horizon_days : int, days
    seed : int

    Returns
    -------
    DataFrame
        The same rows with ``split`` (null for none) and ``person_seen``, as in `assign_split`.

    Examples
    --------
    >>> bounds = update_periods(datetime(2024, 7, 1), as_of=datetime(2025, 1, 1), train_days=365,
    ...     horizon_days=60, runout_days=30)
    >>> rows = pl.DataFrame({"person_id": [7, 7, 7], "prediction_time": [datetime(2024, 3, 1),
    ...     datetime(2024, 6, 1), datetime(2024, 8, 1)]})
    >>> found = assign_update_split(rows, bounds, validation_share=0.0, judged_share=1.0,
    ...     horizon_days=60, seed=1)
    >>> found["split"].to_list()
    ['train', None, 'test']
    """
    when = pl.col("prediction_time")
    inside = (when >= bounds.train_start) & (when < bounds.train_end)
    since = inside & (when >= bounds.test_start)
    before = inside & (when < bounds.test_start - pl.duration(days=horizon_days))
    persons = rows["person_id"]
    validation = person_fraction(persons, seed) < validation_share
    judged = ~validation & judges(persons, seed=seed, judged_share=judged_share)
    held_out = pl.Series("h", validation | judged)
    split = (
        pl.when(since & pl.Series("v", validation))
        .then(pl.lit("validation"))
        .when(since & pl.Series("j", judged))
        .then(pl.lit("test"))
        .when(before | (inside & ~held_out))
        .then(pl.lit("train"))
    )
    seen = (pl.col("split") == "train").any().over("person_id").fill_null(value=False)
    return rows.with_columns(split.alias("split")).with_columns(seen.alias("person_seen"))


def judges_whole(
    judged: pl.DataFrame,
    labelled: pl.DataFrame,
    *,
    use_case: UseCase,
    as_of: datetime,
    is_update: bool = False,
    cross_fit_since: datetime | None = None,
) -> bool:
    """Whether rows that judge a version are all that a split of the use case gives, and no other.

    Of a training these are the eligible rows of everybody in a test period of the stated length or
    dates; of an update those of the persons who judge; with a cross-fit those of all who are not of
    the validation set, from the change on. A period that is counted back from what was known is
    any that has these rows alone: later ones may have become ripe since.

    Parameters
    ----------
    judged : DataFrame
        Row key.
    labelled : DataFrame
        Row key and ``eligible`` of all rows with an outcome, as they are now.
    use_case : UseCase
    as_of : datetime (UTC)
        End of what is known now.
    is_update : bool
        Whether the version is an update after a change.
    cross_fit_since : datetime, optional (UTC)
        The change, where the version is judged by a cross-fit.
    """
    when = pl.col("prediction_time")
    first, last = judged["prediction_time"].min(), judged["prediction_time"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return False
    start, end = cross_fit_since or first, last + timedelta.resolution
    if cross_fit_since is not None or is_update:
        may = labelled.filter(
            _may_judge_update(labelled, use_case, crossed=cross_fit_since is not None)
        )
    else:
        may = labelled.filter("eligible")
        days, outcome = use_case.split.test_days, use_case.outcome
        if days is None:
            dated = dated_periods(use_case.split)
            start, end = dated.test_start, dated.test_end
        else:
            by = mature_end(
                as_of, horizon_days=outcome.horizon_days, runout_days=outcome.runout_days
            )
            if not _is_a_period(may["prediction_time"], first, last, days=days, by=by):
                return False
    expected = may.filter(when >= start, when < end)
    strange = judged.join(expected, on=list(ROW_KEY), how="anti").height
    return strange == 0 and judged.height == expected.height == judged.select(ROW_KEY).n_unique()


def _may_judge_update(labelled: pl.DataFrame, use_case: UseCase, *, crossed: bool) -> pl.Series:
    """Rows that `assign_update_split` and `training.judged_rows` let judge, of any time."""
    persons, seed = labelled["person_id"], use_case.model.seed
    validation = pl.Series(person_fraction(persons, seed) < use_case.split.validation_share)
    everybody = labelled["eligible"] & ~validation
    return everybody if crossed else everybody & pl.Series(judges(persons, seed=seed))


def _is_a_period(
    times: pl.Series, first: datetime, last: datetime, *, days: int, by: datetime
) -> bool:
    """Whether a period of so many days that ends by a day has these times, and no other.

    Examples
    --------
    >>> times = pl.Series([datetime(2024, 3, day) for day in (1, 5, 9, 14)])
    >>> by = datetime(2025, 1, 1)
    >>> [_is_a_period(times, times[1], times[2], days=days, by=by) for days in (4, 5, 12, 13)]
    [False, True, True, False]
    """
    length = timedelta(days=days)
    before, after = times.filter(times < first).max(), times.filter(times > last).min()
    begins_after = max(before, last - length) if isinstance(before, datetime) else last - length
    ends_by = min(after, by) if isinstance(after, datetime) else by
    return begins_after < min(first, ends_by - length)


def judged_from(
    rows: pl.DataFrame, *, horizon_days: int, test_is_fitted: bool = False
) -> datetime | None:
    """From which prediction time on the outcomes of all persons say how good a version is.

    Not before the test period, nor before the last outcome window ends that it was fitted,
    calibrated or given its threshold on. An update is fitted on some persons in the same weeks in
    which others judge it: there the two differ.

    Parameters
    ----------
    rows : DataFrame
        With ``prediction_time`` and ``split``, as the version was trained.
    horizon_days : int, days
    test_is_fitted : bool
        Whether the version was fitted on test rows too, as an update with a cross-fit is.

    Returns
    -------
    datetime (UTC) or None
        None without test rows.

    Examples
    --------
    >>> when = [datetime(2024, 3, 1), datetime(2024, 3, 4), datetime(2024, 2, 5)]
    >>> rows = pl.DataFrame({"prediction_time": when, "split": ["train", "validation", "test"]})
    >>> judged_from(rows, horizon_days=60)
    datetime.datetime(2024, 5, 3, 0, 0)
    """
    tested = pl.col("split") == "test"
    first = rows.filter(tested)["prediction_time"].min()
    last = rows.filter(~tested | test_is_fitted)["prediction_time"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return None
    return max(first, last + timedelta(days=horizon_days))
