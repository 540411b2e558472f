"""Inference of one person's episodes from signatures, compiled.

Arrays of signatures are ``known[i] = (day, kind, start, half_width, available)``: days since
1970, code of the kind, for GA the start it implies and its half-width, and the microsecond at
which it became available. They are sorted by the first four and hold no two alike. Episodes
are rows of an int64 array with the columns below; `NULL` stands for no value.
"""

import numba
import numpy as np

from hrob_assets.risk.pregnancy import terms
from hrob_assets.risk.pregnancy.terms import (
    DATING_SLACK_DAYS,
    DELIV,
    DELIVERY_RECORD_DAYS,
    DETECTABLE_DAYS,
    ECT,
    FIRST_MARKER_DAYS,
    FULL_TERM_DAYS,
    GA,
    LEAST_GAP,
    LONGEST_PREGNANCY_DAYS,
    LONGEST_TERM,
    MARKER_SILENCE_DAYS,
    OVERLAP_SLACK_DAYS,
    POST,
    PREG,
    RANK,
    RETRY,
    SAME_START_DAYS,
    SB,
    SHORTEST_TERM,
    TYPICAL_HALF_WIDTH,
    TYPICAL_TERM,
    VIABLE_DAYS,
)

NULL = np.int64(-(2**62))
DAY, KIND, IMPLIED, HALF, AVAILABLE = range(5)
SIGNATURE_WIDTH = 5
START, HALF_WIDTH, END, OUTCOME, LAST, ANCHOR, IDENTIFIED = range(7)
EPISODE_WIDTH = 7
CENTRE, CLUSTER_HALF, SUPPORT, CLUSTER_LAST, CLUSTER_FIRST, USED = range(6)
CLUSTER_WIDTH = 6
LOWEST_RANK = 4
REFUTING_DAYS = 2
LEFT_OUT = 4

Scratch = tuple[np.ndarray, np.ndarray, np.ndarray]

compiled = numba.njit(nogil=True, cache=True)


@compiled
def copy_row(source: np.ndarray, target: np.ndarray) -> None:
    """Copy a row; a loop, because Numba compiles it ten times faster than a slice."""
    for column in range(len(source)):
        target[column] = source[column]


@compiled
def add_signature(known: np.ndarray, count: int, signature: np.ndarray) -> int:
    """Insert a signature in order; return the new count. One like it stays as it was."""
    at = count
    while at > 0:
        order = _compare(known[at - 1], signature)
        if order == 0:
            return count
        if order < 0:
            break
        at -= 1
    for i in range(count, at, -1):
        copy_row(known[i - 1], known[i])
    copy_row(signature, known[at])
    return count + 1


@compiled
def _compare(first: np.ndarray, second: np.ndarray) -> int:
    for column in range(AVAILABLE):
        if first[column] != second[column]:
            return -1 if first[column] < second[column] else 1
    return 0


@compiled
def _insertion_sort(rows: np.ndarray, count: int, column: int) -> None:
    """Sort rows in place by a column, keeping the order of equals."""
    for i in range(1, count):
        row = rows[i].copy()
        j = i - 1
        while j >= 0 and rows[j, column] > row[column]:
            copy_row(rows[j], rows[j + 1])
            j -= 1
        copy_row(row, rows[j + 1])


@compiled
def accept_outcomes(known: np.ndarray, count: int, outcomes: np.ndarray) -> int:
    """Fill ``outcomes`` (day, kind) with the accepted ones by day; return how many."""
    accepted = np.int64(0)
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
    _insertion_sort(outcomes, accepted, 0)
    return accepted


@compiled
def _has_room(outcomes: np.ndarray, accepted: int, day: int, kind: int) -> bool:
    for j in range(accepted):
        other, other_kind = outcomes[j, 0], outcomes[j, 1]
        if other <= day and day - other < LEAST_GAP[other_kind, kind]:
            return False
        if other > day and other - day < LEAST_GAP[kind, other_kind]:
            return False
    return True


@compiled
def _latest_outcome_before(outcomes: np.ndarray, accepted: int, day: int) -> int:
    latest = NULL
    for j in range(accepted):
        if outcomes[j, 0] < day:
            latest = max(latest, outcomes[j, 0])
    return latest


