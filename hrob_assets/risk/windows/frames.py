"""What is history and what is follow-up, as frames."""

from datetime import datetime

import polars as pl

from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.windows.expressions import is_known, known_before

_ENDS = {"ended_at": "end_known_at", "death_at": "death_known_at"}


def history(events: pl.LazyFrame, rows: pl.LazyFrame) -> pl.LazyFrame:
    """All facts of each row's person that were known strictly before its prediction time.

    A plain join, for reasons, tests and small tables; features come from the kernel.

    Parameters
    ----------
    events : LazyFrame
        Facts with person_id, occurred_at, known_at and any other columns.
    rows : LazyFrame
        Rows with the columns of `ROW_KEY`; other columns are not carried over.

    Returns
    -------
    LazyFrame
        One row per (row, fact): the row's key and the fact's columns; the fact's own
        encounter_id, if it has one, as ``event_encounter_id``. Rows without history are absent.

    Examples
    --------
    >>> from datetime import datetime
    >>> rows = pl.LazyFrame({"person_id": [7], "encounter_id": [1],
    ...     "prediction_time": [datetime(2024, 3, 2)]})
    >>> events = pl.LazyFrame({"person_id": [7, 7], "code": ["I10", "O141"],
    ...     "occurred_at": [datetime(2024, 3, 1)] * 2,
    ...     "known_at": [datetime(2024, 3, 1), datetime(2024, 3, 2)]})
    >>> history(events, rows).collect()["code"].to_list()
    ['I10']
    """
    return _facts_of_rows(events, rows).filter(
        known_before(
            pl.col("prediction_time"),
            occurred_at=pl.col("occurred_at"),
            known_at=pl.col("known_at"),
        )
    )


def follow_up(
    events: pl.LazyFrame, rows: pl.LazyFrame, *, horizon_days: int, runout_days: int
) -> pl.LazyFrame:
    """Facts of each row's person that happen within the horizon and are known in time.

    Parameters
    ----------
    events, rows : LazyFrame
        As in `history`.
    horizon_days : int, days
        Facts count when they occur in ``[t, t + horizon)``.
    runout_days : int, days
        They count when they are known before ``t + horizon + runout``.

    Returns
    -------
    LazyFrame
        As in `history`. Rows without follow-up facts are absent.

    Raises
    ------
    ValueError
        If the horizon is not positive or the runout is negative.

    Examples
    --------
    >>> from datetime import datetime
    >>> rows = pl.LazyFrame({"person_id": [7], "encounter_id": [1],
    ...     "prediction_time": [datetime(2024, 3, 2)]})
    >>> events = pl.LazyFrame({"person_id": [7, 7], "code": ["first day", "day after the last"],
    ...     "occurred_at": [datetime(2024, 3, 2), datetime(2024, 3, 12)],
    ...     "known_at": [datetime(2024, 3, 12)] * 2})
    >>> follow_up(events, rows, horizon_days=10, runout_days=30).collect()["code"].to_list()
    ['first day']
    """
    if horizon_days <= 0 or runout_days < 0:
        msg = (
            "horizon_days must be positive and runout_days not negative "
            f"(got {horizon_days} and {runout_days}). Correct the outcome's horizon."
        )
        raise ValueError(msg)
    start = pl.col("prediction_time")
    end = start + pl.duration(days=horizon_days)
    return _facts_of_rows(events, rows).filter(
        pl.col("occurred_at") >= start,
        pl.col("occurred_at") < end,
        pl.col("known_at") < end + pl.duration(days=runout_days),
    )


def known_when_ripe(
    events: pl.LazyFrame, rows: pl.LazyFrame, *, horizon_days: int, runout_days: int
) -> pl.LazyFrame:
    """All facts of each row's person that are known when its outcome is mature, old ones too.

    For what qualifies an outcome without being one, such as the stay to which it belongs.

    Parameters
    ----------
    events, rows : LazyFrame
        As in `history`.
    horizon_days, runout_days : int, days
        As in `follow_up`; facts count when known before ``t + horizon + runout``.

    Returns
    -------
    LazyFrame
        As in `history`.

    Examples
    --------
    >>> from datetime import datetime
    >>> rows = pl.LazyFrame({"person_id": [7], "encounter_id": [1],
    ...     "prediction_time": [datetime(2024, 3, 2)]})
    >>> events = pl.LazyFrame({"person_id": [7, 7], "code": ["before", "known too late"],
    ...     "occurred_at": [datetime(2024, 3, 1)] * 2,
    ...     "known_at": [datetime(2024, 3, 1), datetime(2024, 3, 15)]})
    >>> known_when_ripe(events, rows, horizon_days=10, runout_days=3).collect()["code"].to_list()
    ['before']
    """
    ripe_at = pl.col("prediction_time") + pl.duration(days=horizon_days + runout_days)
    return _facts_of_rows(events, rows).filter(pl.col("known_at") < ripe_at)


def known_by(facts: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Facts that were known before a moment.

    Examples
    --------
    >>> facts = pl.DataFrame({"known_at": [datetime(2024, 3, 1), datetime(2024, 3, 2)]})
    >>> known_by(facts, datetime(2024, 3, 2)).height
    1
    """
    return facts.filter(is_known(pl.col("known_at"), as_of))


def became_known(facts: pl.DataFrame, *, since: datetime, before: datetime) -> pl.DataFrame:
    """Facts that became known in ``[since, before)``.

    Examples
    --------
    >>> facts = pl.DataFrame({"known_at": [datetime(2024, 3, day) for day in (1, 2, 3)]})
    >>> became_known(facts, since=datetime(2024, 3, 2), before=datetime(2024, 3, 3)).height
    1
    """
    return known_by(facts, before).filter(pl.col("known_at") >= since)


def as_known_at(facts: pl.LazyFrame, as_of: datetime) -> pl.LazyFrame:
    """A staged table as it was at a moment: without what became known from then on.

    Parameters
    ----------
    facts : LazyFrame
        Facts with ``known_at``, or persons, who stay; an end or a death that was not known yet,
        by its own date of knowledge, is null.
    as_of : datetime (UTC)

    Examples
    --------
    >>> spans = pl.LazyFrame({"known_at": [datetime(2024, 1, 1)], "ended_at": [
    ...     datetime(2024, 2, 1)], "end_known_at": [datetime(2024, 3, 1)]})
    >>> as_known_at(spans, datetime(2024, 2, 15)).collect()["ended_at"].to_list()
    [None]
    """
    names = facts.collect_schema().names()
    if "known_at" in names:
        facts = facts.filter(is_known(pl.col("known_at"), as_of))
    ends = [(end, known) for end, known in _ENDS.items() if known in names]
    return facts.with_columns(
        pl.when(is_known(pl.col(known), as_of)).then(pl.col(name)).alias(name)
        for end, known in ends
        for name in (end, known)
    )


def _facts_of_rows(events: pl.LazyFrame, rows: pl.LazyFrame) -> pl.LazyFrame:
    facts = events.rename({"encounter_id": "event_encounter_id"}, strict=False)
    return rows.select(ROW_KEY).join(
        facts, on="person_id", how="inner", maintain_order="left_right"
    )
