"""The weekly list: probabilities, ranks, capacity, and dated reasons.

Training and scoring call the same functions, so a week scored live equals its backfill.
"""

from hrob_assets.risk.scoring.weekly_list import (
    WEEKLY_SCORES,
    explain_rows,
    score_rows,
    with_data_version,
)

__all__ = [
    "WEEKLY_SCORES",
    "explain_rows",
    "score_rows",
    "with_data_version",
]
