"""How a champion is updated after an alarm: the smallest update that is sufficient.

References
----------
Vergouwe et al. 2017, Stat Med 36:4529 (closed test of model updates).
Davis et al. 2019, JAMIA 26:1448 (choosing an update for any learner).
"""

from hrob_assets.risk.updating.closed_test import choose_update
from hrob_assets.risk.updating.counterfactual import (
    NEVER,
    UPDATED,
    LivedMonday,
    TwoHistories,
    compare_histories,
)
from hrob_assets.risk.updating.recalibrate import ModelUpdate, recalibrate_fit, update_champion

__all__ = [
    "NEVER",
    "UPDATED",
    "LivedMonday",
    "ModelUpdate",
    "TwoHistories",
    "choose_update",
    "compare_histories",
    "recalibrate_fit",
    "update_champion",
]
