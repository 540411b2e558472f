"""What gestational ages say about the start of a pregnancy (PPS and ESD), compiled."""

import numpy as np

from hrob_assets.risk.pregnancy.layout import (
    CENTRE,
    DAY,
    GROUP_FIRST,
    GROUP_HALF,
    GROUP_LAST,
    HALF,
    IMPLIED,
    KIND,
    NULL_INTEGER,
    SUPPORT,
    USED,
    Integer,
    compiled,
    copy_row,
    insertion_sort,
)
from hrob_assets.risk.pregnancy.terms import (
    DATING_SLACK_DAYS,
    GA,
    LONGEST_TERM,
    OVERLAP_SLACK_DAYS,
    SAME_START_DAYS,
    SHORTEST_TERM,
    UNSUPPORTED_DAYS,
)

LEFT_OUT = 4


@compiled
def group_starts(
    known: np.ndarray, count: Integer, dated: np.ndarray, groups: np.ndarray
) -> Integer:
    """Group gestational ages by the start they imply; return the number of groups."""
    size = np.int64(0)
    for i in range(count):
        if known[i, KIND] == GA:
            copy_row(known[i], dated[size])
            size += 1
    insertion_sort(dated, size, IMPLIED)
    group_count, first = 0, 0
    for i in range(1, size + 1):
        if i == size or dated[i, IMPLIED] - dated[i - 1, IMPLIED] > SAME_START_DAYS:
            _describe(dated[first:i], groups[group_count])
            group_count, first = group_count + 1, i
    return group_count


@compiled
def _describe(members: np.ndarray, group: np.ndarray) -> None:
    """Date a group of signatures that are sorted by the start they imply; it is used up."""
    best = members[0, HALF]
    group[GROUP_FIRST] = group[GROUP_LAST] = members[0, DAY]
    for i in range(len(members)):
        best = min(best, members[i, HALF])
        group[GROUP_FIRST] = min(group[GROUP_FIRST], members[i, DAY])
        group[GROUP_LAST] = max(group[GROUP_LAST], members[i, DAY])
    group[SUPPORT] = len(members)
    group[USED] = 0
    # Only the most precise members date the group: "less than 8 weeks" must not blur a stated
    # week. They move to the front of the array, which nobody reads afterwards.
    size = np.int64(0)
    for i in range(len(members)):
        if members[i, HALF] == best:
            copy_row(members[i], members[size])
            size += 1
    group[CENTRE] = _densest(members[:size], best)
    group[GROUP_HALF] = best + _spread(members[:size], group[CENTRE])


@compiled
def _densest(precise: np.ndarray, half: Integer) -> Integer:
    """Return the middle of the days that most intervals share; newer evidence breaks ties."""
    centre, most, newest, low = np.int64(0), 0, NULL_INTEGER, 0
    for high in range(len(precise)):
        while precise[high, IMPLIED] - precise[low, IMPLIED] > 2 * half:
            low += 1
        if high - low + 1 < most:
            continue
        latest = NULL_INTEGER
        for i in range(low, high + 1):
            latest = max(latest, precise[i, DAY])
        if high - low + 1 > most or latest >= newest:
            centre = (precise[high, IMPLIED] + precise[low, IMPLIED]) // 2
            most, newest = high - low + 1, latest
    return centre


@compiled
def _spread(precise: np.ndarray, centre: Integer) -> Integer:
    """Return the distance from the centre within which three quarters of the signatures lie."""
    size = len(precise)
    if size == 1:
        return np.int64(UNSUPPORTED_DAYS)
    low, high = 0, size - 1
    for _ in range(size // LEFT_OUT):
        if centre - precise[low, IMPLIED] > precise[high, IMPLIED] - centre:
            low += 1
        else:
            high -= 1
    return max(centre - precise[low, IMPLIED], precise[high, IMPLIED] - centre)


@compiled
def best_group(
    groups: np.ndarray, group_count: Integer, end: Integer, kind: Integer, previous: Integer
) -> Integer:
    """Return the best group that fits an outcome, or -1."""
    best = -1
    for j in range(group_count):
        term = end - groups[j, CENTRE]
        low, high = SHORTEST_TERM[kind], LONGEST_TERM[kind]
        if not low - DATING_SLACK_DAYS <= term <= high + DATING_SLACK_DAYS:
            continue
        if groups[j, CENTRE] < previous - OVERLAP_SLACK_DAYS:
            continue
        if groups[j, USED] or groups[j, GROUP_FIRST] > end + DATING_SLACK_DAYS:
            continue
        if best < 0 or is_better(groups[j], groups[best]):
            best = j
    return best


@compiled
def is_better(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether a group has more support than another, or as much and newer."""
    if one[SUPPORT] != other[SUPPORT]:
        return one[SUPPORT] > other[SUPPORT]
    return one[GROUP_LAST] > other[GROUP_LAST]
