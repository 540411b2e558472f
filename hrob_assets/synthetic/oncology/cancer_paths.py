"""Patients with cancer: who they are, how ill they are month by month, and their emergency visits.

The rate of emergency visits is known exactly given the latent path, so the probability of a visit
within a horizon has a closed form (`visit_probability`).
"""

from dataclasses import dataclass

import numpy as np

from hrob_assets.synthetic.arrivals import excite, expit, spread
from hrob_assets.synthetic.codes import catalogue as codes
from hrob_assets.synthetic.population import (  # fmt: skip
    ASIAN,
    BLACK,
    FEMALE,
    HISPANIC,
    ISLANDER,
    MALE,
    NATIVE,
    NOT_HISPANIC,
    UNKNOWN_RACE,
    WHITE,
    YEAR,
    People,
    draw_latent,
)
from hrob_assets.synthetic.scenarios import ODDS_FACTOR, Drift

MONTH = 30.0
MONTHS = 37
BURN_IN = MONTHS * MONTH
CANCERS = codes.codes("C50.911 C61 C34.90 C18.9 C85.90 C25.9 C56.9 C54.1 C67.9 C64.9 C43.9 C91.10")
_WOMEN = np.array([0.41, 0, 0.14, 0.12, 0.07, 0.05, 0.05, 0.06, 0.02, 0.03, 0.03, 0.02])
_MEN = np.array([0.002, 0.33, 0.18, 0.14, 0.08, 0.06, 0, 0, 0.08, 0.058, 0.04, 0.03])
CANCER_EFFECTS = np.array([-0.2, -0.45, 0.3, 0.05, 0.2, 0.5, 0.15, -0.1, 0.1, 0, -0.15, -0.1])
EFFECTS = {
    "severity": 0.62, "treated": 0.55, "need": 0.35, "comorbidity": 0.30, "medicaid": 0.25,
}  # fmt: skip
AFTER_SHIFT = {"severity": 0.15, "treated": 1.2}
DAILY_RATE, BRANCHING, DECAY_DAYS = 0.00078, 0.35, 22.0
YEARLY_DEATHS, YEARLY_LOSS = 0.12, 0.10
HORIZON_DAYS = 60.0


