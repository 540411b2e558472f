from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.training.threshold import capacity_threshold, simulate_list_sizes
from hrob_assets.risk.use_case import Threshold


def listed(high_per_week, *, persons=200, capacity=50, share=0.2):
    """Every person has one row a week; the first ones are high risk."""
    weeks = [date(2023, 1, 2) + timedelta(weeks=n) for n in range(len(high_per_week))]
    rows = [
        (person, week, 0.8 if person < high else 0.1)
        for week, high in zip(weeks, high_per_week, strict=True)
        for person in range(persons)
    ]
    frame = pl.DataFrame(rows, schema=["person_id", "week", "p"], orient="row")
    return simulate_list_sizes(
        frame,
        frame["p"].to_numpy(),
        threshold=0.8,
        validation_share=share,
        capacity=capacity,
        seed=1,
    )


def test_the_list_is_that_of_the_whole_population():
    found = listed([10] * 8)

    assert found.mean == pytest.approx(50, rel=0.01)  # 10 of 200, and 1,000 persons in all
    spread = np.sqrt(1000 * 0.05 * 0.95)
    assert found.high - found.low == pytest.approx(2 * 1.645 * spread, abs=2)


def test_half_of_the_weeks_are_over_a_capacity_of_the_median():
    assert listed([10] * 8).probability_over_capacity == pytest.approx(0.5, abs=0.05)


def test_weeks_that_differ_widen_the_interval():
    assert listed([2, 18] * 4).high > listed([10] * 8).high


def test_a_row_at_the_threshold_is_high_risk_and_a_week_without_one_has_an_empty_list():
    assert listed([0] * 4).mean == 0
    assert listed([200] * 4).mean == 1000


def shares(**share: float):
    """A thousand rows, so many of each probability (0_176 stands for 0.176)."""
    return np.concatenate(
        [np.full(round(1000 * of), int(name[2:]) / 1000) for name, of in share.items()]
    )


@pytest.mark.parametrize(
    ("probability", "found"),
    [
        (shares(p_050=0.5, p_176=0.5), "0.17 more than twice as many and 0.18 nobody"),
        (shares(p_050=0.5, p_174=0.5), "0.17 more than twice as many and 0.18 nobody"),
        (shares(p_050=0.5, p_170=0.5), "0.17 more than twice as many"),
    ],
)
def test_a_step_that_lists_half_of_the_rows_or_nobody_is_told(probability, found):
    with pytest.raises(ContractError, match=rf"about 10% .*{found}.*raise threshold.decimals"):
        capacity_threshold(probability, Threshold(capacity_share=0.1, decimals=2))


@pytest.mark.parametrize(
    ("probability", "found"),
    [
        (shares(p_050=0.88, p_174=0.03, p_300=0.09), 0.18),  # 9 % lie nearer to 10 % than 12 %
        (shares(p_050=0.85, p_176=0.13, p_300=0.02), 0.17),  # 15 % nearer than 2 %
        (shares(p_050=0.70, p_176=0.25, p_300=0.05), 0.18),  # 30 % would be too many
        (shares(p_050=0.9, p_200=0.1), 0.2),
    ],
)
def test_of_rounding_down_and_up_the_nearer_to_the_capacity_is_taken(probability, found):
    assert capacity_threshold(probability, Threshold(capacity_share=0.1, decimals=2)) == found
