"""Scenarios: what changes in the world from one day on, and the log that says so."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.synthetic.codes import catalogue as codes

SCENARIOS: dict[str, str] = {
    "none": "Nothing changes: the world is stationary.",
    "base_rate_shift": "The odds of preterm birth, preeclampsia and severe morbidity and the rate "
    "of oncology emergency visits rise by the factor 1.3.",
    "coefficient_shift": "Risk factors change their weight while the mean risk stays about equal.",
    "lag_change": "Every record becomes known 30 days later.",
    "subgroup_under_coding": "Outpatient diagnoses of Black members are coded 60 % less often.",
    "code_replacement": "F32.9 becomes F32.A; LOINC 777-3 becomes 26515-7, 718-7 becomes 30350-3.",
    "lab_unit_change": "Hemoglobin is reported in g/L and creatinine in umol/L.",
    "pandemic": "40 % of clinic and emergency visits do not take place; a third of the remaining "
    "clinic visits are by telehealth.",
}
ODDS_FACTOR = 1.3
EXTRA_LAG_DAYS = 30.0
DROPPED_CODES = 0.6
MISSED_VISITS = 0.4
TELEHEALTH_SHARE = 1 / 3
SIZES = {
    "base_rate_shift": ("odds or rate factor", ODDS_FACTOR),
    "coefficient_shift": ("coefficients as in truth_effect, column after_drift", float("nan")),
    "lag_change": ("days added to known_at", EXTRA_LAG_DAYS),
    "subgroup_under_coding": ("share of outpatient condition rows dropped", DROPPED_CODES),
    "code_replacement": ("codes replaced", 3.0),
    "lab_unit_change": ("units replaced", 2.0),
    "pandemic": ("share of clinic and emergency visits missing", MISSED_VISITS),
}
REPLACED = (("F32.9", "F32.A"), ("777-3", "26515-7"), ("718-7", "30350-3"))
UNIT_CHANGES = {"718-7": ("g/L", 10.0), "2160-0": ("umol/L", 88.42)}


@dataclass(frozen=True)
class Drift:
    """A scenario and its first day, in days since the start of the world."""

    scenario: str
    day: float

    def active(self, name: str, time: np.ndarray) -> np.ndarray:
        """Return where scenario ``name`` is the one that rules at ``time`` (days).

        Examples
        --------
        >>> Drift("lag_change", 100.0).active("lag_change", np.array([99.0, 100.0]))
        array([False,  True])
        """
        return (time >= self.day) & (self.scenario == name)


def check_scenario(name: str) -> None:
    """Raise `ConfigurationError` unless the scenario exists.

    Examples
    --------
    >>> check_scenario("lag_chang")
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ConfigurationError: scenario must be a known name, but is 'lag_chang'.
    Did you mean 'lag_change' or 'lab_unit_change'?
    """
    if name not in SCENARIOS:
        msg = f"scenario must be a known name, but is {name!r}. {nearest(name, SCENARIOS)}"
        raise ConfigurationError(msg)


def drift_log(name: str, day: date) -> pl.DataFrame:
    """Return what changes, when and how much: one row, or none for the scenario ``none``.

    Examples
    --------
    >>> drift_log("lag_change", date(2025, 1, 6)).row(0)[:2]
    ('lag_change', datetime.date(2025, 1, 6))
    """
    schema = {
        "scenario": pl.String,
        "drift_at": pl.Date,
        "what": pl.String,
        "measure": pl.String,
        "size": pl.Float64,
    }
    if name == "none":
        return pl.DataFrame(schema=schema)
    return pl.DataFrame([(name, day, SCENARIOS[name], *SIZES[name])], schema=schema, orient="row")


def miss_visits(
    concept: np.ndarray, start: np.ndarray, drift: Drift, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return which visits take place in a pandemic, and the concept they then have."""
    lot, way = rng.random((2, len(concept)))
    clinic = np.isin(concept, [codes.OFFICE, codes.OUTPATIENT, codes.LABORATORY])
    active = drift.active("pandemic", start)
    missed = active & (clinic | (concept == codes.EMERGENCY)) & (lot < MISSED_VISITS)
    remote = active & (concept == codes.OFFICE) & (way < TELEHEALTH_SHARE)
    return ~missed, np.where(remote, codes.TELEHEALTH, concept)


def replace_codes(code: np.ndarray, start: np.ndarray, drift: Drift) -> np.ndarray:
    """Return the code positions after the replacement of codes."""
    active = drift.active("code_replacement", start)
    if not active.any():
        return code
    for old, new in REPLACED:
        code = np.where(active & (code == codes.code(old)), codes.code(new), code)
    return code


def under_code(
    outpatient: np.ndarray, group: np.ndarray, start: np.ndarray, drift: Drift, *, lot: np.ndarray
) -> np.ndarray:
    """Return which condition rows stay when one group is coded less outside the hospital."""
    active = drift.active("subgroup_under_coding", start)
    return ~(active & outpatient & group & (lot < DROPPED_CODES))
