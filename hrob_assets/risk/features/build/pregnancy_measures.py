"""Features of the present pregnancy, of its prenatal care and of the pregnancies before it.

Everything is asked of what was known at the prediction time: the dates of the pregnancies are those
that were known then, and a visit or a complication counts when it was known strictly before.

References
----------
Kotelchuck 1994, Am J Public Health 84(9) 1414-1420: adequacy of prenatal care utilization (APNCU).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
import polars as pl

from hrob_assets.risk.features.catalogue.measures import CODED_MEASURES, MEASURES
from hrob_assets.risk.features.kernel.facts import Facts
from hrob_assets.risk.pregnancy import (
    FULL_TERM_DAYS,
    NULL_INTEGER,
    POSTPARTUM_DAYS,
    PRECISION_CLASSES,
    SECOND_TRIMESTER_DAYS,
    TERM_BIRTH_DAYS,
    THIRD_TRIMESTER_DAYS,
    VIABLE_DAYS,
    KnownPregnancies,
    pregnancy_states,
)
from hrob_assets.risk.windows import DAY_US, is_history

CARE = MEASURES["pregnancy"]["prenatal_care"]
HISTORY = CODED_MEASURES["earlier_pregnancies"]
(
    VISITS, EXPECTED, SHARE, EXPECTED_SINCE, SHARE_SINCE, MONTH, FIRST, SINCE_LAST, GAP, OVERDUE,
    EARLY, LATE, NONE_YET, INADEQUATE, INTERMEDIATE, ADEQUATE, PLUS,
) = range(17)  # fmt: skip
"""Places of the measures of prenatal care, in the order of `CARE`."""

DUE_WEEKS = np.array([6, 10, 14, 18, 22, 26, 30, 32, 34, 36, 37, 38, 39, 40, 41, 42], np.int64)
"""Completed weeks at which a visit is due: every four weeks to 28, every two to 36, then weekly
(ACOG, uncomplicated pregnancy); 14 visits at 40 weeks as in Kotelchuck 1994."""

WEEKLY_FROM_DAYS = 252
LATE_TERM_DAYS, POST_TERM_DAYS = 287, 294
LATE_MONTH = 5
SHORT_INTERVAL_DAYS, BRIEF_INTERVAL_DAYS, LONG_INTERVAL_DAYS = 548, 183, 1826
"""18 and 6 months (ACOG OCC 8) and 5 years (Conde-Agudelo 2006)."""

MANY_BIRTHS = 5


def pregnancy_measures(
    rows: pl.DataFrame, known: KnownPregnancies, facts: Facts, code_sets: Sequence[str]
) -> pl.DataFrame:
    """Return the columns of the families pregnancy, prenatal_care and earlier_pregnancies.

    Parameters
    ----------
    rows : DataFrame
        With ``person_id`` and ``prediction_time``, ordered by both.
    known : KnownPregnancies
        Of these rows.
    facts : Facts
        Of the persons of the rows, ascending.
    code_sets : sequence of str
        Names of the code sets that are the series of the facts, in their order.

    Returns
    -------
    DataFrame
        Columns ``<family>__<measure>``, one row per row in their order. Null outside an episode,
        where a measure is a number of the present one; flags and counts are 0 there.
    """
    states = pregnancy_states(rows, known)
    care, history = _coded(rows, known, states, facts, code_sets)
    coded = [
        *(pl.Series(f"prenatal_care__{name}", care[:, i]) for i, name in enumerate(CARE)),
        *(
            pl.Series(f"earlier_pregnancies__{name}", history[:, i])
            for i, name in enumerate(HISTORY)
        ),
    ]
    return pl.concat(
        [
            states.drop("person_id", "prediction_time").rename("pregnancy__{}".format),
            states.select(_of_episode()).rename("pregnancy__{}".format),
            states.select(_of_earlier()).rename("earlier_pregnancies__{}".format),
            pl.DataFrame(coded).fill_nan(None),
        ],
        how="horizontal",
    )


def _of_episode() -> list[pl.Expr]:
    """Measures of the present episode that follow from its state."""
    age, half = pl.col("gestational_age_days"), pl.col("precision_days")
    seen = pl.col("identified_at_days")
    widest = [0, *(days for days, _ in PRECISION_CLASSES)]
    classes = [
        ((half <= days) & ((half > low) | (low == 0))).alias(f"precision_{name}")
        for low, (days, name) in zip(widest, PRECISION_CLASSES, strict=False)
    ]
    flags = [
        *((pl.col("trimester") == number).alias(f"trimester_{number}") for number in (1, 2, 3)),
        age.is_between(VIABLE_DAYS, TERM_BIRTH_DAYS, closed="left").alias("preterm_if_born_now"),
        (age >= FULL_TERM_DAYS).alias("past_due_date"),
        age.is_between(LATE_TERM_DAYS, POST_TERM_DAYS, closed="left").alias("late_term"),
        (age >= POST_TERM_DAYS).alias("post_term"),
        (seen >= SECOND_TRIMESTER_DAYS).alias("identified_late"),
        *classes,
        (half > widest[-1]).alias("precision_poor"),
    ]
    return [((FULL_TERM_DAYS - age) / 7).alias("weeks_to_due_date"), *map(_flag, flags)]


def _of_earlier() -> list[pl.Expr]:
    """Measures of earlier pregnancies that follow from the timeline."""
    births, interval = pl.col("previous_births"), pl.col("interpregnancy_interval_days")
    numbers = {
        "births": births,
        "stillbirths": pl.col("previous_stillbirths"),
        "early_losses": pl.col("previous_early_losses"),
        "induced_abortions": pl.col("previous_induced_abortions"),
        "early_preterm_births": pl.col("previous_early_preterm"),
        "losses_in_a_row": pl.col("losses_in_a_row"),
        "last_term_days": pl.col("last_term_days"),
        "days_since_last_end": pl.col("days_since_last_end"),
    }
    flags = {
        "no_birth": births == 0,
        "many_births": births >= MANY_BIRTHS,
        "last_preterm": pl.col("last_was_preterm") == 1,
        "last_loss": pl.col("last_was_loss") == 1,
        "interval_under_6_months": interval < BRIEF_INTERVAL_DAYS,
        "interval_under_18_months": interval < SHORT_INTERVAL_DAYS,
        "interval_over_5_years": interval >= LONG_INTERVAL_DAYS,
    }
    return [
        *(value.alias(name) for name, value in numbers.items()),
        *(_flag(condition.alias(name)) for name, condition in flags.items()),
    ]


def _flag(condition: pl.Expr) -> pl.Expr:
    return condition.fill_null(value=False).cast(pl.Int8)


class _Told(NamedTuple):
    """Facts of the code sets, and what each series is: -1 a visit, else a place in the history."""

    person_start: np.ndarray
    kind: np.ndarray
    occurred_day: np.ndarray
    available_us: np.ndarray


class _AtRow(NamedTuple):
    """What each row knows: all pregnancies, and the present one (`NULL_INTEGER` for none)."""

    person_start: np.ndarray
    t_us: np.ndarray
    first: np.ndarray
    end: np.ndarray
    start_day: np.ndarray
    last_day: np.ndarray
    present_start: np.ndarray
    present_end: np.ndarray


def _coded(
    rows: pl.DataFrame,
    known: KnownPregnancies,
    states: pl.DataFrame,
    facts: Facts,
    code_sets: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Measures that are read from codes: shape (n_rows, 17) and (n_rows, 6)."""
    place = {name: number for number, names in enumerate(HISTORY.values()) for name in names}
    kinds = np.array([place.get(name, -1) for name in code_sets], np.int64)
    told = _Told(
        facts.person_start,
        kinds[facts.series],
        facts.occurred_us // DAY_US,
        facts.available_us,
    )
    person = rows["person_id"].to_numpy()
    at_row = _AtRow(
        np.append(np.flatnonzero(np.diff(person, prepend=-1)), person.size),
        rows["prediction_time"].to_physical().to_numpy(),
        known.first,
        known.end,
        known.start_day,
        known.last_day,
        *(
            states[name].to_physical().cast(pl.Int64).fill_null(int(NULL_INTEGER)).to_numpy()
            for name in ("start_date", "end_date")
        ),
    )
    care = np.full((rows.height, len(CARE)), np.nan)
    history = np.zeros((rows.height, len(HISTORY)))
    _walk(told, at_row, care, history)
    return care, history


