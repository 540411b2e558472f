"""From arrays to OMOP CDM 5.4 tables: ids, dates, source codes and `known_at`."""

from dataclasses import dataclass
from datetime import date, datetime, time

import numpy as np
import polars as pl

from hrob_assets.synthetic.codes import catalogue as codes
from hrob_assets.synthetic.codes.catalogue import (
    CATALOGUE,
    FIRST_CUSTOM_CONCEPT,
    STANDARD_VOCABULARIES,
    UNIT_CONCEPTS,
)
from hrob_assets.synthetic.extract.records import RECORD, Visits
from hrob_assets.synthetic.population import People, Spans
from hrob_assets.synthetic.scenarios import UNIT_CHANGES, Drift

CLAIM_TYPE, RECORD_TYPE = 32810, 32817
_DOMAIN = np.array([codes.DOMAINS.index(item.domain) for item in CATALOGUE])
_SOURCE_VALUE = pl.Series([item.code for item in CATALOGUE])
_UNIT = pl.Series([item.unit or None for item in CATALOGUE])
_STANDARD = np.array([item.vocabulary in STANDARD_VOCABULARIES for item in CATALOGUE])


@dataclass
class Population:
    """One simulated population, ready to be written.

    Parameters
    ----------
    first_id : int
        Person id of its first member.
    people : People
    visits : Visits
        With ``keep`` final.
    known : float array, days
        When each visit becomes known.
    facts : tuple of visit, code, value, time and known arrays
    spans : Spans
    death : float array, days
        Infinite when none.
    """

    first_id: int
    people: People
    visits: Visits
    known: np.ndarray
    facts: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    spans: Spans
    death: np.ndarray


@dataclass(frozen=True)
class Clock:
    """The calendar of a world: its first day and the number of days to the extract."""

    start: date
    days: float

    def times(self, day: np.ndarray) -> pl.Series:
        """Return days since the start as UTC timestamps, to the second; NaN becomes null."""
        zero = int(np.datetime64(datetime.combine(self.start, time()), "us").astype(np.int64))
        seconds = np.round(np.nan_to_num(day, posinf=0, neginf=0) * 86_400).astype(np.int64)
        series = pl.Series(zero + seconds * 1_000_000).cast(pl.Datetime("us"))
        missing = pl.Series(~np.isfinite(day))
        return pl.select(pl.when(~missing).then(series)).to_series()

    def dates(self, day: np.ndarray) -> pl.Series:
        """Return days since the start as dates."""
        return self.times(day).cast(pl.Date)


def _timed(name: str, moments: pl.Series) -> dict[str, pl.Series]:
    """Return the OMOP pair of date and datetime."""
    return {f"{name}_date": moments.cast(pl.Date), f"{name}_datetime": moments}


def person_table(populations: list[Population], clock: Clock) -> pl.DataFrame:
    """Return ``person``: everybody with coverage in the window."""
    frames: list[pl.DataFrame] = []
    for population in populations:
        who = np.unique(population.spans.person)
        people = population.people.take(who)
        birth = clock.times(np.floor(people.birth))
        frames.append(
            pl.DataFrame(
                {
                    "person_id": population.first_id + who,
                    "gender_concept_id": people.gender,
                    "year_of_birth": birth.dt.year(),
                    "month_of_birth": birth.dt.month().cast(pl.Int32),
                    "day_of_birth": birth.dt.day().cast(pl.Int32),
                    "birth_datetime": birth,
                    "race_concept_id": people.race,
                    "ethnicity_concept_id": people.ethnicity,
                }
            )
        )
    gender = pl.col("gender_concept_id").replace_strict({8532: "F", 8507: "M"})
    return (
        pl.concat(frames)
        .sort("person_id")
        .with_columns(person_source_value=pl.format("M{}", "person_id"), gender_source_value=gender)
    )


