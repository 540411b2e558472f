"""Who is deliberately not listed, and what people did with the list.

A permanent silent arm shows what happens without the list; interventions show what the list
changed.

References
----------
Perdomo et al. 2020, ICML (performative prediction): why labels after a list are not untouched.
"""

from hrob_assets.risk.arms.feedback import (
    ACCEPTED_BY,
    contamination,
    flag_feedback,
    in_silent_arm,
    learning_rows,
    readable_rows,
)

__all__ = [
    "ACCEPTED_BY",
    "contamination",
    "flag_feedback",
    "in_silent_arm",
    "learning_rows",
    "readable_rows",
]
