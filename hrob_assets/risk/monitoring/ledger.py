"""The outcome ledger: whether the outcome of every scored row is mature, and what it is.

A ledger is a function of what was scored and of what is known; nothing is carried over from an
earlier one. A label is what was known when its row became mature, and it stays so (decision record
3). What becomes known later is a *revision*: it is kept and reported, and changes no e-value of
the past.

Columns keep the older words of the stored tables: ``ripe_at`` is the moment at which an outcome
became mature, ``followed`` says whether follow-up was complete.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from hrob_assets.risk.cohort import label_rows, outcomes_known
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.monitoring.first_scoring import flag_versions_in_use
from hrob_assets.risk.monitoring.reporting_delay import (
    estimate_runouts,
    maturity_times,
    outcome_delays,
)
from hrob_assets.risk.tables import ROW_KEY, TIMESTAMP, Column, Table
from hrob_assets.risk.use_case import Monitoring, Outcome
from hrob_assets.risk.vocabulary import CodeSet, narrow_to_coded
from hrob_assets.risk.windows import as_known_at, first_known, is_known, week_of

STATUS = ("pending", "mature", "censored", "revised")
OUTCOME_LEDGER = Table(
    "outcome_ledger",
    "One row per scored row, as of a moment.",
    ROW_KEY,
    (
        Column("person_id", pl.Int64, "Patient."),
        Column("encounter_id", pl.Int64, "Encounter that gave rise to the prediction."),
        Column("prediction_time", TIMESTAMP, "Only what was known before it was used."),
        Column("week", pl.Date, "Monday of the week that was scored."),
        Column("model_version", pl.String, "Version whose prediction was sent."),
        Column("probability", pl.Float64, "What was sent."),
        Column("high_risk", pl.Boolean, "Whether it was called high risk."),
        Column("status", pl.String, "pending, mature, censored or revised."),
        Column("label", pl.Boolean, "Outcome as known when mature.", nullable=True),
        Column("ripe_at", TIMESTAMP, "When it became mature; null while pending.", nullable=True),
        Column("ripe_week", pl.Date, "Monday of the week of ripe_at.", nullable=True),
        Column("outcome_at", TIMESTAMP, "First outcome, as known when mature.", nullable=True),
        Column("known_at", TIMESTAMP, "When an outcome became known, so far.", nullable=True),
        Column("label_now", pl.Boolean, "Outcome as known now; null without one.", nullable=True),
        Column("followed", pl.Boolean, "Complete follow-up; null while pending.", nullable=True),
        Column("in_use", pl.Boolean, "Version in use when ripe_week ended.", nullable=True),
    ),
)
_UNLIMITED_DAYS = 36_500
_END_OF_TIME = datetime(9000, 1, 1)


@dataclass(frozen=True)
class Ledger:
    """The ledger and the run-outs by which its rows became mature.

    Parameters
    ----------
    rows : DataFrame
        `OUTCOME_LEDGER`, by prediction time and row key.
    runouts : DataFrame
        `RUNOUTS`.
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

    def mature_after_days(self, moment: datetime | None = None) -> int:
        """Days from a prediction to its mature outcome, by the run-out in force at a moment.

        Parameters
        ----------
        moment : datetime (UTC), optional
            None: now, which is `as_of`.
        """
        runouts = self.runouts
        if moment is not None:
            runouts = runouts.filter(pl.col("from_at") <= moment)
        return self.horizon_days + int(runouts["runout_days"][-1])


@dataclass(frozen=True)
class StagedTables:
    """What is known of patients: staged tables."""

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
        What was sent first (`first_sent`): row key, ``week``, ``model_version``,
        ``probability``, ``high_risk``, and perhaps ``scored_at``, which says which version was in
        use. Rows predicted after `as_of` are left out.
    staged : StagedTables
        Information that became known at or after `as_of` is ignored.
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
        If a row is given twice.
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
    timed = _with_maturity(sent, runouts, outcome.horizon_days)
    frozen = _labels_when_mature(timed, known, outcome, code_sets, as_of)
    now = _labels_now(timed, known, outcome, code_sets, as_of)
    outcomes = outcomes_known(sent, events=known.events, outcome=outcome, code_sets=code_sets)
    rows = (
        timed.join(frozen, on=ROW_KEY, how="left", maintain_order="left")
        .join(now, on=ROW_KEY, how="left", maintain_order="left")
        .join(outcomes.rename({"outcome_known_at": "known_at"}), on=ROW_KEY, how="left")
    )
    return Ledger(_finish(flag_versions_in_use(rows), as_of), runouts, outcome.horizon_days, as_of)


