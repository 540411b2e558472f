"""The silent arm, whose patients nobody acts on, and interventions on all other patients.

Outcomes in the silent arm show what happens without the worklist. Interventions change outcomes,
so evaluation and updates treat the rows they touched with care.

References
----------
Perdomo, Zrnic, Mendler-Dünner and Hardt 2020, *Performative Prediction*, ICML.
"""

from hrob_assets.risk.arms.interventions import (
    ACCEPTED_BY_TAG,
    LearningRows,
    flag_interventions,
    intervention_caution,
    learning_rows,
)
from hrob_assets.risk.arms.silent_arm import evaluable_rows, in_silent_arm

__all__ = [
    "ACCEPTED_BY_TAG",
    "LearningRows",
    "evaluable_rows",
    "flag_interventions",
    "in_silent_arm",
    "intervention_caution",
    "learning_rows",
]
