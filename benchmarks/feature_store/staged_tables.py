"""Staged tables of any size, made chunk by chunk: persons with few or many encounters and events.

Three tenths of the events stand alone, the others belong to an encounter and have its times.
Persons differ widely in how much happens to them, as members of a plan do.
"""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from hrob_assets.risk.files import whole_folder
from hrob_assets.risk.sources import ROW_GROUP_ROWS
from hrob_assets.risk.tables import CODE_COLUMNS, COVERAGE, ENCOUNTERS, EVENTS, PERSONS, TIMESTAMP
from hrob_assets.risk.windows import DAY_US, prediction_time, week_of

EVENTS_PER_PERSON = 300  # about
_DRAWN_PER_PERSON, _DRAWN_PER_ENCOUNTER = 320, 16  # some codes are drawn twice for one moment
FIRST_DAY, DAYS = 18_631, 1_826  # 2021-01-04, a Monday, in days since 1970; five years
TABLES = ("persons", "coverage", "encounters", "events", "codes")
_SPREAD = 2.0  # shape of the gamma distribution of events per person
_ALONE_SHARE = 0.3
_PERSONS_PER_CHUNK = 4_000
_HOUR_US = DAY_US // 24
_CLASSES = ("office", "outpatient", "telehealth", "emergency", "inpatient", "pharmacy")
_CLASS_SHARES = (0.5, 0.2, 0.1, 0.08, 0.04, 0.08)
_RACES = ("White", "Black or African American", "Asian", "Unknown")
_ETHNICITIES = ("Hispanic or Latino", "Not Hispanic or Latino", "Unknown")
_PAYERS = ("Medicaid", "Commercial", "Unknown")


def write_staged_tables(
    folder: Path, codes: pl.DataFrame, *, n_persons: int, late_days: float, seed: int
) -> None:
    """Write ``<table>.parquet`` for `TABLES` as staging does, with bounded memory.

    Parameters
    ----------
    folder : Path
        Appears whole.
    codes : DataFrame
        `CODE_COLUMNS`, ``domain``, ``share`` (of the events that have the code; the sum is 1) and
        ``middle`` (of the values; null where events have none).
    n_persons : int
    late_days : float, days
        Mean time until a fact is known; 0 means at once.
    seed : int
    """
    numbered = codes.sort(CODE_COLUMNS).with_row_index("code_id").cast({"code_id": pl.Int32})
    with whole_folder(folder) as work, ExitStack() as stack:
        numbered.select("code_id", *CODE_COLUMNS).write_parquet(work / "codes.parquet")
        writers: dict[str, pq.ParquetWriter] = {}
        first_event = 0
        for chunk, first in enumerate(range(0, n_persons, _PERSONS_PER_CHUNK)):
            persons = np.arange(first, min(first + _PERSONS_PER_CHUNK, n_persons))
            rng = np.random.default_rng([seed, chunk])
            tables = _tables(persons, numbered, late_days, first_event, rng)
            for name, frame in tables.items():
                table = frame.to_arrow()
                if name not in writers:
                    writer = pq.ParquetWriter(
                        work / f"{name}.parquet", table.schema, compression="zstd"
                    )
                    writers[name] = stack.enter_context(writer)
                writers[name].write_table(table, row_group_size=ROW_GROUP_ROWS)
            first_event += tables["events"].height