@numba.njit(cache=True, nogil=True)
def _walk(told: _Told, at_row: _AtRow, care: np.ndarray, history: np.ndarray) -> None:
    """Go through the known facts of each row, in the order of occurrence."""
    for person in range(at_row.person_start.size - 1):
        for row in range(at_row.person_start[person], at_row.person_start[person + 1]):
            today = at_row.t_us[row] // DAY_US
            start, end = at_row.present_start[row], at_row.present_end[row]
            until = today if end == NULL_INTEGER else end
            visits, first, last, gap = 0, until, start, 0
            for fact in range(told.person_start[person], told.person_start[person + 1]):
                day = told.occurred_day[fact]
                if not is_history(told.available_us[fact], at_row.t_us[row]):
                    continue
                if told.kind[fact] >= 0:
                    if (start == NULL_INTEGER or day < start) and _is_earlier(at_row, row, day):
                        history[row, told.kind[fact]] = 1
                elif (
                    start != NULL_INTEGER and start <= day <= until and (visits == 0 or day > last)
                ):
                    gap = max(gap, day - last) if visits else 0
                    first = min(first, day)
                    last, visits = day, visits + 1
            for flag in range(EARLY, PLUS + 1):
                care[row, flag] = 0
            if start != NULL_INTEGER:
                _describe_care(care[row], until - start, visits, first - start, last - start, gap)


