"""Staged files of two people with an encounter each week, written by hand."""

from datetime import date, datetime, timedelta

import polars as pl

from hrob_assets.risk.tables import CODES, COVERAGE, ENCOUNTERS, EVENTS, PERSONS
from hrob_assets.risk.windows import prediction_time, week_of

FIRST = datetime(2024, 1, 1)
WEEKS = [date(2024, 1, 1) + timedelta(weeks=number) for number in range(6)]
PEOPLE = (1, 2)
CODES_SEEN = ("I10", "C50911", "O141")


def write_staged(folder, *, events, spans=(), gender="female"):
    """Write all tables; events are (person, code, day of occurrence, days until known)."""
    folder.mkdir(parents=True, exist_ok=True)
    persons = [
        {"person_id": who, "birth_date": date(1980, 1, 1), "gender": gender, "race": "White",
         "ethnicity": "Unknown", "death_at": None, "death_known_at": None}
        for who in PEOPLE
    ]  # fmt: skip
    visits = [
        {"encounter_id": who * 100 + number, "person_id": who, "encounter_class": "office",
         "occurred_at": FIRST + timedelta(days=7 * number + 2), "ended_at": None,
         "known_at": FIRST + timedelta(days=7 * number + 2)}
        for who in PEOPLE for number in range(len(WEEKS))
    ]  # fmt: skip
    at = prediction_time(pl.col("occurred_at"), pl.col("known_at"))
    encounters = pl.DataFrame(visits).with_columns(at.alias("prediction_time"))
    encounters = encounters.with_columns(week_of(pl.col("prediction_time")).alias("week"))
    facts = [
        {"person_id": who, "domain": "condition", "source_row_id": row, "encounter_id": None,
         "vocabulary": "ICD10CM", "code": code, "standard_vocabulary": None,
         "standard_code": None, "value": None, "unit": None,
         "occurred_at": FIRST + timedelta(days=occurred),
         "known_at": FIRST + timedelta(days=occurred + late),
         "code_id": CODES_SEEN.index(code)}
        for row, (who, code, occurred, late) in enumerate(events)
    ]  # fmt: skip
    codes = [
        {"code_id": number, "vocabulary": "ICD10CM", "code": code} | dict.fromkeys(
            ("standard_vocabulary", "standard_code", "unit", "rows"), None)
        for number, code in enumerate(CODES_SEEN)
    ]  # fmt: skip
    coverage = [
        {"person_id": who, "started_at": FIRST - timedelta(days=30),
         "ended_at": end and FIRST + timedelta(days=end), "payer": payer, "known_at": FIRST,
         "end_known_at": end and FIRST + timedelta(days=end)}
        for who, payer, end in spans
    ]  # fmt: skip
    order = ("person_id", "occurred_at", "known_at", "domain", "source_row_id", "code")
    schema = EVENTS.schema | {"code_id": pl.Int32}
    tables = {
        "persons": pl.DataFrame(persons, schema=PERSONS.schema),
        "coverage": pl.DataFrame(coverage, schema=COVERAGE.schema),
        "encounters": encounters.select(
            pl.col(name).cast(dtype) for name, dtype in ENCOUNTERS.schema.items()
        ),
        "events": pl.DataFrame(facts, schema=schema).sort(order),
        "codes": pl.DataFrame(codes, schema=CODES.schema),
    }
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return {name: folder / f"{name}.parquet" for name in tables}
