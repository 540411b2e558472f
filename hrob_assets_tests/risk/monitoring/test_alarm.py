from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hrob_assets.risk.errors import ContractError, TooSmallError
from hrob_assets.risk.monitoring.alarm import (
    EVIDENCE,
    FULL_WEEK,
    AlarmRule,
    Histories,
    SiteVolume,
    World,
    accumulate_evidence,
    alarms_by_detector,
    expected_behaviour,
    row_evidence,
    simulate_worlds,
)

MONDAY = date(2024, 1, 1)
RULE = AlarmRule(tolerance=0.1, alarm_weeks=260)
RISKS = 1 / (1 + np.exp(-np.random.default_rng(5).normal(-2.4, 0.9, 4000)))


def expit(x):
    return 1 / (1 + np.exp(-x))


def ripe(weeks, per_week, *, shift=0.0, from_week=0, seed=1, version="1"):
    rng = np.random.default_rng(seed)
    p = rng.choice(RISKS, (weeks, per_week))
    moved = np.where(np.arange(weeks)[:, None] >= from_week, shift, 0.0)
    y = rng.random(p.shape) < expit(np.log(p / (1 - p)) + moved)
    week = np.repeat(np.arange(weeks), per_week)
    return pl.DataFrame(
        {
            "model_version": version,
            "week": [MONDAY + timedelta(weeks=int(w)) for w in week],
            "probability": p.ravel(),
            "label": y.ravel(),
            "in_use": True,
            "race": np.where(rng.random(week.size) < 0.3, "Black", "White"),
        }
    )


@given(
    p=st.floats(0.001, 0.999),
    tolerance=st.floats(0, 0.4),
    beyond=st.floats(0.01, 2),
    within=st.floats(-1, 1),
    up=st.booleans(),
)
def test_no_shift_within_the_tolerance_is_expected_to_give_evidence(
    p, tolerance, beyond, within, up
):
    shift = (tolerance + beyond) * (1 if up else -1)
    true = expit(np.log(p / (1 - p)) + within * tolerance)

    e = row_evidence(np.full(2, p), np.array([1, 0]), tolerance=tolerance, shift=shift)

    assert (e >= 0).all()
    assert true * e[0] + (1 - true) * e[1] <= 1 + 1e-12


@given(p=st.floats(0.01, 0.99), far=st.floats(0.5, 3))
def test_evidence_is_expected_to_grow_where_the_shift_is_real(p, far):
    true = expit(np.log(p / (1 - p)) + far)
    e = row_evidence(np.full(2, p), np.array([1, 0]), tolerance=0.1, shift=far)

    assert true * np.log(e[0]) + (1 - true) * np.log(e[1]) > 0


def slow_detector(frame, rule, levels):
    """The recursion as it is written down, row by row, in plain numbers."""
    m = dict.fromkeys(rule.shifts.tolist(), 0.0)
    history = []
    for (week,), part in frame.sort("week").group_by("week", maintain_order=True):
        p, y = part["probability"].to_numpy(), part["label"].to_numpy()
        weight = min(1.0, float(sum(p * (1 - p))) / FULL_WEEK)
        for shift in m:
            edge = rule.tolerance * np.sign(shift)
            b, q = expit(np.log(p / (1 - p)) + edge), expit(np.log(p / (1 - p)) + shift)
            e = np.where(y, q / b, (1 - q) / (1 - b))
            m[shift] = (weight + m[shift]) * float(np.prod(e))
        total = sum(m.values()) / len(m)
        crossed = total >= rule.alarm_weeks * levels
        history.append((week, total, crossed))
        if crossed:
            m = dict.fromkeys(m, 0.0)
    return history


@pytest.mark.parametrize(("shift", "per_week"), [(0.0, 40), (0.6, 40), (-0.7, 60), (0.5, 3)])
def test_the_detector_is_the_formula(shift, per_week):
    frame = ripe(60, per_week, shift=shift, from_week=20)
    rule = AlarmRule(tolerance=0.1, alarm_weeks=30)

    found = accumulate_evidence(frame, rule)

    expected = slow_detector(frame, rule, 1)
    assert found["week"].to_list() == [week for week, _, _ in expected]
    np.testing.assert_allclose(
        np.exp(found["log_evidence"].to_numpy()), [m for _, m, _ in expected], rtol=1e-9
    )
    assert found["crossed"].to_list() == [crossed for _, _, crossed in expected]


