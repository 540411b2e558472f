"""Inference of one person's episodes from signatures, compiled."""

import numpy as np

from hrob_assets.risk.pregnancy.dating import best_group, group_starts, is_better
from hrob_assets.risk.pregnancy.layout import (
    ANCHOR,
    AVAILABLE,
    CENTRE,
    DAY,
    END,
    GROUP_FIRST,
    GROUP_HALF,
    GROUP_LAST,
    HALF_WIDTH,
    IDENTIFIED,
    KIND,
    LAST,
    NULL_INTEGER,
    OUTCOME,
    START,
    USED,
    Integer,
    Scratch,
    compiled,
    insertion_sort,
)
from hrob_assets.risk.pregnancy.outcomes import accept_outcomes
from hrob_assets.risk.pregnancy.terms import (
    DELIV,
    DETECTABLE_DAYS,
    FIRST_MARKER_DAYS,
    FIRST_MARKER_HALF_WIDTH,
    FULL_TERM_DAYS,
    GA,
    LATEST_POSTPARTUM_DAYS,
    LONE_MARKER_HALF_WIDTH,
    LONGEST_PREGNANCY_DAYS,
    LONGEST_TERM,
    MARKER_SILENCE_DAYS,
    OVERLAP_SLACK_DAYS,
    POST,
    PREG,
    RETRY,
    TYPICAL_HALF_WIDTH,
    TYPICAL_TERM,
    VIABLE_DAYS,
)


@compiled
def episodes_of_outcomes(
    known: np.ndarray,
    count: Integer,
    outcomes: np.ndarray,
    accepted: Integer,
    groups: np.ndarray,
    group_count: Integer,
    episodes: np.ndarray,
) -> Integer:
    """Write one episode per accepted outcome, dated by its best group; return how many."""
    for i in range(accepted):
        end, kind = outcomes[i, 0], outcomes[i, 1]
        previous = outcomes[i - 1, 0] if i else NULL_INTEGER
        earliest = previous + int(RETRY[outcomes[i - 1, 1]]) if i else end - LONGEST_TERM[kind]
        best = best_group(groups, group_count, end, kind, previous)
        episode = episodes[i]
        if best >= 0:
            episode[START] = max(groups[best, CENTRE], previous + 1)
            episode[HALF_WIDTH] = groups[best, GROUP_HALF]
            episode[ANCHOR] = min(groups[best, GROUP_FIRST], end)
            groups[best, USED] = 1
        else:
            earliest = max(earliest, end - LONGEST_TERM[kind])
            episode[START] = _typical_start(known, count, end, kind, earliest)
            episode[HALF_WIDTH] = TYPICAL_HALF_WIDTH[kind]
            episode[ANCHOR] = end
        episode[END], episode[OUTCOME], episode[LAST] = end, kind, end
    return accepted


@compiled
def _typical_start(
    known: np.ndarray, count: Integer, end: Integer, kind: Integer, earliest: Integer
) -> Integer:
    """Return the end less the typical term, but before the first marker could be seen."""
    start = end - TYPICAL_TERM[kind]
    for i in range(count):
        day = known[i, DAY]
        if known[i, KIND] == PREG and earliest + DETECTABLE_DAYS <= day <= end:
            start = min(start, day - DETECTABLE_DAYS)
            break
    return max(start, earliest)


@compiled
def add_open_groups(
    groups: np.ndarray, group_count: Integer, episodes: np.ndarray, size: Integer
) -> Integer:
    """Add the groups of gestational ages that no outcome explains, best first."""
    while True:
        best = -1
        for j in range(group_count):
            if not groups[j, USED] and (best < 0 or is_better(groups[j], groups[best])):
                best = j
        if best < 0:
            return size
        groups[best, USED] = 1
        if not _is_separate(groups[best], episodes, size):
            continue
        episode = episodes[size]
        episode[START] = groups[best, CENTRE]
        episode[HALF_WIDTH] = groups[best, GROUP_HALF]
        episode[END], episode[OUTCOME] = NULL_INTEGER, PREG
        episode[LAST], episode[ANCHOR] = groups[best, GROUP_LAST], groups[best, GROUP_FIRST]
        size += 1


@compiled
def _is_separate(group: np.ndarray, episodes: np.ndarray, size: Integer) -> bool:
    """Whether a group lies wholly before or after every episode."""
    for i in range(size):
        if group[GROUP_LAST] < episodes[i, START]:
            continue
        end = episodes[i, END]
        if end == NULL_INTEGER:
            if group[CENTRE] <= episodes[i, LAST]:
                return False
        elif group[CENTRE] < end - OVERLAP_SLACK_DAYS or group[GROUP_LAST] < end + _echo_days(
            episodes[i, OUTCOME]
        ):
            return False
    return True


@compiled
def _echo_days(outcome: Integer) -> Integer:
    """Return how long after an outcome a record of pregnancy still speaks of the old one."""
    return RETRY[outcome] + DETECTABLE_DAYS