def _known_outcomes(
    staged: StagedTables, outcome: Outcome, code_sets: Mapping[str, CodeSet], as_of: datetime
) -> StagedTables:
    """What is known; of the events only those with codes of the outcome, which are read once."""
    known = StagedTables(*(as_known_at(table, as_of) for table in vars(staged).values()))
    asked = (
        name
        for component in outcome.components
        for name in (component.code_set, component.same_encounter_code_set)
        if name is not None
    )
    events = narrow_to_coded(known.events, [code_sets[name] for name in sorted(set(asked))])
    return replace(known, events=events.collect().lazy())


def _sent(scores: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    columns = [*ROW_KEY, "week", "model_version", "probability", "high_risk", "scored_at"]
    given = [name for name in columns if name in scores.columns or name != "scored_at"]
    sent = scores.select(given).filter(pl.col("prediction_time") <= as_of)
    if double := sent.height - sent.select(ROW_KEY).n_unique():
        msg = (
            f"each row must be in the ledger once (found {double} rows scored again); "
            "give the first scoring of each row"
        )
        raise ContractError(msg)
    return sent.sort("prediction_time", "person_id", "encounter_id")


def _with_maturity(sent: pl.DataFrame, runouts: pl.DataFrame, horizon_days: int) -> pl.DataFrame:
    """Rows with the end of their horizon and the moment at which their run-out has passed."""
    ends = sent.with_columns(
        (pl.col("prediction_time") + pl.duration(days=horizon_days)).alias("horizon_end")
    )
    times = maturity_times(ends["horizon_end"], runouts)
    joined = ends.join(times, on="horizon_end", how="left", maintain_order="left")
    return joined.rename({"runout_ends_at": "ripe_at"})


def _labels_when_mature(
    timed: pl.DataFrame,
    known: StagedTables,
    outcome: Outcome,
    code_sets: Mapping[str, CodeSet],
    as_of: datetime,
) -> pl.DataFrame:
    """Labels as known when mature; rows with the same run-out are labelled together.

    `label_rows` takes one run-out for all its rows, and the ledger's run-out varies by month.
    Since `label_rows` looks only at facts that were known by the end of the run-out, a label
    comes out the same however much later the ledger is built.
    """
    mature = timed.filter(pl.col("ripe_at") <= as_of).with_columns(
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
        for part in mature.partition_by("days", maintain_order=True)
    ]
    key = {name: timed.schema[name] for name in ROW_KEY}
    known_then = {"label": pl.Boolean, "outcome_at": TIMESTAMP, "followed": pl.Boolean}
    return pl.concat(parts) if parts else pl.DataFrame(schema={**key, **known_then})


def _labels_now(
    timed: pl.DataFrame,
    known: StagedTables,
    outcome: Outcome,
    code_sets: Mapping[str, CodeSet],
    as_of: datetime,
) -> pl.DataFrame:
    """Labels of mature rows by everything known now, which show what was revised since.

    `known` is already cut at the ledger's `as_of`. An unlimited run-out, seen from the end of
    time, makes `label_rows` use all of it.
    """
    return label_rows(
        timed.filter(pl.col("ripe_at") <= as_of),
        events=known.events,
        coverage=known.coverage,
        persons=known.persons,
        outcome=replace(outcome, runout_days=_UNLIMITED_DAYS),
        code_sets=code_sets,
        as_of=_END_OF_TIME,
    ).select(*ROW_KEY, pl.col("label").alias("label_now"))


def _finish(rows: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Status and weeks; `rows` have ``ripe_at``, ``label`` and ``label_now``.

    What lies beyond `as_of` is set to null, so that no reader can use it by mistake.
    """
    mature = pl.col("ripe_at") <= as_of
    status = (
        pl.when(~mature)
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
            pl.when(mature).then(pl.col(name)).alias(name)
            for name in ("ripe_at", "label", "label_now", "outcome_at", "followed")
        )
        .with_columns(week_of(pl.col("ripe_at")).alias("ripe_week"))
        .with_columns(pl.when(week_is_over(as_of)).then("in_use").alias("in_use"))
        .sort("prediction_time", "person_id", "encounter_id")
        .select(pl.col(name).cast(dtype) for name, dtype in OUTCOME_LEDGER.schema.items())
    )


def week_is_over(as_of: datetime) -> pl.Expr:
    """Whether the week in which a row became mature is over; null while it is pending."""
    return pl.col("ripe_week") + pl.duration(days=7) <= pl.lit(as_of)


def ledger_of_known_outcomes(
    rows: pl.DataFrame, *, horizon_days: int, runouts: pl.DataFrame, as_of: datetime
) -> Ledger:
    """Build the ledger of rows whose outcomes come with the time at which they became known.

    An outcome is mature once its run-out has passed **and** it, or its absence, is known.

    Parameters
    ----------
    rows : DataFrame
        Row key, ``model_version``, ``probability``, ``high_risk``, ``outcome`` (Boolean; null when
        not known), ``known_at``, and perhaps ``censored_at`` (end of observation, given for rows
        with the outcome and without) and ``outcome_at`` (else taken to be ``known_at``; it says
        which of the two came first). Information that became known at or after `as_of` is
        ignored.
    horizon_days : int, days
    runouts : DataFrame
        `RUNOUTS`.
    as_of : datetime (UTC)

    Returns
    -------
    Ledger
        A row without an outcome whose observation ended before the horizon is censored. A row
        with an outcome before that end has a label, but no complete follow-up.
    """
    absent = [name for name in ("censored_at", "outcome_at") if name not in rows.columns]
    given = rows.with_columns(pl.lit(None, dtype=TIMESTAMP).alias(name) for name in absent)
    sent = given.filter(pl.col("prediction_time") <= as_of).with_columns(
        week_of(pl.col("prediction_time")).alias("week")
    )
    timed = _with_maturity(sent, runouts, horizon_days)
    known = is_known(pl.col("known_at"), as_of) & pl.col("outcome").is_not_null()
    event = (known & pl.col("outcome")).fill_null(value=False)
    lost = (pl.col("censored_at") < pl.col("horizon_end")) & is_known(pl.col("censored_at"), as_of)
    censored = (lost & ~event).fill_null(value=False)
    happened = pl.coalesce("outcome_at", "known_at")
    incomplete = censored | (lost & (happened < pl.col("censored_at"))).fill_null(value=False)
    label = pl.when(known & ~censored).then("outcome")
    # Waiting for the run-out even where the outcome is known early: outcomes become known before
    # their absence does, so rows taken as soon as they are known would have too many of them.
    ripe_at = (
        pl.when(censored)
        .then("ripe_at")
        .when(known)
        .then(pl.max_horizontal(pl.col("ripe_at"), first_known(pl.col("known_at"))))
        .otherwise(pl.lit(_END_OF_TIME))
    )
    labelled = timed.with_columns(
        label.alias("label"),
        label.alias("label_now"),
        (~incomplete).alias("followed"),
        ripe_at.alias("ripe_at"),
        pl.when(event).then("known_at").alias("known_at"),
        pl.when(event).then("outcome_at").alias("outcome_at"),
    )
    return Ledger(_finish(flag_versions_in_use(labelled), as_of), runouts, horizon_days, as_of)


def current_ledger(ledger: Ledger, as_of: datetime) -> Ledger:
    """The ledger as it was built, if it reaches the last week that is over; never beyond `as_of`.

    Days of a week that is not over change nothing in monitoring, so a ledger that lacks them
    serves as well.

    Parameters
    ----------
    ledger : Ledger
    as_of : datetime (UTC)
        Up to when facts are known now; a ledger that knows more is cut.

    Raises
    ------
    ContractError
        If the ledger does not reach the last week that is over.
    """
    monday = as_of.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(as_of.weekday())
    return ledger if monday <= ledger.as_of <= as_of else ledger_as_of(ledger, as_of)


def ledger_as_of(ledger: Ledger, as_of: datetime) -> Ledger:
    """Cut a ledger to an earlier moment; the result has no revisions.

    A row keeps the moment at which it became mature and its label from then on, so all weeks up
    to now can be monitored from one ledger. When a later revision became known is not in the
    ledger, so none is shown.

    Parameters
    ----------
    ledger : Ledger
    as_of : datetime (UTC)
        Not after that of the ledger.

    Raises
    ------
    ContractError
        If the ledger does not reach `as_of`.
    """
    if as_of > ledger.as_of:
        msg = (
            f"a ledger up to {as_of.date()} must be made from one that reaches so far (found one "
            f"up to {ledger.as_of.date()}); build the ledger again"
        )
        raise ContractError(msg)
    rows = ledger.rows.filter(pl.col("prediction_time") <= as_of).with_columns(
        pl.col("ripe_at").fill_null(_END_OF_TIME),
        pl.when(is_known(pl.col("known_at"), as_of)).then("known_at").alias("known_at"),
        pl.col("label").alias("label_now"),
    )
    runouts = ledger.runouts.filter(pl.col("from_at") <= as_of)
    return Ledger(_finish(rows, as_of), runouts, ledger.horizon_days, as_of)