def test_each_level_has_a_detector_and_all_share_the_budget():
    frame = ripe(30, 80, shift=0.8, from_week=10)
    rule = AlarmRule(tolerance=0.1, alarm_weeks=30)

    found = accumulate_evidence(frame, rule, groups=["race"])

    assert found["detectors"].unique().to_list() == [3]
    black = found.filter(level="Black")
    expected = slow_detector(frame.filter(race="Black"), rule, 3)
    assert black["crossed"].to_list() == [crossed for _, _, crossed in expected]
    assert black["log_level"][0] == pytest.approx(np.log(90))
    EVIDENCE.check(found)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 29), seed=st.integers(0, 1000), order=st.randoms(use_true_random=False))
def test_later_weeks_and_the_order_of_rows_change_nothing(cut, seed, order):
    frame = ripe(30, 20, shift=0.9, from_week=8, seed=seed)
    late = MONDAY + timedelta(weeks=cut)
    frame = frame.with_columns(  # a level that is seen late must not reach back
        pl.when((pl.col("week") >= late) & (pl.col("probability") > 0.2))
        .then(pl.lit("Asian"))
        .otherwise("race")
        .alias("race")
    )
    places = list(range(frame.height))
    order.shuffle(places)
    rule = AlarmRule(tolerance=0.05, alarm_weeks=20)

    whole = accumulate_evidence(frame[places], rule, groups=["race"])
    early = accumulate_evidence(frame.filter(pl.col("week") < late), rule, groups=["race"])

    key = ["group", "level", "week"]
    assert early.sort(key).equals(whole.filter(pl.col("week") < late).sort(key))


def test_a_week_without_rows_is_no_week():
    frame = ripe(20, 40)
    gap = frame.with_columns(
        pl.when(pl.col("week") >= MONDAY + timedelta(weeks=10))
        .then(pl.col("week") + pl.duration(weeks=100))
        .otherwise("week")
        .alias("week")
    )

    one, other = (accumulate_evidence(each, RULE)["log_evidence"] for each in (frame, gap))

    assert one.equals(other)


def test_a_new_version_starts_from_nothing_and_old_evidence_is_kept():
    first = ripe(20, 100, shift=0.8, version="1")
    second = ripe(20, 100, version="2", seed=2).with_columns(pl.col("week") + pl.duration(weeks=20))

    both = accumulate_evidence(pl.concat([first, second]), RULE)

    alone = accumulate_evidence(second, RULE)
    assert both.filter(model_version="2").equals(alone)
    stands = alarms_by_detector(both)
    assert stands["alarm"].to_list() == [True, False]
    assert stands["direction"].to_list() == ["under-prediction", None]


def test_a_version_that_was_replaced_raises_no_alarm():
    frame = ripe(20, 100, shift=0.8).with_columns(
        in_use=pl.col("week") < MONDAY + timedelta(weeks=1)
    )

    found = accumulate_evidence(frame, RULE)

    assert found["crossed"].any()
    assert not found["alarm"].any()


def test_the_alarm_guesses_when_it_began():
    frame = ripe(60, 300, shift=0.6, from_week=40)

    stand = alarms_by_detector(accumulate_evidence(frame, RULE)).row(0, named=True)

    began = MONDAY + timedelta(weeks=40)
    assert stand["alarm"]
    assert began <= stand["alarm_week"] <= began + timedelta(weeks=4)
    assert abs(stand["since"] - began) <= timedelta(weeks=3)


@pytest.mark.parametrize("true_shift", [-0.1, 0.0, 0.1])
def test_false_alarms_stay_within_the_budget_at_every_harmless_shift(true_shift):
    site = SiteVolume(RISKS, np.array([20, 150]))
    plan = Histories(count=200, weeks=200)

    crossed = simulate_worlds(
        site,
        AlarmRule(tolerance=0.1, alarm_weeks=50),
        [World(true_shift, 0)],
        detectors=1,
        histories=plan,
    )[0]

    for weeks in (50, 100, 200):
        per_history = crossed[:, :weeks].sum(axis=1)
        standard_error = per_history.std() / np.sqrt(plan.count)
        assert per_history.mean() <= weeks / 50 + 3 * standard_error


