"""Planted effects on obstetric outcomes (log-odds), their intercepts, and the draw itself."""

import numpy as np

from hrob_assets.synthetic.arrivals import expit
from hrob_assets.synthetic.scenarios import ODDS_FACTOR, Drift

EFFECTS: dict[str, dict[str, float]] = {
    "hypertensive_disorder": {
        "health": 0.35, "frailty": 0.7, "chronic_hypertension": 1.3, "obesity": 0.6,
        "morbid_obesity": 0.5, "preexisting_diabetes": 0.7, "twins": 0.9, "first_birth": 0.65,
        "age_35": 0.35, "black": 0.42, "hispanic": -0.25, "asian": -0.5, "kidney_disease": 1.0,
        "lupus": 1.0,
    },
    "spontaneous_preterm": {
        "health": 0.25, "frailty": 1.15, "twins": 3.0, "black": 0.20, "tobacco": 0.45,
        "substance_use": 0.6, "age_under_18": 0.3, "age_35": 0.15, "chronic_hypertension": 0.5,
        "preexisting_diabetes": 0.5, "deprivation": 0.12, "need": 0.15, "access": -0.20,
        "sickle_cell": 0.7,
    },
    "severe_morbidity": {
        "health": 0.40, "previa": 1.8, "severe_preeclampsia": 1.5, "abruption": 1.6,
        "twins": 1.0, "anemia": 0.7, "cardiac_disease": 1.4, "kidney_disease": 1.4,
        "chronic_hypertension": 0.5, "cesarean": 0.6, "black": 0.35, "age_35": 0.3,
        "substance_use": 0.4, "access": -0.20, "sickle_cell": 1.2,
    },
    "gestational_diabetes": {
        "health": 0.2, "obesity": 0.8, "morbid_obesity": 0.4, "age_35": 0.7, "asian": 0.7,
        "hispanic": 0.25, "twins": 0.2,
    },
    "antepartum_morbidity": {
        "health": 0.35, "need": 0.4, "substance_use": 0.5, "kidney_disease": 1.0,
        "cardiac_disease": 1.0, "sickle_cell": 1.5, "preexisting_diabetes": 0.6,
    },
    "abruption": {
        "chronic_hypertension": 0.9, "hypertensive": 0.6, "tobacco": 0.7, "substance_use": 0.8,
        "health": 0.2, "twins": 0.5,
    },
}  # fmt: skip
AFTER_SHIFT: dict[str, dict[str, float]] = {
    "hypertensive_disorder": {"obesity": -0.2, "first_birth": -0.3, "chronic_hypertension": 0.2},
    "spontaneous_preterm": {"frailty": 0.1, "twins": 0.8, "tobacco": 1.4, "substance_use": 1.6},
    "severe_morbidity": {"severe_preeclampsia": 0.2, "anemia": 1.6},
}
EFFECTS["late_morbidity"] = EFFECTS["severe_morbidity"]
# Solved once on 105,000 pregnancies, so that the rates of the outcomes come out as published and
# the risk of a person does not depend on who else is in the world.
INTERCEPTS: dict[str, float] = {
    "hypertensive_disorder": -2.671,
    "spontaneous_preterm": -3.393,
    "gestational_diabetes": -2.995,
    "abruption": -5.171,
    "severe_morbidity": -4.765,
    "late_morbidity": -5.52,
    "antepartum_morbidity": -4.295,
}
INTERCEPTS_AFTER_SHIFT: dict[str, float] = {
    "hypertensive_disorder": -2.108,
    "spontaneous_preterm": -3.066,
    "severe_morbidity": -5.039,
}


def linear(name: str, parts: dict[str, np.ndarray], shifted: np.ndarray) -> np.ndarray:
    """Return the planted log-odds of an outcome, with the changed effects where ``shifted``."""
    changed = AFTER_SHIFT.get(name, {})
    start = INTERCEPTS[name]
    total = np.where(shifted, INTERCEPTS_AFTER_SHIFT.get(name, start), start)
    for part, effect in EFFECTS[name].items():
        total += parts[part] * np.where(shifted, changed.get(part, effect), effect)
    return total


class Draws:
    """Draw yes or no for planted outcomes under a scenario.

    Parameters
    ----------
    late : bool array
        Pregnancies that reach 20 weeks after the day of the drift.
    drift : Drift
    rng : Generator
    """

    def __init__(self, late: np.ndarray, drift: Drift, rng: np.random.Generator) -> None:
        self.raised = late & (drift.scenario == "base_rate_shift")
        self.shifted = late & (drift.scenario == "coefficient_shift")
        self.rng = rng

    def __call__(self, name: str, parts: dict[str, np.ndarray], *, raises: bool) -> np.ndarray:
        """Return who has the outcome; ``raises`` says whether a base-rate shift acts on it."""
        logit = linear(name, parts, self.shifted)
        logit = logit + np.log(ODDS_FACTOR) * (self.raised & raises)
        return self.rng.random(len(logit)) < expit(logit)
