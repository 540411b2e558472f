"""Training and test periods of a split, with one horizon between them."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.use_case import Split


@dataclass(frozen=True)
class Periods:
    """Bounds of training and test as prediction times, each [start, end)."""

    train_start: datetime
    train_end: datetime
    test_start: datetime
    test_end: datetime


def dated_periods(split: Split) -> Periods:
    """Periods of a split that is given by dates."""
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
    ripe_end = mature_end(as_of, horizon_days=horizon_days, runout_days=runout_days)
    if split.train_days is not None and split.test_days is not None:
        test_end = ripe_end
        test_start = test_end - timedelta(days=split.test_days)
        train_end = test_start - horizon
        return Periods(
            train_end - timedelta(days=split.train_days), train_end, test_start, test_end
        )
    dated = dated_periods(split)
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


def mature_end(as_of: datetime, *, horizon_days: int, runout_days: int) -> datetime:
    """First midnight of which predictions are not ripe at ``as_of``."""
    day = datetime.combine(as_of.date(), time())
    return day - timedelta(days=horizon_days + runout_days)
