"""What is known of pregnancies at a time, through the functions that the feature store calls."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.pregnancy import PRECISION_CLASSES, known_pregnancies, pregnancy_states
from hrob_assets.risk.pregnancy.layout import (
    END,
    HALF_WIDTH,
    IDENTIFIED,
    NULL_INTEGER,
    OUTCOME,
    START,
)
from hrob_assets.risk.pregnancy.terms import KINDS

EPOCH = date(1970, 1, 1)
EPISODES = {
    "person_id": pl.Int64,
    "episode_number": pl.Int16,
    "start_date": pl.Date,
    "precision_days": pl.Int32,
    "precision": pl.String,
    "end_date": pl.Date,
    "outcome": pl.String,
    "identified_at": pl.Datetime("us"),
}


def pregnancy_at(rows, signatures):
    """The state of each row, from signatures."""
    return pregnancy_states(rows, known_pregnancies(rows, signatures))


def infer_episodes(signatures, *, as_of):
    """One row per pregnancy that was known at a time, numbered within a person."""
    persons = signatures.select(pl.col("person_id").unique().sort())
    rows = persons.with_columns(prediction_time=pl.lit(as_of, pl.Datetime("us")))
    known = known_pregnancies(rows, signatures)
    found = [
        (person, number, *described(known.episodes[at]))
        for person, first, end in zip(rows["person_id"], known.first, known.end, strict=True)
        for number, at in enumerate(range(first, end), start=1)
    ]
    return pl.DataFrame(found, schema=EPISODES, orient="row")


def described(episode):
    """An episode of the kernel as dates and words."""
    half = int(episode[HALF_WIDTH])
    return (
        EPOCH + timedelta(days=int(episode[START])),
        half,
        next((name for widest, name in PRECISION_CLASSES if half <= widest), "poor"),
        None if episode[END] == NULL_INTEGER else EPOCH + timedelta(days=int(episode[END])),
        KINDS[episode[OUTCOME]],
        np.datetime64(int(episode[IDENTIFIED]), "us").item(),
    )