def visit_table(populations: list[Population], clock: Clock) -> tuple[pl.DataFrame, np.ndarray]:
    """Return ``visit_occurrence``, ordered by start, and the order that was used.

    The order maps rows of the table to the visits that are kept, population after population.
    """
    kept = [np.flatnonzero(p.visits.keep) for p in populations]

    def gather(name: str) -> np.ndarray:
        pairs = zip(populations, kept, strict=True)
        return np.concatenate([getattr(p.visits, name)[index] for p, index in pairs])

    person = np.concatenate(
        [p.visits.person[i] + p.first_id for p, i in zip(populations, kept, strict=True)]
    )
    known = np.concatenate([p.known[i] for p, i in zip(populations, kept, strict=True)])
    start, end, concept = gather("start"), gather("end"), gather("concept")
    order = np.lexsort((concept, end, person, start))
    source = gather("source")[order]
    frame = pl.DataFrame(
        {
            "visit_occurrence_id": np.arange(1, len(order) + 1),
            "person_id": person[order],
            "visit_concept_id": concept[order],
            **_timed("visit_start", clock.times(start[order])),
            **_timed("visit_end", clock.times(end[order])),
            "visit_type_concept_id": np.where(source == RECORD, RECORD_TYPE, CLAIM_TYPE),
            "known_at": clock.times(known[order]),
        }
    )
    return frame, order