def _tables(
    persons: np.ndarray,
    codes: pl.DataFrame,
    late_days: float,
    first_event: int,
    rng: np.random.Generator,
) -> dict[str, pl.DataFrame]:
    """All tables of some persons, in the order of staging."""
    many = _DRAWN_PER_PERSON * rng.gamma(_SPREAD, 1 / _SPREAD, persons.size)
    n_events = rng.poisson(many) + 1
    n_encounters = np.maximum(n_events // _DRAWN_PER_ENCOUNTER, 1)
    encounters = _encounters(np.repeat(persons, n_encounters), first_event, late_days, rng)
    first_encounter = np.append(0, np.cumsum(n_encounters)[:-1])
    chosen = np.repeat(first_encounter, n_events) + rng.integers(
        0, np.repeat(n_encounters, n_events)
    )
    drawn = rng.choice(codes.height, chosen.size, p=codes["share"].to_numpy())
    return {
        "persons": _persons(persons, rng),
        "coverage": _coverage(persons, rng),
        "encounters": encounters,
        "events": _events(encounters[chosen], codes[drawn], first_event, late_days, rng),
    }


def _persons(persons: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    born = pl.Series(FIRST_DAY - rng.integers(18 * 365, 45 * 365, persons.size)).cast(pl.Int32)
    people = pl.DataFrame(
        {
            "person_id": persons,
            "birth_date": born.cast(pl.Date),
            "gender": np.full(persons.size, "female"),
            "race": rng.choice(_RACES, persons.size),
            "ethnicity": rng.choice(_ETHNICITIES, persons.size),
        }
    )
    return people.match_to_schema(PERSONS.schema, missing_columns="insert")


def _coverage(persons: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    """One span from some day of the first year on; a third of them ended."""
    started = rng.integers(-200, 300, persons.size)
    ended = np.where(
        rng.random(persons.size) < 1 / 3, started + rng.integers(300, 1_400, persons.size), DAYS
    )
    spans = pl.DataFrame(
        {
            "person_id": persons,
            "started_at": _moment(started * DAY_US),
            "ended_at": _moment(ended * DAY_US),
            "payer": rng.choice(_PAYERS, persons.size, p=(0.8, 0.15, 0.05)),
        }
    ).with_columns(pl.when(pl.Series(ended < DAYS)).then("ended_at").alias("ended_at"))
    return spans.with_columns(known_at="started_at", end_known_at="ended_at").select(
        COVERAGE.schema.keys()
    )


def _encounters(
    person_id: np.ndarray, first_id: int, late_days: float, rng: np.random.Generator
) -> pl.DataFrame:
    occurred = rng.integers(0, DAYS * 24, person_id.size) * _HOUR_US
    occurred = occurred[np.lexsort((occurred, person_id))]
    known = occurred + _late(person_id.size, late_days, rng)
    encounters = pl.DataFrame(
        {
            "encounter_id": first_id + np.arange(person_id.size),
            "person_id": person_id,
            "encounter_class": rng.choice(_CLASSES, person_id.size, p=_CLASS_SHARES),
            "occurred_at": _moment(occurred),
            "ended_at": _moment(occurred + _HOUR_US),
            "known_at": _moment(known),
        }
    )
    when = prediction_time(pl.col("occurred_at"), pl.col("known_at"))
    return (
        encounters.with_columns(prediction_time=when)
        .with_columns(week=week_of(pl.col("prediction_time")))
        .select(ENCOUNTERS.schema.keys())
    )


def _events(
    encounters: pl.DataFrame,
    codes: pl.DataFrame,
    first_row: int,
    late_days: float,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """One event per row of the two frames, a part of them without an encounter.

    No code is there twice at one moment, so that the last value is one value.
    """
    size = encounters.height
    alone = pl.Series(rng.random(size) < _ALONE_SHARE)
    occurred = rng.integers(0, DAYS * 24, size) * _HOUR_US
    own = pl.DataFrame(
        {
            "own_occurred_at": _moment(occurred),
            "own_known_at": _moment(occurred + _late(size, late_days, rng)),
        }
    )
    value = pl.col("middle") * pl.Series(rng.lognormal(0, 0.3, size))
    of_encounter = encounters.select("person_id", "encounter_id", "occurred_at", "known_at")
    return (
        pl.concat([of_encounter, own, codes], how="horizontal")
        .with_columns(
            pl.when(~alone).then("encounter_id").alias("encounter_id"),
            pl.when(alone).then("own_occurred_at").otherwise("occurred_at").alias("occurred_at"),
            pl.when(alone).then("own_known_at").otherwise("known_at").alias("known_at"),
            value=value,
        )
        .sort("person_id", "occurred_at", "known_at", "domain", "code_id")
        .filter(pl.struct("person_id", "occurred_at", "code_id").is_first_distinct())
        .with_columns(source_row_id=first_row + pl.int_range(pl.len()))
        .select(*EVENTS.schema, "code_id")
    )


def _late(size: int, late_days: float, rng: np.random.Generator) -> np.ndarray:
    return np.floor(rng.exponential(late_days, size)).astype(np.int64) * DAY_US if late_days else 0


def _moment(microseconds: np.ndarray) -> pl.Series:
    return pl.Series(microseconds + FIRST_DAY * DAY_US).cast(TIMESTAMP)
