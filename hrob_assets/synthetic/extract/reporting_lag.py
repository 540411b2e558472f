"""When things become known: claims are paid after a lag, records are signed the next day."""

from dataclasses import dataclass

import numpy as np

from hrob_assets.synthetic.extract.records import FACILITY, PROFESSIONAL, Visits
from hrob_assets.synthetic.scenarios import EXTRA_LAG_DAYS, Drift


@dataclass(frozen=True)
class ClaimsLag:
    """Days from a service to the moment it is known; log-normal for claims.

    Parameters
    ----------
    professional_median, facility_median : float, days
        Median lag of professional and outpatient claims, and of inpatient claims (after discharge).
    professional_spread, facility_spread : float
        Standard deviation of the logarithm: 0.95 puts 98 % of professional claims within 45 days,
        0.80 puts 95 % of inpatient claims within 52 days.
    record_mean : float, days
        Mean lag of medical records (exponential).
    laboratory_days : tuple of float, days
        Further days until a laboratory value is known: lowest and highest.
    adjusted_share : float
        Share of claims that later bring one more diagnosis.
    adjusted_mean : float, days
        Mean further lag of such an adjustment, after 20 days.
    """

    professional_median: float = 6.0
    professional_spread: float = 0.95
    facility_median: float = 14.0
    facility_spread: float = 0.80
    record_mean: float = 0.35
    laboratory_days: tuple[float, float] = (1.0, 3.0)
    adjusted_share: float = 0.03
    adjusted_mean: float = 30.0


def known_times(
    visits: Visits, lag: ClaimsLag, drift: Drift, rng: np.random.Generator
) -> np.ndarray:
    """Return when each visit becomes known (days since the start), never before it ends."""
    size = len(visits)
    normal, exponential = rng.standard_normal(size), rng.exponential(1, size)
    days = np.select(
        [visits.source == PROFESSIONAL, visits.source == FACILITY],
        [
            lag.professional_median * np.exp(lag.professional_spread * normal),
            lag.facility_median * np.exp(lag.facility_spread * normal),
        ],
        lag.record_mean * exponential,
    )
    extra = EXTRA_LAG_DAYS * drift.active("lag_change", visits.start)
    return visits.end + days + extra


def value_delay(visits: Visits, lag: ClaimsLag, rng: np.random.Generator) -> np.ndarray:
    """Return the further days until the laboratory values of each visit are known.

    Medical records deliver them within hours: a tenth of the delay.
    """
    low, high = lag.laboratory_days
    delay = low + rng.random(len(visits)) * (high - low)
    claim = (visits.source == PROFESSIONAL) | (visits.source == FACILITY)
    return delay * np.where(claim, 1.0, 0.1)


def adjustments(
    visit: np.ndarray, code: np.ndarray, visits: Visits, lag: ClaimsLag, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw late adjustments: a claim later brings a diagnosis that the person had before it.

    Parameters
    ----------
    visit, code : int arrays
        Long-standing diagnoses: the position of the visit and of the code.
    visits : Visits
    lag : ClaimsLag
    rng : Generator

    Returns
    -------
    visit, code, delay : arrays
        The claims, the added diagnosis, and days after the claim was first known.
    """
    lot, wait = rng.random(len(visits)), rng.exponential(lag.adjusted_mean, len(visits))
    width = 1e6
    person, start = visits.person[visit], visits.start[visit]
    order = np.lexsort((code, start, person))
    key = (person * width + start)[order]
    chosen = np.flatnonzero(visits.keep & (lot < lag.adjusted_share))
    place = np.searchsorted(key, visits.person[chosen] * width + visits.start[chosen]) - 1
    earlier = order[np.maximum(place, 0)]
    same = (place >= 0) & (person[earlier] == visits.person[chosen])
    chosen = chosen[same]
    return chosen, code[earlier[same]], 20 + wait[chosen]
