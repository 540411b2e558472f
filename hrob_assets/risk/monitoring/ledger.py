"""The outcome ledger: of every row that was scored, whether its outcome is ripe, and what it is.

It is a function of what was scored and of what is known; nothing is carried over from an earlier
ledger. A label is what was known when the row became ripe and stays so (decision record 3). What
becomes known later is a *revision*: it is kept and told, and does not change past evidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numba
import numpy as np
import polars as pl

from hrob_assets.risk.cohort import label_rows, outcomes_known
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.monitoring.reporting_delay import estimate_runouts, ripe_times
from hrob_assets.risk.tables import ROW_KEY, TIMESTAMP, Column, Table
from hrob_assets.risk.use_case import Monitoring, Outcome
from hrob_assets.risk.vocabulary import CodeSet, narrow_to_coded, select_coded
from hrob_assets.risk.windows import as_known_at, first_known, is_known, week_of

STATUS = ("pending", "mature", "censored", "revised")
OUTCOME_LEDGER = Table(
    "outcome_ledger",
    "One row per row that was scored, as of a moment.",
    ROW_KEY,
    (
        Column("person_id", pl.Int64, "Member or patient."),
        Column("encounter_id", pl.Int64, "Encounter that gave rise to the prediction."),
        Column("prediction_time", TIMESTAMP, "Only what was known before it was used."),
        Column("week", pl.Date, "Monday of the week that was scored."),
        Column("model_version", pl.String, "Version whose prediction was sent."),
        Column("probability", pl.Float64, "What was sent."),
        Column("high_risk", pl.Boolean, "Whether it was called high risk."),
        Column("status", pl.String, "pending, mature, censored or revised."),
        Column("label", pl.Boolean, "Outcome as known when ripe; null without one.", nullable=True),
        Column("ripe_at", TIMESTAMP, "When it became ripe; null while pending.", nullable=True),
        Column("ripe_week", pl.Date, "Monday of the week of ripe_at.", nullable=True),
        Column("outcome_at", TIMESTAMP, "First outcome, as known when ripe.", nullable=True),
        Column("known_at", TIMESTAMP, "When an outcome became known, so far.", nullable=True),
        Column("label_now", pl.Boolean, "Outcome as known now; null without one.", nullable=True),
        Column(
            "followed",
            pl.Boolean,
            "Whether the person stayed, whatever came of it; null while pending.",
            nullable=True,
        ),
        Column(
            "in_use",
            pl.Boolean,
            "Whether its version was in use when ripe_week ended; null until then.",
            nullable=True,
        ),
    ),
)


@dataclass(frozen=True)
class Ledger:
    """The ledger and the run-outs by which its rows became ripe.

    Parameters
    ----------
    rows : DataFrame
        `OUTCOME_LEDGER`, by prediction time and row key.
    runouts : DataFrame
        `completion.RUNOUTS`.
    horizon_days : int, days
    as_of : datetime (UTC)
    """

    rows: pl.DataFrame
    runouts: pl.DataFrame
    horizon_days: int
    as_of: datetime

    def counts(self) -> dict[str, int]:
        """Rows by status; every status is there."""
        found = dict(self.rows.group_by("status").len().iter_rows())
        return {status: found.get(status, 0) for status in STATUS}


@dataclass(frozen=True)
class StagedTables:
    """What is known of persons: staged tables."""

    events: pl.LazyFrame
    coverage: pl.LazyFrame
    persons: pl.LazyFrame


def build_ledger(
    scores: pl.DataFrame,
    staged: StagedTables,
    *,
    outcome: Outcome,
    monitoring: Monitoring,
    code_sets: Mapping[str, CodeSet],
    as_of: datetime,
) -> Ledger:
    """Build the ledger of a use case from what was sent and what is known.

    Parameters
    ----------
    scores : DataFrame
        The valid scoring of each week: row key, ``week``, ``model_version``, ``probability``,
        ``high_risk``, and perhaps ``scored_at``, by which the version in use is known (`in_use`).
        Rows predicted after `as_of` are left out.
    staged : StagedTables
        What becomes known from `as_of` on is not looked at.
    outcome : Outcome
        Its run-out is the lower bound of the estimated one.
    monitoring : Monitoring
    code_sets : mapping of str to CodeSet
    as_of : datetime (UTC)

    Returns
    -------
    Ledger

    Raises
    ------
    ContractError
        If a row was scored twice.
    """
    sent = _sent(scores, as_of)
    known = _known_outcomes(staged, outcome, code_sets, as_of)
    first = as_of if sent.is_empty() else sent["prediction_time"][0]
    runouts = estimate_runouts(
        outcome_delays(known.events, outcome, code_sets),
        share=monitoring.runout_share,
        least_days=outcome.runout_days,
        first=first,
        as_of=as_of,
    )
    ripe_at = _ripe_at(sent, runouts, outcome.horizon_days)
    frozen = _labels(ripe_at, known, outcome, code_sets, as_of)
    now = label_rows(
        ripe_at.filter(pl.col("ripe_at") <= as_of),
        events=known.events,
        coverage=known.coverage,
        persons=known.persons,
        outcome=replace(outcome, runout_days=_FOR_EVER),
        code_sets=code_sets,
        as_of=_END_OF_TIME,
    ).select(*ROW_KEY, pl.col("label").alias("label_now"))
    told = outcomes_known(sent, events=known.events, outcome=outcome, code_sets=code_sets)
    rows = (
        ripe_at.join(frozen, on=ROW_KEY, how="left", maintain_order="left")
        .join(now, on=ROW_KEY, how="left", maintain_order="left")
        .join(told.rename({"outcome_known_at": "known_at"}), on=ROW_KEY, how="left")
    )
    return Ledger(_finish(in_use(rows), as_of), runouts, outcome.horizon_days, as_of)


def _known_outcomes(
    staged: StagedTables, outcome: Outcome, code_sets: Mapping[str, CodeSet], as_of: datetime
) -> StagedTables:
    """What is known, and of the events those that the outcome asks for, which are read once."""
    known = StagedTables(*(as_known_at(table, as_of) for table in vars(staged).values()))
    asked = (
        name
        for component in outcome.components
        for name in (component.code_set, component.same_encounter_code_set)
        if name is not None
    )
    events = narrow_to_coded(known.events, [code_sets[name] for name in sorted(set(asked))])
    return replace(known, events=events.collect().lazy())


_FOR_EVER = 36_500  # days
_END_OF_TIME = datetime(9000, 1, 1)


def _sent(scores: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    columns = [*ROW_KEY, "week", "model_version", "probability", "high_risk", "scored_at"]
    told = [name for name in columns if name in scores.columns or name != "scored_at"]
    sent = scores.select(told).filter(pl.col("prediction_time") <= as_of)
    if double := sent.height - sent.select(ROW_KEY).n_unique():
        msg = (
            f"each row must be in the ledger once (found {double} rows scored again); "
            "give the valid scoring of each week"
        )
        raise ContractError(msg)
    return sent.sort("prediction_time", "person_id", "encounter_id")


def outcome_delays(
    events: pl.LazyFrame, outcome: Outcome, code_sets: Mapping[str, CodeSet]
) -> pl.DataFrame:
    """Delay of every fact that could be an outcome, as `completion.estimate_runouts` takes it."""
    named = sorted({component.code_set for component in outcome.components})
    return (
        select_coded(events, [code_sets[name] for name in named])
        .select(
            pl.col("code_set").alias("kind"), pl.col("occurred_at").alias("started_at"), "known_at"
        )
        .collect()
    )


def _ripe_at(sent: pl.DataFrame, runouts: pl.DataFrame, horizon_days: int) -> pl.DataFrame:
    ends = sent.with_columns(
        (pl.col("prediction_time") + pl.duration(days=horizon_days)).alias("horizon_end")
    )
    times = ripe_times(ends["horizon_end"], runouts)
    joined = ends.join(times, on="horizon_end", how="left", maintain_order="left")
    return joined.rename({"runout_ends_at": "ripe_at"})


def _labels(
    ripe_at: pl.DataFrame,
    known: StagedTables,
    outcome: Outcome,
    code_sets: Mapping[str, CodeSet],
    as_of: datetime,
) -> pl.DataFrame:
    """Labels as known when ripe: rows of the same run-out together."""
    ripe = ripe_at.filter(pl.col("ripe_at") <= as_of).with_columns(
        (pl.col("ripe_at") - pl.col("horizon_end")).dt.total_days().alias("days")
    )
    parts = [
        label_rows(
            part,
            events=known.events,
            coverage=known.coverage,
            persons=known.persons,
            outcome=replace(outcome, runout_days=int(part["days"][0])),
            code_sets=code_sets,
            as_of=as_of,
        ).select(*ROW_KEY, "label", "outcome_at", "followed")
        for part in ripe.partition_by("days", maintain_order=True)
    ]
    key = {name: ripe_at.schema[name] for name in ROW_KEY}
    known_then = {"label": pl.Boolean, "outcome_at": TIMESTAMP, "followed": pl.Boolean}
    return pl.concat(parts) if parts else pl.DataFrame(schema={**key, **known_then})


def _finish(rows: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Status and weeks; `rows` have ``ripe_at``, ``label`` and ``label_now``."""
    ripe = pl.col("ripe_at") <= as_of
    status = (
        pl.when(~ripe)
        .then(pl.lit("pending"))
        .when(pl.col("label").ne_missing(pl.col("label_now")))
        .then(pl.lit("revised"))
        .when(pl.col("label").is_null())
        .then(pl.lit("censored"))
        .otherwise(pl.lit("mature"))
    )
    return (
        rows.with_columns(status.alias("status"))
        .with_columns(
            pl.when(ripe).then(pl.col(name)).alias(name)
            for name in ("ripe_at", "label", "label_now", "outcome_at", "followed")
        )
        .with_columns(week_of(pl.col("ripe_at")).alias("ripe_week"))
        .with_columns(pl.when(_is_over(as_of)).then("in_use").alias("in_use"))
        .sort("prediction_time", "person_id", "encounter_id")
        .select(pl.col(name).cast(dtype) for name, dtype in OUTCOME_LEDGER.schema.items())
    )


