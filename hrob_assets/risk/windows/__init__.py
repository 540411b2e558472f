"""The one place where time is cut: what was known before, and what happens after.

Every rule stands here once as a Polars expression and, where a compiled kernel needs it, once as a
Numba function. Kernels take the cut points that `cut_points` finds and compare no times of their
own.

References
----------
Reps et al. 2018, JAMIA 25(8) 969-975: index date, lookback and time at risk.
"""

from hrob_assets.risk.windows.compiled import (
    DAY_US,
    available_us,
    cut_points,
    days_before,
    is_history,
    window_start_us,
)
from hrob_assets.risk.windows.expressions import (
    available_at,
    calendar_days,
    first_known,
    is_known,
    known_before,
    prediction_time,
    week_of,
    window_start,
)
from hrob_assets.risk.windows.frames import (
    as_known_at,
    became_known,
    follow_up,
    history,
    known_by,
    known_when_ripe,
)

__all__ = [
    "DAY_US",
    "as_known_at",
    "available_at",
    "available_us",
    "became_known",
    "calendar_days",
    "cut_points",
    "days_before",
    "first_known",
    "follow_up",
    "history",
    "is_history",
    "is_known",
    "known_before",
    "known_by",
    "known_when_ripe",
    "prediction_time",
    "week_of",
    "window_start",
    "window_start_us",
]
