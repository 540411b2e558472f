"""Pregnancy signatures: the events that say something about a pregnancy."""

from collections.abc import Mapping

import polars as pl

from hrob_assets.risk.pregnancy.terms import KINDS
from hrob_assets.risk.tables import EVENTS, TIMESTAMP, Column, Table
from hrob_assets.risk.vocabulary import CodeSet, match_codes

PREGNANCY_CODE_SETS = {
    "pregnancy_live_birth": "LB",
    "pregnancy_stillbirth": "SB",
    "pregnancy_ectopic": "ECT",
    "pregnancy_spontaneous_abortion": "SA",
    "pregnancy_induced_abortion": "AB",
    "pregnancy_delivery": "DELIV",
    "pregnancy_marker": "PREG",
    "pregnancy_high_risk_supervision": "PREG",
    "postpartum_marker": "POST",
    "gestational_age": "GA",
}
PREGNANCY_SIGNATURES = Table(
    "signatures",
    "One row per statement about a pregnancy.",
    ("person_id", "occurred_at", "known_at", "kind", "weeks"),
    (
        Column("person_id", pl.Int64, "Member or patient, as in OMOP `person`."),
        Column("occurred_at", TIMESTAMP, "When the event happened."),
        Column("known_at", TIMESTAMP, "When the fact became known to the organisation (UTC)."),
        Column("kind", pl.String, f"One of {', '.join(KINDS)}."),
        Column("weeks", pl.Float64, "Gestational age in weeks; only for GA.", nullable=True),
    ),
)
_USED = (
    "person_id",
    "vocabulary",
    "code",
    "standard_vocabulary",
    "standard_code",
    "value",
    "unit",
    "occurred_at",
    "known_at",
)
_WEEK_UNITS = ("wk", "wks", "week", "weeks")
_DAY_UNITS = ("d", "day", "days")
_PLAUSIBLE_WEEKS = (1.0, 45.0)


def pregnancy_signatures(
    events: pl.LazyFrame | pl.DataFrame, matches: pl.DataFrame
) -> pl.DataFrame:
    """Return what the events say about pregnancies.

    Parameters
    ----------
    events : LazyFrame or DataFrame [EVENTS]
    matches : DataFrame
        Columns ``vocabulary``, ``code``, ``code_set`` and, where a gestational-age code states
        it, ``weeks``. Code sets that do not concern pregnancy are ignored.

    Returns
    -------
    DataFrame[PREGNANCY_SIGNATURES]
        One row per different statement, sorted. An event counts when its source code or its
        standard code matches. A gestational age without weeks in the code takes the event's
        value (weeks, or days by its unit); without either it is only a marker (PREG).

    Examples
    --------
    >>> from datetime import datetime
    >>> events = pl.DataFrame(
    ...     {
    ...         "person_id": [7], "vocabulary": ["ICD10CM"], "code": ["Z3A20"],
    ...         "occurred_at": [datetime(2024, 3, 1)], "known_at": [datetime(2024, 3, 9)],
    ...     }
    ... ).match_to_schema(EVENTS.schema, missing_columns="insert")
    >>> matches = pl.DataFrame(
    ...     {"vocabulary": ["ICD10CM"], "code": ["Z3A20"], "code_set": ["gestational_age"],
    ...      "weeks": [20.0]}
    ... )
    >>> pregnancy_signatures(events, matches).select("kind", "weeks").rows()
    [('GA', 20.0)]
    """
    EVENTS.check(events)
    kinds = _kinds_by_code(matches)
    used = events.lazy().select(_USED)
    found = [
        used.join(kinds.lazy(), left_on=pair, right_on=["vocabulary", "code"], how="inner")
        for pair in (["vocabulary", "code"], ["standard_vocabulary", "standard_code"])
    ]
    statements = pl.concat([one.select(*_USED[5:], "person_id", "kind", "weeks") for one in found])
    kind, weeks = _kind_and_weeks()
    return (
        statements.with_columns(weeks.alias("weeks"))
        .with_columns(kind.alias("kind"))
        .select(*PREGNANCY_SIGNATURES.schema)
        .unique()
        .sort(*PREGNANCY_SIGNATURES.schema)
        .collect()
    )


def signatures_of(events: pl.DataFrame, code_sets: Mapping[str, CodeSet]) -> pl.DataFrame:
    """Return what the events say about pregnancies by these code sets.

    Parameters
    ----------
    events : DataFrame[EVENTS]
        Few enough to be matched in memory.
    code_sets : mapping of str to CodeSet
        Those of `PREGNANCY_CODE_SETS` that are there are used.

    Returns
    -------
    DataFrame[PREGNANCY_SIGNATURES]
    """
    pairs = [
        events.select(vocabulary=vocabulary, code=code).cast(pl.String)
        for vocabulary, code in (("vocabulary", "code"), ("standard_vocabulary", "standard_code"))
    ]
    codes = pl.concat(pairs).drop_nulls().unique()
    told = [code_sets[name] for name in PREGNANCY_CODE_SETS if name in code_sets]
    return pregnancy_signatures(events, match_codes(codes, told))


def _kinds_by_code(matches: pl.DataFrame) -> pl.DataFrame:
    """Return one row per (vocabulary, code, kind, weeks)."""
    if "weeks" not in matches.columns:
        matches = matches.with_columns(pl.lit(None, dtype=pl.Float64).alias("weeks"))
    return (
        matches.filter(pl.col("code_set").is_in(list(PREGNANCY_CODE_SETS)))
        .select(
            pl.col("vocabulary").cast(pl.String),
            pl.col("code").cast(pl.String),
            pl.col("code_set").cast(pl.String).replace_strict(PREGNANCY_CODE_SETS).alias("kind"),
            pl.col("weeks").cast(pl.Float64),
        )
        .unique()
    )


def _kind_and_weeks() -> tuple[pl.Expr, pl.Expr]:
    """Expressions: the kind given the final weeks, and the final weeks."""
    unit = pl.col("unit").str.to_lowercase().str.strip_chars("{}. ")
    measured = (
        pl.when(unit.is_in(_DAY_UNITS))
        .then(pl.col("value") / 7)
        .when(unit.is_null() | unit.is_in(_WEEK_UNITS))
        .then(pl.col("value"))
    )
    stated = pl.when(pl.col("kind") == "GA").then(pl.coalesce("weeks", measured))
    weeks = pl.when(stated.is_between(*_PLAUSIBLE_WEEKS)).then(stated)
    undated = (pl.col("kind") == "GA") & pl.col("weeks").is_null()
    kind = pl.when(undated).then(pl.lit("PREG")).otherwise(pl.col("kind"))
    return kind, weeks
