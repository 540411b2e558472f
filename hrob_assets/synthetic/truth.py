"""Tables of what is true in the world; no stage of the pipeline reads them.

* ``truth_risk``: for each encounter of a patient with cancer, the exact probability of one or more
  emergency visits in the 60 days from its prediction time, given the latent path (severity and
  treatment month by month, also those of the coming months) and all past visits, for a patient who
  stays under care for the whole horizon. The obstetric composite has no closed form and is not in
  this table; its planted effects are in ``truth_effect``.
* ``truth_episode``: one row per pregnancy with a day in the window.
* ``truth_effect``: the planted log-odds (or log rates), and how far access changes coding.
* ``truth_person``: the latent health, access and need of each person.
"""

import numpy as np
import polars as pl

from hrob_assets.synthetic.extract.omop import Clock, Population
from hrob_assets.synthetic.obstetrics import effects, pregnancies
from hrob_assets.synthetic.obstetrics import facts as obstetric_facts
from hrob_assets.synthetic.obstetrics.population import Obstetrics
from hrob_assets.synthetic.oncology import cancer_paths
from hrob_assets.synthetic.oncology.cancer_paths import visit_probability
from hrob_assets.synthetic.oncology.population import Oncology
from hrob_assets.synthetic.scenarios import Drift


def _visit_ids(order: np.ndarray, populations: list[Population], which: int) -> np.ndarray:
    """Return the visit id of each candidate visit of one population; 0 when it is not kept."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    before = sum(int(p.visits.keep.sum()) for p in populations[:which])
    keep = populations[which].visits.keep
    ids = np.zeros(len(keep), dtype=np.int64)
    ids[keep] = rank[before : before + int(keep.sum())]
    return ids


def risk_table(
    oncology: Oncology, order: np.ndarray, populations: list[Population], clock: Clock, drift: Drift
) -> pl.DataFrame:
    """Return ``truth_risk``: visit, person, ``as_of`` (prediction time), outcome, probability."""
    patients, visits = oncology.patients, oncology.population.visits
    ids = _visit_ids(order, populations, 1)
    as_of = np.floor(np.maximum(visits.start, oncology.population.known)) + 1
    person = visits.person
    cared = (visits.start >= patients.onset[person]) & (
        as_of < (patients.onset + patients.stay)[person]
    )
    index = np.flatnonzero(visits.keep & cared)
    index = index[np.argsort(ids[index])]
    emergency = visits.keep & np.isin(visits.concept, [9203, 262])
    probability = visit_probability(
        patients, drift, visited=(person[emergency], visits.start[emergency]),
        patient=person[index], time=as_of[index],
    )  # fmt: skip
    return pl.DataFrame(
        {
            "visit_occurrence_id": ids[index],
            "person_id": oncology.population.first_id + person[index],
            "as_of": clock.times(as_of[index]),
            "outcome": np.full(len(index), "emergency_visit_60d"),
            "probability": probability,
        }
    )


def episode_table(
    obstetrics: Obstetrics, order: np.ndarray, populations: list[Population], clock: Clock
) -> pl.DataFrame:
    """Return ``truth_episode``: one row per pregnancy with a day in the window.

    ``delivery_visit_id`` is null when the extract does not hold the birth; ``end_date`` may lie
    after the extract. ``reaches_extract`` says whether the end does not.
    """
    series, course, population = obstetrics.series, obstetrics.course, obstetrics.population
    ids = _visit_ids(order, populations, 0)[obstetrics.birth_visit]
    inside = (series.lmp < clock.days) & (series.lmp + course.end > 0)
    flags = {name: has[inside] for name, has in sorted(course.flags.items())}
    ga_days = np.floor(course.end[inside]).astype(np.int64)
    frame = pl.DataFrame(
        {
            "person_id": population.first_id + series.woman[inside],
            "lmp": clock.dates(np.floor(series.lmp[inside])),
            "end_date": clock.dates((series.lmp + course.end)[inside]),
            "outcome": np.array(pregnancies.OUTCOMES)[course.outcome[inside]],
            "ga_days": ga_days,
            "delivery_visit_id": ids[inside],
            "reaches_extract": (series.lmp + course.end)[inside] < clock.days,
            **flags,
        }
    )
    visit = pl.when(pl.col("delivery_visit_id") > 0).then("delivery_visit_id")
    return frame.with_columns(visit.alias("delivery_visit_id")).sort("person_id", "lmp")


def effect_table() -> pl.DataFrame:
    """Return ``truth_effect``: population, outcome, factor, effect, effect after the drift.

    ``effect_after_drift`` differs only under the scenario ``coefficient_shift`` and is what that
    scenario plants. The outcome ``diagnosis_coded`` says how much more often (logarithm) a
    diagnosis is written down per unit of latent access: at the same true state a person with low
    access shows fewer codes, so a model that reads codes gives that person too low a risk.
    """
    rows: list[tuple[str, str, str, float, float]] = []
    for outcome, planted in effects.EFFECTS.items():
        after = effects.AFTER_SHIFT.get(outcome, {})
        rows += [
            ("obstetrics", outcome, name, value, after.get(name, value))
            for name, value in planted.items()
        ]
        start = effects.INTERCEPTS[outcome]
        shifted = effects.INTERCEPTS_AFTER_SHIFT.get(outcome, start)
        rows.append(("obstetrics", outcome, "intercept", start, shifted))
    after = cancer_paths.AFTER_SHIFT
    rows += [
        ("oncology", "emergency_visit_rate", name, value, after.get(name, value))
        for name, value in cancer_paths.EFFECTS.items()
    ]
    coding = obstetric_facts.ACCESS_CODING
    rows.append(("obstetrics", "diagnosis_coded", "access", coding, coding))
    rows.append(("oncology", "diagnosis_coded", "access", 0.35, 0.35))
    rows.append(("both", "access", "deprivation", -0.45, -0.45))
    columns = ["population", "outcome", "factor", "effect", "effect_after_drift"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def person_table(populations: list[Population]) -> pl.DataFrame:
    """Return ``truth_person``: person, latent health, access and need."""
    frames: list[pl.DataFrame] = []
    for population in populations:
        who = np.unique(population.spans.person)
        people = population.people.take(who)
        frames.append(
            pl.DataFrame(
                {
                    "person_id": population.first_id + who,
                    "health": people.health,
                    "access": people.access,
                    "need": people.need,
                }
            )
        )
    return pl.concat(frames)
