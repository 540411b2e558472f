"""Faulty rows that a real extract holds, added to clean tables, with a list that names each."""

import numpy as np
import polars as pl

SHARE = 0.0125
_DATES = {
    "visit_occurrence": "visit_start",
    "condition_occurrence": "condition_start",
    "procedure_occurrence": "procedure",
    "drug_exposure": "drug_exposure_start",
    "measurement": "measurement",
    "observation": "observation",
}
_FAULTS = {
    "duplicate_key": 0.2,
    "before_birth": 0.15,
    "after_extract": 0.15,
    "unknown_person": 0.15,
    "missing_date": 0.15,
    "known_before_occurred": 0.2,
}
_OWN_FAULTS = {
    "visit_occurrence": ("end_before_start",),
    "measurement": ("unknown_visit", "absurd_value", "negative_value"),
    "condition_occurrence": ("unknown_visit",),
    "procedure_occurrence": ("unknown_visit",),
    "drug_exposure": ("unknown_visit",),
}
UNKNOWN_ID = 9_999_000_000
_Found = tuple[str, str, pl.Series]  # table, fault, keys of the faulty rows


def _moments(name: str, shift: pl.Expr) -> list[pl.Expr]:
    """Return the date and datetime columns moved to another moment."""
    return [
        shift.cast(pl.Datetime("us")).alias(f"{name}_datetime"),
        shift.cast(pl.Date).alias(f"{name}_date"),
    ]


def _spoil(rows: pl.DataFrame, table: str, fault: str, extract: pl.Expr) -> pl.DataFrame:
    """Return the rows with one fault each."""
    begin = _DATES[table]
    start = pl.col(f"{begin}_datetime")
    null = pl.lit(None, dtype=pl.Datetime("us"))
    changes: dict[str, list[pl.Expr]] = {
        "duplicate_key": [],
        "before_birth": _moments(begin, pl.lit("1890-01-01").str.to_datetime(time_unit="us")),
        "after_extract": _moments(begin, extract + pl.duration(days=40)),
        "unknown_person": [pl.col("person_id") + UNKNOWN_ID],
        "missing_date": _moments(begin, null),
        "known_before_occurred": [(start - pl.duration(days=30)).alias("known_at")],
        "unknown_visit": [pl.col("visit_occurrence_id") + UNKNOWN_ID]
        if table != "visit_occurrence"
        else [],
        "absurd_value": [pl.lit(99_999.0).alias("value_as_number")],
        "negative_value": [(-pl.col("value_as_number").abs() - 1).alias("value_as_number")],
        "end_before_start": _moments("visit_end", start - pl.duration(days=9)),
    }
    changed = rows.with_columns(changes[fault])
    if table == "visit_occurrence" and fault == "after_extract":
        return changed.with_columns(_moments("visit_end", extract + pl.duration(days=41)))
    return changed


def _key(table: str) -> str:
    return f"{table}_id"


def add_dirt(
    tables: dict[str, pl.DataFrame], extract: pl.Expr, rng: np.random.Generator
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Append faulty copies of rows to the clinical tables and to ``person``.

    Clean rows stay as they are; each faulty row is a changed copy with a new key (a duplicate keeps
    the key and every value), so that quarantining all faults gives the clean world back.

    Parameters
    ----------
    tables : dict of name to DataFrame
    extract : Expr
        The day of the extract, as a timestamp literal.
    rng : Generator

    Returns
    -------
    tables : dict of name to DataFrame
    truth_dirty : DataFrame
        ``table``, ``row_id`` (its key) and ``fault``, one row per faulty row.
    """
    result = dict(tables)
    found: list[_Found] = []
    for table in _DATES:
        frame = tables[table]
        parts, next_id = [frame], int(frame[_key(table)].to_numpy().max(initial=0)) + 1
        own = dict.fromkeys(_OWN_FAULTS.get(table, ()), 0.15)
        for fault, share in {**_FAULTS, **own}.items():
            size = max(3, int(len(frame) * SHARE * share))
            index = np.sort(rng.choice(len(frame), min(size, len(frame)), replace=False))
            rows = _spoil(frame[index], table, fault, extract)
            if fault != "duplicate_key":
                ids = pl.int_range(next_id, next_id + len(rows), dtype=pl.Int64, eager=True)
                rows = rows.with_columns(ids.alias(_key(table)))
                next_id += len(rows)
            parts.append(rows)
            found.append((table, fault, rows[_key(table)]))
        result[table] = pl.concat(parts)
    result["person"], more = _dirty_persons(tables["person"], rng)
    truth = [
        pl.DataFrame({"row_id": ids}).select(
            pl.lit(table).alias("table"), "row_id", pl.lit(fault).alias("fault")
        )
        for table, fault, ids in found + more
    ]
    return result, pl.concat(truth)


def _dirty_persons(
    person: pl.DataFrame, rng: np.random.Generator
) -> tuple[pl.DataFrame, list[_Found]]:
    size = max(3, int(len(person) * 0.002))
    rows = person[np.sort(rng.choice(len(person), 3 * size, replace=False))]
    double, ancient, unborn = rows[:size], rows[size : 2 * size], rows[2 * size :]
    next_id = int(person["person_id"].to_numpy().max()) + 1
    ids = pl.int_range(next_id, next_id + 2 * size, dtype=pl.Int64, eager=True)
    year = pl.lit(1801, dtype=person["year_of_birth"].dtype)
    ancient = ancient.with_columns(
        ids[:size].alias("person_id"),
        year.alias("year_of_birth"),
        pl.col("birth_datetime").dt.replace(year=1801, day=1),
    )
    unborn = unborn.with_columns(
        ids[size:].alias("person_id"),
        pl.lit(None, dtype=person["year_of_birth"].dtype).alias("year_of_birth"),
        pl.lit(None, dtype=pl.Datetime("us")).alias("birth_datetime"),
    )
    found = [
        ("person", "duplicate_key", double["person_id"]),
        ("person", "absurd_birth", ancient["person_id"]),
        ("person", "missing_birth", unborn["person_id"]),
    ]
    return pl.concat([person, double, ancient, unborn]), found