@numba.njit(cache=True, nogil=True)
def _is_earlier(at_row: _AtRow, row: int, day: int) -> bool:
    """Whether a day lies in a known pregnancy or the 42 days after it."""
    for pregnancy in range(at_row.first[row], at_row.end[row]):
        start: int = at_row.start_day[pregnancy]
        if start <= day <= at_row.last_day[pregnancy] + POSTPARTUM_DAYS:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _describe_care(
    care: np.ndarray, age: int, visits: int, first: int, last: int, gap: int
) -> None:
    """Write the measures of prenatal care, in the order of `CARE`."""
    expected = _due(age)
    care[VISITS], care[EXPECTED] = visits, expected
    if expected:
        care[SHARE] = visits / expected
    month = _month(first if visits else age)
    late = month >= LATE_MONTH
    care[LATE], care[NONE_YET] = late, visits == 0
    if visits == 0:
        care[INADEQUATE] = late
        return
    since = max(1, expected - max(0, _due(first) - 1))
    care[EXPECTED_SINCE], care[SHARE_SINCE] = since, visits / since
    care[MONTH], care[FIRST], care[EARLY] = month, first, first < SECOND_TRIMESTER_DAYS
    care[SINCE_LAST], care[GAP] = age - last, max(gap, age - last)
    care[OVERDUE] = max(0, age - last - _interval(last))
    share = 100 * visits // since  # in whole percent, cut off
    care[INADEQUATE] = late or share < 50  # noqa: PLR2004 - the limits of the index
    care[INTERMEDIATE] = not late and 50 <= share < 80  # noqa: PLR2004
    care[ADEQUATE] = not late and 80 <= share < 110  # noqa: PLR2004
    care[PLUS] = not late and share >= 110  # noqa: PLR2004


@numba.njit(cache=True, nogil=True)
def _due(age_days: int) -> int:
    """Visits due up to a gestational age.

    Examples
    --------
    >>> [_due(7 * weeks) for weeks in (5, 6, 28, 36, 40)]
    [0, 1, 6, 10, 14]
    """
    return int(np.searchsorted(DUE_WEEKS, age_days // 7, side="right"))


@numba.njit(cache=True, nogil=True)
def _month(age_days: int) -> int:
    """Month of pregnancy, from 1; a month has 30.4375 days."""
    return 1 + age_days * 16 // 487


@numba.njit(cache=True, nogil=True)
def _interval(age_days: int) -> int:
    """Days from a visit at this age to the next one that is due."""
    if age_days < THIRD_TRIMESTER_DAYS:
        return 28
    return 14 if age_days < WEEKLY_FROM_DAYS else 7
