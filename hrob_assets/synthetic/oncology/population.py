"""The oncology population as a whole: patients, visits, facts, coverage."""

from dataclasses import dataclass

import numpy as np

from hrob_assets.synthetic.extract.extract import extract_population
from hrob_assets.synthetic.extract.omop import Clock, Population
from hrob_assets.synthetic.oncology.cancer_paths import Patients, draw_patients
from hrob_assets.synthetic.oncology.visits import (  # fmt: skip
    draw_oncology_spans,
    draw_oncology_visits,
    oncology_facts,
)
from hrob_assets.synthetic.scenarios import Drift

FIRST_ID = 5_000_001
STREAMS = ("patients", "visits", "facts", "spans", "extract", "care")


@dataclass
class Oncology:
    """A simulated population with its patients' latent paths."""

    population: Population
    patients: Patients


def simulate_oncology(
    patients: int, clock: Clock, drift: Drift, seed: np.random.SeedSequence
) -> Oncology:
    """Simulate the oncology population.

    Parameters
    ----------
    patients : int
        Patients with a day of care in the window.
    clock : Clock
    drift : Drift
    seed : SeedSequence
        Each stage draws from a stream of its own.
    """
    rng = {
        name: np.random.Generator(np.random.PCG64(child))
        for name, child in zip(STREAMS, seed.spawn(len(STREAMS)), strict=True)
    }
    drawn = draw_patients(patients, clock.days, rng["patients"])
    visits, kinds = draw_oncology_visits(drawn, drift, rng["visits"])
    facts = oncology_facts(drawn, visits, kinds, rng["facts"], routine=rng["care"])
    spans = draw_oncology_spans(drawn, rng["spans"])
    death = np.where(drawn.died, drawn.onset + drawn.stay, np.inf)
    population = extract_population(
        FIRST_ID, drawn.people, visits, facts, spans, death, clock, drift, rng["extract"]
    )
    return Oncology(population, drawn)
