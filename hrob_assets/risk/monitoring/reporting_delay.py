"""How late facts arrive: the run-out that outcomes need to mature, and the share known by age."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.tables import TIMESTAMP, Column, Table
from hrob_assets.risk.use_case import Outcome
from hrob_assets.risk.vocabulary import CodeSet, select_coded
from hrob_assets.risk.windows import became_known, known_by

RECENT_DAYS = 56
"""The run-out of a month is estimated from facts that became known in these days before it."""
FEWEST_FACTS = 30
"""Facts of a kind from which on its delay is estimated."""
MOST_RUNOUT_DAYS = 180
"""Upper bound: a first load brings facts that are years old, and would ask for years."""
RUNOUTS = Table(
    "runouts",
    "One row per month: the run-out in force from its first moment on.",
    ("from_at",),
    (
        Column("from_at", TIMESTAMP, "First moment of the month; of the first row, of all time."),
        Column("runout_days", pl.Int64, "Days from the end of the horizon until outcomes mature."),
        Column("estimated_days", pl.Int64, "Estimate, before the bounds.", nullable=True),
        Column("facts", pl.Int64, "Facts that became known in the weeks before the month."),
    ),
)
_DAY = timedelta(days=1)
_DAY_US = _DAY // timedelta(microseconds=1)
_WEEK_US = 7 * _DAY_US


def outcome_delays(
    events: pl.LazyFrame, outcome: Outcome, code_sets: Mapping[str, CodeSet]
) -> pl.DataFrame:
    """Reporting delay of every fact that could be an outcome, as `estimate_runouts` takes it."""
    named = sorted({component.code_set for component in outcome.components})
    return (
        select_coded(events, [code_sets[name] for name in named])
        .select(
            pl.col("code_set").alias("kind"), pl.col("occurred_at").alias("started_at"), "known_at"
        )
        .collect()
    )


def estimate_runouts(
    delays: pl.DataFrame,
    *,
    share: float,
    least_days: int,
    first: datetime,
    as_of: datetime,
    kinds: int = 1,
) -> pl.DataFrame:
    """Estimate the run-out of each month from the facts that became known just before it.

    Facts are grouped by the time at which they became known and not by the time at which they
    happened. A late fact is counted when it arrives, so a longer delay is seen while it happens,
    without waiting until all facts of a month are in.

    Parameters
    ----------
    delays : DataFrame
        One row per fact: ``kind`` (any word; the slowest kind decides), ``started_at`` (when it
        happened, or when the waiting began) and ``known_at``. Facts that became known at or after
        `as_of` are ignored.
    share : float, fraction
        Of the facts of the slowest kind that are known within the run-out.
    least_days : int, days
        Lower bound, also in force while there are too few facts.
    first, as_of : datetime (UTC)
        The months are those that begin in ``[first, as_of]``.
    kinds : int
        Kinds that must have 30 facts each before there is an estimate.

    Returns
    -------
    DataFrame
        `RUNOUTS`. A month with fewer than 30 facts keeps the run-out of the month before.

    Examples
    --------
    >>> day = datetime(2024, 1, 1)
    >>> slow = pl.DataFrame({"kind": "visit", "known_at": [day + timedelta(days=n) for n in
    ...     range(60)]}).with_columns(started_at=pl.col("known_at") - pl.duration(days=40))
    >>> found = estimate_runouts(slow, share=0.95, least_days=14, first=day,
    ...     as_of=datetime(2024, 3, 5))
    >>> found["runout_days"].to_list()
    [14, 40, 40]
    """
    starts = _months(first, as_of)
    rows: list[tuple[datetime, int, int | None, int]] = []
    current = least_days
    for position, start in enumerate(starts):
        recent = became_known(delays, since=start - RECENT_DAYS * _DAY, before=min(start, as_of))
        waited = (pl.col("known_at") - pl.col("started_at")).dt.total_microseconds() / _DAY_US
        by_kind = recent.group_by("kind").agg(
            pl.len().alias("facts"),
            waited.clip(lower_bound=0).quantile(share, "higher").ceil().alias("days"),
        )
        enough = by_kind.filter(pl.col("facts") >= FEWEST_FACTS)
        estimated = (
            None if enough.height < kinds else int(enough["days"].cast(pl.Int64).to_numpy().max())
        )
        if estimated is not None:
            current = max(least_days, min(estimated, MOST_RUNOUT_DAYS))
        from_at = datetime(1, 1, 1) if position == 0 else start
        rows.append((from_at, current, estimated, recent.height))
    return pl.DataFrame(rows, schema=RUNOUTS.schema, orient="row")


def runouts_of_known_outcomes(
    rows: pl.DataFrame, *, horizon_days: int, share: float, as_of: datetime
) -> pl.DataFrame:
    """Estimate run-outs from rows whose outcomes come with the time at which they became known.

    Outcomes and their absence are two kinds of facts, and the slower of them decides: were rows
    taken as soon as they are known, the first of them would all have the outcome. Until there are
    enough facts of both kinds, the run-out is `MOST_RUNOUT_DAYS`.

    Parameters
    ----------
    rows : DataFrame
        ``prediction_time``, ``outcome`` (Boolean; null when not known) and ``known_at``.
    horizon_days : int, days
    share : float, fraction
    as_of : datetime (UTC)

    Returns
    -------
    DataFrame
        `RUNOUTS`.
    """
    end = pl.col("prediction_time") + pl.duration(days=horizon_days)
    kind = pl.when(pl.col("outcome")).then(pl.lit("outcome")).otherwise(pl.lit("none"))
    delays = known_by(rows.filter(pl.col("outcome").is_not_null()), as_of).select(
        kind.alias("kind"),
        pl.min_horizontal(end, pl.col("known_at")).alias("started_at"),
        "known_at",
    )
    first = rows["prediction_time"].sort()[0]
    found = estimate_runouts(delays, share=share, least_days=0, first=first, as_of=as_of, kinds=2)
    estimated = pl.col("estimated_days").is_not_null().cum_max()
    return found.with_columns(
        pl.when(estimated).then("runout_days").otherwise(MOST_RUNOUT_DAYS).alias("runout_days")
    )


def fixed_runout(days: int) -> pl.DataFrame:
    """`RUNOUTS` of one run-out for all time."""
    row = (datetime(1, 1, 1), days, None, 0)
    return pl.DataFrame([row], schema=RUNOUTS.schema, orient="row")


def _months(first: datetime, as_of: datetime) -> list[datetime]:
    if first > as_of:
        msg = f"months must end after they begin (found {first} to {as_of}); look at a later as_of"
        raise ContractError(msg)
    start = datetime(first.year, first.month, 1)
    months: list[datetime] = []
    while start <= as_of:
        months.append(start)
        start = datetime(start.year + start.month // 12, start.month % 12 + 1, 1)
    return months


def maturity_times(horizon_end: pl.Series, runouts: pl.DataFrame) -> pl.DataFrame:
    """When outcomes mature: the first moment at which the run-out in force then has passed.

    Parameters
    ----------
    horizon_end : Series of timestamps
    runouts : DataFrame
        `RUNOUTS`.

    Returns
    -------
    DataFrame
        ``horizon_end`` and ``runout_ends_at``, one row per distinct horizon end.

    Examples
    --------
    A run-out of 10 days that becomes 40 in March; what is not mature by then waits for 40:

    >>> march = pl.DataFrame([(datetime(1, 1, 1), 10, None, 0), (datetime(2024, 3, 1), 40, 40, 99)],
    ...     schema=RUNOUTS.schema, orient="row")
    >>> ends = pl.Series([datetime(2024, 2, 15), datetime(2024, 2, 25)])
    >>> maturity_times(ends, march)["runout_ends_at"].dt.to_string("%F").to_list()
    ['2024-02-25', '2024-04-05']
    """
    distinct = horizon_end.unique().sort()
    ends = distinct.to_numpy().astype("datetime64[us]")
    begins = runouts["from_at"].to_numpy().astype("datetime64[us]")
    until = np.append(begins[1:], np.datetime64("9999-01-01", "us"))
    mature = np.full(ends.size, np.datetime64("NaT", "us"))
    # A row matures in the first month whose run-out ends within that month. Where the run-out
    # becomes shorter, rows whose new run-out is already over mature as the month begins: never
    # earlier, because at that time the longer run-out was in force.
    for begin, end, days in zip(begins, until, runouts["runout_days"], strict=True):
        moment = np.maximum(ends + np.timedelta64(days, "D"), begin)
        mature = np.where(np.isnat(mature) & (moment < end), moment, mature)
    return pl.DataFrame({"horizon_end": distinct, "runout_ends_at": pl.Series(mature)}).cast(
        TIMESTAMP
    )


def completion_by_age(
    facts: pl.DataFrame, *, weeks: Sequence[date], as_of: datetime
) -> pl.DataFrame:
    """Share of a week's facts that are known at each age, by the chain-ladder method.

    Parameters
    ----------
    facts : DataFrame
        One row per fact: ``week`` (Monday of the week it is counted in) and ``known_at``. Facts
        that became known at or after `as_of` are ignored.
    weeks : sequence of date
        Mondays of all weeks, also those without facts.
    as_of : datetime (UTC)

    Returns
    -------
    DataFrame
        ``age_weeks`` (1 is the end of the week itself), ``completion`` (share of those facts that
        are known at the greatest age seen; 0 to 1) and ``weeks`` (that the step to the next age is
        taken from).

    References
    ----------
    Mack 1993, *Distribution-free calculation of the standard error of chain ladder reserve
    estimates*. ASTIN Bulletin 23(2).

    Examples
    --------
    Half of each week's facts are known at once and half a week later:

    >>> mondays = [date(2024, 1, 1) + timedelta(weeks=n) for n in range(4)]
    >>> known = [datetime(2024, 1, 3) + timedelta(weeks=n + late) for n in range(4)
    ...     for late in (0, 1)]
    >>> facts = pl.DataFrame({"week": [m for m in mondays for _ in (0, 1)], "known_at": known})
    >>> completion_by_age(facts, weeks=mondays, as_of=datetime(2024, 1, 29))["completion"].to_list()
    [0.5, 1.0, 1.0, 1.0]
    """
    starts = np.sort(np.array(weeks, dtype="datetime64[us]"))
    ages_now = (np.datetime64(as_of, "us") - starts).astype(np.int64) // _WEEK_US
    oldest = max(0, int(ages_now.max())) if starts.size else 0
    known = known_by(facts, as_of)
    place = np.searchsorted(starts, known["week"].to_numpy().astype("datetime64[us]"))
    waited = known["known_at"].to_numpy().astype("datetime64[us]") - starts[place]
    age = waited.astype(np.int64) // _WEEK_US
    counts = np.zeros((starts.size, oldest))
    inside = age < oldest
    np.add.at(counts, (place[inside], np.maximum(age[inside], 0)), 1.0)
    total = counts.cumsum(axis=1)
    seen = ages_now[:, None] > np.arange(oldest)
    steps, used = np.ones(oldest), np.zeros(oldest, dtype=np.int64)
    for position in range(oldest - 1):
        both = seen[:, position + 1]
        before, after = total[both, position].sum(), total[both, position + 1].sum()
        used[position] = int(both.sum())
        steps[position] = before / after if after else 1.0
    completion = np.cumprod(steps[::-1])[::-1]
    return pl.DataFrame(
        {"age_weeks": np.arange(1, oldest + 1), "completion": completion, "weeks": used}
    )