@compiled
def _is_refuted(known: np.ndarray, count: int, day: int, kind: int, floor: int) -> bool:
    """Whether gestational ages deny a loss: the pregnancy went on, or was too far gone."""
    on, on_last, late, fitting = 0, NULL, 0, 0
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
def _day_of_delivery(known: np.ndarray, count: int, day: int, kind: int, floor: int) -> int:
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


@compiled
def group_starts(known: np.ndarray, count: int, dated: np.ndarray, clusters: np.ndarray) -> int:
    """Group gestational ages by the start they imply; return the number of groups."""
    size = np.int64(0)
    for i in range(count):
        if known[i, KIND] == GA:
            copy_row(known[i], dated[size])
            size += 1
    _insertion_sort(dated, size, IMPLIED)
    groups, first = 0, 0
    for i in range(1, size + 1):
        if i == size or dated[i, IMPLIED] - dated[i - 1, IMPLIED] > SAME_START_DAYS:
            _describe(dated[first:i], clusters[groups])
            groups, first = groups + 1, i
    return groups


@compiled
def _describe(members: np.ndarray, cluster: np.ndarray) -> None:
    """Date a group of signatures that are sorted by the start they imply; it is used up."""
    best = members[0, HALF]
    cluster[CLUSTER_FIRST] = cluster[CLUSTER_LAST] = members[0, DAY]
    for i in range(len(members)):
        best = min(best, members[i, HALF])
        cluster[CLUSTER_FIRST] = min(cluster[CLUSTER_FIRST], members[i, DAY])
        cluster[CLUSTER_LAST] = max(cluster[CLUSTER_LAST], members[i, DAY])
    cluster[SUPPORT] = len(members)
    cluster[USED] = 0
    size = np.int64(0)
    for i in range(len(members)):
        if members[i, HALF] == best:
            copy_row(members[i], members[size])
            size += 1
    cluster[CENTRE] = _densest(members[:size], best)
    cluster[CLUSTER_HALF] = best + _spread(members[:size], cluster[CENTRE])


@compiled
def _densest(precise: np.ndarray, half: int) -> int:
    """Return the middle of the days that most intervals share; newer evidence breaks ties."""
    centre, most, newest, low = np.int64(0), 0, NULL, 0
    for high in range(len(precise)):
        while precise[high, IMPLIED] - precise[low, IMPLIED] > 2 * half:
            low += 1
        if high - low + 1 < most:
            continue
        latest = NULL
        for i in range(low, high + 1):
            latest = max(latest, precise[i, DAY])
        if high - low + 1 > most or latest >= newest:
            centre = (precise[high, IMPLIED] + precise[low, IMPLIED]) // 2
            most, newest = high - low + 1, latest
    return centre


