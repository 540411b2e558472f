"""What of a simulated population an extract holds: covered, in the window, known by its day."""

import numpy as np

from hrob_assets.synthetic.codes import catalogue as codes
from hrob_assets.synthetic.codes.catalogue import CATALOGUE
from hrob_assets.synthetic.conditions import CONDITIONS
from hrob_assets.synthetic.extract.omop import Clock, Population
from hrob_assets.synthetic.extract.records import Facts, Visits
from hrob_assets.synthetic.extract.reporting_lag import (
    ClaimsLag,
    adjustments,
    known_times,
    value_delay,
)
from hrob_assets.synthetic.population import BLACK, People, Spans
from hrob_assets.synthetic.scenarios import Drift, miss_visits, replace_codes, under_code

_DIAGNOSIS = np.array([item.domain == "condition" for item in CATALOGUE])
_LABORATORY = np.array([item.domain == "measurement" for item in CATALOGUE])
_LABORATORY[codes.codes(codes.VITAL_SIGNS)] = False
_VITALS_AND_CHRONIC = " ".join(item.stages for item in CONDITIONS.values())
_LASTING = np.zeros(len(CATALOGUE), dtype=bool)
_LASTING[codes.codes(_VITALS_AND_CHRONIC + " I10 E11.9 J44.9 I50.9 D64.9 G89.3 R53.83")] = True


def _cut_spans(spans: Spans, death: np.ndarray, days: float) -> Spans:
    """Keep the spans of the window; coverage ends with death."""
    end = np.minimum(
        spans.end, np.floor(np.where(np.isfinite(death), death, 1e7))[spans.person] + 1
    )
    inside = (end > 1) & (spans.start < days) & (end > spans.start)
    return Spans(spans.person[inside], spans.start[inside], end[inside], spans.payer[inside])


def extract_population(
    first_id: int, people: People, visits: Visits, facts: Facts, spans: Spans, death: np.ndarray,
    clock: Clock, drift: Drift, rng: np.random.Generator, *, lag: ClaimsLag | None = None,
) -> Population:  # fmt: skip
    """Return the population as an extract of the last day sees it.

    Visits outside coverage, outside the window or not known by the last day are masked; facts get
    the time at which they become known; the scenarios that act on records act here.
    """
    lag = lag or ClaimsLag()
    spans = _cut_spans(spans, death, clock.days)
    happens, visits.concept = miss_visits(visits.concept, visits.start, drift, rng)
    visits.end = np.minimum(visits.end, death[visits.person] + 0.04)
    known = known_times(visits, lag, drift, rng)
    visits.keep &= happens & (visits.start >= 0) & (visits.start < death[visits.person])
    visits.keep &= spans.covers(visits.person, visits.start) & (known <= clock.days)
    visit, code, value, after = facts.arrays()
    delay = np.where(_LABORATORY[code], value_delay(visits, lag, rng)[visit], 0.0)
    lasting = _LASTING[code]
    more = adjustments(visit[lasting], code[lasting], visits, lag, rng)
    visit, code = np.concatenate([visit, more[0]]), np.concatenate([code, more[1]])
    value = np.concatenate([value, np.full(len(more[0]), np.nan)])
    delay = np.concatenate([delay, more[2]])
    moment = visits.start[visit] + np.concatenate([after, np.zeros(len(more[0]))])
    # One draw per visit, turned by the code: facts more or less change no other draw.
    lot = (rng.random(len(visits))[visit] + code * 0.6180339887) % 1.0
    hospital = np.isin(visits.concept, [codes.INPATIENT, codes.EMERGENCY_INPATIENT])[visit]
    group = (people.race == BLACK)[visits.person[visit]]
    stays = under_code(~hospital & _DIAGNOSIS[code], group, visits.start[visit], drift, lot=lot)
    code = replace_codes(code, visits.start[visit], drift)
    seen = known[visit] + delay
    kept = (visit[stays], code[stays], value[stays], moment[stays], seen[stays])
    return Population(first_id, people, visits, known, kept, spans, death)
