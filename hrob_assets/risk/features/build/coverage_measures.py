"""Features of enrolment: the present span of coverage, and how coverage has changed.

The function takes rows with `ROW_KEY` and returns one row per row, in the same order, with the
columns ``<family>__<measure>``.
"""

import polars as pl

from hrob_assets.risk.windows import calendar_days, history, known_before, window_start

_COVERAGE_DAYS = 365
_CHURN_DAYS = (365, 730, 1825)
_NEW_DAYS = 90


def coverage_measures(rows: pl.DataFrame, coverage: pl.DataFrame) -> pl.DataFrame:
    """Enrolment as known at the prediction time.

    Parameters
    ----------
    rows : DataFrame
    coverage : DataFrame[COVERAGE]
        Spans count once they have started and are known. An end that is not known before the
        prediction time, or lies at or after it, is not seen: the span is open. Spans that
        overlap or touch are joined to one.

    Returns
    -------
    DataFrame
        ``enrolled``: a span reaches the prediction time. ``days_enrolled_365d``: days of the last
        365 that are covered. ``gaps_365d``: times without coverage, after coverage, that reach
        into the last 365 days. ``days_since_start``: calendar days since the start of the joined
        span that reaches the prediction time; null when there is none. ``medicaid``,
        ``payer_unknown``: of the spans that reach it, one is Medicaid; none names a payer.

        Of ``coverage_churn``, each over 1, 2 and 5 years: ``stretches``, joined spans that reach
        into it, ``gaps`` (as above), ``days_uncovered`` since the later of its beginning and the
        first coverage (0 without any), ``longest_gap_days`` (in full) of its gaps,
        ``payer_changes``: spans that begin in it with another payer than the span before.
        ``days_since_gap``: since the end of the last gap, 0 in one; null when there was none.
        ``new_member``, ``returned``: the present joined span began in the last 90 days, without
        or with coverage before it. ``two_payers``: the spans that reach the prediction time name
        more than one.
    """
    ended = known_before(
        pl.col("prediction_time"),
        occurred_at=pl.col("ended_at"),
        known_at=pl.col("end_known_at"),
    )
    # One number stands for the row's key, because grouping by one integer is fast.
    keys = rows.select("person_id", pl.int_range(pl.len()).alias("encounter_id"), "prediction_time")
    spans = history(coverage.lazy().rename({"started_at": "occurred_at"}), keys.lazy()).select(
        pl.col("encounter_id").alias("row"),
        "prediction_time",
        pl.col("occurred_at").alias("start"),
        pl.when(ended).then("ended_at").otherwise("prediction_time").alias("end"),
        pl.col("payer").str.to_lowercase(),
    )
    known = (
        spans.filter(pl.col("start") < pl.col("end")).sort("row", "start", "end", "payer").collect()
    )
    stretches = _stretches(known)
    found = keys.select(pl.col("encounter_id").alias("row"))
    for part in (_enrolment(stretches), _payers(known), _churn(stretches), _payer_changes(known)):
        found = found.join(part, on="row", how="left", maintain_order="left")
    never = ("row", "coverage__days_since_start", "coverage_churn__days_since_gap")
    return found.with_columns(pl.exclude(never).fill_null(0)).drop("row")


def _stretches(spans: pl.DataFrame) -> pl.DataFrame:
    """Spans that overlap or touch as one; ordered, numbered from 0 within a row."""
    before = pl.col("end").cum_max().shift(1).over("row")
    return (
        spans.with_columns(later=(pl.col("start") > before).fill_null(value=False))
        .with_columns(stretch=pl.col("later").cast(pl.Int32).cum_sum().over("row"))
        .group_by("row", "stretch", maintain_order=True)
        .agg(pl.col("start").min(), pl.col("end").max(), pl.col("prediction_time").first())
    )


def _enrolment(stretches: pl.DataFrame) -> pl.DataFrame:
    """Measures of ``coverage`` from the joined spans; one row per row that has any."""
    t, first = pl.col("prediction_time"), window_start(pl.col("prediction_time"), _COVERAGE_DAYS)
    reaches = pl.col("end") == t
    inside = pl.col("end") - pl.max_horizontal("start", first)
    broken = (pl.col("stretch") > 0) & (pl.col("start") > first)
    found = stretches.group_by("row").agg(
        enrolled=reaches.any().cast(pl.Int32),
        days_enrolled_365d=(inside.filter(pl.col("end") > first).sum()).dt.total_days(),
        gaps_365d=broken.sum().cast(pl.Int32) + (~reaches.any()).cast(pl.Int32),
        days_since_start=calendar_days(pl.col("start"), t).filter(reaches).first(),
    )
    return found.rename(lambda name: name if name == "row" else f"coverage__{name}")


def _churn(stretches: pl.DataFrame) -> pl.DataFrame:
    """Measures of ``coverage_churn`` from the joined spans; one row per row that has any."""
    t, start, end = pl.col("prediction_time"), pl.col("start"), pl.col("end")
    gap = start - end.shift(1).over("row")
    last, since = end.max(), start.max()
    enrolled, again = last == t.first(), pl.len() > 1
    young = since > window_start(t.first(), _NEW_DAYS)
    measures: dict[str, pl.Expr] = {}
    for days in _CHURN_DAYS:
        first = window_start(t, days)
        inside, broken = end > first, (pl.col("stretch") > 0) & (start > first)
        covered = (end - pl.max_horizontal(start, first)).filter(inside).sum()
        watched = t.first() - pl.max_horizontal(start.min(), first.first())
        open_gap = pl.when(~enrolled).then(t.first() - last)
        longest = pl.max_horizontal(pl.col("gap").filter(broken).max(), open_gap)
        measures |= {
            f"stretches_{days}d": inside.sum(),
            f"gaps_{days}d": broken.sum() + (~enrolled).cast(pl.UInt32),
            f"days_uncovered_{days}d": (watched - covered).dt.total_days(),
            f"longest_gap_days_{days}d": longest.dt.total_days(),
        }
    del measures["gaps_365d"]  # of the family coverage
    measures |= {
        "days_since_gap": pl.when(~enrolled)
        .then(0)
        .when(again)
        .then(calendar_days(since, t.first())),
        "new_member": (enrolled & ~again & young).cast(pl.Int32),
        "returned": (enrolled & again & young).cast(pl.Int32),
    }
    named = {f"coverage_churn__{name}": value for name, value in measures.items()}
    return stretches.with_columns(gap=gap).group_by("row").agg(**named)


def _payer_changes(spans: pl.DataFrame) -> pl.DataFrame:
    """Measures of ``coverage_churn`` from the payers of the spans."""
    t = pl.col("prediction_time")
    other = (pl.col("payer") != pl.col("payer").shift(1).over("row")).fill_null(value=False)
    changes = {
        f"coverage_churn__payer_changes_{days}d": (
            pl.col("other") & (pl.col("start") > window_start(t, days))
        ).sum()
        for days in _CHURN_DAYS
    }
    current = pl.col("payer").filter(pl.col("end") == t)
    two = (current.n_unique() > 1).cast(pl.Int32).alias("coverage_churn__two_payers")
    return spans.with_columns(other=other).group_by("row").agg(two, **changes)


def _payers(spans: pl.DataFrame) -> pl.DataFrame:
    current = spans.filter(pl.col("end") == pl.col("prediction_time"))
    return current.group_by("row").agg(
        coverage__medicaid=pl.col("payer")
        .str.contains("medicaid", literal=True)
        .any()
        .cast(pl.Int32),
        coverage__payer_unknown=(pl.col("payer") == "unknown").all().cast(pl.Int32),
    )