@compiled
def _spread(precise: np.ndarray, centre: int) -> int:
    """Return the distance from the centre within which three quarters of the signatures lie."""
    size = len(precise)
    if size == 1:
        return np.int64(terms.UNSUPPORTED_DAYS)
    low, high = 0, size - 1
    for _ in range(size // LEFT_OUT):
        if centre - precise[low, IMPLIED] > precise[high, IMPLIED] - centre:
            low += 1
        else:
            high -= 1
    return max(centre - precise[low, IMPLIED], precise[high, IMPLIED] - centre)


@compiled
def episodes_of_outcomes(  # noqa: PLR0917 - Numba takes its arrays one by one
    known: np.ndarray,
    count: int,
    outcomes: np.ndarray,
    accepted: int,
    clusters: np.ndarray,
    groups: int,
    episodes: np.ndarray,
) -> int:
    """Write one episode per accepted outcome, dated by its best group; return how many."""
    for i in range(accepted):
        end, kind = outcomes[i, 0], outcomes[i, 1]
        previous = outcomes[i - 1, 0] if i else NULL
        earliest = previous + RETRY[outcomes[i - 1, 1]] if i else end - LONGEST_TERM[kind]
        best = _best_group(clusters, groups, end, kind, previous)
        episode = episodes[i]
        if best >= 0:
            episode[START] = max(clusters[best, CENTRE], previous + 1)
            episode[HALF_WIDTH] = clusters[best, CLUSTER_HALF]
            episode[ANCHOR] = min(clusters[best, CLUSTER_FIRST], end)
            clusters[best, USED] = 1
        else:
            earliest = max(earliest, end - LONGEST_TERM[kind])
            episode[START] = _typical_start(known, count, end, kind, earliest)
            episode[HALF_WIDTH] = TYPICAL_HALF_WIDTH[kind]
            episode[ANCHOR] = end
        episode[END], episode[OUTCOME], episode[LAST] = end, kind, end
    return accepted


@compiled
def _best_group(clusters: np.ndarray, groups: int, end: int, kind: int, previous: int) -> int:
    best = -1
    for j in range(groups):
        term = end - clusters[j, CENTRE]
        low, high = SHORTEST_TERM[kind], LONGEST_TERM[kind]
        if not low - DATING_SLACK_DAYS <= term <= high + DATING_SLACK_DAYS:
            continue
        if clusters[j, CENTRE] < previous - OVERLAP_SLACK_DAYS:
            continue
        if clusters[j, USED] or clusters[j, CLUSTER_FIRST] > end + DATING_SLACK_DAYS:
            continue
        if best < 0 or _is_better(clusters[j], clusters[best]):
            best = j
    return best


@compiled
def _is_better(one: np.ndarray, other: np.ndarray) -> bool:
    if one[SUPPORT] != other[SUPPORT]:
        return one[SUPPORT] > other[SUPPORT]
    return one[CLUSTER_LAST] > other[CLUSTER_LAST]


@compiled
def _typical_start(known: np.ndarray, count: int, end: int, kind: int, earliest: int) -> int:
    """Return the end less the typical term, but before the first marker could be seen."""
    start = end - TYPICAL_TERM[kind]
    for i in range(count):
        day = known[i, DAY]
        if known[i, KIND] == PREG and earliest + DETECTABLE_DAYS <= day <= end:
            start = min(start, day - DETECTABLE_DAYS)
            break
    return max(start, earliest)


@compiled
def add_open_groups(clusters: np.ndarray, groups: int, episodes: np.ndarray, size: int) -> int:
    """Add the groups of gestational ages that no outcome explains, best first."""
    while True:
        best = -1
        for j in range(groups):
            if not clusters[j, USED] and (best < 0 or _is_better(clusters[j], clusters[best])):
                best = j
        if best < 0:
            return size
        clusters[best, USED] = 1
        if not _is_separate(clusters[best], episodes, size):
            continue
        episode = episodes[size]
        episode[START] = clusters[best, CENTRE]
        episode[HALF_WIDTH] = clusters[best, CLUSTER_HALF]
        episode[END], episode[OUTCOME] = NULL, PREG
        episode[LAST], episode[ANCHOR] = clusters[best, CLUSTER_LAST], clusters[best, CLUSTER_FIRST]
        size += 1


@compiled
def _is_separate(cluster: np.ndarray, episodes: np.ndarray, size: int) -> bool:
    """Whether a group lies wholly before or after every episode."""
    for i in range(size):
        if cluster[CLUSTER_LAST] < episodes[i, START]:
            continue
        end = episodes[i, END]
        if end == NULL:
            if cluster[CENTRE] <= episodes[i, LAST]:
                return False
        elif cluster[CENTRE] < end - OVERLAP_SLACK_DAYS or cluster[CLUSTER_LAST] < end + _echo_days(
            episodes[i, OUTCOME]
        ):
            return False
    return True


@compiled
def _echo_days(outcome: int) -> int:
    """Return how long after an outcome a record of pregnancy still speaks of the old one."""
    return RETRY[outcome] + DETECTABLE_DAYS


@compiled
def add_marker_episodes(known: np.ndarray, count: int, episodes: np.ndarray, size: int) -> int:
    """Add episodes for markers that lie outside all others."""
    first = size
    for i in range(count):
        day = known[i, DAY]
        if known[i, KIND] != PREG or _is_explained(day, episodes, first, size):
            continue
        episode = episodes[size]
        episode[START] = max(day - FIRST_MARKER_DAYS, _earliest_after(day, episodes, size))
        episode[HALF_WIDTH] = terms.LONE_MARKER_HALF_WIDTH
        episode[END], episode[OUTCOME] = NULL, PREG
        episode[LAST], episode[ANCHOR] = day, day
        size += 1
    return size


@compiled
def _is_explained(day: int, episodes: np.ndarray, first: int, size: int) -> bool:
    """Whether an episode covers the day; a marker episode takes the day as evidence."""
    for i in range(size):
        start, end = episodes[i, START], episodes[i, END]
        if end != NULL:
            if start - DETECTABLE_DAYS <= day < end + _echo_days(episodes[i, OUTCOME]):
                return True
        elif start - DETECTABLE_DAYS <= day < start + LONGEST_PREGNANCY_DAYS:
            if i < first:
                return True
            if day - episodes[i, LAST] <= MARKER_SILENCE_DAYS:
                if day > episodes[i, LAST]:
                    episodes[i, HALF_WIDTH] = terms.FIRST_MARKER_HALF_WIDTH
                    episodes[i, LAST] = day
                return True
    return False


@compiled
def _earliest_after(day: int, episodes: np.ndarray, size: int) -> int:
    """Return the first day at which a pregnancy seen on ``day`` can have started."""
    earliest = NULL
    for i in range(size):
        if episodes[i, LAST] < day:
            end = episodes[i, END]
            after = episodes[i, LAST] + 1 if end == NULL else end + RETRY[episodes[i, OUTCOME]]
            earliest = max(earliest, after)
    return min(earliest, day)


@compiled
def close_by_postpartum_care(
    known: np.ndarray, count: int, episodes: np.ndarray, size: int
) -> None:
    """End open episodes at the first postpartum marker that follows them."""
    for e in range(size):
        start = episodes[e, START]
        if episodes[e, END] != NULL:
            continue
        last = episodes[e, ANCHOR]
        for i in range(count):
            day, kind = known[i, DAY], known[i, KIND]
            if start <= day and kind in (PREG, GA):
                last = max(last, day)
            if kind != POST or not VIABLE_DAYS <= day - start <= terms.LATEST_POSTPARTUM_DAYS:
                continue
            if _is_current(episodes, size, e, day):
                episodes[e, END] = max(last, min(day, start + FULL_TERM_DAYS))
                episodes[e, OUTCOME], episodes[e, LAST] = DELIV, episodes[e, END]
                break


@compiled
def _is_current(episodes: np.ndarray, size: int, e: int, day: int) -> bool:
    """Whether no dated evidence of this and no start of a later episode contradicts an end."""
    if episodes[e, HALF_WIDTH] < terms.FIRST_MARKER_HALF_WIDTH and episodes[e, LAST] > day:
        return False
    later = NULL
    for i in range(size):
        if i != e and episodes[i, START] <= day:
            later = max(later, episodes[i, START])
    return later <= episodes[e, START]


@compiled
def infer(known: np.ndarray, count: int, scratch: Scratch, episodes: np.ndarray) -> int:
    """Write the episodes that the signatures tell of, by start; return how many."""
    outcomes, dated, clusters = scratch
    accepted = accept_outcomes(known, count, outcomes)
    groups = group_starts(known, count, dated, clusters)
    size = episodes_of_outcomes(known, count, outcomes, accepted, clusters, groups, episodes)
    size = add_open_groups(clusters, groups, episodes, size)
    size = add_marker_episodes(known, count, episodes, size)
    close_by_postpartum_care(known, count, episodes, size)
    _insertion_sort(episodes, size, START)
    for i in range(size):
        if i and episodes[i - 1, END] != NULL:
            episodes[i, START] = max(episodes[i, START], episodes[i - 1, END] + 1)
        episodes[i, IDENTIFIED] = _identified(known, count, episodes, i)
    return size


@compiled
def _identified(known: np.ndarray, count: int, episodes: np.ndarray, i: int) -> int:
    """Return the first microsecond at which a signature of the episode was available."""
    start, end = episodes[i, START], episodes[i, END]
    low = start - DETECTABLE_DAYS
    if i:
        ended = episodes[i - 1, END] != NULL
        echo = _echo_days(episodes[i - 1, OUTCOME]) if ended else 1
        low = max(low, episodes[i - 1, LAST] + echo)
    low = min(low, episodes[i, ANCHOR])
    high = end if end != NULL else max(start + LONGEST_PREGNANCY_DAYS, episodes[i, ANCHOR])
    first = -NULL
    for j in range(count):
        if low <= known[j, DAY] <= high and known[j, KIND] != POST:
            first = min(first, known[j, AVAILABLE])
    return first
