"""Long-standing conditions of women: how often, in whom, under which codes."""

from dataclasses import dataclass

import numpy as np

from hrob_assets.synthetic.arrivals import expit, intercept_for
from hrob_assets.synthetic.population import BLACK, People


@dataclass(frozen=True)
class Condition:
    """One condition of a woman.

    Parameters
    ----------
    rate : float
        Share of women who have it.
    health : float
        Log-odds per unit of latent health.
    stages : str
        ICD codes at trimester 1, 2, 3, childbirth, puerperium and outside pregnancy.
    coded : float
        Chance that one ordinary visit of a member with mean access codes it.
    drug : str
        RxNorm ingredient that treats it; empty when none.
    """

    rate: float
    health: float
    stages: str
    coded: float
    drug: str = ""


CONDITIONS: dict[str, Condition] = {
    "chronic_hypertension": Condition(
        0.031, 0.6, "O10.011 O10.012 O10.013 O10.02 O10.03 I10", 0.45, "6185"
    ),
    "preexisting_diabetes": Condition(
        0.011, 0.6, "O24.111 O24.112 O24.113 O24.12 O24.13 E11.9", 0.55, "5856"
    ),
    "obesity": Condition(0.30, 0.35, "O99.211 O99.212 O99.213 O99.214 O99.215 E66.9", 0.18),
    "morbid_obesity": Condition(0.05, 0.6, "Z68.41 Z68.41 Z68.41 Z68.41 Z68.41 Z68.41", 0.25),
    "asthma": Condition(0.085, 0.2, "O99.511 O99.512 O99.513 O99.52 O99.53 J45.909", 0.16, "435"),
    "mental_health": Condition(
        0.16, 0.35, "O99.341 O99.342 O99.343 O99.344 O99.345 F32.9", 0.20, "36437"
    ),
    "substance_use": Condition(
        0.045, 0.5, "O99.321 O99.322 O99.323 O99.324 O99.325 F11.20", 0.28, "1819"
    ),
    "tobacco": Condition(0.075, 0.4, "O99.331 O99.332 O99.333 O99.334 O99.335 F17.210", 0.25),
    "thyroid": Condition(0.025, 0.1, "O99.281 O99.282 O99.283 O99.284 O99.285 E03.9", 0.3, "10582"),
    "kidney_disease": Condition(0.005, 0.8, "O26.831 O26.832 O26.833 N18.3 N18.3 N18.3", 0.4),
    "cardiac_disease": Condition(0.008, 0.8, "O99.411 O99.412 O99.413 O99.42 O99.43 I51.9", 0.4),
    "lupus": Condition(0.003, 0.6, "M32.9 M32.9 M32.9 M32.9 M32.9 M32.9", 0.5),
    "sickle_cell": Condition(0.002, 0.3, "D57.1 D57.1 D57.1 D57.1 D57.1 D57.1", 0.5),
    "hiv": Condition(0.002, 0.3, "Z21 Z21 Z21 Z21 Z21 Z21", 0.4),
}
SOCIAL_NEEDS = (
    "Z59.00",
    "Z59.41",
    "Z59.6",
    "Z55.9",
    "Z56.0",
    "Z60.2",
    "Z62.819",
    "Z63.0",
    "Z64.0",
    "Z65.3",
)


def draw_conditions(
    women: People, age: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return for each condition of `CONDITIONS` which women have it.

    Parameters
    ----------
    women : People
    age : float array, years
        Age at the first pregnancy of the window.
    rng : Generator
    """
    found: dict[str, np.ndarray] = {}
    for name, condition in CONDITIONS.items():
        linear = condition.health * women.health + 0.06 * np.clip(age - 25, -8, 15)
        if name == "sickle_cell":
            linear = linear + 3.0 * (women.race == BLACK)
        if name == "chronic_hypertension":
            linear = linear + 0.5 * (women.race == BLACK)
        chance = expit(linear + intercept_for(linear, condition.rate))
        found[name] = rng.random(len(women)) < chance
    return found