def _is_over(as_of: datetime) -> pl.Expr:
    """Whether the week in which a row became ripe is over."""
    return pl.col("ripe_week") + pl.duration(days=7) <= pl.lit(as_of)


def in_use(rows: pl.DataFrame) -> pl.DataFrame:
    """Tell whether the version of each row was in use when its outcome became ripe.

    In use is, at the end of a week, the version that made the list of that week, or of the latest
    one before it that has rows: the version of most rows of the list as it was scored first. So a
    version that comes back is in use again, and rows of an old week that another version scores
    late take nothing from it.

    Parameters
    ----------
    rows : DataFrame
        ``week``, ``model_version``, ``prediction_time``, ``ripe_at`` and perhaps ``scored_at``;
        without it all rows of a week count as scored first.

    Returns
    -------
    DataFrame
        The rows, in another order, with ``in_use``.

    Examples
    --------
    >>> from datetime import date
    >>> day = [datetime(2024, 1, day) for day in (2, 9, 10, 16)]
    >>> rows = pl.DataFrame({"week": [date(2024, 1, 1), *[date(2024, 1, 8)] * 2, date(2024, 1, 15)],
    ...     "model_version": ["1", "2", "2", "1"], "prediction_time": day,
    ...     "ripe_at": [datetime(2024, 1, 12)] * 3 + [datetime(2024, 1, 18)]})
    >>> in_use(rows)["in_use"].to_list()
    [False, True, True, True]
    """
    lists = (
        _scored_first(rows)
        .group_by("week", "model_version")
        .agg(pl.len().alias("size"), pl.col("prediction_time").max().alias("last"))
        .sort("week", "size", "last", "model_version")
        .unique("week", keep="last", maintain_order=True)
        .select("week", pl.col("model_version").alias("made_by"))
    )
    ordered = rows.with_columns(week_of(pl.col("ripe_at")).alias("ended")).sort("ended")
    joined = ordered.join_asof(lists, left_on="ended", right_on="week", coalesce=False)
    used = (pl.col("model_version") == pl.col("made_by")).alias("in_use")
    return joined.with_columns(used).select(*rows.columns, "in_use")


