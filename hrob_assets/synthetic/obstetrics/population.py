"""The obstetric population as a whole: women, pregnancies, visits, facts, coverage."""

from dataclasses import dataclass

import numpy as np

from hrob_assets.synthetic.conditions import draw_conditions
from hrob_assets.synthetic.extract.extract import extract_population
from hrob_assets.synthetic.extract.omop import Clock, Population
from hrob_assets.synthetic.obstetrics import (
    facts as obstetric_facts,
)
from hrob_assets.synthetic.obstetrics import (
    measures as obstetric_measures,
)
from hrob_assets.synthetic.obstetrics.pregnancies import (
    NEVER,
    Course,
    draw_course,
    history,
    risk_parts,
)
from hrob_assets.synthetic.obstetrics.routine_care import add_routine_care
from hrob_assets.synthetic.obstetrics.visits import draw_obstetric_visits
from hrob_assets.synthetic.population import (  # fmt: skip
    YEAR,
    Series,
    draw_medicaid_spans,
    draw_series,
    draw_women,
    select_series,
)
from hrob_assets.synthetic.scenarios import Drift

FIRST_ID = 1_000_001
STREAMS = ("women", "series", "conditions", "factors", "course", "visits", "facts", "spans",
           "death", "extract", "care")  # fmt: skip


@dataclass
class Obstetrics:
    """A simulated population with its pregnancies; ``birth_visit`` is a position in its visits."""

    population: Population
    series: Series
    course: Course
    birth_visit: np.ndarray


def _deaths(series: Series, course: Course, women: int, days: float, rng: np.random.Generator):  # noqa: ANN202
    """Draw days of death: one in a thousand a year, one in a hundred after severe morbidity."""
    death = rng.exponential(1000 * YEAR, women)
    death = np.where(death < days, death, np.inf)
    severe = course.flags["severe_morbidity"] | course.flags["late_morbidity"]
    dies = np.flatnonzero(severe & (rng.random(len(severe)) < 0.01))  # noqa: PLR2004
    time = np.where(
        course.times["readmitted_at"] < NEVER, course.times["readmitted_at"], course.end
    )
    np.minimum.at(death, series.woman[dies], (series.lmp + time)[dies] + 1.5)
    return death


def simulate_obstetrics(
    pregnancies: int, clock: Clock, drift: Drift, seed: np.random.SeedSequence
) -> Obstetrics:
    """Simulate the obstetric population.

    Parameters
    ----------
    pregnancies : int
        Pregnancies with a day in the window.
    clock : Clock
    drift : Drift
    seed : SeedSequence
        Each stage draws from a stream of its own.
    """
    rng = {
        name: np.random.Generator(np.random.PCG64(child))
        for name, child in zip(STREAMS, seed.spawn(len(STREAMS)), strict=True)
    }
    pool = 4 * pregnancies + 200
    window = {"first_day": 0.0, "last_day": clock.days}
    series, birth = draw_series(pool, **window, rng=rng["series"])
    series, chosen = select_series(series, pregnancies, women=pool, **window)
    women = draw_women(pool, rng["women"]).take(chosen)
    women.birth = birth[chosen]
    first = np.zeros(len(women))
    first[series.woman[::-1]] = series.age[::-1]
    conditions = draw_conditions(women, first, rng["conditions"])
    parts = risk_parts(series, women, conditions, rng["factors"])
    course = draw_course(series, parts, drift, rng["course"])
    visits, kinds, entry = draw_obstetric_visits(series, women, course, clock.days, rng["visits"])
    chart = obstetric_facts.open_chart(
        visits, kinds, series, women, course, conditions, rng["facts"]
    )
    obstetric_facts.add_supervision(chart)
    obstetric_facts.add_conditions(chart)
    obstetric_facts.add_pregnancy_conditions(chart, entry, history(series, course))
    obstetric_facts.add_hypertension(chart)
    obstetric_facts.add_birth(chart)
    obstetric_facts.add_reasons(chart)
    obstetric_measures.add_vitals(chart)
    obstetric_measures.add_laboratory(chart)
    add_routine_care(chart, rng["care"])
    spans = draw_medicaid_spans(
        series, series.lmp + course.end, len(women), clock.days, rng["spans"]
    )
    death = _deaths(series, course, len(women), clock.days, rng["death"])
    population = extract_population(
        FIRST_ID, women, visits, chart.facts, spans, death, clock, drift, rng["extract"]
    )
    return Obstetrics(population, series, course, kinds["birth"])
