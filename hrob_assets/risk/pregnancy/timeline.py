"""State of the pregnancies of many persons at their prediction times, compiled."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from hrob_assets.risk.pregnancy.kernel import infer
from hrob_assets.risk.pregnancy.layout import (
    AVAILABLE,
    END,
    EPISODE_WIDTH,
    GROUP_WIDTH,
    HALF_WIDTH,
    IDENTIFIED,
    NULL_INTEGER,
    OUTCOME,
    SIGNATURE_WIDTH,
    START,
    Integer,
    Scratch,
    add_signature,
    compiled,
    copy_row,
    sources_fingerprint,
)
from hrob_assets.risk.pregnancy.terms import (
    AB,
    DELIV,
    EARLY_PRETERM_DAYS,
    ECT,
    LB,
    LONGEST_PREGNANCY_DAYS,
    POSTPARTUM_DAYS,
    SA,
    SB,
    TERM_BIRTH_DAYS,
    trimester_of,
)

STATE = (
    "is_pregnant",
    "is_postpartum",
    "in_episode",
    "gestational_age_days",
    "trimester",
    "days_postpartum",
    "precision_days",
    "days_since_identified",
    "previous_pregnancies",
    "previous_live_births",
    "previous_preterm",
    "previous_losses",
    "interpregnancy_interval_days",
    "start_date",
    "end_date",
    "outcome",
    "identified_at_days",
    "term_days",
    "previous_births",
    "previous_stillbirths",
    "previous_early_losses",
    "previous_induced_abortions",
    "previous_early_preterm",
    "last_was_preterm",
    "last_was_loss",
    "losses_in_a_row",
    "last_term_days",
    "days_since_last_end",
)
MICROSECONDS_PER_DAY = 86_400_000_000


@compiled
def make_room(offsets: np.ndarray) -> tuple[np.ndarray, Scratch, np.ndarray]:
    """Return working arrays that hold the signatures of any one person."""
    most = 1
    for person in range(len(offsets) - 1):
        most = max(most, offsets[person + 1] - offsets[person])
    known = np.empty((most, SIGNATURE_WIDTH), np.int64)
    outcomes = np.empty((most, 2), np.int64)
    dated = np.empty((most, SIGNATURE_WIDTH), np.int64)
    groups = np.empty((most, GROUP_WIDTH), np.int64)
    return known, (outcomes, dated, groups), np.empty((most, EPISODE_WIDTH), np.int64)


@compiled
def _known_episodes(
    times: np.ndarray,
    time_offsets: np.ndarray,
    signatures: np.ndarray,
    signature_offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (first, end, episodes): row r knows ``episodes[first[r]:end[r]]``, by start.

    Times ascend within a person, and so does the availability of the signatures. Episodes are
    inferred again only when a signature has become available since the previous row; rows
    between share them.
    """
    first, end = np.zeros(len(times), np.int64), np.zeros(len(times), np.int64)
    result = np.empty((len(time_offsets) + 1, EPISODE_WIDTH), np.int64)
    total = np.int64(0)
    known, scratch, episodes = make_room(signature_offsets)
    for person in range(len(time_offsets) - 1):
        at, last = signature_offsets[person], signature_offsets[person + 1]
        count, size, seen = np.int64(0), np.int64(0), np.int64(0)
        for row in range(time_offsets[person], time_offsets[person + 1]):
            while at < last and signatures[at, AVAILABLE] < times[row]:
                count = add_signature(known, count, signatures[at])
                at += 1
            if count != seen:
                size, seen = infer(known, count, scratch, episodes), count
                result = _with_room(result, total, size)
                for i in range(size):
                    copy_row(episodes[i], result[total + i])
                total += size
            first[row], end[row] = total - size, total
    return first, end, result[:total]


@compiled
def _with_room(rows: np.ndarray, used: Integer, wanted: Integer) -> np.ndarray:
    """Return the rows in use, with room for more."""
    if used + wanted <= len(rows):
        return rows
    larger = np.empty((2 * (used + wanted), EPISODE_WIDTH), np.int64)
    for i in range(used):
        copy_row(rows[i], larger[i])
    return larger


@compiled
def _states(
    times: np.ndarray, first: np.ndarray, end: np.ndarray, episodes: np.ndarray
) -> np.ndarray:
    """Return the state of every row from the episodes that it knows."""
    result = np.full((len(times), len(STATE)), NULL_INTEGER, np.int64)
    for row in range(len(times)):
        _describe(episodes[first[row] : end[row]], end[row] - first[row], times[row], result[row])
    return result


