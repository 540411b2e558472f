"""Planted changes and the update that the closed test chooses, on 4,000 independent rows."""

from collections import Counter

import numpy as np

from hrob_assets.risk.updating import choose_update

_ROWS = 4000
_WEIGHTS = np.array([0.8, -0.6, 0.5, 0.4])
_CHANGED = np.array([0.1, -0.6, 1.1, 0.4])
CHANGES = {
    "base rate, odds x 1.5": (np.log(1.5), _WEIGHTS, "intercept"),
    "coefficients": (0.0, _CHANGED, "refit"),
    "none": (0.0, _WEIGHTS, "none"),
}


def chosen_updates(change: str, *, worlds: int) -> Counter[str]:
    """How often each update is chosen."""
    shift, weights, _ = CHANGES[change]
    counts: Counter[str] = Counter()
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(_ROWS, _WEIGHTS.size))
        p = 1 / (1 + np.exp(2.2 - x @ _WEIGHTS))
        y = rng.random(_ROWS) < 1 / (1 + np.exp(2.2 - shift - x @ weights))
        counts[choose_update(p, y, x).update] += 1
    return counts