@compiled
def add_marker_episodes(
    known: np.ndarray, count: Integer, episodes: np.ndarray, size: Integer
) -> Integer:
    """Add episodes for markers that lie outside all others."""
    first = size  # the episodes before it are dated, so that a marker cannot move them
    for i in range(count):
        day = known[i, DAY]
        if known[i, KIND] != PREG or _is_explained(day, episodes, first, size):
            continue
        episode = episodes[size]
        episode[START] = max(day - FIRST_MARKER_DAYS, _earliest_after(day, episodes, size))
        episode[HALF_WIDTH] = LONE_MARKER_HALF_WIDTH
        episode[END], episode[OUTCOME] = NULL_INTEGER, PREG
        episode[LAST], episode[ANCHOR] = day, day
        size += 1
    return size


@compiled
def _is_explained(day: Integer, episodes: np.ndarray, first: Integer, size: Integer) -> bool:
    """Whether an episode covers the day; a marker episode takes the day as evidence."""
    for i in range(size):
        start, end = episodes[i, START], episodes[i, END]
        if end != NULL_INTEGER:
            if start - DETECTABLE_DAYS <= day < end + _echo_days(episodes[i, OUTCOME]):
                return True
        elif start - DETECTABLE_DAYS <= day < start + LONGEST_PREGNANCY_DAYS:
            if i < first:
                return True
            if day - episodes[i, LAST] <= MARKER_SILENCE_DAYS:
                if day > episodes[i, LAST]:
                    episodes[i, HALF_WIDTH] = FIRST_MARKER_HALF_WIDTH
                    episodes[i, LAST] = day
                return True
    return False


@compiled
def _earliest_after(day: Integer, episodes: np.ndarray, size: Integer) -> Integer:
    """Return the first day at which a pregnancy seen on ``day`` can have started."""
    earliest = NULL_INTEGER
    for i in range(size):
        if episodes[i, LAST] < day:
            end = episodes[i, END]
            after = (
                episodes[i, LAST] + 1 if end == NULL_INTEGER else end + RETRY[episodes[i, OUTCOME]]
            )
            earliest = max(earliest, after)
    return min(earliest, day)


@compiled
def close_by_postpartum_care(
    known: np.ndarray, count: Integer, episodes: np.ndarray, size: Integer
) -> None:
    """End open episodes at the first postpartum marker that follows them."""
    for e in range(size):
        start = episodes[e, START]
        if episodes[e, END] != NULL_INTEGER:
            continue
        last = episodes[e, ANCHOR]
        for i in range(count):
            day, kind = known[i, DAY], known[i, KIND]
            if start <= day and kind in (PREG, GA):
                last = max(last, day)
            if kind != POST or not VIABLE_DAYS <= day - start <= LATEST_POSTPARTUM_DAYS:
                continue
            if _is_current(episodes, size, e, day):
                episodes[e, END] = max(last, min(day, start + FULL_TERM_DAYS))
                episodes[e, OUTCOME], episodes[e, LAST] = DELIV, episodes[e, END]
                break


@compiled
def _is_current(episodes: np.ndarray, size: Integer, e: Integer, day: Integer) -> bool:
    """Whether no dated evidence of this and no start of a later episode contradicts an end."""
    if episodes[e, HALF_WIDTH] < FIRST_MARKER_HALF_WIDTH and episodes[e, LAST] > day:
        return False
    later = NULL_INTEGER
    for i in range(size):
        if i != e and episodes[i, START] <= day:
            later = max(later, episodes[i, START])
    return later <= episodes[e, START]


@compiled
def infer(known: np.ndarray, count: Integer, scratch: Scratch, episodes: np.ndarray) -> Integer:
    """Write the episodes that the signatures show, by start; return how many."""
    outcomes, dated, groups = scratch
    # The surest evidence comes first, and each step adds only what the former ones leave
    # unexplained: outcomes, then gestational ages, then markers without a date.
    accepted = accept_outcomes(known, count, outcomes)
    group_count = group_starts(known, count, dated, groups)
    size = episodes_of_outcomes(known, count, outcomes, accepted, groups, group_count, episodes)
    size = add_open_groups(groups, group_count, episodes, size)
    size = add_marker_episodes(known, count, episodes, size)
    close_by_postpartum_care(known, count, episodes, size)
    insertion_sort(episodes, size, START)
    for i in range(size):
        if i and episodes[i - 1, END] != NULL_INTEGER:
            episodes[i, START] = max(episodes[i, START], episodes[i - 1, END] + 1)
        episodes[i, IDENTIFIED] = _identified(known, count, episodes, i)
    return size


@compiled
def _identified(known: np.ndarray, count: Integer, episodes: np.ndarray, i: Integer) -> Integer:
    """Return the first microsecond at which a signature of the episode was available."""
    start, end = episodes[i, START], episodes[i, END]
    # Claims for the pregnancy before go on coming in after its end; such an echo must not make
    # this pregnancy known early, unless the record is the one that dates it.
    low = start - DETECTABLE_DAYS
    if i:
        ended = episodes[i - 1, END] != NULL_INTEGER
        echo = _echo_days(episodes[i - 1, OUTCOME]) if ended else 1
        low = max(low, episodes[i - 1, LAST] + echo)
    low = min(low, episodes[i, ANCHOR])
    high = end if end != NULL_INTEGER else max(start + LONGEST_PREGNANCY_DAYS, episodes[i, ANCHOR])
    first = -NULL_INTEGER
    for j in range(count):
        if low <= known[j, DAY] <= high and known[j, KIND] != POST:
            first = min(first, known[j, AVAILABLE])
    return first
