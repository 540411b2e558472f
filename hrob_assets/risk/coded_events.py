"""Events of code sets: found by their source code or by their standard code."""

from collections.abc import Iterable

import polars as pl

from hrob_assets.risk.code_sets import CodeSet, match_codes

_CODED = ("person_id", "encounter_id", "code", "code_set", "occurred_at", "known_at")


def select_coded(events: pl.LazyFrame, code_sets: Iterable[CodeSet]) -> pl.LazyFrame:
    """Events that belong to any of the code sets, once per event time, code and code set.

    Parameters
    ----------
    events : LazyFrame
        Staged events.
    code_sets : iterable of CodeSet

    Returns
    -------
    LazyFrame
        ``person_id``, ``encounter_id``, ``code``, ``code_set``, ``occurred_at``, ``known_at``.
    """
    wanted = _codes_in(events, code_sets).lazy()
    by_source = events.join(wanted, on=["vocabulary", "code"])
    by_standard = events.join(
        wanted,
        left_on=["standard_vocabulary", "standard_code"],
        right_on=["vocabulary", "code"],
    )
    return pl.concat([by_source.select(_CODED), by_standard.select(_CODED)]).unique()


def _codes_in(events: pl.LazyFrame, code_sets: Iterable[CodeSet]) -> pl.DataFrame:
    source = events.select("vocabulary", "code", "unit").unique()
    standard = (
        events.filter(pl.col("standard_code").is_not_null())
        .select(
            pl.col("standard_vocabulary").alias("vocabulary"),
            pl.col("standard_code").alias("code"),
            "unit",
        )
        .unique()
    )
    found = pl.concat([source, standard]).unique().collect()
    return match_codes(found, code_sets).select("vocabulary", "code", "code_set").unique()
