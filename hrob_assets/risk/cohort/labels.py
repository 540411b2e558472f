"""What happened after each prediction time, and whether that can be said yet."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl

from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.use_case import Outcome, OutcomeComponent
from hrob_assets.risk.vocabulary import CodeSet, select_coded
from hrob_assets.risk.windows import follow_up, known_when_ripe

LABEL_STATUS = ("mature", "pending", "censored")
_SLACK = timedelta(hours=24)  # spans that lie no further apart touch
_FOR_EVER = 36_500  # days
_UNLINKED_ARE_NEAR = timedelta(days=1)  # a fact without an encounter belongs to one a day away


def label_rows(
    rows: pl.DataFrame,
    *,
    events: pl.LazyFrame,
    coverage: pl.LazyFrame,
    persons: pl.LazyFrame,
    outcome: Outcome,
    code_sets: Mapping[str, CodeSet],
    as_of: datetime,
) -> pl.DataFrame:
    """Label rows: the outcome within the horizon, as known when the run-out has passed.

    A label, once mature, never changes on the same facts: what becomes known after
    ``prediction_time + horizon + runout`` has no part in it.

    Parameters
    ----------
    rows : DataFrame
        The row key and ``week``; one row per encounter.
    events, coverage, persons : LazyFrame
        Staged tables.
    outcome : Outcome
    code_sets : mapping of str to CodeSet
        At least those that the outcome names.
    as_of : datetime (UTC)
        End of what the data can know.

    Returns
    -------
    DataFrame
        The same rows: key, ``week``, ``label`` (Boolean; null when pending or censored),
        ``label_status`` (mature, pending, censored), ``followed`` (Boolean; null when pending),
        ``outcome_at`` (first outcome; null when none or pending) and one Boolean
        ``outcome__<component>`` per component.

    Notes
    -----
    *pending*: the run-out ends after ``as_of``. *censored*: no outcome, and the person died or,
    where the outcome requires enrolment, was not enrolled through the horizon. *followed*: where
    it does, the person was enrolled through the horizon or until death, whatever came of the row;
    else always.
    """
    keyed = rows.select(*ROW_KEY, "week").with_row_index("row")
    found = _first_outcomes(keyed, events, outcome, code_sets)
    died, left = _lost_rows(keyed, coverage, persons, outcome)
    labelled = (
        keyed.join(found, on="row", how="left", maintain_order="left")
        .with_columns(
            pl.col("row").is_in(lost.implode()).alias(name)
            for name, lost in (("died", died), ("left", left))
        )
        .with_columns(_status(outcome, as_of).alias("label_status"))
    )
    happened, mature = pl.col("outcome_at").is_not_null(), pl.col("label_status") == "mature"
    # A pending row shows nothing of what is known so far: a label that is right only for outcomes
    # that were reported early would teach that late ones are none.
    ripe = pl.col("label_status") != "pending"
    return labelled.select(
        *ROW_KEY,
        "week",
        pl.when(mature).then(happened).alias("label"),
        "label_status",
        pl.when(ripe).then(~pl.col("left")).alias("followed"),
        pl.when(ripe).then("outcome_at").alias("outcome_at"),
        *(
            pl.when(ripe).then(pl.col(part.name).is_not_null()).alias(f"outcome__{part.name}")
            for part in outcome.components
        ),
    )


def _status(outcome: Outcome, as_of: datetime) -> pl.Expr:
    """One of `LABEL_STATUS`; an outcome counts even of a person who died or left after it."""
    days = outcome.horizon_days + outcome.runout_days
    lost = pl.col("died") | pl.col("left")
    return (
        pl.when(pl.col("prediction_time") + pl.duration(days=days) > as_of)
        .then(pl.lit("pending"))
        .when(pl.col("outcome_at").is_not_null() | ~lost)
        .then(pl.lit("mature"))
        .otherwise(pl.lit("censored"))
    )


def outcomes_known(
    rows: pl.DataFrame,
    *,
    events: pl.LazyFrame,
    outcome: Outcome,
    code_sets: Mapping[str, CodeSet],
) -> pl.DataFrame:
    """When the outcome of each row became known, as far as it ever did.

    Returns
    -------
    DataFrame
        Row key and ``outcome_known_at``; rows without an outcome within the horizon are absent.
    """
    keyed = rows.select(*ROW_KEY).with_row_index("row")
    found = _first_outcomes(keyed, events, replace(outcome, runout_days=_FOR_EVER), code_sets)
    return keyed.join(found, on="row").select(*ROW_KEY, "outcome_known_at")


def _first_outcomes(
    keyed: pl.DataFrame, events: pl.LazyFrame, outcome: Outcome, code_sets: Mapping[str, CodeSet]
) -> pl.DataFrame:
    """Time of the first event of each component and of any, and when one of them was known.

    Rows with none are absent.
    """
    days = {"horizon_days": outcome.horizon_days, "runout_days": outcome.runout_days}
    rows, numbers = keyed.lazy(), keyed.lazy().select("row", *ROW_KEY)
    named = sorted({component.code_set for component in outcome.components})
    coded = select_coded(events, [code_sets[name] for name in named])
    after = follow_up(coded, rows, **days).join(numbers, on=list(ROW_KEY)).collect()
    happened = after.lazy().select(*ROW_KEY).unique()
    beside_names = (component.same_encounter_code_set for component in outcome.components)
    qualifiers = sorted({name for name in beside_names if name is not None})
    beside = known_when_ripe(
        select_coded(events, [code_sets[name] for name in qualifiers]), happened, **days
    )
    around = beside.join(numbers, on=list(ROW_KEY)).collect()
    result = keyed.select("row")
    for component in outcome.components:
        hits = _hits(after, around, component)
        known = pl.col("known_at").min().alias(f"{component.name}__known_at")
        first = hits.group_by("row").agg(pl.col("occurred_at").min().alias(component.name), known)
        result = result.join(first, on="row", how="left")
    names = [component.name for component in outcome.components]
    any_of = pl.min_horizontal(*names).alias("outcome_at")
    known = pl.min_horizontal(f"{name}__known_at" for name in names).alias("outcome_known_at")
    return result.with_columns(any_of, known).filter(pl.col("outcome_at").is_not_null())


def _hits(after: pl.DataFrame, around: pl.DataFrame, component: OutcomeComponent) -> pl.DataFrame:
    """Follow-up events of a component, with the other event that the component asks for."""
    hits = after.filter(pl.col("code_set") == component.code_set)
    if component.of_index_encounter:
        hits = hits.filter(pl.col("event_encounter_id") == pl.col("encounter_id"))
    if component.same_encounter_code_set is None:
        return hits
    beside = around.filter(pl.col("code_set") == component.same_encounter_code_set).select(
        "row",
        pl.col("event_encounter_id").alias("beside_encounter_id"),
        pl.col("occurred_at").alias("beside_at"),
        pl.col("known_at").alias("beside_known_at"),
    )
    one, other = pl.col("event_encounter_id"), pl.col("beside_encounter_id")
    near = (pl.col("occurred_at") - pl.col("beside_at")).abs() <= _UNLINKED_ARE_NEAR
    same = (one == other) | ((one.is_null() | other.is_null()) & near)
    both_known = pl.max_horizontal("known_at", "beside_known_at")
    return hits.join(beside, on="row").filter(same).with_columns(known_at=both_known)


def _lost_rows(
    keyed: pl.DataFrame, coverage: pl.LazyFrame, persons: pl.LazyFrame, outcome: Outcome
) -> tuple[pl.Series, pl.Series]:
    """Rows of persons who died, and who disenrolled, before the horizon; as known when mature.

    Cover that ends with death, or in the day before, is not left.
    """
    end = pl.col("prediction_time") + pl.duration(days=outcome.horizon_days)
    ripe_at = end + pl.duration(days=outcome.runout_days)
    deaths = (
        keyed.lazy()
        .join(persons.filter(pl.col("death_at").is_not_null()), on="person_id")
        .filter(pl.col("death_at") < end, pl.col("death_known_at") < ripe_at)
        .select("row", (pl.col("death_at") - _SLACK).alias("until"))
    )
    died = deaths.select("row").collect()["row"]
    if not outcome.requires_enrolment:
        return died, died.clear()
    asked = (
        keyed.lazy()
        .join(deaths, on="row", how="left")
        .with_columns(pl.col("until").fill_null(end))
        .filter(pl.col("until") > pl.col("prediction_time"))
    )
    covered = _covered_to_the_end(asked, coverage, pl.col("until"), ripe_at)
    return died, asked.select("row").join(covered, on="row", how="anti").collect()["row"]


def _covered_to_the_end(
    keyed: pl.LazyFrame, coverage: pl.LazyFrame, end: pl.Expr, ripe_at: pl.Expr
) -> pl.LazyFrame:
    """Rows whose spans, known in time, reach to an end without a gap of a day or more.

    An end that becomes known only after the row is mature is not seen: the span is open.
    """
    started = pl.col("started_at")
    ended = pl.when(pl.col("end_known_at") < ripe_at).then("ended_at").otherwise(end)
    reached = ended.cum_max().shift(1).over("row").fill_null(pl.col("prediction_time"))
    return (
        keyed.join(coverage, on="person_id")
        .filter(pl.col("known_at") < ripe_at, started < end, ended > pl.col("prediction_time"))
        .sort("row", "started_at", "ended_at", nulls_last=True)
        .with_columns((started > reached + _SLACK).alias("gap"))
        .filter(pl.col("gap").cast(pl.Int32).cum_sum().over("row") == 0)
        .filter(ended >= end)
        .select("row")
        .unique()
    )
