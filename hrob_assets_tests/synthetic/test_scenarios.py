from datetime import date, datetime

import polars as pl
import pytest

from hrob_assets.synthetic.world import SCENARIOS
from hrob_assets_tests.synthetic.conftest import clean

DRIFT = datetime(2024, 7, 1)
CHANGED = sorted(set(SCENARIOS) - {"none"})


def before_drift(world, table, moment):
    columns = [c for c in world.tables[table].columns if c != f"{table}_id"]
    frame = clean(world, table).filter(
        pl.col(moment) < datetime(2024, 5, 1), pl.col("known_at") < DRIFT
    )
    return frame.select(columns).sort(columns)


@pytest.mark.parametrize("scenario", CHANGED)
def test_a_scenario_leaves_everything_before_the_drift_as_it_was(small_world, drifted, scenario):
    world = drifted(scenario)

    for table, moment in (
        ("visit_occurrence", "visit_start_datetime"),
        ("condition_occurrence", "condition_start_datetime"),
        ("measurement", "measurement_datetime"),
    ):
        same = before_drift(small_world, table, moment).equals(before_drift(world, table, moment))
        assert same, table


@pytest.mark.parametrize("scenario", CHANGED)
def test_a_scenario_changes_the_world_and_logs_itself(small_world, drifted, scenario):
    world = drifted(scenario)
    log = world.truth["drift_log"]

    changed = any(not small_world.tables[n].equals(f) for n, f in world.tables.items())

    assert changed
    assert log.select("scenario", "drift_at").rows() == [(scenario, date(2024, 7, 1))]


def test_the_world_without_a_scenario_logs_no_drift(small_world):
    assert small_world.truth["drift_log"].height == 0


def test_a_longer_lag_delays_what_happens_after_the_drift(small_world, drifted):
    def median_lag(world):
        late = clean(world, "visit_occurrence").filter(
            pl.col("visit_start_datetime").is_between(DRIFT, datetime(2025, 6, 1)),
            pl.col("person_id") < 5_000_000,
        )
        lag = late.select((pl.col("known_at") - pl.col("visit_end_datetime")).dt.total_days())
        return lag.to_series().median()

    assert median_lag(drifted("lag_change")) - median_lag(small_world) == pytest.approx(30, abs=1)


def test_under_coding_halves_diagnoses_of_black_members(small_world, drifted):
    def codes_of_black_members(world):
        black = clean(world, "person").filter(pl.col("race_concept_id") == 8516)
        rows = clean(world, "condition_occurrence").filter(
            pl.col("condition_start_datetime") > DRIFT
        )
        return rows.join(black, on="person_id", how="semi").height

    ratio = codes_of_black_members(drifted("subgroup_under_coding")) / codes_of_black_members(
        small_world
    )

    assert 0.38 < ratio < 0.60


def test_units_change_for_hemoglobin_after_the_drift(drifted):
    rows = clean(drifted("lab_unit_change"), "measurement").filter(
        pl.col("measurement_source_value") == "718-7"
    )
    late = rows.filter(pl.col("measurement_datetime") > DRIFT)

    assert set(late["unit_source_value"]) == {"g/L"}
    assert 90 < late["value_as_number"].median() < 150


def test_codes_are_replaced_after_the_drift(drifted):
    rows = clean(drifted("code_replacement"), "measurement").filter(
        pl.col("measurement_datetime") > DRIFT
    )
    used = set(rows["measurement_source_value"])

    assert {"26515-7", "30350-3"} <= used
    assert not {"777-3", "718-7"} & used


def test_a_pandemic_empties_clinics(small_world, drifted):
    def clinic(world):
        late = clean(world, "visit_occurrence").filter(
            pl.col("visit_start_datetime").is_between(DRIFT, datetime(2025, 7, 1)),
            pl.col("visit_concept_id").is_in([581477, 9202, 32036, 5083]),
        )
        return late.height

    assert 0.55 < clinic(drifted("pandemic")) / clinic(small_world) < 0.70


def test_a_base_rate_shift_raises_the_true_risk_of_emergency_visits(small_world, drifted):
    def risk(world):
        rows = world.truth["truth_risk"].filter(pl.col("as_of") > datetime(2024, 10, 1))
        return rows["probability"].mean()

    assert 1.12 < risk(drifted("base_rate_shift")) / risk(small_world) < 1.45
