"""Numbers of the episode algorithm, each in days and with its source."""

import numba
import numpy as np

KINDS = ("LB", "SB", "ECT", "SA", "AB", "DELIV", "PREG", "POST", "GA")
"""Live birth, stillbirth, ectopic, spontaneous and induced abortion, delivery record only,
pregnancy marker, postpartum marker, gestational age."""

LB, SB, ECT, SA, AB, DELIV, PREG, POST, GA = range(9)

RANK = np.array([0, 1, 2, 3, 3, 4], dtype=np.int64)
"""Hierarchy LB > SB > ECT > AB = SA > DELIV by kind (Matcho 2018)."""

LONGEST_TERM = np.array([301, 301, 84, 139, 168, 301, 301], dtype=np.int64)
SHORTEST_TERM = np.array([161, 140, 42, 28, 42, 140, 0], dtype=np.int64)
"""Longest and shortest pregnancy by outcome (Matcho 2018)."""

RETRY = np.array([28, 28, 14, 14, 14, 28, 14], dtype=np.int64)
"""Least time from an outcome to the start of the next pregnancy (Matcho 2018)."""

_GAP_AFTER_BIRTH = [182, 168, 70, 70, 70, 168]
_GAP_AFTER_LOSS = [168, 154, 56, 56, 56, 154]
LEAST_GAP = np.array(
    [
        _GAP_AFTER_BIRTH,
        _GAP_AFTER_BIRTH,
        _GAP_AFTER_LOSS,
        _GAP_AFTER_LOSS,
        _GAP_AFTER_LOSS,
        _GAP_AFTER_BIRTH,
    ],
    dtype=np.int64,
)
"""Least time between two outcomes, [earlier, later] (Matcho 2018)."""

TYPICAL_TERM = np.array([273, 196, 52, 66, 63, 273], dtype=np.int64)
"""Term assumed when nothing dates the pregnancy: 39 weeks for a birth (NVSR 73-2, the most
frequent completed week), 28 for a stillbirth, 7 to 9 for an early loss (our assumption)."""

TYPICAL_HALF_WIDTH = np.array([28, 80, 21, 35, 42, 28], dtype=np.int64)
"""How far the assumed start may be off; about nine of ten births are within 28 days."""

FIRST_MARKER_DAYS = 63
"""Typical age of a pregnancy at its first marker: 77 % of US births had first-trimester care,
most often in weeks 8-10 (NVSR 73-2; the number itself is our assumption)."""

FIRST_MARKER_HALF_WIDTH = 45
LONE_MARKER_HALF_WIDTH = 120
"""Half-widths with markers on several days, and with a marker on one day only."""

DETECTABLE_DAYS = 28
"""No record of a pregnancy before this age; a marker sooner after an outcome is its echo."""

MARKER_SILENCE_DAYS = 168
"""A silence this long between markers without dates separates two pregnancies."""

SAME_START_DAYS = 21
"""Signatures whose implied starts lie this close to each other speak of one pregnancy."""

DATING_SLACK_DAYS = 14
"""Room around the terms for dating error, and around an outcome for claim dates."""

OVERLAP_SLACK_DAYS = 30
"""How far a signature may date a pregnancy into the one before it."""

DELIVERY_RECORD_DAYS = 7
"""A delivery record at most this long before the outcome code is the date of delivery."""

WEEK_HALF_WIDTH = 3
"""A completed week covers seven days: the middle one and three on either side."""

EARLY_WEEKS, EARLY_HALF_WIDTH = 8, 21
"""Z3A.01 says only "less than 8 weeks"."""

LATE_WEEKS, LATE_HALF_WIDTH = 43, 7
"""Z3A.49 says only "greater than 42 weeks"."""

UNSUPPORTED_DAYS = 4
"""What is added to the half-width of a date that only one signature supports."""

POSTPARTUM_DAYS = 42
LONGEST_PREGNANCY_DAYS = 301
TERM_BIRTH_DAYS = 259
EARLY_PRETERM_DAYS = 238
"""37 and 34 completed weeks."""

FULL_TERM_DAYS = 280
VIABLE_DAYS = 140
LATEST_POSTPARTUM_DAYS = LONGEST_PREGNANCY_DAYS + 84
"""A postpartum marker ends a pregnancy of at least 20 weeks, within 12 weeks of its longest."""

SECOND_TRIMESTER_DAYS = 98
THIRD_TRIMESTER_DAYS = 196

PRECISION_CLASSES = ((7, "week"), (14, "two_week"), (30, "month"), (90, "three_month"))
"""Largest half-width of each class; anything wider is ``poor``."""


@numba.njit(cache=True, nogil=True)
def trimester_of(age_days: int) -> int:
    """Trimester (1 to 3) at a gestational age: from 14 and from 28 completed weeks.

    Examples
    --------
    >>> [trimester_of(days) for days in (97, 98, 195, 196)]
    [1, 2, 2, 3]
    """
    return 1 + (age_days >= SECOND_TRIMESTER_DAYS) + (age_days >= THIRD_TRIMESTER_DAYS)
