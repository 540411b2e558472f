"""From staged events to the facts that the kernel slides over: read, map, sort."""

from collections.abc import Sequence

import duckdb
import numpy as np
import polars as pl

from hrob_assets.risk.code_sets import CodeSet, match_codes
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.kernel import Facts
from hrob_assets.risk.windows import available_at

EVENT_COLUMNS = (
    "person_id",
    "domain",
    "source_row_id",
    "vocabulary",
    "code",
    "standard_vocabulary",
    "standard_code",
    "value",
    "unit",
    "occurred_at",
    "known_at",
)
CODE_COLUMNS = ("code", "vocabulary", "standard_code", "standard_vocabulary", "unit")

_DISTINCT_CODES = f"""
    SELECT row_number() OVER (ORDER BY {", ".join(CODE_COLUMNS)}) AS code_id, *
    FROM (SELECT DISTINCT {", ".join(CODE_COLUMNS)} FROM events)
"""  # noqa: S608 - the column names are the constant above
_FACTS = """
    SELECT
        events.person_id,
        mapping.series,
        events.occurred_at,
        events.available_at,
        CASE
            WHEN isfinite(events.value)
                AND events.value * mapping.factor
                    BETWEEN coalesce(mapping.plausible_low, '-infinity'::DOUBLE)
                    AND coalesce(mapping.plausible_high, 'infinity'::DOUBLE)
            THEN events.value * mapping.factor
        END AS scaled,
        coalesce(scaled < mapping.low, false) OR coalesce(scaled > mapping.high, false) AS abnormal
    FROM events
    JOIN mapping
      ON events.code = mapping.code
     AND events.vocabulary = mapping.vocabulary
     AND events.standard_code IS NOT DISTINCT FROM mapping.standard_code
     AND events.standard_vocabulary IS NOT DISTINCT FROM mapping.standard_vocabulary
     AND events.unit IS NOT DISTINCT FROM mapping.unit
    ORDER BY
        events.person_id,
        events.occurred_at,
        events.known_at,
        events.domain,
        events.source_row_id,
        mapping.code_id,
        mapping.series
"""


def read_facts(
    events: pl.DataFrame,
    persons: np.ndarray,
    code_sets: Sequence[CodeSet],
    *,
    n_threads: int,
) -> Facts:
    """Map events to code sets and lay them out for the kernel.

    Parameters
    ----------
    events : DataFrame
        The columns `EVENT_COLUMNS`, only of these persons, in any order.
    persons : int64 array
        Person ids, ascending.
    code_sets : sequence of CodeSet
        The series of the facts, in this order.
    n_threads : int

    Returns
    -------
    Facts
        One fact per event and code set it belongs to. An event whose source code and standard
        code both belong to a code set is one fact, by its source code. Values are multiplied by
        the factor of the code; one that is not finite, below ``plausible_low`` or above
        ``plausible_high`` is no value, and its fact counts without one. A fact is abnormal when
        its value is below ``low`` or above ``high``. Facts of one moment are ordered by
        known_at, then domain, source row and code.

    Raises
    ------
    ContractError
        If an event lacks occurred_at or known_at.
    """
    dated = events.with_columns(
        available_at=available_at(pl.col("occurred_at"), pl.col("known_at"))
    )
    if nulls := dated["available_at"].null_count():
        msg = (
            f"events must have occurred_at and known_at; {nulls} of {dated.height} rows lack one. "
            "Stage the events again, or send these rows to quarantine."
        )
        raise ContractError(msg)
    with duckdb.connect(config={"threads": n_threads}) as connection:
        connection.register("events", dated)
        codes = connection.sql(_DISTINCT_CODES).pl()
        connection.register("mapping", map_codes(codes, code_sets))
        facts = connection.sql(_FACTS).pl()
    return _arrays(facts, persons)


def map_codes(codes: pl.DataFrame, code_sets: Sequence[CodeSet]) -> pl.DataFrame:
    """Say which series each distinct code of the events belongs to.

    Parameters
    ----------
    codes : DataFrame
        ``code_id`` and `CODE_COLUMNS`, one row per combination.
    code_sets : sequence of CodeSet

    Returns
    -------
    DataFrame
        ``codes`` with ``series`` (position in ``code_sets``), ``factor``, ``low``, ``high``,
        ``plausible_low`` and ``plausible_high``; one row per code and series. Codes that belong
        to none are absent.

    Examples
    --------
    >>> from hrob_assets.risk.code_sets import Code
    >>> codes = pl.DataFrame({"code_id": [1], "code": ["local 9"], "vocabulary": ["None"],
    ...     "standard_code": ["38341003"], "standard_vocabulary": ["SNOMED"], "unit": [None]})
    >>> hypertension = CodeSet("hypertension", (Code("SNOMED", "38341003", "Hypertension", "-"),))
    >>> map_codes(codes, [hypertension]).select("code_id", "series", "factor").rows()
    [(1, 0, 1.0)]
    """
    pairs = [codes.select("code_id", "vocabulary", "code", "unit")]
    pairs.append(
        codes.select(
            "code_id",
            pl.col("standard_vocabulary").alias("vocabulary"),
            pl.col("standard_code").alias("code"),
            "unit",
        ).drop_nulls(["vocabulary", "code"])
    )
    typed = [
        pair.cast({"vocabulary": pl.String, "code": pl.String, "unit": pl.String}) for pair in pairs
    ]
    matches = match_codes(pl.concat(typed).drop("code_id"), code_sets)
    numbers = {code_set.name: number for number, code_set in enumerate(code_sets)}
    found = [
        pair.join(matches, on=["vocabulary", "code", "unit"], nulls_equal=True).with_columns(
            rank=pl.lit(rank, pl.Int8)
        )
        for rank, pair in enumerate(typed)
    ]
    series = (
        pl.concat(found)
        .sort("code_id", "code_set", "rank")
        .unique(["code_id", "code_set"], keep="first", maintain_order=True)
        .select(
            "code_id",
            pl.col("code_set").replace_strict(numbers, return_dtype=pl.Int32).alias("series"),
            "factor",
            "low",
            "high",
            "plausible_low",
            "plausible_high",
        )
    )
    return codes.join(series, on="code_id").sort("code_id", "series")


def _arrays(facts: pl.DataFrame, persons: np.ndarray) -> Facts:
    person_of_fact = facts["person_id"].to_numpy()
    starts = np.append(np.searchsorted(person_of_fact, persons), person_of_fact.size)
    return Facts(
        person_start=starts.astype(np.int64),
        series=facts["series"].to_numpy(),
        occurred_us=facts["occurred_at"].to_physical().to_numpy(),
        available_us=facts["available_at"].to_physical().to_numpy(),
        value=facts["scaled"].fill_null(float("nan")).to_numpy(),
        abnormal=facts["abnormal"].to_numpy(),
    )