def test_a_tiny_group_does_not_reach_its_level_by_the_passing_of_weeks():
    rule = AlarmRule(tolerance=0.0, alarm_weeks=26)
    plan = Histories(count=200, weeks=260)

    crossed = simulate_worlds(
        SiteVolume(RISKS, np.array([1])),
        rule,
        [World(0.0, 0)],
        detectors=1,
        histories=plan,
    )[0]

    worth = 260 * float(np.mean(RISKS * (1 - RISKS))) / FULL_WEEK  # 3.7 weeks, not 260
    assert 0.5 < worth < 5
    assert crossed.sum(axis=1).mean() <= worth / 26 + 0.05


def test_the_simulation_agrees_with_the_detector_on_drawn_rows():
    """The same world, drawn by another generator and followed through data frames."""
    rule = AlarmRule(tolerance=0.1, alarm_weeks=52)
    site = SiteVolume(RISKS, np.array([60]))
    plan = Histories(count=400, weeks=40)
    simulated = simulate_worlds(
        site, rule, [World(0.4, 10)], detectors=1, histories=plan
    )[0].any(axis=1)  # fmt: skip

    drawn = [
        accumulate_evidence(ripe(40, 60, shift=0.4, from_week=10, seed=s), rule)["crossed"].any()
        for s in range(200)
    ]

    spread = np.sqrt(0.25 / 400 + 0.25 / 200)
    assert abs(simulated.mean() - np.mean(drawn)) < 3 * spread


def test_a_world_is_the_same_whichever_are_drawn_with_it():
    site, plan = SiteVolume(RISKS, np.array([40, 90])), Histories(count=50, weeks=80)
    worlds = [World(0.0, 0), World(0.5, 20), World(-0.5, 10)]

    together = simulate_worlds(site, RULE, worlds, detectors=2, histories=plan)

    alone = [simulate_worlds(site, RULE, [each], detectors=2, histories=plan)[0] for each in worlds]
    assert together.any()
    assert np.array_equal(together, np.stack(alone))


def test_expected_behaviour_is_the_same_for_the_same_seed_and_faster_for_larger_shifts():
    site, plan = SiteVolume(RISKS, np.array([150])), Histories(count=100, weeks=120)

    one, other = (
        expected_behaviour(site, RULE, shifts=(0.3, 0.6), histories=plan) for _ in range(2)
    )

    assert one.equals(other)
    assert one["shift"].to_list() == [-0.1, 0.0, 0.1, 0.3, 0.6]
    assert one["median_delay_weeks"][3] > one["median_delay_weeks"][4]
    assert one["median_delay_weeks"][:3].null_count() == 3


def test_a_shift_within_the_tolerance_is_harmless_and_there_from_the_first_week():
    site, plan = SiteVolume(RISKS, np.array([150])), Histories(count=50, weeks=60)

    found = expected_behaviour(site, RULE, shifts=(0.05, -0.1, 0.3), histories=plan)

    assert found["shift"].to_list() == [-0.1, 0.0, 0.05, 0.1, 0.3]
    assert found["harmless"].to_list() == [True, True, True, True, False]
    assert found["median_delay_weeks"][:4].null_count() == 4


def test_a_site_without_rows_has_no_expected_behaviour():
    with pytest.raises(TooSmallError, match="needs probabilities and weeks"):
        expected_behaviour(SiteVolume(np.array([]), np.array([1])), RULE)


def test_pending_rows_are_refused():
    frame = ripe(2, 10).with_columns(label=pl.lit(None, dtype=pl.Boolean))

    with pytest.raises(ContractError, match="ripe rows"):
        accumulate_evidence(frame, RULE)


@given(p=arrays(float, 5, elements=st.sampled_from([0.0, 1.0, 0.5])))
def test_certain_predictions_give_finite_evidence(p):
    e = row_evidence(p, np.array([1, 0, 1, 0, 1]), tolerance=0.1, shift=0.3)

    assert np.isfinite(e).all()


def test_certain_predictions_that_are_wrong_raise_an_alarm():
    frame = ripe(4, 200).with_columns(probability=pl.lit(0.0), label=pl.lit(value=True))

    found = accumulate_evidence(frame, RULE)

    assert found["alarm"].any()
