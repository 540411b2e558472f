"""Fingerprints of weeks: they tell what a restated row touches, and nothing else."""

from datetime import date, datetime, timedelta
from functools import partial

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.components.catalogue import shared_catalogue
from hrob_assets.risk.features.fingerprint import stale_weeks, week_fingerprints
from hrob_assets.risk.features.weekly_files import write_weekly_features
from hrob_assets.risk.tables import CODES, COVERAGE, ENCOUNTERS, EVENTS, PERSONS
from hrob_assets.risk.windows import prediction_time, week_of

pytestmark = pytest.mark.xdist_group("fingerprint")  # the kernels compile once

CATALOGUE, CODE_SETS = shared_catalogue(("oncology_ed_visit",))
FIRST = datetime(2024, 1, 1)
WEEKS = [date(2024, 1, 1) + timedelta(weeks=number) for number in range(6)]
PEOPLE = (1, 2)
CODES_SEEN = ("I10", "C50911", "O141")


def write_world(folder, *, events, spans=(), gender="female"):
    """Two people with an encounter each week, and these facts."""
    folder.mkdir()
    persons = [
        {"person_id": who, "birth_date": date(1980, 1, 1), "gender": gender, "race": "White",
         "ethnicity": "Unknown", "death_at": None, "death_known_at": None}
        for who in PEOPLE
    ]  # fmt: skip
    visits = [
        {"encounter_id": who * 100 + number, "person_id": who, "encounter_class": "office",
         "occurred_at": FIRST + timedelta(days=7 * number + 2), "ended_at": None,
         "known_at": FIRST + timedelta(days=7 * number + 2)}
        for who in PEOPLE for number in range(len(WEEKS))
    ]  # fmt: skip
    at = prediction_time(pl.col("occurred_at"), pl.col("known_at"))
    encounters = pl.DataFrame(visits).with_columns(at.alias("prediction_time"))
    encounters = encounters.with_columns(week_of(pl.col("prediction_time")).alias("week"))
    facts = [
        {"person_id": who, "domain": "condition", "source_row_id": row, "encounter_id": None,
         "vocabulary": "ICD10CM", "code": code, "standard_vocabulary": None,
         "standard_code": None, "value": None, "unit": None,
         "occurred_at": FIRST + timedelta(days=occurred),
         "known_at": FIRST + timedelta(days=occurred + late),
         "code_id": CODES_SEEN.index(code)}
        for row, (who, code, occurred, late) in enumerate(events)
    ]  # fmt: skip
    codes = [
        {"code_id": number, "vocabulary": "ICD10CM", "code": code} | dict.fromkeys(
            ("standard_vocabulary", "standard_code", "unit", "rows"), None)
        for number, code in enumerate(CODES_SEEN)
    ]  # fmt: skip
    coverage = [
        {"person_id": who, "started_at": FIRST - timedelta(days=30),
         "ended_at": end and FIRST + timedelta(days=end), "payer": payer, "known_at": FIRST,
         "end_known_at": end and FIRST + timedelta(days=end)}
        for who, payer, end in spans
    ]  # fmt: skip
    order = ("person_id", "occurred_at", "known_at", "domain", "source_row_id", "code")
    schema = EVENTS.schema | {"code_id": pl.Int32}
    tables = {
        "persons": pl.DataFrame(persons, schema=PERSONS.schema),
        "coverage": pl.DataFrame(coverage, schema=COVERAGE.schema),
        "encounters": encounters.select(
            pl.col(name).cast(dtype) for name, dtype in ENCOUNTERS.schema.items()
        ),
        "events": pl.DataFrame(facts, schema=schema).sort(order),
        "codes": pl.DataFrame(codes, schema=CODES.schema),
    }
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return {name: folder / f"{name}.parquet" for name in tables}


write = partial(
    write_weekly_features, catalogue=CATALOGUE, code_sets=CODE_SETS, definition="d", n_threads=1
)
EVENTS_BEFORE = [(1, "I10", 1, 0), (1, "C50911", 9, 0), (2, "I10", 16, 3)]


def prints(staged):
    return dict(week_fingerprints(staged).select("week", "fingerprint").iter_rows())


def changed_weeks(tmp_path, before, after):
    one = prints(write_world(tmp_path / "before", **before))
    other = prints(write_world(tmp_path / "after", **after))
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
    staged = write_world(tmp_path / "world", events=EVENTS_BEFORE)

    assert week_fingerprints(staged).equals(week_fingerprints(staged, events_per_block=1))


fact = st.tuples(
    st.sampled_from(PEOPLE), st.sampled_from(CODES_SEEN), st.integers(-400, 45), st.integers(0, 30)
)


@settings(max_examples=25, deadline=None)
@given(st.lists(fact, max_size=6), st.lists(fact, max_size=6))
def test_weeks_of_the_same_fingerprint_have_the_same_features(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("pair")
    worlds = [
        write_world(folder / str(number), events=events)
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
    staged = write_world(tmp_path / "before", events=EVENTS_BEFORE)
    known = week_fingerprints(staged)
    write(WEEKS[1:], staged=staged, folder=tmp_path, fingerprints=prints(staged))
    write(WEEKS[5:], staged=staged, folder=tmp_path, fingerprints=prints(staged), definition="old")
    restated = write_world(tmp_path / "after", events=[*EVENTS_BEFORE, (1, "O141", 22, 0)])

    stale = partial(stale_weeks, WEEKS, folder=tmp_path, definition="d")

    assert stale(fingerprints=known) == [WEEKS[0], WEEKS[5]]
    assert stale(fingerprints=week_fingerprints(restated)) == [WEEKS[0], *WEEKS[3:]]


def test_a_week_without_encounters_is_not_stale_once_made(tmp_path):
    staged = write_world(tmp_path / "world", events=[])
    empty = date(2030, 1, 7)
    write([empty], staged=staged, folder=tmp_path, fingerprints=prints(staged))

    stale = stale_weeks(
        [empty], folder=tmp_path, fingerprints=week_fingerprints(staged), definition="d"
    )

    assert stale == []
