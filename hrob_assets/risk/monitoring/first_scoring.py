"""The first scoring wins: what was sent for each row, and which version made each worklist.

A week may be scored again later, with other data or by another version. People acted on what they
were sent first, so only that is monitored.
"""

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from hrob_assets.risk.tables import ROW_KEY
from hrob_assets.risk.windows import week_of


def first_sent(scores: pl.DataFrame, first_evaluable_time: Mapping[str, datetime]) -> pl.DataFrame:
    """What people were sent first for each row; a later scoring does not change it.

    Parameters
    ----------
    scores : DataFrame
        `WEEKLY_SCORES` of all scorings.
    first_evaluable_time : mapping of str to datetime
        By model version: the first prediction time that its training has not seen. Earlier rows,
        such as those of a backfill, are left out: predictions for rows of the training say
        nothing about how well the model is calibrated. A version that is not named has no bound.

    Returns
    -------
    DataFrame
        One row per row key.

    Examples
    --------
    >>> rows = pl.DataFrame({"person_id": [7, 7], "encounter_id": [1, 1],
    ...     "prediction_time": [datetime(2024, 3, 2)] * 2, "model_version": ["2", "1"],
    ...     "scored_at": [datetime(2024, 3, 12), datetime(2024, 3, 5)]})
    >>> first_sent(rows, {})["model_version"].to_list()
    ['1']
    """
    first = scores.sort("scored_at", "model_version", *ROW_KEY).unique(
        ROW_KEY, keep="first", maintain_order=True
    )
    starts = pl.DataFrame(
        list(first_evaluable_time.items()),
        schema={"model_version": pl.String, "starts": scores.schema["prediction_time"]},
        orient="row",
    )
    known = first.join(starts, on="model_version", how="left", maintain_order="left")
    evaluable = pl.col("starts").is_null() | (pl.col("prediction_time") >= pl.col("starts"))
    return known.filter(evaluable).drop("starts")


def flag_versions_in_use(rows: pl.DataFrame) -> pl.DataFrame:
    """Mark rows whose version was still in use when their outcome became mature.

    At the end of a week the version in use is the one that made the worklist of that week, or of
    the latest earlier week with rows. A worklist was made by the version of most of its rows, as
    it was scored first. So a version that is rolled back to is in use again, and rows of an old
    week that another version scores late do not change which version made that week's worklist.

    Parameters
    ----------
    rows : DataFrame
        ``week``, ``model_version``, ``prediction_time``, ``ripe_at`` and perhaps ``scored_at``;
        without it all rows of a week count as scored first.

    Returns
    -------
    DataFrame
        The rows, in another order, with ``in_use``.

    Examples
    --------
    >>> from datetime import date
    >>> day = [datetime(2024, 1, day) for day in (2, 9, 10, 16)]
    >>> rows = pl.DataFrame({"week": [date(2024, 1, 1), *[date(2024, 1, 8)] * 2, date(2024, 1, 15)],
    ...     "model_version": ["1", "2", "2", "1"], "prediction_time": day,
    ...     "ripe_at": [datetime(2024, 1, 12)] * 3 + [datetime(2024, 1, 18)]})
    >>> flag_versions_in_use(rows)["in_use"].to_list()
    [False, True, True, True]
    """
    worklists = (
        _scored_first(rows)
        .group_by("week", "model_version")
        .agg(pl.len().alias("size"), pl.col("prediction_time").max().alias("last"))
        .sort("week", "size", "last", "model_version")
        .unique("week", keep="last", maintain_order=True)
        .select("week", pl.col("model_version").alias("made_by"))
    )
    ordered = rows.with_columns(week_of(pl.col("ripe_at")).alias("mature_week")).sort("mature_week")
    joined = ordered.join_asof(worklists, left_on="mature_week", right_on="week", coalesce=False)
    in_use = (pl.col("model_version") == pl.col("made_by")).alias("in_use")
    return joined.with_columns(in_use).select(*rows.columns, "in_use")


def _scored_first(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each week the rows that were scored first."""
    if "scored_at" not in rows.columns:
        return rows
    return rows.filter(pl.col("scored_at") == pl.col("scored_at").min().over("week"))
