"""The rules of time as Polars expressions."""

from datetime import datetime

import polars as pl


def available_at(occurred_at: pl.Expr, known_at: pl.Expr) -> pl.Expr:
    """Moment from which a fact can be used: it has happened and is known.

    Parameters
    ----------
    occurred_at, known_at : Expr, timestamps

    Returns
    -------
    Expr
        The later of the two; null when either is null, so that a fact without a date of
        knowledge is never taken for known.

    Examples
    --------
    >>> from datetime import datetime
    >>> fact = {"occurred_at": [datetime(2024, 3, 1)], "known_at": [datetime(2024, 4, 9, 12)]}
    >>> pl.select(available_at(*(pl.lit(moment[0]) for moment in fact.values()))).item()
    datetime.datetime(2024, 4, 9, 12, 0)
    """
    # Not `max_horizontal`: it passes over a null, and a fact that nobody knows would be known.
    return (
        pl.when(known_at >= occurred_at)
        .then(known_at)
        .when(known_at < occurred_at)
        .then(occurred_at)
    )


def prediction_time(occurred_at: pl.Expr, known_at: pl.Expr) -> pl.Expr:
    """First midnight strictly after an encounter has happened and is known.

    Parameters
    ----------
    occurred_at, known_at : Expr, timestamps (UTC)

    Returns
    -------
    Expr
        Timestamp at midnight; null when either is null.

    Examples
    --------
    >>> from datetime import datetime
    >>> midnight = pl.lit(datetime(2024, 3, 1))
    >>> pl.select(prediction_time(midnight, midnight)).item()
    datetime.datetime(2024, 3, 2, 0, 0)
    """
    return available_at(occurred_at, known_at).dt.truncate("1d") + pl.duration(days=1)


def week_of(prediction_time: pl.Expr) -> pl.Expr:
    """Monday of the week in which a row became known.

    The list of a Monday holds all that became known up to Sunday night, so a prediction time on
    Monday 00:00 belongs to the week before.

    Parameters
    ----------
    prediction_time : Expr, timestamps

    Returns
    -------
    Expr
        Date, always a Monday.

    Examples
    --------
    >>> from datetime import datetime
    >>> pl.select(week_of(pl.lit(datetime(2024, 3, 4)))).item()  # a Monday
    datetime.date(2024, 2, 26)
    """
    return (prediction_time - pl.duration(microseconds=1)).dt.truncate("1w").cast(pl.Date)


def known_before(prediction_time: pl.Expr, *, occurred_at: pl.Expr, known_at: pl.Expr) -> pl.Expr:
    """Whether a fact is history: available strictly before the prediction time.

    Examples
    --------
    >>> from datetime import datetime
    >>> midnight = pl.lit(datetime(2024, 3, 2))
    >>> pl.select(known_before(midnight, occurred_at=midnight, known_at=midnight)).item()
    False
    """
    return available_at(occurred_at, known_at) < prediction_time


def calendar_days(occurred_at: pl.Expr, prediction_time: pl.Expr) -> pl.Expr:
    """Whole calendar days from a moment to the prediction time, midnight to midnight.

    Examples
    --------
    >>> from datetime import datetime
    >>> moment, midnight = datetime(2024, 3, 1, 23), datetime(2024, 3, 2)
    >>> pl.select(calendar_days(pl.lit(moment), pl.lit(midnight))).item()
    1
    """
    return (prediction_time.dt.date() - occurred_at.dt.date()).dt.total_days()


def window_start(prediction_time: pl.Expr, days: int | pl.Expr) -> pl.Expr:
    """First moment of the window of that many days before the prediction time (inclusive).

    Examples
    --------
    >>> from datetime import datetime
    >>> pl.select(window_start(pl.lit(datetime(2024, 3, 2)), 30)).item()
    datetime.datetime(2024, 2, 1, 0, 0)
    """
    return prediction_time - pl.duration(days=days)


def is_known(known_at: pl.Expr, as_of: datetime | pl.Expr) -> pl.Expr:
    """Whether a fact is known at a moment: it became known strictly before.

    Examples
    --------
    >>> midnight = datetime(2024, 3, 2)
    >>> pl.select(is_known(pl.lit(midnight), midnight)).item()
    False
    """
    return known_at < as_of


def first_known(known_at: pl.Expr) -> pl.Expr:
    """First moment at which a fact is known: a microsecond after it became so.

    Examples
    --------
    What becomes known on Monday at midnight is of the new week:

    >>> pl.select(week_of(first_known(pl.lit(datetime(2024, 3, 4))))).item()
    datetime.date(2024, 3, 4)
    """
    return known_at + pl.duration(microseconds=1)
