from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.monitoring.alarm import (
    E_VALUES,
    FULL_WEEK,
    AlarmRule,
    alarms_by_detector,
    compute_e_values,
    log_e_values_without_outcome,
)
from hrob_assets_tests.risk.monitoring.alarm_world import MONDAY, RULE, expit, mature


def row_e_values(p, rule):
    """E-values of a row with probability p, for each shift: with the outcome, and without it."""
    without = log_e_values_without_outcome(np.array([p]), rule)[0]
    return np.exp(without + rule.shifts - rule.edges), np.exp(without)


@given(p=st.floats(0.001, 0.999), tolerance=st.floats(0, 0.4), within=st.floats(-1, 1))
def test_the_mean_of_an_e_value_is_at_most_1_under_every_shift_within_the_tolerance(
    p, tolerance, within
):
    true = expit(np.log(p / (1 - p)) + within * tolerance)

    with_outcome, without = row_e_values(p, AlarmRule(tolerance=tolerance, alarm_weeks=260))

    assert (without >= 0).all()
    assert (true * with_outcome + (1 - true) * without <= 1 + 1e-12).all()


@given(p=st.floats(0.01, 0.99), place=st.integers(0, 7))
def test_the_log_e_value_of_a_shift_grows_on_average_where_the_shift_is_real(p, place):
    true = expit(np.log(p / (1 - p)) + RULE.shifts[place])

    with_outcome, without = (np.log(e[place]) for e in row_e_values(p, RULE))

    assert true * with_outcome + (1 - true) * without > 0


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
    frame = mature(60, per_week, shift=shift, from_week=20)
    rule = AlarmRule(tolerance=0.1, alarm_weeks=30)

    found = compute_e_values(frame, rule)

    expected = slow_detector(frame, rule, 1)
    assert found["week"].to_list() == [week for week, _, _ in expected]
    np.testing.assert_allclose(
        np.exp(found["log_evidence"].to_numpy()), [m for _, m, _ in expected], rtol=1e-9
    )
    assert found["crossed"].to_list() == [crossed for _, _, crossed in expected]


def test_each_subgroup_has_a_detector_and_all_share_the_budget():
    frame = mature(30, 80, shift=0.8, from_week=10)
    rule = AlarmRule(tolerance=0.1, alarm_weeks=30)

    found = compute_e_values(frame, rule, groups=["race"])

    assert found["detectors"].unique().to_list() == [3]
    black = found.filter(level="Black")
    expected = slow_detector(frame.filter(race="Black"), rule, 3)
    assert black["crossed"].to_list() == [crossed for _, _, crossed in expected]
    assert black["log_level"][0] == pytest.approx(np.log(90))
    E_VALUES.check(found)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 29), seed=st.integers(0, 1000), order=st.randoms(use_true_random=False))
def test_later_weeks_and_the_order_of_rows_change_nothing(cut, seed, order):
    frame = mature(30, 20, shift=0.9, from_week=8, seed=seed)
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

    whole = compute_e_values(frame[places], rule, groups=["race"])
    early = compute_e_values(frame.filter(pl.col("week") < late), rule, groups=["race"])

    key = ["group", "level", "week"]
    assert early.sort(key).equals(whole.filter(pl.col("week") < late).sort(key))


def test_a_week_without_rows_is_no_week():
    frame = mature(20, 40)
    gap = frame.with_columns(
        pl.when(pl.col("week") >= MONDAY + timedelta(weeks=10))
        .then(pl.col("week") + pl.duration(weeks=100))
        .otherwise("week")
        .alias("week")
    )

    one, other = (compute_e_values(each, RULE)["log_evidence"] for each in (frame, gap))

    assert one.equals(other)


def test_a_new_version_starts_from_nothing_and_old_e_values_are_kept():
    first = mature(20, 100, shift=0.8, version="1")
    second = mature(20, 100, version="2", seed=2).with_columns(
        pl.col("week") + pl.duration(weeks=20)
    )

    both = compute_e_values(pl.concat([first, second]), RULE)

    alone = compute_e_values(second, RULE)
    assert both.filter(model_version="2").equals(alone)
    stands = alarms_by_detector(both)
    assert stands["alarm"].to_list() == [True, False]
    assert stands["direction"].to_list() == ["under-prediction", None]


def test_a_version_that_was_replaced_raises_no_alarm():
    frame = mature(20, 100, shift=0.8).with_columns(
        in_use=pl.col("week") < MONDAY + timedelta(weeks=1)
    )

    found = compute_e_values(frame, RULE)

    assert found["crossed"].any()
    assert not found["alarm"].any()


def test_the_alarm_estimates_when_the_change_began():
    frame = mature(60, 300, shift=0.6, from_week=40)

    stand = alarms_by_detector(compute_e_values(frame, RULE)).row(0, named=True)

    began = MONDAY + timedelta(weeks=40)
    assert stand["alarm"]
    assert began <= stand["alarm_week"] <= began + timedelta(weeks=4)
    assert abs(stand["since"] - began) <= timedelta(weeks=3)


def test_pending_rows_are_refused():
    frame = mature(2, 10).with_columns(label=pl.lit(None, dtype=pl.Boolean))

    with pytest.raises(ContractError, match="mature outcome"):
        compute_e_values(frame, RULE)


@given(p=arrays(float, 5, elements=st.sampled_from([0.0, 1.0, 0.5])))
def test_certain_predictions_have_finite_e_values(p):
    assert np.isfinite(log_e_values_without_outcome(p, RULE)).all()


def test_certain_predictions_that_are_wrong_raise_an_alarm():
    frame = mature(4, 200).with_columns(probability=pl.lit(0.0), label=pl.lit(value=True))

    found = compute_e_values(frame, RULE)

    assert found["alarm"].any()