def _scored_first(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each week the rows that were scored first."""
    if "scored_at" not in rows.columns:
        return rows
    return rows.filter(pl.col("scored_at") == pl.col("scored_at").min().over("week"))


def ledger_of_known_outcomes(
    rows: pl.DataFrame, *, horizon_days: int, runouts: pl.DataFrame, as_of: datetime
) -> Ledger:
    """Build the ledger of rows whose outcomes come with the time at which they became known.

    A row is ripe once its run-out has passed **and** its outcome, or the absence of it, is known.

    Parameters
    ----------
    rows : DataFrame
        Row key, ``model_version``, ``probability``, ``high_risk``, ``outcome`` (Boolean; null when
        not known), ``known_at``, and perhaps ``censored_at`` (end of observation, given with the
        outcome as without it) and ``outcome_at`` (else taken to be ``known_at``, to tell which
        of the two came first). What of it became known from `as_of` on is not looked at.
    horizon_days : int, days
    runouts : DataFrame
        `completion.RUNOUTS`.
    as_of : datetime (UTC)

    Returns
    -------
    Ledger
        A row whose observation ended before the horizon, without an outcome, is censored; with an
        outcome before that end it has a label, but was not followed.
    """
    absent = [name for name in ("censored_at", "outcome_at") if name not in rows.columns]
    given = rows.with_columns(pl.lit(None, dtype=TIMESTAMP).alias(name) for name in absent)
    sent = given.filter(pl.col("prediction_time") <= as_of).with_columns(
        week_of(pl.col("prediction_time")).alias("week")
    )
    timed = _ripe_at(sent, runouts, horizon_days)
    known = is_known(pl.col("known_at"), as_of) & pl.col("outcome").is_not_null()
    event = (known & pl.col("outcome")).fill_null(value=False)
    lost = (pl.col("censored_at") < pl.col("horizon_end")) & is_known(pl.col("censored_at"), as_of)
    censored = (lost & ~event).fill_null(value=False)
    happened = pl.coalesce("outcome_at", "known_at")
    left = censored | (lost & (happened < pl.col("censored_at"))).fill_null(value=False)
    label = pl.when(known & ~censored).then("outcome")
    ripe_at = (
        pl.when(censored)
        .then("ripe_at")
        .when(known)
        .then(pl.max_horizontal(pl.col("ripe_at"), first_known(pl.col("known_at"))))
        .otherwise(pl.lit(_END_OF_TIME))
    )
    judged = timed.with_columns(
        label.alias("label"),
        label.alias("label_now"),
        (~left).alias("followed"),
        ripe_at.alias("ripe_at"),
        pl.when(event).then("known_at").alias("known_at"),
        pl.when(event).then("outcome_at").alias("outcome_at"),
    )
    return Ledger(_finish(in_use(judged), as_of), runouts, horizon_days, as_of)


def evidence_rows(ledger: Ledger) -> pl.DataFrame:
    """Ripe rows that are independent given the past: one per person and horizon.

    A person's first row counts, then the first whose prediction time lies a horizon or more
    after that of the one before; of each model version. They are chosen before outcomes are
    looked at, so that the choice tells nothing of the outcome. Then those of persons who left
    before the horizon fall out, with the outcome as without it: were only those without it left
    out, true predictions would look too low. Of those who died, those without the outcome fall
    out, as in training. Only whole weeks count, so that evidence of a week never changes.

    Returns
    -------
    DataFrame
        The columns of the ledger, but ``week`` is the week of becoming ripe.
    """
    rows = ledger.rows.sort("model_version", "person_id", "prediction_time", "encounter_id")
    return (
        rows.filter(_first_of_horizon(rows, ledger.horizon_days))
        .filter(pl.col("label").is_not_null() & pl.col("followed") & _is_over(ledger.as_of))
        .with_columns(pl.col("ripe_week").alias("week"))
        .sort("week", "prediction_time", "person_id", "encounter_id")
    )


def _first_of_horizon(rows: pl.DataFrame, horizon_days: int) -> pl.Series:
    """Which rows, sorted by version, person and time, are the first of a horizon."""
    block = rows.select(pl.struct("model_version", "person_id").rle_id()).to_series()
    return first_of_horizon(block, rows["prediction_time"], timedelta(days=horizon_days))


def first_of_horizon(block: pl.Series, time: pl.Series, horizon: timedelta) -> pl.Series:
    """Which rows are chosen: the first of a block, then the first a horizon or more after it.

    Parameters
    ----------
    block : Series of int
        Equal for the rows of one person; rows of a block stand together, by time.
    time : Series of timestamps
    horizon : timedelta

    Returns
    -------
    Series of Boolean
    """
    span = int(horizon / timedelta(microseconds=1))
    chosen = _chosen(block.to_numpy(), time.cast(TIMESTAMP).cast(pl.Int64).to_numpy(), span)
    return pl.Series("chosen", chosen, dtype=pl.Boolean)


@numba.njit(cache=True, nogil=True)
def _chosen(block: np.ndarray, time_us: np.ndarray, horizon_us: int) -> np.ndarray:
    chosen = np.zeros(block.size, np.bool_)
    last = 0
    for row in range(block.size):
        new = row == 0 or block[row] != block[row - 1]
        if new or time_us[row] - time_us[last] >= horizon_us:
            chosen[row] = True
            last = row
    return chosen


def revisions(ledger: Ledger) -> pl.DataFrame:
    """What became known after rows were ripe, by month of becoming ripe.

    Returns
    -------
    DataFrame
        ``month``, ``ripe`` (rows), ``outcome_came_later``, ``outcome_withdrawn`` and
        ``censoring_changed`` (rows).
    """
    before, now = pl.col("label"), pl.col("label_now")
    censoring = before.is_null() != now.is_null()
    return (
        ledger.rows.filter(pl.col("ripe_at").is_not_null())
        .group_by(pl.col("ripe_at").dt.truncate("1mo").cast(pl.Date).alias("month"))
        .agg(
            ripe=pl.len(),
            outcome_came_later=(~before & now).fill_null(value=False).sum(),
            outcome_withdrawn=(before & ~now).fill_null(value=False).sum(),
            censoring_changed=censoring.sum(),
        )
        .sort("month")
    )


def changes_between(earlier: Ledger, later: Ledger) -> pl.DataFrame:
    """Rows that have another status or label in a later ledger than in an earlier one.

    Returns
    -------
    DataFrame
        Row key, ``status`` and ``label_now`` of both, the later with the suffix ``_later``; rows
        that were scored in between are absent.
    """
    told = [*ROW_KEY, "status", "label_now"]
    both = earlier.rows.select(told).join(later.rows.select(told), on=ROW_KEY, suffix="_later")
    return both.filter(
        pl.any_horizontal(
            pl.col(name).ne_missing(pl.col(f"{name}_later")) for name in ("status", "label_now")
        )
    )


def weeks_until_ripe(ledger: Ledger) -> int:
    """Whole weeks from a prediction until its outcome is ripe, by the run-out in force now."""
    days = ledger.horizon_days + int(ledger.runouts["runout_days"][-1])
    return -(-days // 7)


def present_ledger(ledger: Ledger, as_of: datetime) -> Ledger:
    """The ledger as it was made where that is enough: it may lack days of a week that is not over.

    Parameters
    ----------
    ledger : Ledger
    as_of : datetime (UTC)
        What is known now; where that is less than the ledger knows, the ledger is cut.

    Raises
    ------
    ContractError
        If a whole week is over that the ledger does not reach.
    """
    monday = as_of.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(as_of.weekday())
    return ledger if monday <= ledger.as_of <= as_of else ledger_at(ledger, as_of)


def ledger_at(ledger: Ledger, as_of: datetime) -> Ledger:
    """The ledger as it was at an earlier moment, but for revisions, of which it has none.

    A row keeps the moment at which it became ripe and its label from then on, so that all weeks
    up to now are made from one ledger.

    Parameters
    ----------
    ledger : Ledger
    as_of : datetime (UTC)
        Not after that of the ledger.

    Raises
    ------
    ContractError
        If the ledger knows less than that.
    """
    if as_of > ledger.as_of:
        msg = (
            f"a ledger up to {as_of.date()} must be made from one that reaches so far (found one "
            f"up to {ledger.as_of.date()}); build the ledger again"
        )
        raise ContractError(msg)
    told = ledger.rows.filter(pl.col("prediction_time") <= as_of).with_columns(
        pl.col("ripe_at").fill_null(_END_OF_TIME),
        pl.when(is_known(pl.col("known_at"), as_of)).then("known_at").alias("known_at"),
        pl.col("label").alias("label_now"),
    )
    runouts = ledger.runouts.filter(pl.col("from_at") <= as_of)
    return Ledger(_finish(told, as_of), runouts, ledger.horizon_days, as_of)
