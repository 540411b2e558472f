"""Random numbers as R draws them, so that a published R example can be made again here.

From R's documentation (`?RNGkind`): the Mersenne Twister with its scrambled seed, normal numbers
by inversion of two draws, and Bernoulli numbers by inversion of one.
"""

import numpy as np
from scipy.special import ndtri

_WORDS = 624
_SCRAMBLES = 50
_MULTIPLIER, _WORD = 69069, 2**32
_UNIT = 2.3283064365386963e-10  # of one draw, about 1 / 2**32
_BIG = 134217728  # 2**27: the first of the two draws of a normal number gives its leading bits


class RRandom:
    """What `set.seed(seed)` starts in R."""

    def __init__(self, seed: int) -> None:
        for _ in range(_SCRAMBLES + 1):  # the last of them is R's place in the state, reset
            seed = (_MULTIPLIER * seed + 1) % _WORD
        state = np.empty(_WORDS, dtype=np.uint32)
        for n in range(_WORDS):
            seed = (_MULTIPLIER * seed + 1) % _WORD
            state[n] = seed
        self._draws = np.random.RandomState()
        self._draws.set_state(("MT19937", state, _WORDS))

    def uniform(self, count: int) -> np.ndarray:
        """`runif(count)`."""
        return self._draws.randint(0, _WORD, size=count, dtype=np.uint64) * _UNIT

    def normal(self, count: int) -> np.ndarray:
        """`rnorm(count)`."""
        leading, rest = self.uniform(2 * count).reshape(count, 2).T
        return ndtri((np.floor(_BIG * leading) + rest) / _BIG)

    def bernoulli(self, probability: np.ndarray) -> np.ndarray:
        """`rbinom(n, 1, probability)`: the rarer of the two outcomes is drawn by inversion."""
        drawn = self.uniform(probability.size)
        return np.where(probability <= 0.5, drawn >= 1 - probability, drawn < probability)
