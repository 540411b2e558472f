"""Which rows train, which set the threshold, which test: by time and by patient."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial

import numpy as np
import polars as pl

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.statistics import person_fraction
from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import Split, UseCase

JUDGED_SHARE = 0.4
"""Share of the persons who are not of the validation set that judge an update."""
_JUDGES = 2  # another division of persons than those of validation and of the search


@dataclass(frozen=True)
class Periods:
    """Bounds of training and test as prediction times, each [start, end)."""

    train_start: datetime
    train_end: datetime
    test_start: datetime
    test_end: datetime


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


def _train_days(split: Split) -> int:
    if split.train_days is not None:
        return split.train_days
    dated = _dated(split)
    return (dated.train_end - dated.train_start).days


def _dated(split: Split) -> Periods:
    bounds = (split.train_start, split.train_end, split.test_start, split.test_end)
    return Periods(*(datetime.combine(day, time()) for day in bounds if day is not None))


def periods(split: Split, *, as_of: datetime, horizon_days: int, runout_days: int) -> Periods:
    """Fix the bounds: from the configured dates, or counted back from the last ripe outcome.

    Between the last training row and the first test row lies one horizon, so that no outcome
    window of training reaches into the test period.

    Parameters
    ----------
    split : Split
    as_of : datetime (UTC)
        End of what the data can know.
    horizon_days, runout_days : int, days

    Raises
    ------
    ConfigurationError
        If configured dates leave less than one horizon between training and test, or end after
        the last prediction whose outcome was ripe at ``as_of``.

    Examples
    --------
    >>> counted = Split(validation_share=0.2, train_days=365, test_days=100)
    >>> found = periods(counted, as_of=datetime(2025, 1, 1), horizon_days=60, runout_days=30)
    >>> found.test_end, (found.test_start - found.train_end).days
    (datetime.datetime(2024, 10, 3, 0, 0), 60)
    """
    horizon = timedelta(days=horizon_days)
    ripe_end = _ripe_end(as_of, horizon_days=horizon_days, runout_days=runout_days)
    if split.train_days is not None and split.test_days is not None:
        test_end = ripe_end
        test_start = test_end - timedelta(days=split.test_days)
        train_end = test_start - horizon
        return Periods(
            train_end - timedelta(days=split.train_days), train_end, test_start, test_end
        )
    dated = _dated(split)
    if dated.test_start - dated.train_end < horizon:
        msg = (
            f"test must start at least one horizon ({horizon_days} days) after training ends "
            f"(found {(dated.test_start - dated.train_end).days} days); move test_start"
        )
        raise ConfigurationError(msg)
    if dated.test_end > ripe_end:
        msg = (
            "test must end where outcomes are ripe by what is known "
            f"(found test_end {dated.test_end.date()}, and outcomes ripe for predictions before "
            f"{ripe_end.date()}, as known at {as_of.date()}); move the dates of the split, or give "
            "train_days and test_days, which are counted back from what is known"
        )
        raise ConfigurationError(msg)
    return dated


def _ripe_end(as_of: datetime, *, horizon_days: int, runout_days: int) -> datetime:
    """First midnight of which predictions are not ripe at ``as_of``."""
    day = datetime.combine(as_of.date(), time())
    return day - timedelta(days=horizon_days + runout_days)


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
    end = _ripe_end(as_of, horizon_days=horizon_days, runout_days=runout_days)
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
            dated = _dated(use_case.split)
            start, end = dated.test_start, dated.test_end
        else:
            by = _ripe_end(
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
