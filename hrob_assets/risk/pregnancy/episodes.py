"""Pregnancy episodes and states as frames."""

from typing import NamedTuple

import numpy as np
import polars as pl

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.pregnancy.layout import (
    END,
    NULL_INTEGER,
    SIGNATURE_WIDTH,
    START,
)
from hrob_assets.risk.pregnancy.signatures import PREGNANCY_SIGNATURES
from hrob_assets.risk.pregnancy.terms import (
    EARLY_HALF_WIDTH,
    EARLY_WEEKS,
    KINDS,
    LATE_HALF_WIDTH,
    LATE_WEEKS,
    LONGEST_PREGNANCY_DAYS,
    PRECISION_CLASSES,
    SECOND_TRIMESTER_DAYS,
    THIRD_TRIMESTER_DAYS,
    WEEK_HALF_WIDTH,
)
from hrob_assets.risk.pregnancy.timeline import STATE, known_episodes, states
from hrob_assets.risk.tables import TIMESTAMP

_STATE_TYPES = {
    "is_pregnant": pl.Int8,
    "is_postpartum": pl.Int8,
    "in_episode": pl.Int8,
    "trimester": pl.Int8,
    "previous_pregnancies": pl.Int16,
    "previous_live_births": pl.Int16,
    "previous_preterm": pl.Int16,
    "previous_losses": pl.Int16,
    "previous_births": pl.Int16,
    "previous_stillbirths": pl.Int16,
    "previous_early_losses": pl.Int16,
    "previous_induced_abortions": pl.Int16,
    "previous_early_preterm": pl.Int16,
    "last_was_preterm": pl.Int8,
    "last_was_loss": pl.Int8,
    "losses_in_a_row": pl.Int16,
    "start_date": pl.Date,
    "end_date": pl.Date,
}
_CODE_OF_KIND = {kind: code for code, kind in enumerate(KINDS)}
_ROWS = {"person_id": pl.Int64, "prediction_time": TIMESTAMP}


class KnownPregnancies(NamedTuple):
    """The pregnancies that each row knows.

    Parameters
    ----------
    first, end : int64 arrays, shape (n_rows,)
        Row r knows ``episodes[first[r]:end[r]]``, by start; rows may share them.
    episodes : int64 array, shape (n_episodes, 7)
        Columns as in `hrob_assets.risk.pregnancy.layout`, days since 1970.
    """

    first: np.ndarray
    end: np.ndarray
    episodes: np.ndarray

    @property
    def start_day(self) -> np.ndarray:
        """First day of each episode (the last menstrual period), days since 1970."""
        return self.episodes[:, START].copy()

    @property
    def last_day(self) -> np.ndarray:
        """Last day of each episode: its end or, when that is not known, the latest possible."""
        longest = self.episodes[:, START] + LONGEST_PREGNANCY_DAYS - 1
        return np.where(self.episodes[:, END] == NULL_INTEGER, longest, self.episodes[:, END])


def known_pregnancies(rows: pl.DataFrame, signatures: pl.DataFrame) -> KnownPregnancies:
    """Return all pregnancies of each person as known at each prediction time.

    Parameters
    ----------
    rows : DataFrame
        Columns ``person_id`` and ``prediction_time``; any order.
    signatures : DataFrame[PREGNANCY_SIGNATURES]
        Only those that occurred and were known before the prediction time are looked at.

    Examples
    --------
    >>> from datetime import datetime
    >>> signatures = pl.DataFrame(
    ...     [(7, datetime(2024, 3, 1), datetime(2024, 3, 9), "GA", 10.0)],
    ...     schema=PREGNANCY_SIGNATURES.schema, orient="row",
    ... )
    >>> rows = pl.DataFrame(
    ...     {"person_id": [7, 7], "prediction_time": [datetime(2024, 3, 9), datetime(2024, 3, 10)]},
    ...     schema_overrides={"prediction_time": pl.Datetime("us")},
    ... )
    >>> known = known_pregnancies(rows, signatures)
    >>> (known.end - known.first).tolist()
    [0, 1]
    """
    _check_rows(rows)
    keys = rows.select(*_ROWS).with_row_index("row").sort("person_id", "prediction_time")
    persons = keys["person_id"].unique().sort()
    table, offsets = _table(signatures, persons)
    first, end, episodes = known_episodes(
        keys["prediction_time"].to_physical().to_numpy(writable=True),
        _offsets(keys["person_id"], persons),
        table,
        offsets,
    )
    given = keys["row"].arg_sort().to_numpy()
    return KnownPregnancies(first[given], end[given], episodes)