@dataclass
class Patients:
    """Patients with cancer; ``onset`` in days since the start, paths by month since onset.

    ``severity`` and ``treated`` have the shape (patients, `MONTHS`); ``stay`` is the number of days
    after onset until death or the end of care, ``died`` says which.
    """

    people: People
    onset: np.ndarray
    cancer: np.ndarray
    payer: np.ndarray
    comorbidity: np.ndarray
    severity: np.ndarray
    treated: np.ndarray
    stay: np.ndarray
    died: np.ndarray

    def __len__(self) -> int:
        """Return the number of patients."""
        return len(self.onset)

    def month(self, patient: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return the month since onset of each time, within the path."""
        return np.clip((time - self.onset[patient]) // MONTH, 0, MONTHS - 1).astype(np.int64)


def _people(size: int, onset: np.ndarray, rng: np.random.Generator) -> People:
    race = np.array([WHITE, BLACK, ASIAN, NATIVE, ISLANDER, UNKNOWN_RACE])[
        np.searchsorted([0.76, 0.88, 0.925, 0.938, 0.943], rng.random(size))
    ]
    mean = np.where(race == BLACK, 59.0, 50.0)
    deprivation = np.clip(np.round(rng.normal(mean, 27)), 1, 100)
    health, access, need = draw_latent(size, deprivation, rng)
    age = np.clip(rng.normal(64.5, 12.5, size), 19, 96)
    return People(
        birth=onset - age * YEAR,
        gender=np.where(rng.random(size) < 0.53, FEMALE, MALE),  # noqa: PLR2004
        race=race,
        ethnicity=np.where(rng.random(size) < 0.11, HISPANIC, NOT_HISPANIC),  # noqa: PLR2004
        deprivation=deprivation,
        health=health,
        access=access,
        need=need,
    )


def _payer(age: np.ndarray, deprivation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    lot = rng.random(len(age))
    poor = expit(-1.9 + 0.9 * (deprivation - 50) / 29)
    young = np.where(lot < poor, "Medicaid", "Commercial")
    return np.where((age >= 65) & (lot < 0.9), "Medicare", young)  # noqa: PLR2004


def _severity(people: People, cancer: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the monthly severity: a person's level plus a slowly changing part."""
    size = len(people)
    level = 0.45 * people.health + 0.6 * CANCER_EFFECTS[cancer]
    moving = np.empty((size, MONTHS))
    moving[:, 0] = rng.normal(0, 0.85, size)
    for month in range(1, MONTHS):
        moving[:, month] = 0.9 * moving[:, month - 1] + rng.normal(0, 0.37, size)
    return level[:, None] + moving


def _treated(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the months with treatment: the first ones, and relapses of four months."""
    month = np.arange(MONTHS)
    treated = month < (1 + rng.geometric(1 / 5, size))[:, None]
    relapse = rng.random((size, MONTHS)) < 0.03  # noqa: PLR2004
    for shift in range(4):
        treated[:, shift:] |= relapse[:, : MONTHS - shift]
    return treated


def _stay(severity: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw days from onset to death or end of care."""
    size = len(severity)
    weight = np.exp(0.9 * severity)
    hazard = YEARLY_DEATHS / YEAR * MONTH * weight / weight.mean()
    passed = np.cumsum(hazard, axis=1)
    target = rng.exponential(1, size)[:, None]
    month = (passed < target).sum(axis=1)
    death = np.where(month < MONTHS, (month + rng.random(size)) * MONTH, np.inf)
    loss = np.minimum(rng.exponential(YEAR / YEARLY_LOSS, size), MONTHS * MONTH - 1)
    return np.minimum(death, loss), death < loss


def draw_patients(count: int, last_day: float, rng: np.random.Generator) -> Patients:
    """Draw patients whose care overlaps the window; onset is uniform, so no day is special."""
    size = int(count * 1.7) + 50
    onset = -BURN_IN + rng.random(size) * (last_day - 20 + BURN_IN)
    people = _people(size, onset, rng)
    lot = rng.random(size)
    place = [np.searchsorted(np.cumsum(mix) / mix.sum(), lot) for mix in (_WOMEN, _MEN)]
    cancer = np.where(people.gender == FEMALE, *place)
    payer = _payer((onset - people.birth) / YEAR, people.deprivation, rng)
    comorbidity = (rng.random(size) < expit(-0.7 + 0.5 * people.health)).astype(float)
    severity = _severity(people, cancer, rng)
    treated = _treated(size, rng)
    stay, died = _stay(severity, rng)
    chosen = np.flatnonzero(onset + stay > 1)[:count]
    return Patients(
        people.take(chosen), onset[chosen], cancer[chosen], payer[chosen], comorbidity[chosen],
        severity[chosen], treated[chosen], stay[chosen], died[chosen],
    )  # fmt: skip


def daily_rate(patients: Patients, drift: Drift) -> np.ndarray:
    """Return the rate of first emergency visits per day, shape (patients, `MONTHS`).

    Self-excitation comes on top of it.
    """
    month_start = patients.onset[:, None] + MONTH * np.arange(MONTHS)
    late = drift.active("coefficient_shift", month_start)
    effect = {
        name: np.where(late, AFTER_SHIFT[name], EFFECTS[name]) for name in ("severity", "treated")
    }
    constant = (
        EFFECTS["need"] * patients.people.need
        + EFFECTS["comorbidity"] * patients.comorbidity
        + EFFECTS["medicaid"] * (patients.payer == "Medicaid")
        + CANCER_EFFECTS[patients.cancer]
    )
    log_rate = (
        constant[:, None]
        + effect["severity"] * patients.severity
        + effect["treated"] * patients.treated
    )
    raised = drift.active("base_rate_shift", month_start)
    return DAILY_RATE * np.exp(log_rate) * np.where(raised, ODDS_FACTOR, 1.0)


def emergency_times(
    patients: Patients, drift: Drift, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw emergency visits: whose, when (days since the start), and whether they happened.

    Candidates are drawn at a rate that no scenario exceeds and thinned to the ruling one.
    """
    actual = daily_rate(patients, drift)
    plain = daily_rate(patients, Drift("none", 0.0))
    other = daily_rate(patients, Drift("coefficient_shift", -np.inf))
    ceiling = np.maximum(plain * ODDS_FACTOR, other)
    cell_start = (patients.onset[:, None] + MONTH * np.arange(MONTHS)).ravel()
    cell, time = spread(rng.poisson(ceiling.ravel() * MONTH), cell_start, cell_start + MONTH, rng)
    keep = rng.random(len(cell)) < (actual / ceiling).ravel()[cell]
    return excite(cell // MONTHS, time, keep, branching=BRANCHING, decay_days=DECAY_DAYS, rng=rng)


def visit_probability(
    patients: Patients,
    drift: Drift,
    *,
    visited: tuple[np.ndarray, np.ndarray],
    patient: np.ndarray,
    time: np.ndarray,
) -> np.ndarray:
    """Return the exact chance of an emergency visit within 60 days, given the latent path.

    One minus the exponential of minus the integrated rate: the rate of first visits over the
    horizon, plus what past visits still excite. It holds for a patient who stays under observation
    for the whole horizon, and it knows the month-by-month path that no record shows.

    Parameters
    ----------
    patients : Patients
    drift : Drift
    visited : tuple of patient and time arrays
        Emergency visits that happened.
    patient, time : arrays
        Whose and when (days since the start); one probability each.

    Returns
    -------
    float array, 0 to 1
    """
    passed = np.concatenate(
        [np.zeros((len(patients), 1)), np.cumsum(daily_rate(patients, drift) * MONTH, axis=1)], 1
    )

    def integral(at: np.ndarray) -> np.ndarray:
        place = np.clip((at - patients.onset[patient]) / MONTH, 0, MONTHS - 1e-9)
        month = place.astype(np.int64)
        part = place - month
        return passed[patient, month] * (1 - part) + passed[patient, month + 1] * part

    total = integral(time + HORIZON_DAYS) - integral(time)
    return 1 - np.exp(-(total + _still_excited(visited, patient, time)))


def _still_excited(
    visited: tuple[np.ndarray, np.ndarray], patient: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """Return the visits that past visits are still expected to excite within the horizon."""
    order = np.lexsort((visited[1], visited[0]))
    who, when = visited[0][order], visited[1][order]
    width = 1e6
    low = np.searchsorted(who * width + when, patient * width + time - 8 * DECAY_DAYS)
    high = np.searchsorted(who * width + when, patient * width + time)
    count = high - low
    row = np.repeat(np.arange(len(patient)), count)
    event = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    left = np.exp(-(time[row] - when[event]) / DECAY_DAYS)
    share = BRANCHING * (1 - np.exp(-HORIZON_DAYS / DECAY_DAYS))
    return share * np.bincount(row, weights=left, minlength=len(patient))
