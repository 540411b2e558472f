"""The weekly list: probabilities, ranks, overflow and reasons with dated facts."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import polars as pl

from hrob_assets.risk.features import Catalogue
from hrob_assets.risk.pregnancy import signatures_of, with_trimester
from hrob_assets.risk.tables import ROW_KEY, TIMESTAMP, Column, Table
from hrob_assets.risk.training import FittedModel, contributions, fingerprint, predict, term_names
from hrob_assets.risk.vocabulary import CodeSet, is_abnormal, select_coded
from hrob_assets.risk.windows import history, window_start

REASON = pl.Struct(
    {
        "feature": pl.String,
        "statement": pl.String,
        "value": pl.Float64,
        "log_odds": pl.Float64,
        "fact_code": pl.String,
        "occurred_on": pl.Date,
        "known_on": pl.Date,
    }
)
_APPROXIMATE = "approximate share"
WEEKLY_SCORES = Table(
    "weekly_scores",
    "One row per scored encounter, model version and data version; never overwritten.",
    (*ROW_KEY, "model_version", "data_version"),
    (
        Column("person_id", pl.Int64, "Member or patient."),
        Column("encounter_id", pl.Int64, "Encounter that gave rise to the prediction."),
        Column("prediction_time", TIMESTAMP, "Only what was known before it was used."),
        Column("week", pl.Date, "Monday of the week in which the encounter became known."),
        Column("probability", pl.Float64, "Estimated chance of the outcome in the horizon."),
        Column("high_risk", pl.Boolean, "probability >= threshold of the model version."),
        Column(
            "rank",
            pl.Int32,
            "Place on the week's list, 1 first; null when not the person's highest-risk row "
            "or not high risk.",
            nullable=True,
        ),
        Column("overflow", pl.Boolean, "On the list, but beyond the week's review capacity."),
        Column("model_version", pl.String, "Version in the model registry."),
        Column("data_version", pl.String, "Hash of the features that were scored."),
        Column("scored_at", TIMESTAMP, "When the run scored (UTC)."),
        Column("reasons", pl.List(REASON), "What raised the estimate most; high-risk rows only."),
    ),
)


def score_rows(
    features: pl.DataFrame,
    model: FittedModel,
    *,
    model_version: str,
    scored_at: datetime,
    reviews_per_week: int,
    reasons: pl.DataFrame,
    silent: pl.Series | None = None,
) -> pl.DataFrame:
    """Score eligible rows of whole weeks.

    Parameters
    ----------
    features : DataFrame
        Eligible rows only: row key, ``week``, ``known_at`` of the encounter, ``data_version``
        of the week and the feature columns.
    model : FittedModel
    model_version : str
    scored_at : datetime (UTC)
    reviews_per_week : int
        People that can be reviewed; those beyond are marked as overflow, never dropped.
    reasons : DataFrame
        From `explain_rows`.
    silent : Series of Boolean, optional
        Rows of persons who are scored but not put on the list; None for nobody.

    Returns
    -------
    DataFrame
        `WEEKLY_SCORES`, sorted by week, rank and row key; empty in, empty out.
    """
    probability = pl.Series("probability", predict(model, features))
    scored = features.select(*ROW_KEY, "week", "known_at", "data_version").with_columns(
        probability, (probability >= model.threshold).alias("high_risk")
    )
    shown = scored if silent is None else scored.filter(~silent)
    ranked = scored.join(_ranks(shown), on=list(ROW_KEY), how="left", maintain_order="left")
    return (
        ranked.join(reasons, on=list(ROW_KEY), how="left", maintain_order="left")
        .with_columns(
            (pl.col("rank") > reviews_per_week).fill_null(value=False).alias("overflow"),
            pl.col("reasons").fill_null([]).cast(pl.List(REASON)),
            pl.lit(model_version).alias("model_version"),
            pl.lit(scored_at, dtype=TIMESTAMP).alias("scored_at"),
        )
        .sort("week", pl.col("rank").fill_null(2**31 - 1), *ROW_KEY)
        .select(*WEEKLY_SCORES.schema)
    )


def with_data_version(features: pl.DataFrame) -> pl.DataFrame:
    """Add ``data_version``: a hash of each week's rows, so that equal data are known as equal.

    Parameters
    ----------
    features : DataFrame
        With ``week`` and the row key; whole weeks.

    Returns
    -------
    DataFrame
        The same rows sorted by week and row key, with ``data_version`` (16 hexadecimal digits).

    Examples
    --------
    >>> rows = {"week": [1, 2], "person_id": [7, 7], "encounter_id": [1, 2],
    ...     "prediction_time": [1, 2]}
    >>> first = with_data_version(pl.DataFrame(rows))
    >>> first["data_version"].n_unique()
    2
    """
    ordered = features.sort("week", *ROW_KEY)
    weeks = ordered.partition_by("week", maintain_order=True)
    return pl.concat(
        [part.with_columns(pl.lit(fingerprint(part)[:16]).alias("data_version")) for part in weeks]
        or [ordered.with_columns(pl.lit(None, dtype=pl.String).alias("data_version"))]
    )


def _ranks(scored: pl.DataFrame) -> pl.DataFrame:
    """Rank each week's high-risk people by their highest row.

    Highest probability first; ties by the earlier known date, then by a hash of the key.
    """
    order = scored.filter("high_risk").with_columns(
        pl.struct(ROW_KEY)
        .map_elements(_tie_breaker, return_dtype=pl.String)
        .cast(pl.String)
        .alias("tie")
    )
    best = order.sort(
        "week", "probability", "known_at", "tie", descending=[False, True, False, False]
    ).unique(["week", "person_id"], keep="first", maintain_order=True)
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("week").alias("rank")
    return best.select(*ROW_KEY, rank)


def _tie_breaker(key: dict[str, object]) -> str:
    return hashlib.sha256("|".join(str(part) for part in key.values()).encode()).hexdigest()


def explain_rows(
    features: pl.DataFrame,
    model: FittedModel,
    *,
    events: pl.LazyFrame,
    code_sets: Mapping[str, CodeSet],
    catalogue: Catalogue,
    count: int,
) -> pl.DataFrame:
    """Name what raised each high-risk row's estimate most, with the latest fact behind it.

    Parameters
    ----------
    features : DataFrame
        Eligible rows, as in `score_rows`.
    model : FittedModel
    events : LazyFrame
        Staged events; only those known before the prediction time are looked at.
    code_sets : mapping of str to CodeSet
    catalogue : Catalogue
        Says which code set stands behind a feature.
    count : int
        Reasons per row, at most; only terms that raise the estimate, one per family.

    Returns
    -------
    DataFrame
        Row key and ``reasons`` (list of `REASON`) of the high-risk rows. A reason that is not
        a coded fact (age, gestational age) has no date.
    """
    schema = {**{name: features.schema[name] for name in ROW_KEY}, "reasons": pl.List(REASON)}
    if features.is_empty():
        return pl.DataFrame(schema=schema)
    probability = predict(model, features)
    high = features.filter(pl.Series(probability >= model.threshold))
    if high.is_empty():
        return pl.DataFrame(schema=schema)
    terms = _top_terms(high, model, catalogue, count)
    facts = _latest_facts(terms, events, code_sets)
    wanted = ["feature", "statement", "value", "log_odds", "fact_code", "occurred_on", "known_on"]
    return (
        terms.join(facts, on=[*ROW_KEY, "feature"], how="left")
        .sort(*ROW_KEY, "log_odds", "feature", descending=[False, False, False, True, False])
        .group_by(ROW_KEY, maintain_order=True)
        .agg(pl.struct(wanted).alias("reasons"))
        .select(*ROW_KEY, pl.col("reasons").cast(pl.List(REASON)))
    )


def _top_terms(
    high: pl.DataFrame, model: FittedModel, catalogue: Catalogue, count: int
) -> pl.DataFrame:
    """The most raising term of each of the top families, one row per (row, term)."""
    known = set(catalogue.column_names)
    names = term_names(model)
    families = [catalogue.column(n).family if n in known else n for n in names]
    raised = contributions(model, high)
    rows, chosen = _best_per_family(raised, families, count)
    pairs = list(zip(families, names, strict=True))
    names_array = np.array(names, dtype=object)
    picked = high[rows].select(*ROW_KEY)
    code_sets = [catalogue.family(f).code_set if n in known else None for f, n in pairs]
    aggregations = [catalogue.column(n).aggregation if n in known else None for n in names]
    windows = [catalogue.column(n).window_days if n in known else None for n in names]
    values = _values(high, rows, names_array[chosen])
    said = [
        catalogue.column(names[c]).statement(value) if names[c] in known else names[c]
        for c, value in zip([int(c) for c in chosen], values, strict=True)
    ]
    if not model.reasons_are_exact:
        said = [f"{statement} ({_APPROXIMATE})" for statement in said]
    return picked.with_columns(
        pl.Series("feature", names_array[chosen].tolist(), dtype=pl.String),
        pl.Series("statement", said, dtype=pl.String),
        pl.Series("value", values, dtype=pl.Float64),
        pl.Series("aggregation", [aggregations[c] for c in chosen], dtype=pl.String),
        pl.Series("log_odds", raised[rows, chosen], dtype=pl.Float64),
        pl.Series("code_set", [code_sets[c] for c in chosen], dtype=pl.String),
        pl.Series("window_days", [windows[c] for c in chosen], dtype=pl.Int64),
    )


def _best_per_family(
    raised: np.ndarray, families: Sequence[str], count: int
) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-raised, axis=1, kind="stable")
    rows: list[int] = []
    chosen: list[int] = []
    for row in range(raised.shape[0]):
        seen: set[str] = set()
        for term in order[row]:
            if raised[row, term] <= 0 or len(seen) == count:
                break
            family = families[int(term)]
            if family not in seen:
                seen.add(family)
                rows.append(row)
                chosen.append(int(term))
    return np.array(rows, dtype=np.int64), np.array(chosen, dtype=np.int64)


def _values(high: pl.DataFrame, rows: np.ndarray, names: np.ndarray) -> list[float | None]:
    columns = {name: high[name].to_list() for name in set(names) if name in high.columns}
    return [
        columns[name][row] if name in columns else None
        for row, name in zip(rows, names, strict=True)
    ]


def _latest_facts(
    terms: pl.DataFrame, events: pl.LazyFrame, code_sets: Mapping[str, CodeSet]
) -> pl.DataFrame:
    """The latest fact that the term counts, in its window, as known at the prediction time."""
    coded = terms.filter(pl.col("code_set").is_not_null())
    persons = coded["person_id"].unique().implode()
    needed = [code_sets[name] for name in coded["code_set"].unique().sort()]
    mine = events.filter(pl.col("person_id").is_in(persons)).collect()
    facts = select_coded(mine.lazy(), needed)
    seen = history(facts, coded.lazy().select(ROW_KEY).unique())
    start = window_start(pl.col("prediction_time"), pl.col("window_days"))
    inside = seen.join(coded.lazy(), on=[*ROW_KEY, "code_set"]).filter(
        pl.col("window_days").is_null() | (pl.col("occurred_at") >= start)
    )
    return (
        with_trimester(inside.collect(), signatures_of(mine, code_sets))
        .filter(_counted())
        .sort("occurred_at", "known_at", "code")
        .group_by(*ROW_KEY, "feature")
        .agg(
            pl.col("code").last().alias("fact_code"),
            pl.col("occurred_at").last().cast(pl.Date).alias("occurred_on"),
            pl.col("known_at").last().cast(pl.Date).alias("known_on"),
        )
    )


def _counted() -> pl.Expr:
    """Whether a fact is one that the term's aggregation is about."""
    aggregation, number = pl.col("aggregation"), pl.col("number")
    extreme = number.cast(pl.Float32) == pl.col("value").cast(pl.Float32)
    return (
        pl.when(aggregation == "abnormal_any")
        .then(is_abnormal(pl.col("trimester")) & (pl.col("value") > 0))
        .when(aggregation.is_in(["min", "max"]))
        .then(extreme)
        .when(aggregation.is_in(["last_value", "mean", "slope"]))
        .then(number.is_not_null())
        .otherwise(aggregation != "missing")
        .fill_null(value=False)
    )
