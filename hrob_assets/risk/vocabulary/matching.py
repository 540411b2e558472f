"""Match codes to code sets: exactly or by prefix, and by unit."""

from collections.abc import Iterable

import polars as pl

from hrob_assets.risk.errors import ContractError, nearest
from hrob_assets.risk.vocabulary.code_sets import TRIMESTER_LIMITS, CodeSet

_RULE_SCHEMA = {
    "code_set": pl.String,
    "vocabulary": pl.String,
    "rule_code": pl.String,
    "match": pl.String,
    "rule_unit": pl.String,
    "factor": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    **dict.fromkeys(TRIMESTER_LIMITS, pl.Float64),
    "plausible_low": pl.Float64,
    "plausible_high": pl.Float64,
    "weeks": pl.Float64,
}
_MATCHED_COLUMNS = (
    "vocabulary",
    "code",
    "unit",
    "code_set",
    "factor",
    "low",
    "high",
    *TRIMESTER_LIMITS,
    "plausible_low",
    "plausible_high",
    "weeks",
)


def match_codes(codes: pl.DataFrame, code_sets: Iterable[CodeSet]) -> pl.DataFrame:
    """Say which code sets each code belongs to.

    Parameters
    ----------
    codes : DataFrame
        Columns ``vocabulary``, ``code`` and, if there are values, ``unit`` (null = not stated;
        so is an absent column). Repeated rows are taken once.
    code_sets : iterable of CodeSet

    Returns
    -------
    DataFrame
        One row per (vocabulary, code, unit) and code set it belongs to, with ``code_set``,
        ``factor``, ``low``, ``high``, those of `TRIMESTER_LIMITS` (as they hold: see `Code`),
        ``plausible_low``, ``plausible_high`` and ``weeks`` of the most particular matching row:
        one with a unit before one without, then the longest code.
        Sorted by vocabulary, code, unit and code set. Codes that belong to no code set have no
        row. A value whose unit is not stated matches only rows without a unit, because no factor
        can be known for it.

    Examples
    --------
    >>> from hrob_assets.risk.vocabulary import Code
    >>> rows = (Code("LOINC", "718-7", "Hemoglobin", "LOINC", unit="g/L", factor=0.1, low=11.0),)
    >>> found = pl.DataFrame({"vocabulary": ["LOINC"], "code": ["718-7"], "unit": ["G/L"]})
    >>> match_codes(found, [CodeSet("hemoglobin", rows)]).select("code_set", "factor").row(0)
    ('hemoglobin', 0.1)
    """
    _require_columns(codes)
    if "unit" not in codes.columns:
        codes = codes.with_columns(unit=pl.lit(None, dtype=pl.String))
    distinct = codes.select(pl.col("vocabulary", "code", "unit").cast(pl.String)).unique()
    rules = _rules(code_sets)
    candidates = pl.concat(
        [_exact_candidates(distinct, rules), _prefix_candidates(distinct, rules)]
    )
    return (
        candidates.filter(
            pl.col("rule_unit").is_null()
            | (pl.col("rule_unit").str.to_lowercase() == pl.col("unit").str.to_lowercase())
        )
        .sort(
            pl.col("rule_unit").is_null(),
            pl.col("rule_code").str.len_chars(),
            descending=[False, True],
        )
        .unique(["vocabulary", "code", "unit", "code_set"], keep="first", maintain_order=True)
        .select(_MATCHED_COLUMNS)
        .sort("vocabulary", "code", "unit", "code_set")
    )


def _require_columns(codes: pl.DataFrame) -> None:
    missing = [name for name in ("vocabulary", "code") if name not in codes.columns]
    if missing:
        msg = (
            f"Codes to match must have the columns vocabulary and code; {', '.join(missing)} is "
            f"missing. {nearest(missing[0], codes.columns)}"
        )
        raise ContractError(msg)


def _rules(code_sets: Iterable[CodeSet]) -> pl.DataFrame:
    rows = [
        (
            code_set.name,
            code.vocabulary,
            code.code,
            code.match,
            code.unit,
            code.factor,
            code.low,
            code.high,
            *code.trimester_limits,
            code.plausible_low,
            code.plausible_high,
            code.weeks,
        )
        for code_set in code_sets
        for code in code_set.codes
    ]
    return pl.DataFrame(rows, schema=_RULE_SCHEMA, orient="row")


def _exact_candidates(distinct: pl.DataFrame, rules: pl.DataFrame) -> pl.DataFrame:
    exact = rules.filter(pl.col("match") == "exact").drop("match")
    return (
        distinct.with_columns(rule_code=pl.col("code"))
        .join(exact, on=["vocabulary", "rule_code"])
        .select(sorted({*exact.columns, *distinct.columns}))
    )


def _prefix_candidates(distinct: pl.DataFrame, rules: pl.DataFrame) -> pl.DataFrame:
    """Join every beginning of a code that is as long as some rule to the rules."""
    prefix = rules.filter(pl.col("match") == "prefix").drop("match")
    lengths = prefix.select(length=pl.col("rule_code").str.len_chars()).unique()
    return (
        distinct.join(lengths, how="cross")
        .filter(pl.col("code").str.len_chars() >= pl.col("length"))
        .with_columns(rule_code=pl.col("code").str.slice(0, pl.col("length")))
        .join(prefix, on=["vocabulary", "rule_code"])
        .select(sorted({*prefix.columns, *distinct.columns}))
    )
