import numpy as np
import pytest

from hrob_assets.risk.errors import TooSmallError
from hrob_assets.risk.monitoring.alarm import FULL_WEEK, AlarmRule, compute_e_values
from hrob_assets.risk.monitoring.alarm_simulation import (
    ShiftedWorld,
    SimulationPlan,
    SiteVolume,
    expected_alarm_behaviour,
    simulate_worlds,
)
from hrob_assets_tests.risk.monitoring.alarm_world import RISKS, RULE, mature


@pytest.mark.parametrize("true_shift", [-0.1, 0.0, 0.1])
def test_false_alarms_stay_within_the_budget_at_every_harmless_shift(true_shift):
    site = SiteVolume(RISKS, np.array([20, 150]))
    plan = SimulationPlan(histories=200, weeks=200)

    crossed = simulate_worlds(
        site,
        AlarmRule(tolerance=0.1, alarm_weeks=50),
        [ShiftedWorld(true_shift, 0)],
        detectors=1,
        plan=plan,
    )[0]

    for weeks in (50, 100, 200):
        per_history = crossed[:, :weeks].sum(axis=1)
        standard_error = per_history.std() / np.sqrt(plan.histories)
        assert per_history.mean() <= weeks / 50 + 3 * standard_error


def test_a_small_subgroup_does_not_reach_its_threshold_because_weeks_pass():
    rule = AlarmRule(tolerance=0.0, alarm_weeks=26)
    plan = SimulationPlan(histories=200, weeks=260)

    crossed = simulate_worlds(
        SiteVolume(RISKS, np.array([1])),
        rule,
        [ShiftedWorld(0.0, 0)],
        detectors=1,
        plan=plan,
    )[0]

    worth = 260 * float(np.mean(RISKS * (1 - RISKS))) / FULL_WEEK  # 3.7 weeks, not 260
    assert 0.5 < worth < 5
    assert crossed.sum(axis=1).mean() <= worth / 26 + 0.05


def test_the_simulation_agrees_with_the_detector_on_drawn_rows():
    """The same world, drawn by another generator and followed through data frames."""
    rule = AlarmRule(tolerance=0.1, alarm_weeks=52)
    site = SiteVolume(RISKS, np.array([60]))
    plan = SimulationPlan(histories=400, weeks=40)
    simulated = simulate_worlds(
        site, rule, [ShiftedWorld(0.4, 10)], detectors=1, plan=plan
    )[0].any(axis=1)  # fmt: skip

    drawn = [
        compute_e_values(mature(40, 60, shift=0.4, from_week=10, seed=s), rule)["crossed"].any()
        for s in range(200)
    ]

    spread = np.sqrt(0.25 / 400 + 0.25 / 200)
    assert abs(simulated.mean() - np.mean(drawn)) < 3 * spread


def test_a_world_is_the_same_whichever_are_drawn_with_it():
    site, plan = SiteVolume(RISKS, np.array([40, 90])), SimulationPlan(histories=50, weeks=80)
    worlds = [ShiftedWorld(0.0, 0), ShiftedWorld(0.5, 20), ShiftedWorld(-0.5, 10)]

    together = simulate_worlds(site, RULE, worlds, detectors=2, plan=plan)

    alone = [simulate_worlds(site, RULE, [each], detectors=2, plan=plan)[0] for each in worlds]
    assert together.any()
    assert np.array_equal(together, np.stack(alone))


def test_expected_behaviour_is_the_same_for_the_same_seed_and_faster_for_larger_shifts():
    site, plan = SiteVolume(RISKS, np.array([150])), SimulationPlan(histories=100, weeks=120)

    one, other = (
        expected_alarm_behaviour(site, RULE, shifts=(0.3, 0.6), plan=plan) for _ in range(2)
    )

    assert one.equals(other)
    assert one["shift"].to_list() == [-0.1, 0.0, 0.1, 0.3, 0.6]
    assert one["median_delay_weeks"][3] > one["median_delay_weeks"][4]
    assert one["median_delay_weeks"][:3].null_count() == 3


def test_a_shift_within_the_tolerance_is_harmless_and_there_from_the_first_week():
    site, plan = SiteVolume(RISKS, np.array([150])), SimulationPlan(histories=50, weeks=60)

    found = expected_alarm_behaviour(site, RULE, shifts=(0.05, -0.1, 0.3), plan=plan)

    assert found["shift"].to_list() == [-0.1, 0.0, 0.05, 0.1, 0.3]
    assert found["harmless"].to_list() == [True, True, True, True, False]
    assert found["median_delay_weeks"][:4].null_count() == 4


def test_a_site_without_rows_has_no_expected_behaviour():
    with pytest.raises(TooSmallError, match="needs probabilities and weeks"):
        expected_alarm_behaviour(SiteVolume(np.array([]), np.array([1])), RULE)