@compiled
def _describe(episodes: np.ndarray, size: Integer, time: Integer, state: np.ndarray) -> None:
    """Write what is known of a person at a time, in the order of `STATE`."""
    state[0], state[1], state[2] = 0, 0, 0
    today = time // MICROSECONDS_PER_DAY
    past = size
    if size:
        current = episodes[size - 1]
        is_open = current[END] == NULL_INTEGER
        state[0] = is_open and today - current[START] < LONGEST_PREGNANCY_DAYS
        state[1] = not is_open and today - current[END] <= POSTPARTUM_DAYS
        state[2] = state[0] + state[1]
        if state[2]:
            past = size - 1
            _describe_current(current, time, state)
            if past and episodes[past - 1, END] != NULL_INTEGER:
                state[12] = current[START] - episodes[past - 1, END]
    _describe_past(episodes, past, state)
    _describe_last(episodes, past, today, state)


@compiled
def _describe_current(current: np.ndarray, time: Integer, state: np.ndarray) -> None:
    today = time // MICROSECONDS_PER_DAY
    age = today - current[START]
    if current[END] == NULL_INTEGER:
        state[3] = age
        state[4] = trimester_of(age)
    else:
        state[5] = today - current[END]
        state[17] = current[END] - current[START]
    state[6] = current[HALF_WIDTH]
    state[7] = (time - current[IDENTIFIED]) // MICROSECONDS_PER_DAY
    state[13], state[14], state[15] = current[START], current[END], current[OUTCOME]
    state[16] = max(current[IDENTIFIED] // MICROSECONDS_PER_DAY - current[START], 0)


@compiled
def _describe_past(episodes: np.ndarray, past: Integer, state: np.ndarray) -> None:
    state[8], state[9], state[10], state[11] = past, 0, 0, 0
    state[18], state[19], state[20], state[21], state[22] = 0, 0, 0, 0, 0
    for i in range(past):
        outcome = episodes[i, OUTCOME]
        state[9] += outcome in (LB, DELIV)
        state[11] += outcome in (SB, ECT, SA)
        state[19] += outcome == SB
        state[20] += outcome in (ECT, SA)
        state[21] += outcome == AB
        born = outcome in (LB, SB, DELIV)
        state[10] += born and episodes[i, END] - episodes[i, START] < TERM_BIRTH_DAYS
        state[18] += born
        state[22] += born and episodes[i, END] - episodes[i, START] < EARLY_PRETERM_DAYS


@compiled
def _describe_last(episodes: np.ndarray, past: Integer, today: Integer, state: np.ndarray) -> None:
    """Write what is known of the last pregnancy before the present one."""
    state[23], state[24], state[25] = 0, 0, 0
    for i in range(past - 1, -1, -1):
        if episodes[i, OUTCOME] not in (SB, ECT, SA):
            break
        state[25] += 1
    if past and episodes[past - 1, END] != NULL_INTEGER:
        outcome, end = episodes[past - 1, OUTCOME], episodes[past - 1, END]
        state[26], state[27] = end - episodes[past - 1, START], today - end
        state[23] = outcome in (LB, SB, DELIV) and state[26] < TERM_BIRTH_DAYS
        state[24] = outcome in (SB, ECT, SA)


Kernel = Callable[..., Any]


def _entry_points(fingerprint: int) -> tuple[Kernel, Kernel]:
    """Return the functions that Python calls, cached on disk under the fingerprint."""

    @numba.njit(nogil=True, cache=True)
    def known_episodes(
        times: np.ndarray,
        time_offsets: np.ndarray,
        signatures: np.ndarray,
        signature_offsets: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        assert fingerprint >= 0  # noqa: S101 - a free variable is part of the cache's key
        return _known_episodes(times, time_offsets, signatures, signature_offsets)

    @numba.njit(nogil=True, cache=True)
    def states(
        times: np.ndarray, first: np.ndarray, end: np.ndarray, episodes: np.ndarray
    ) -> np.ndarray:
        assert fingerprint >= 0  # noqa: S101 - a free variable is part of the cache's key
        return _states(times, first, end, episodes)

    return known_episodes, states


known_episodes, states = _entry_points(sources_fingerprint())
