"""Golden values: published cells, and what follows from them to the printed digit."""

import numpy as np
import pytest
from scipy.stats import contingency
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.proportion import proportion_confint

from hrob_assets.risk.statistics.confusion_matrix import Cells, log_odds_ratio, wilson, woolf

PROSPECTIVE = Cells(13.2, 46.8, 27, 513)
RETROSPECTIVE = Cells(
    28_433 * 0.08 * 0.26, 28_433 * 0.08 * 0.74, 28_433 * 0.92 * 0.09, 28_433 * 0.92 * 0.91
)


def shown(cells):
    return tuple(f"{value:.2f}" for value in (cells.odds_ratio, *woolf(cells)))


def test_the_prospective_hold_out_has_the_published_odds_ratio():
    assert shown(PROSPECTIVE) == ("5.36", "2.60", "11.04")


def test_with_618_patients_its_interval_is_narrower():
    scale = 618 / 600
    cells = Cells(*(scale * value for value in vars(PROSPECTIVE).values()))

    assert shown(cells) == ("5.36", "2.63", "10.93")


def test_the_retrospective_rates_do_not_give_the_published_interval():
    rows = sum(vars(RETROSPECTIVE).values())
    events = RETROSPECTIVE.true_positive + RETROSPECTIVE.false_negative

    assert shown(RETROSPECTIVE) == ("3.55", "3.21", "3.94")
    assert [round(cell) for cell in vars(RETROSPECTIVE).values()] == [591, 1683, 2354, 23_804]
    assert f"{events / rows:.1%}" == "10.4%"


def test_eligibility_of_28_in_37():
    rng = np.random.default_rng(1)
    drawn = rng.binomial(37, 28 / 37, 20_000) / 37
    bootstrap = np.quantile(drawn, [0.025, 0.975])

    assert [f"{bound:.2f}" for bound in bootstrap] == ["0.62", "0.89"]
    assert [f"{bound:.2f}" for bound in wilson(28, 37)] == ["0.60", "0.87"]
    wald = proportion_confint(28, 37, method="normal")
    assert [f"{bound:.2f}" for bound in wald] == ["0.62", "0.90"]


@pytest.mark.parametrize(("part", "whole"), [(0, 20), (20, 20), (1, 7), (300, 1234)])
def test_wilson_is_that_of_statsmodels(part, whole):
    expected = proportion_confint(part, whole, method="wilson")

    assert wilson(part, whole) == pytest.approx(expected, abs=1e-12)
    assert wilson(0, 0) is None


@pytest.mark.parametrize("cells", [(10, 20, 30, 40), (591, 1683, 2354, 23_804)])
def test_woolf_is_that_of_statsmodels_and_scipy(cells):
    table = np.array(cells, dtype=float).reshape(2, 2)

    assert woolf(Cells(*cells)) == pytest.approx(Table2x2(table).oddsratio_confint(), abs=1e-9)
    sample = contingency.odds_ratio(table.astype(int), kind="sample")
    assert Cells(*cells).odds_ratio == pytest.approx(sample.statistic)


def test_an_empty_cell_adds_a_half_to_all_four():
    cells = Cells(0, 9, 9, 9)

    assert cells.corrected
    assert cells.odds_ratio == pytest.approx(0.5 * 9.5 / (9.5 * 9.5))
    assert woolf(cells) == pytest.approx(
        Table2x2(np.array([[0.5, 9.5], [9.5, 9.5]])).oddsratio_confint()
    )
    assert log_odds_ratio(np.array([[0, 9, 9, 9]]))[0] == pytest.approx(np.log(cells.odds_ratio))
