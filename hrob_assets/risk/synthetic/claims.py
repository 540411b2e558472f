"""When things become known: claims are paid after a lag, records are signed the next day."""

from dataclasses import dataclass

import numpy as np

from hrob_assets.risk.synthetic.records import FACILITY, PROFESSIONAL, Visits
from hrob_assets.risk.synthetic.scenarios import EXTRA_LAG_DAYS, Drift


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


def value_delay(
    measured: np.ndarray, visits: Visits, visit: np.ndarray, lag: ClaimsLag,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Return the further days until each fact is known: laboratory values come later.

    Records deliver laboratory values within hours, so the delay is a tenth for them.
    """
    low, high = lag.laboratory_days
    delay = low + rng.random(len(visit)) * (high - low)
    claim = (visits.source == PROFESSIONAL) | (visits.source == FACILITY)
    return np.where(measured, delay * np.where(claim[visit], 1.0, 0.1), 0.0)


def adjustments(
    facts: tuple[np.ndarray, ...], visits: Visits, conditions: np.ndarray, lag: ClaimsLag,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Draw late adjustments: one more diagnosis of the person on an old claim.

    Parameters
    ----------
    facts : tuple of visit, code, value and delay arrays
    visits : Visits
    conditions : bool array
        Which facts are long-standing diagnoses; only such are added late.
    lag : ClaimsLag
    rng : Generator

    Returns
    -------
    visit, code, delay : arrays
        The claims, the diagnosis (of a neighbouring claim of the same person), and days after the
        claim was first known.
    """
    visit, code = facts[0][conditions], facts[1][conditions]
    order = np.lexsort((visit, visits.start[visit], visits.person[visit]))
    visit, code = visit[order], code[order]
    chosen = np.flatnonzero(rng.random(len(visit)) < lag.adjusted_share / 2)
    source = np.minimum(chosen + 1, len(visit) - 1)
    same = visits.person[visit[chosen]] == visits.person[visit[source]]
    target, origin = visit[source[same]], code[chosen[same]]
    return target, origin, 20 + rng.exponential(lag.adjusted_mean, len(target))
