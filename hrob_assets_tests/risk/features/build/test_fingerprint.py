"""Fingerprints of weeks: they tell what a restated row touches, and nothing else."""

from datetime import date
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.components.catalogue import shared_catalogue
from hrob_assets.risk.features.build.fingerprint import stale_weeks, week_fingerprints
from hrob_assets.risk.features.build.weekly_files import write_weekly_features
from hrob_assets_tests.risk.features.staged_files import CODES_SEEN, PEOPLE, WEEKS, write_staged

pytestmark = pytest.mark.xdist_group("fingerprint")  # the kernels compile once

CATALOGUE, CODE_SETS = shared_catalogue(("oncology_ed_visit",))


write = partial(
    write_weekly_features, catalogue=CATALOGUE, code_sets=CODE_SETS, definition="d", n_threads=1
)
EVENTS_BEFORE = [(1, "I10", 1, 0), (1, "C50911", 9, 0), (2, "I10", 16, 3)]


def prints(staged):
    return dict(week_fingerprints(staged).select("week", "fingerprint").iter_rows())


def changed_weeks(tmp_path, before, after):
    one = prints(write_staged(tmp_path / "before", **before))
    other = prints(write_staged(tmp_path / "after", **after))
    return [number for number, week in enumerate(WEEKS) if one[week] != other[week]]


@pytest.mark.parametrize(
    ("events", "touched"),
    [
        pytest.param(EVENTS_BEFORE, [], id="the same facts"),
        pytest.param(EVENTS_BEFORE[::-1], [], id="the same facts in another order"),
        pytest.param([*EVENTS_BEFORE, (1, "O141", 3, 20)], [3, 4, 5], id="known late"),
        pytest.param([*EVENTS_BEFORE, (1, "O141", 300, 0)], [], id="after all weeks"),
        pytest.param([(1, "I10", 1, 0), (1, "C50911", 9, 0), (2, "O141", 16, 3)], [3, 4, 5],
                     id="another code"),
        pytest.param(EVENTS_BEFORE[1:], [0, 1, 2, 3, 4, 5], id="withdrawn"),
    ],
)  # fmt: skip
def test_a_restated_fact_touches_the_weeks_after_it_was_known(tmp_path, events, touched):
    assert changed_weeks(tmp_path, {"events": EVENTS_BEFORE}, {"events": events}) == touched


def test_an_end_of_coverage_touches_the_weeks_after_it_was_known(tmp_path):
    open_span, ended = [(1, "Medicaid", None)], [(1, "Medicaid", 17)]

    touched = changed_weeks(
        tmp_path, {"events": [], "spans": open_span}, {"events": [], "spans": ended}
    )

    assert touched == [3, 4, 5]


def test_another_gender_touches_all_weeks(tmp_path):
    touched = changed_weeks(tmp_path, {"events": []}, {"events": [], "gender": "male"})

    assert touched == [0, 1, 2, 3, 4, 5]


def test_the_fingerprint_does_not_depend_on_the_blocks(tmp_path):
    staged = write_staged(tmp_path / "world", events=EVENTS_BEFORE)

    assert week_fingerprints(staged).equals(week_fingerprints(staged, events_per_block=1))


fact = st.tuples(
    st.sampled_from(PEOPLE), st.sampled_from(CODES_SEEN), st.integers(-400, 45), st.integers(0, 30)
)


@settings(max_examples=25, deadline=None)
@given(st.lists(fact, max_size=6), st.lists(fact, max_size=6))
def test_weeks_of_the_same_fingerprint_have_the_same_features(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("pair")
    worlds = [
        write_staged(folder / str(number), events=events)
        for number, events in enumerate((one, other))
    ]
    for number, staged in enumerate(worlds):
        write(WEEKS, staged=staged, folder=folder / f"features {number}")
    first, second = (prints(staged) for staged in worlds)

    for week in WEEKS:
        files = [
            (folder / f"features {number}" / f"{week}.parquet").read_bytes() for number in (0, 1)
        ]
        assert first[week] != second[week] or files[0] == files[1]


def test_weeks_are_stale_when_missing_redefined_or_made_from_other_facts(tmp_path):
    staged = write_staged(tmp_path / "before", events=EVENTS_BEFORE)
    known = week_fingerprints(staged)
    write(WEEKS[1:], staged=staged, folder=tmp_path, fingerprints=prints(staged))
    write(WEEKS[5:], staged=staged, folder=tmp_path, fingerprints=prints(staged), definition="old")
    restated = write_staged(tmp_path / "after", events=[*EVENTS_BEFORE, (1, "O141", 22, 0)])

    stale = partial(stale_weeks, WEEKS, folder=tmp_path, definition="d")

    assert stale(fingerprints=known) == [WEEKS[0], WEEKS[5]]
    assert stale(fingerprints=week_fingerprints(restated)) == [WEEKS[0], *WEEKS[3:]]


def test_a_week_without_encounters_is_not_stale_once_made(tmp_path):
    staged = write_staged(tmp_path / "world", events=[])
    empty = date(2030, 1, 7)
    write([empty], staged=staged, folder=tmp_path, fingerprints=prints(staged))

    stale = stale_weeks(
        [empty], folder=tmp_path, fingerprints=week_fingerprints(staged), definition="d"
    )

    assert stale == []
