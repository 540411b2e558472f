from datetime import date

import polars as pl
import pytest

from hrob_assets.synthetic.world import WorldSpec, make_world

KEYS = {
    "visit_occurrence": "visit_occurrence_id",
    "condition_occurrence": "condition_occurrence_id",
    "procedure_occurrence": "procedure_occurrence_id",
    "drug_exposure": "drug_exposure_id",
    "measurement": "measurement_id",
    "observation": "observation_id",
    "person": "person_id",
}


def clean(world, table):
    """Return a table without its faulty rows, by the truth."""
    key = KEYS[table]
    faulty = world.truth["truth_dirty"].filter(
        (pl.col("table") == table) & (pl.col("fault") != "duplicate_key")
    )
    frame = world.tables[table].filter(~pl.col(key).is_in(faulty["row_id"].implode()))
    return frame.unique(key, keep="first", maintain_order=True)


@pytest.fixture(scope="session")
def world():
    return make_world(WorldSpec(pregnancies=4_000, oncology_patients=1_500))


@pytest.fixture(scope="session")
def small_world():
    return make_world(WorldSpec(seed=5, pregnancies=400, oncology_patients=250))


@pytest.fixture
def drifted():
    def make(scenario):
        spec = WorldSpec(
            seed=5,
            pregnancies=400,
            oncology_patients=250,
            scenario=scenario,
            drift_at=date(2024, 7, 1),
        )
        return make_world(spec)

    return make