def fact_rows(
    populations: list[Population], order: np.ndarray, clock: Clock
) -> dict[str, np.ndarray]:
    """Return the facts of all populations in the order of the visits: arrays of equal length."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    parts: list[tuple[np.ndarray, ...]] = []
    passed = 0
    for population in populations:
        visit, code, value, moment, known = population.facts
        number = np.cumsum(population.visits.keep) - 1 + passed
        passed += int(population.visits.keep.sum())
        stay = population.visits.keep[visit] & (known <= clock.days) & (moment < clock.days)
        visit, code, value, moment, known = (
            array[stay] for array in (visit, code, value, moment, known)
        )
        person = population.visits.person[visit] + population.first_id
        ids, source = rank[number[visit]], population.visits.source[visit]
        parts.append((ids, person, code, value, moment, known, source))
    names = ("visit", "person", "code", "value", "time", "known", "source")
    joined = dict(zip(names, map(np.concatenate, zip(*parts, strict=True)), strict=True))
    # Known last: an adjustment that repeats a code of its claim is not a new fact.
    by = np.lexsort((joined["known"], joined["code"], joined["visit"]))
    joined = {name: array[by] for name, array in joined.items()}
    again = (joined["visit"][1:] == joined["visit"][:-1]) & (
        joined["code"][1:] == joined["code"][:-1]
    )
    first = np.concatenate([[True], ~again])
    return {name: array[first] for name, array in joined.items()}


def _domain_rows(facts: dict[str, np.ndarray], domain: str) -> dict[str, np.ndarray]:
    chosen = _DOMAIN[facts["code"]] == codes.DOMAINS.index(domain)
    return {name: array[chosen] for name, array in facts.items()}


def clinical_table(
    facts: dict[str, np.ndarray], domain: str, clock: Clock, drift: Drift
) -> pl.DataFrame:
    """Return the OMOP table of one domain.

    ICD codes stand in ``*_source_value`` and ``*_source_concept_id`` with ``*_concept_id`` 0, as in
    many real extracts; CPT, RxNorm and LOINC codes are standard and stand in both.
    """
    rows = _domain_rows(facts, domain)
    table = {"condition": "condition_occurrence", "procedure": "procedure_occurrence",
             "drug": "drug_exposure"}.get(domain, domain)  # fmt: skip
    moments = clock.times(rows["time"])
    begin = f"{domain}_exposure_start" if domain == "drug" else domain
    begin = "condition_start" if domain == "condition" else begin
    concept = FIRST_CUSTOM_CONCEPT + rows["code"]
    columns = {
        f"{table}_id": np.arange(1, len(concept) + 1),
        "person_id": rows["person"],
        f"{domain}_concept_id": np.where(_STANDARD[rows["code"]], concept, 0),
        **_timed(begin, moments),
        f"{domain}_type_concept_id": np.where(rows["source"] == RECORD, RECORD_TYPE, CLAIM_TYPE),
        "visit_occurrence_id": rows["visit"],
        f"{domain}_source_value": _SOURCE_VALUE.gather(rows["code"]),
        f"{domain}_source_concept_id": concept,
    }
    if domain == "drug":
        supply = np.where(rows["code"] % 3 == 0, 14, 30)
        columns |= {"drug_exposure_end_date": clock.dates(rows["time"] + supply)}
        columns |= {"days_supply": supply}
    if domain in {"measurement", "observation"}:
        columns |= _values(rows, drift)
    columns["known_at"] = clock.times(rows["known"])
    return pl.DataFrame(columns)


def _values(rows: dict[str, np.ndarray], drift: Drift) -> dict[str, pl.Series]:
    """Return value and unit columns, in other units after a change of units."""
    value = rows["value"].copy()
    unit = _UNIT.gather(rows["code"])
    active = drift.active("lab_unit_change", rows["time"])
    for name, (other, factor) in UNIT_CHANGES.items():
        changed = active & (rows["code"] == codes.code(name))
        value[changed] = np.round(value[changed] * factor, 1)
        unit = pl.select(
            pl.when(pl.Series(changed)).then(pl.lit(other)).otherwise(unit)
        ).to_series()
    concept = unit.replace_strict(UNIT_CONCEPTS, default=None, return_dtype=pl.Int64)
    return {
        "value_as_number": pl.Series(value).fill_nan(None),
        "unit_concept_id": concept,
        "unit_source_value": unit,
    }


def area_table(populations: list[Population], clock: Clock, first_id: int) -> pl.DataFrame:
    """Return the area deprivation index of everybody, at the start of the first coverage."""
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for population in populations:
        who, place = np.unique(population.spans.person, return_index=True)
        begin = np.maximum(population.spans.start[place], 0.0)
        parts.append((who + population.first_id, population.people.deprivation[who], begin))
    person, value, begin = map(np.concatenate, zip(*parts, strict=True))
    concept = np.full(len(person), FIRST_CUSTOM_CONCEPT + codes.code("ADI"))
    return pl.DataFrame(
        {
            "observation_id": np.arange(first_id, first_id + len(person)),
            "person_id": person,
            "observation_concept_id": np.zeros(len(person), dtype=np.int64),
            **_timed("observation", clock.times(begin)),
            "observation_type_concept_id": np.full(len(person), RECORD_TYPE),
            "visit_occurrence_id": pl.Series([None] * len(person), dtype=pl.Int64),
            "observation_source_value": np.full(len(person), "ADI"),
            "observation_source_concept_id": concept,
            "value_as_number": value.astype(float),
            "unit_concept_id": pl.Series([None] * len(person), dtype=pl.Int64),
            "unit_source_value": pl.Series([None] * len(person), dtype=pl.String),
            "known_at": clock.times(begin + 1),
        }
    )


def payer_table(populations: list[Population], clock: Clock) -> pl.DataFrame:
    """Return ``payer_plan_period``; the end is the last covered day, null when still open."""
    frames: list[pl.DataFrame] = []
    for population in populations:
        spans = population.spans
        begin = np.maximum(spans.start, 0.0)
        end = np.where(spans.end > clock.days, np.nan, spans.end - 1)
        # Enrolment files come weekly: known one to seven days after the start.
        known = np.minimum(begin + 1 + (spans.person * 7919 % 7), clock.days)
        frames.append(
            pl.DataFrame(
                {
                    "person_id": population.first_id + spans.person,
                    "payer_plan_period_start_date": clock.dates(begin),
                    "payer_plan_period_end_date": clock.dates(end),
                    "payer_source_value": spans.payer.astype(str),
                    "known_at": clock.times(known),
                }
            )
        )
    frame = pl.concat(frames).sort("person_id", "payer_plan_period_start_date")
    return frame.select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("payer_plan_period_id"), pl.all()
    )


def observation_period_table(payer: pl.DataFrame, clock: Clock) -> pl.DataFrame:
    """Return one ``observation_period`` per person: first to last covered day."""
    last = clock.dates(np.array([clock.days])).item()
    end = pl.col("payer_plan_period_end_date").fill_null(last).max()
    frame = payer.group_by("person_id").agg(
        pl.col("payer_plan_period_start_date").min().alias("observation_period_start_date"),
        end.alias("observation_period_end_date"),
    )
    return frame.sort("person_id").select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("observation_period_id"),
        pl.all(),
        pl.lit(CLAIM_TYPE, dtype=pl.Int64).alias("period_type_concept_id"),
    )


def death_table(populations: list[Population], clock: Clock) -> pl.DataFrame:
    """Return ``death``: known 2 to 16 days later."""
    frames: list[pl.DataFrame] = []
    for population in populations:
        who = np.unique(population.spans.person)
        day = population.death[who]
        known = day + 2 + (who * 104_729 % 15)
        there = (day >= 0) & (known <= clock.days)
        frames.append(
            pl.DataFrame(
                {
                    "person_id": population.first_id + who[there],
                    **_timed("death", clock.times(day[there])),
                    "death_type_concept_id": np.full(int(there.sum()), CLAIM_TYPE),
                    "known_at": clock.times(known[there]),
                }
            )
        )
    return pl.concat(frames).sort("person_id")
