"""Which outcome codes end a pregnancy (HIP), compiled."""

import numpy as np

from hrob_assets.risk.pregnancy.layout import (
    DAY,
    IMPLIED,
    KIND,
    NULL_INTEGER,
    Integer,
    compiled,
    insertion_sort,
)
from hrob_assets.risk.pregnancy.terms import (
    DATING_SLACK_DAYS,
    DELIV,
    DELIVERY_RECORD_DAYS,
    ECT,
    GA,
    LEAST_GAP,
    LONGEST_PREGNANCY_DAYS,
    LONGEST_TERM,
    RANK,
    SB,
    SHORTEST_TERM,
)

LOWEST_RANK = 4
REFUTING_DAYS = 2


@compiled
def accept_outcomes(known: np.ndarray, count: Integer, outcomes: np.ndarray) -> Integer:
    """Fill ``outcomes`` (day, kind) with the accepted ones by day; return how many."""
    accepted = np.int64(0)
    # By rank and not by day: a live birth takes its place before a vaguer code nearby can claim
    # the room around it.
    for rank in range(LOWEST_RANK + 1):
        for i in range(count):
            day, kind = known[i, DAY], known[i, KIND]
            if kind > DELIV or RANK[kind] != rank:
                continue
            if not _has_room(outcomes, accepted, day, kind):
                continue
            floor = _latest_outcome_before(outcomes, accepted, day)
            if ECT <= kind < DELIV and _is_refuted(known, count, day, kind, floor):
                continue
            outcomes[accepted, 0] = _day_of_delivery(known, count, day, kind, floor)
            outcomes[accepted, 1] = kind
            accepted += 1
    insertion_sort(outcomes, accepted, 0)
    return accepted


@compiled
def _has_room(outcomes: np.ndarray, accepted: Integer, day: Integer, kind: Integer) -> bool:
    for j in range(accepted):
        other, other_kind = outcomes[j, 0], outcomes[j, 1]
        if other <= day and day - other < LEAST_GAP[other_kind, kind]:
            return False
        if other > day and other - day < LEAST_GAP[kind, other_kind]:
            return False
    return True


@compiled
def _latest_outcome_before(outcomes: np.ndarray, accepted: Integer, day: Integer) -> Integer:
    latest = NULL_INTEGER
    for j in range(accepted):
        if outcomes[j, 0] < day:
            latest = max(latest, outcomes[j, 0])
    return latest


@compiled
def _is_refuted(
    known: np.ndarray, count: Integer, day: Integer, kind: Integer, floor: Integer
) -> bool:
    """Whether gestational ages deny a loss: the pregnancy went on, or was too far gone."""
    on, on_last, late, fitting = 0, NULL_INTEGER, 0, 0
    for i in range(count):
        if known[i, KIND] != GA or known[i, DAY] <= floor:
            continue
        seen, term = known[i, DAY], day - known[i, IMPLIED]
        gone_on = seen > day + DATING_SLACK_DAYS and seen - known[i, IMPLIED] <= LONGEST_TERM[0]
        if gone_on and term >= SHORTEST_TERM[kind] and seen != on_last:
            on, on_last = on + 1, seen
        if day - 3 * DATING_SLACK_DAYS <= seen <= day + DATING_SLACK_DAYS:
            if term > LONGEST_TERM[kind] + DATING_SLACK_DAYS:
                late += term <= LONGEST_PREGNANCY_DAYS + DATING_SLACK_DAYS
            elif term >= SHORTEST_TERM[kind] - DATING_SLACK_DAYS:
                fitting += 1
    return on >= REFUTING_DAYS or late > fitting


@compiled
def _day_of_delivery(
    known: np.ndarray, count: Integer, day: Integer, kind: Integer, floor: Integer
) -> Integer:
    """Return the day of the delivery record shortly before a birth, or the day itself."""
    if kind > SB:
        return day
    for i in range(count):
        if known[i, DAY] > day:
            break
        near = known[i, DAY] >= day - DELIVERY_RECORD_DAYS and known[i, DAY] > floor
        if near and known[i, KIND] == DELIV:
            return known[i, DAY]
    return day
