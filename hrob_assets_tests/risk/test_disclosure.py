import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrob_assets.risk.disclosure import (
    hidden_parts,
    hidden_together,
    in_words,
    shown_count,
    shown_parts,
    shown_share,
    shown_steps,
)

COUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("count", "shown"), [(0, 0), (1, "<11"), (10, "<11"), (11, 11), (12_345, 12_345)]
)
def test_counts_of_one_to_ten_are_not_shown(count, shown):
    assert shown_count(count) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (11, 22, 0.5),
        (0, 11, 0.0),
        (11, 11, 1.0),
        (10, 100, "suppressed"),
        (90, 100, "suppressed"),
        (5, 10, "suppressed"),
        (0, 10, "suppressed"),
        (0, 0, "suppressed"),
    ],
)
def test_a_share_is_shown_only_of_cells_of_eleven_or_more(part, whole, shown):
    assert shown_share(part, whole) == shown


@pytest.mark.parametrize(("count", "words"), [(0, "0"), (10, "fewer than 11"), (11, "11")])
def test_small_counts_are_not_in_messages(count, words):
    assert in_words(count) == words


@given(COUNTS)
def test_a_total_does_not_tell_the_parts_that_are_hidden(counts):
    hidden = [count for count, hide in zip(counts, hidden_parts(counts), strict=True) if hide]

    total = sum(counts)
    assert all(hide for count, hide in zip(counts, hidden_parts(counts), strict=True)
               if 0 < count < 11)  # fmt: skip
    assert not hidden or sum(hidden) >= 11 or total < 11
    assert len(hidden) != 1 or hidden == [total]


@given(COUNTS)
def test_steps_do_not_differ_by_a_small_cell(counts):
    steps = sorted(counts, reverse=True)

    shown = [step for step in shown_steps(steps) if isinstance(step, int)]

    differences = {one - other for one in shown for other in shown if one > other}
    assert not differences & set(range(1, 11))
    assert not set(shown) & set(range(1, 11))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=2, max_size=8),
       st.integers(0, 255))  # fmt: skip
def test_what_is_hidden_together_is_none_or_eleven_in_every_kind(pairs, also):
    """Rows with and without the outcome, whose totals are shown; some parts are hidden before."""
    kinds = [*zip(*pairs, strict=True)]
    before = [bool(also >> number & 1) for number in range(len(pairs))]

    hidden = hidden_together(kinds, also=before)

    assert all(hide or not early for hide, early in zip(hidden, before, strict=True))
    if all(hide for rows, hide in zip(kinds[0], hidden, strict=True) if rows):
        return  # the totals themselves are all that is told
    hidden_rows = [rows for rows, hide in zip(kinds[0], hidden, strict=True) if hide and rows]
    assert len(hidden_rows) != 1
    for kind in kinds:
        left = sum(count for count, hide in zip(kind, hidden, strict=True) if hide)
        assert not 0 < left < 11
        shown = [count for count, hide in zip(kind, hidden, strict=True) if not hide]
        assert not any(0 < count < 11 for count in shown)


def test_a_step_that_differs_little_from_the_one_before_is_suppressed():
    assert shown_steps([100, 95, 60, 4, 0]) == [100, "suppressed", 60, "<11", 0]


def test_a_single_small_part_takes_another_with_it():
    assert shown_parts([3, 40, 20, 0]) == ["<11", 40, "suppressed", 0]


def test_a_part_of_nothing_hides_nothing_beside_it():
    """A reader may know that it is nothing, and has the other from the total."""
    hidden = hidden_together([[0, 300, 0, 400]], also=[False, True, False, False])

    assert hidden == [False, True, False, True]