def with_trimester(facts: pl.DataFrame, signatures: pl.DataFrame) -> pl.DataFrame:
    """Say in which trimester each fact happened, as known at its row's prediction time.

    Parameters
    ----------
    facts : DataFrame
        Facts of rows: ``person_id``, ``prediction_time``, ``occurred_at`` and any others.
    signatures : DataFrame[PREGNANCY_SIGNATURES]

    Returns
    -------
    DataFrame
        The facts in their order with ``trimester`` (1 to 3; 0 outside pregnancy).
    """
    rows = facts.select(*_ROWS).unique(maintain_order=True)
    known = known_pregnancies(rows, signatures)
    count = known.end - known.first
    of_row = np.repeat(np.arange(rows.height), count)
    place = np.arange(of_row.size) - np.repeat(np.cumsum(count) - count, count)
    episode = known.first[of_row] + place
    spans = rows[of_row].with_columns(
        pl.Series("number", place),
        pl.Series("start_day", known.start_day[episode]),
        pl.Series("last_day", known.last_day[episode]),
    )
    numbered = facts.with_row_index("fact")
    day = pl.col("occurred_at").dt.date().to_physical().cast(pl.Int64)
    age = day - pl.col("start_day")
    found = (
        numbered.join(spans, on=list(_ROWS))
        .filter(age >= 0, day <= pl.col("last_day"))
        .sort("fact", "number")
        .unique("fact", keep="last", maintain_order=True)
        .select(
            "fact",
            trimester=1
            + (age >= SECOND_TRIMESTER_DAYS).cast(pl.Int8)
            + (age >= THIRD_TRIMESTER_DAYS).cast(pl.Int8),
        )
    )
    told = numbered.join(found, on="fact", how="left", maintain_order="left").drop("fact")
    return told.with_columns(pl.col("trimester").cast(pl.Int8).fill_null(0))


def pregnancy_states(rows: pl.DataFrame, known: KnownPregnancies) -> pl.DataFrame:
    """Describe each row's state from the pregnancies that were known at its prediction time.

    Parameters
    ----------
    rows : DataFrame
        Columns ``person_id`` and ``prediction_time``; others are left out. Any order; rows
        may repeat.
    known : KnownPregnancies
        Of the same rows.

    Returns
    -------
    DataFrame
        One row per row of ``rows`` and in its order, with ``person_id``, ``prediction_time``,
        ``is_pregnant``, ``is_postpartum`` (at most 42 days after a known end), ``in_episode``
        (either of them; all 0 or 1) and, null outside an episode:

        - ``gestational_age_days``, ``trimester`` (1 to 3): only while pregnant;
        - ``days_postpartum``: only when postpartum;
        - ``precision_days`` (half-width of the start date), ``precision`` (its class: week,
          two_week, month, three_month or poor);
        - ``days_since_identified``: since the first record of it became available;
        - ``interpregnancy_interval_days``: from the known end of the previous pregnancy;
        - ``start_date``, ``end_date`` (null while pregnant), ``outcome`` (PREG while pregnant);
        - ``identified_at_days``: gestational age when the first record of it became available;
        - ``term_days``: from start to end, only when postpartum.

        Never null: ``previous_pregnancies``, ``previous_live_births`` (a delivery record
        without a stated outcome counts), ``previous_preterm`` and ``previous_early_preterm``
        (births before 259 and 238 days), ``previous_births`` (also stillbirths),
        ``previous_losses`` (stillbirth, ectopic, spontaneous), ``previous_stillbirths``,
        ``previous_early_losses`` (ectopic, spontaneous), ``previous_induced_abortions``,
        ``losses_in_a_row`` (the last ones); the current episode is not among them. Of the last
        pregnancy before it: ``last_was_preterm``, ``last_was_loss`` (0 when there is none) and,
        null when there is none or its end is not known, ``last_term_days`` and
        ``days_since_last_end``.

    Notes
    -----
    A pregnancy without a known end is over 301 days after its start. Adds and drops no rows.

    Examples
    --------
    >>> from datetime import datetime
    >>> signatures = pl.DataFrame(
    ...     [(7, datetime(2024, 3, 1), datetime(2024, 3, 9), "GA", 10.0)],
    ...     schema=PREGNANCY_SIGNATURES.schema, orient="row",
    ... )
    >>> rows = pl.DataFrame(
    ...     {"person_id": [7, 7], "prediction_time": [datetime(2024, 3, 9), datetime(2024, 3, 10)]},
    ...     schema_overrides={"prediction_time": pl.Datetime("us")},
    ... )
    >>> states = pregnancy_states(rows, known_pregnancies(rows, signatures))
    >>> states.select("is_pregnant", "gestational_age_days").rows()
    [(0, None), (1, 82)]
    """
    times = rows["prediction_time"].to_physical().to_numpy(writable=True)
    return rows.select(*_ROWS).hstack(_state_columns(states(times, *known)))


