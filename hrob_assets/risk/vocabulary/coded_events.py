"""Events of code sets: found by their source code or by their standard code."""

from collections.abc import Iterable

import polars as pl

from hrob_assets.risk.vocabulary.code_sets import REFERENCE_RANGES, CodeSet
from hrob_assets.risk.vocabulary.matching import match_codes

_CODED = (
    "person_id",
    "encounter_id",
    "code",
    "code_set",
    "occurred_at",
    "known_at",
    "number",
    "abnormal_by",
)


def select_coded(events: pl.LazyFrame, code_sets: Iterable[CodeSet]) -> pl.LazyFrame:
    """Events that belong to any of the code sets, once per fact and code set.

    Parameters
    ----------
    events : LazyFrame
        Staged events.
    code_sets : iterable of CodeSet

    Returns
    -------
    LazyFrame
        ``person_id``, ``encounter_id``, ``code``, ``code_set``, ``occurred_at``, ``known_at``,
        ``number`` (the value in the unit of the code set; null when there is none or it is not
        plausible) and ``abnormal_by`` (by which reference ranges: see `is_abnormal`). Where the
        source code and the standard code both match, the source code decides.
    """
    matches = _matches(events, code_sets).lazy()
    by_source = events.join(matches, on=["vocabulary", "code", "unit"], nulls_equal=True)
    by_standard = events.join(
        matches,
        left_on=["standard_vocabulary", "standard_code", "unit"],
        right_on=["vocabulary", "code", "unit"],
        nulls_equal=True,
    ).filter(pl.col("standard_code").is_not_null())
    columns = ["domain", "source_row_id", *_CODED]
    return (
        pl.concat([_measured(by_source).select(columns), _measured(by_standard).select(columns)])
        .unique(["domain", "source_row_id", "code", "code_set"], keep="first", maintain_order=True)
        .select(_CODED)
        .unique()
    )


def narrow_to_coded(events: pl.LazyFrame, code_sets: Iterable[CodeSet]) -> pl.LazyFrame:
    """Staged events that belong to any of the code sets, as they are, each once.

    `select_coded` finds the same in them as in all events. Who asks several times about a few
    code sets reads the events once.

    Parameters
    ----------
    events : LazyFrame
        Staged events.
    code_sets : iterable of CodeSet

    Returns
    -------
    LazyFrame
        The columns of `events`.
    """
    source = ["vocabulary", "code", "unit"]
    standard = ["standard_vocabulary", "standard_code", "unit"]
    matches = _matches(events, code_sets).lazy().select(source).unique()
    by_source = events.join(matches, on=source, how="semi", nulls_equal=True)
    others = events.join(matches, on=source, how="anti", nulls_equal=True)
    by_standard = others.filter(pl.col("standard_code").is_not_null()).join(
        matches, left_on=standard, right_on=source, how="semi", nulls_equal=True
    )
    return pl.concat([by_source, by_standard])


def is_abnormal(trimester: pl.Expr) -> pl.Expr:
    """Whether the value of a coded event is outside its reference range.

    Parameters
    ----------
    trimester : Expr
        In which it was taken, 1 to 3; 0 outside pregnancy.

    Examples
    --------
    >>> low_in_late_pregnancy = pl.DataFrame({"abnormal_by": [8], "trimester": [3]})
    >>> low_in_late_pregnancy.select(is_abnormal(pl.col("trimester"))).item()
    True
    """
    return pl.col("abnormal_by") // pl.lit(2).pow(trimester) % 2 == 1


def _matches(events: pl.LazyFrame, code_sets: Iterable[CodeSet]) -> pl.DataFrame:
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
    return match_codes(pl.concat([source, standard]).unique().collect(), code_sets)


def _measured(joined: pl.LazyFrame) -> pl.LazyFrame:
    number = pl.col("value") * pl.col("factor")
    plausible = (
        number.is_finite()
        & (number >= pl.col("plausible_low").fill_null(float("-inf")))
        & (number <= pl.col("plausible_high").fill_null(float("inf")))
    )
    outside = [
        (pl.col("number") < pl.col(low)).fill_null(value=False)
        | (pl.col("number") > pl.col(high)).fill_null(value=False)
        for low, high in REFERENCE_RANGES
    ]
    bits = pl.sum_horizontal(
        found.cast(pl.Int32) * 2**number for number, found in enumerate(outside)
    )
    return joined.with_columns(pl.when(plausible).then(number).alias("number")).with_columns(
        bits.alias("abnormal_by")
    )
