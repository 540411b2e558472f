import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from hrob_assets.risk.statistics import bootstrap
from hrob_assets.risk.statistics.bootstrap import (
    LANES,
    person_sums,
    replicate,
    resampled_sums,
)
from hrob_assets.risk.statistics.influence import auprc_influence, auroc_influence, design_effect
from hrob_assets.risk.statistics.ranked_rows import rank_rows


def predictions(rows=600, persons=120, seed=3, decimals=2):
    """Tied probabilities of persons who repeat, and outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    person = rng.integers(0, persons, rows)
    probability = rng.uniform(0.02, 0.9, rows).round(decimals)
    return person, probability, (rng.random(rows) < probability).astype(np.int8)


NO_CUTS = np.array([], dtype=np.int64)


def replicated(rows, *, cuts=NO_CUTS, replicates=200, seed=5, threads=None):
    columns = np.ones((rows.rows, 1))
    return replicate(
        rows, columns=columns, cuts=cuts, replicates=replicates, seed=seed, threads=threads
    )


def weights_of_block(persons, seed, block):
    weights = np.zeros((persons, LANES), dtype=np.uint8)
    bootstrap._draw(weights, np.uint64(bootstrap._stream(seed)), block)
    return weights


@pytest.mark.parametrize("persons", [10, 257, 3000])
def test_every_replicate_draws_as_many_patients_as_there_are(persons):
    weights = weights_of_block(persons, 7, 3)

    assert weights.sum(axis=0, dtype=np.int64).tolist() == [persons] * LANES


def test_every_patient_is_drawn_as_often_as_a_multinomial_says():
    persons, blocks = 40, 400
    weights = np.hstack([weights_of_block(persons, 11, block) for block in range(blocks)])
    draws = weights.shape[1]

    mean, spread = weights.mean(axis=1), weights.astype(float).var(axis=1)
    together = np.cov(weights.astype(float))[np.triu_indices(persons, 1)]
    assert np.abs(mean - 1).max() < 4.5 / np.sqrt(draws)
    assert spread == pytest.approx(np.full(persons, 1 - 1 / persons), abs=0.12)
    assert together.mean() == pytest.approx(-1 / persons, abs=0.002)
    assert np.unique(weights, axis=1).shape[1] == draws  # no stream comes twice


@pytest.mark.parametrize("decimals", [1, 2, 9], ids=["many ties", "some ties", "no ties"])
def test_each_replicate_is_that_of_scikit_learn_with_the_drawn_weights(decimals):
    person, probability, outcome = predictions(decimals=decimals)
    rows = rank_rows(person, probability, outcome)
    found = replicated(rows, replicates=2 * LANES)

    weights = weights_of_block(rows.persons, 5, 1)[rows.person]
    for lane in range(LANES):
        options = {"sample_weight": weights[:, lane].astype(float)}
        area = roc_auc_score(rows.outcome, rows.probability, **options)
        precision = average_precision_score(rows.outcome, rows.probability, **options)
        assert found.auroc[LANES + lane] == pytest.approx(area, abs=1e-12)
        assert found.auprc[LANES + lane] == pytest.approx(precision, abs=1e-12)


def test_counts_above_a_cut_are_those_of_the_drawn_rows():
    rows = rank_rows(*predictions())
    cuts = np.array([0, rows.at_least(0.5), rows.at_least(0.1), rows.rows])
    found = replicated(rows, cuts=cuts, replicates=LANES)

    weights = weights_of_block(rows.persons, 5, 0)[rows.person].astype(int)
    expected = np.stack([weights[:cut].sum(axis=0) for cut in cuts], axis=1)
    events = np.stack([(weights[:cut].T @ rows.outcome[:cut]) for cut in cuts], axis=1)
    assert found.rows_above.tolist() == expected.tolist()
    assert found.events_above.tolist() == events.tolist()


@given(st.integers(1, 4), st.integers(0, 2**40), st.integers(17, 70))
@settings(max_examples=25, deadline=None)
def test_neither_threads_nor_the_number_of_replicates_change_a_bit(threads, seed, replicates):
    rows = rank_rows(*predictions(rows=200, persons=50))
    options = {"seed": seed, "cuts": np.array([50, 100])}
    one = replicated(rows, threads=1, replicates=70, **options)
    other = replicated(rows, threads=threads, replicates=replicates, **options)

    for name in ("sums", "rows_above", "events_above", "auroc", "auprc"):
        assert np.array_equal(getattr(one, name)[:replicates], getattr(other, name))


def test_the_same_patients_are_drawn_whatever_the_predictions_are():
    person, probability, outcome = predictions()
    first = replicated(rank_rows(person, probability, outcome))
    second = replicated(rank_rows(person, 1 - probability, outcome))

    assert np.array_equal(first.sums, second.sums)
    assert first.auroc == pytest.approx(1 - second.auroc)


def plain_figures(probability, outcome):
    """Calibration factor, AUROC over all pairs, and precision averaged over the events."""
    events, others = probability[outcome == 1], probability[outcome == 0]
    wins = np.sign(events[:, None] - others[None, :])
    ranked = np.sort(probability)
    above = probability.size - np.searchsorted(ranked, events)
    found = events.size - np.searchsorted(np.sort(events), events)
    factor = probability.mean() - outcome.mean()
    return factor, (wins.mean() + 1) / 2, np.mean(found / above)


def test_intervals_are_those_of_a_slow_plain_bootstrap():
    person, probability, outcome = predictions(rows=400, persons=60)
    rows = rank_rows(person, probability, outcome)
    columns = np.column_stack([np.ones(400), rows.probability - rows.outcome])
    fast = replicate(rows, columns=columns, cuts=NO_CUTS, replicates=4000, seed=1)
    factor = fast.sums[:, 1] / fast.sums[:, 0]

    rng = np.random.default_rng(99)
    slow = []
    for _ in range(4000):
        drawn = rng.integers(0, 60, 60)
        chosen = np.concatenate([np.flatnonzero(person == one) for one in drawn])
        slow.append(plain_figures(probability[chosen], outcome[chosen]))

    for mine, plain in zip((factor, fast.auroc, fast.auprc), np.transpose(slow), strict=True):
        assert np.std(mine) == pytest.approx(np.std(plain), rel=0.05)
        assert np.quantile(mine, [0.025, 0.975]) == pytest.approx(
            np.quantile(plain, [0.025, 0.975]), abs=0.15 * np.std(plain)
        )


def test_sums_alone_have_the_draws_of_the_whole_walk():
    person, probability, outcome = predictions()
    rows = rank_rows(person, probability, outcome)

    alone = resampled_sums(person, np.ones((person.size, 1)), replicates=200, seed=5)

    assert np.array_equal(alone, replicated(rows).sums)


def test_a_part_has_its_own_patients_and_its_own_order():
    person = np.array([5, 9, 9, 7])
    rows = rank_rows(person, np.array([0.1, 0.9, 0.4, 0.6]), np.array([0, 1, 0, 1]))
    part = rows.part(np.array([True, False, False, True]))

    assert (part.persons, part.rows, part.events) == (2, 2, 1)
    assert part.probability.tolist() == [0.6, 0.1]
    assert part.person.tolist() == [1, 0]
    assert part.order.tolist() == [3, 0]


@pytest.mark.parametrize("decimals", [1, 9], ids=["many ties", "no ties"])
@pytest.mark.parametrize(
    ("influence", "measure", "scale"),
    [
        (auroc_influence, roc_auc_score, lambda rows: rows.rows),
        (auprc_influence, average_precision_score, lambda rows: rows.events),
    ],
    ids=["AUROC", "AUPRC"],
)
def test_influence_is_the_derivative_by_the_weight_of_a_row(decimals, influence, measure, scale):
    rows = rank_rows(*predictions(rows=80, decimals=decimals))
    found = influence(rows) / scale(rows)

    step = 1e-5
    for row in range(0, 80, 7):
        values = []
        for change in (step, -step):
            weight = np.ones(80)
            weight[row] += change
            values.append(measure(rows.outcome, rows.probability, sample_weight=weight))
        assert found[row] == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-7)


def test_the_design_effect_is_the_number_of_copies_of_each_row():
    influence = np.random.default_rng(1).normal(size=50)

    assert design_effect(np.repeat(np.arange(50), 4), np.repeat(influence, 4), 50) == (
        pytest.approx(4)
    )
    assert design_effect(np.arange(50), influence, 50) == pytest.approx(1)


def test_the_linearised_variance_is_that_of_the_bootstrap():
    rows = rank_rows(*predictions(rows=4000, persons=500))
    found = replicated(rows, replicates=2000)

    for drawn, influence, scale in (
        (found.auroc, auroc_influence(rows), rows.rows),
        (found.auprc, auprc_influence(rows), rows.events),
    ):
        by_person = person_sums(rows.person, influence[:, None] / scale, rows.persons)
        assert np.sqrt((by_person**2).sum()) == pytest.approx(drawn.std(), rel=0.08)


def test_a_replicate_with_one_outcome_only_has_no_area():
    person = np.arange(12)
    outcome = np.array([1, 1] + [0] * 10)
    rows = rank_rows(person, np.linspace(0.9, 0.1, 12), outcome)

    found = replicated(rows)

    without = found.auroc[np.isnan(found.auroc)]
    assert 0 < without.size < 200 * 0.3
    assert np.isnan(found.auprc).sum() == without.size