def _check_rows(rows: pl.DataFrame) -> None:
    wrong = [name for name, dtype in _ROWS.items() if rows.schema.get(name) != dtype]
    if wrong:
        msg = (
            "rows must have person_id (Int64) and prediction_time (Datetime in microseconds); "
            f"missing or of another type: {', '.join(wrong)}. Add or cast them."
        )
        raise ContractError(msg)
    empty = {name: count for name in _ROWS if (count := rows[name].null_count())}
    if empty:
        msg = f"rows must have no null keys; found {empty}. Remove these rows."
        raise ContractError(msg)


def _offsets(sorted_persons: pl.Series, persons: pl.Series) -> np.ndarray:
    """Return where each person's rows begin, and the number of rows at the end."""
    starts = np.searchsorted(sorted_persons.to_numpy(), persons.to_numpy())
    return np.append(starts, len(sorted_persons)).astype(np.int64)


def _table(signatures: pl.DataFrame, persons: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the signatures of the persons as the kernel wants them, and their offsets."""
    PREGNANCY_SIGNATURES.check(signatures)
    day = pl.col("occurred_at").dt.date().to_physical().cast(pl.Int64)
    weeks = pl.col("weeks")
    undated = (pl.col("kind") == "GA") & weeks.is_null()
    kind = pl.when(undated).then(pl.lit("PREG")).otherwise("kind")
    known = (
        signatures.lazy()
        .filter(pl.col("person_id").is_in(persons.implode()))
        .with_columns(pl.when(pl.col("kind") == "GA").then(weeks).alias("weeks"))
        .select(
            "person_id",
            day.alias("day"),
            kind.replace_strict(_CODE_OF_KIND, return_dtype=pl.Int64).alias("kind"),
            (day - (7 * weeks + 0.5).floor().cast(pl.Int64) - _middle_of_the_week()).alias(
                "implied"
            ),
            _half_width().alias("half_width"),
            pl.max_horizontal("occurred_at", "known_at").to_physical().alias("available"),
        )
        .sort("person_id", "available")
        .collect()
    )
    table = np.empty((known.height, SIGNATURE_WIDTH), dtype=np.int64)
    table[:] = known.drop("person_id").fill_null(0).to_numpy()
    return table, _offsets(known["person_id"], persons)


def _middle_of_the_week() -> pl.Expr:
    """Days from a whole number of completed weeks to its middle; 0 where days are stated."""
    is_whole = pl.col("weeks") == pl.col("weeks").floor()
    return pl.when(is_whole).then(WEEK_HALF_WIDTH).otherwise(0)


def _half_width() -> pl.Expr:
    weeks = pl.col("weeks")
    return (
        pl.when(weeks < EARLY_WEEKS)
        .then(EARLY_HALF_WIDTH)
        .when(weeks >= LATE_WEEKS)
        .then(LATE_HALF_WIDTH)
        .otherwise(WEEK_HALF_WIDTH)
        .cast(pl.Int64)
    )


def _nullable(values: np.ndarray, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    column = pl.Series(values)
    kept = column.to_frame("value").select(
        pl.when(pl.col("value") != int(NULL_INTEGER)).then("value")
    )
    return kept.to_series().cast(pl.Int32).cast(dtype)


def _outcome_names(codes: np.ndarray) -> pl.Series:
    names = dict(enumerate(KINDS))
    return _nullable(codes, pl.Int32).replace_strict(names, return_dtype=pl.String)


def _precision_class() -> pl.Expr:
    days = pl.col("precision_days")
    label = pl.when(days.is_null()).then(None)
    for widest, name in PRECISION_CLASSES:
        label = label.when(days <= widest).then(pl.lit(name))
    return label.otherwise(pl.lit("poor"))


def _state_columns(found: np.ndarray) -> pl.DataFrame:
    columns = {
        name: _outcome_names(found[:, i])
        if name == "outcome"
        else _nullable(found[:, i], _STATE_TYPES.get(name, pl.Int32))
        for i, name in enumerate(STATE)
    }
    frame = pl.DataFrame(columns)
    precision = frame.select(_precision_class().alias("precision")).to_series()
    return frame.insert_column(frame.get_column_index("precision_days") + 1, precision)
