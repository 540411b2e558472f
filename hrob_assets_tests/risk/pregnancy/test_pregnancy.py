"""Pregnancy episodes say what could be known, and nothing else."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.pregnancy import PREGNANCY_SIGNATURES, pregnancy_signatures
from hrob_assets.risk.pregnancy.layout import sources_fingerprint
from hrob_assets.risk.pregnancy.timeline import known_episodes, states
from hrob_assets.risk.tables import EVENTS
from hrob_assets.risk.vocabulary.code_set_files import read_code_sets
from hrob_assets.risk.vocabulary.matching import match_codes
from hrob_assets.synthetic.world import WorldSpec, make_world
from hrob_assets_tests.paths import CASES, DEFS
from hrob_assets_tests.risk.pregnancy.episode_score import score_episodes
from hrob_assets_tests.risk.pregnancy.known_at import infer_episodes, pregnancy_at
from hrob_assets_tests.risk.pregnancy.pregnancy_reference import episodes_at, state_at

CODE_SETS = DEFS / "code_sets"
PREGNANCY_CASES = CASES / "pregnancy"
DAY_ZERO = datetime(2020, 1, 1)
slow_first_call = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def at_midnight(day):
    return datetime(day.year, day.month, day.day)


def signature_frame(rows):
    return pl.DataFrame(rows, schema=PREGNANCY_SIGNATURES.schema, orient="row")


def row_frame(rows):
    schema = {"person_id": pl.Int64, "prediction_time": pl.Datetime("us")}
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.parametrize("case", sorted(path.name for path in PREGNANCY_CASES.iterdir()))
def test_case_that_a_clinician_can_read(case):
    told = yaml.safe_load((PREGNANCY_CASES / case / "given.yaml").read_text())
    expected = yaml.safe_load((PREGNANCY_CASES / case / "expected.yaml").read_text())
    signatures = signature_frame(
        [
            (7, at_midnight(one["occurred"]), at_midnight(one["known"]), one["kind"], weeks)
            for one in told["records"]
            for weeks in [float(one["weeks"]) if "weeks" in one else None]
        ]
    )
    rows = row_frame([(7, at_midnight(day)) for day in expected])
    found = pregnancy_at(rows, signatures)
    for day, state in zip(expected, found.to_dicts(), strict=True):
        shown = {name: state[name] for name in expected[day]}

        assert (day, expected[day]) == (day, shown)


def random_signatures(seed, *, persons):
    """Return timelines of true pregnancies with errors, noise and delays in the records."""
    rng = np.random.default_rng(seed)
    rows = []

    def record(person, day, kind, weeks=None):
        lag = int(rng.choice([0, 1, 7, 30, 90])) + float(rng.random() < 0.5) / 2
        when = DAY_ZERO + timedelta(days=int(day), hours=int(rng.choice([0, 9])))
        rows.append((person, when, when + timedelta(days=lag), kind, weeks))

    for person in range(persons):
        start = int(rng.integers(0, 200))
        for _ in range(int(rng.integers(1, 5))):
            outcome = str(rng.choice(["LB", "LB", "LB", "SB", "SA", "AB", "ECT", "DELIV"]))
            low, high = {"LB": (165, 300), "SB": (140, 290), "DELIV": (150, 300)}.get(
                outcome, (30, 140)
            )
            term = int(rng.integers(low, high))
            for day in np.sort(rng.integers(20, term, int(rng.integers(0, 9)))):
                if rng.random() < 0.6:
                    slip = int(rng.normal(0, 4)) if rng.random() < 0.4 else 0
                    exact = (day + slip) / 7
                    weeks = float(exact if rng.random() < 0.2 else int(exact))
                    record(person, start + day, "GA", None if rng.random() < 0.1 else weeks)
                else:
                    record(person, start + day, "PREG")
            for _ in range(int(rng.integers(0, 4))):
                record(person, start + term + rng.integers(-1, 4), outcome)
            if rng.random() < 0.4:
                record(person, start + term + rng.integers(-3, 60), "DELIV")
            if rng.random() < 0.4:
                record(person, start + term + rng.integers(0, 90), "POST")
            if rng.random() < 0.3:
                kind = str(rng.choice(["LB", "SA", "ECT", "AB", "PREG", "GA", "POST"]))
                weeks = float(rng.integers(1, 45)) if kind == "GA" else None
                record(person, start + rng.integers(-100, 400), kind, weeks)
            start += term + int(rng.integers(20, 400))
    return signature_frame(rows)


def random_rows(seed, *, persons, count):
    rng = np.random.default_rng(seed)
    days = rng.integers(0, 1700, count)
    return row_frame(
        [
            (int(person), DAY_ZERO + timedelta(days=int(day)))
            for person, day in zip(rng.integers(0, persons + 2, count), days, strict=True)
        ]
    )


def statements_by_person(signatures):
    parts = {}
    for person, *statement in signatures.rows():
        parts.setdefault(person, []).append(tuple(statement))
    return parts


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_compiled_states_equal_the_plain_reference(seed):
    signatures = random_signatures(seed, persons=150)
    rows = random_rows(seed, persons=150, count=1500)
    statements = statements_by_person(signatures)
    found = pregnancy_at(rows, signatures).drop("precision")
    expected = [
        {"person_id": person, "prediction_time": time, **state_at(statements.get(person, []), time)}
        for person, time in rows.rows()
    ]

    assert_frame_equal(pl.DataFrame(expected, schema=found.schema), found)


def test_compiled_episodes_equal_the_plain_reference():
    signatures = random_signatures(4, persons=300)
    as_of = DAY_ZERO + timedelta(days=900)
    found = infer_episodes(signatures, as_of=as_of)
    epoch = date(1970, 1, 1)
    expected = [
        (
            person,
            number,
            epoch + timedelta(days=one.start),
            one.half,
            None if one.end is None else epoch + timedelta(days=one.end),
            one.outcome,
            one.identified,
        )
        for person, statements in sorted(statements_by_person(signatures).items())
        for number, one in enumerate(episodes_at(statements, as_of), start=1)
    ]

    assert expected == found.drop("precision").rows()


kinds = st.sampled_from(["LB", "SB", "ECT", "SA", "AB", "DELIV", "PREG", "POST", "GA", "GA"])


@st.composite
def statements(draw):
    occurred = DAY_ZERO + timedelta(days=draw(st.integers(0, 900)))
    known = occurred + timedelta(days=draw(st.integers(-5, 120)), hours=draw(st.integers(0, 5)))
    kind = draw(kinds)
    weeks = float(draw(st.integers(1, 44))) if kind == "GA" else None
    return 7, occurred, known, kind, weeks


times = st.integers(1, 1100).map(lambda day: DAY_ZERO + timedelta(days=day))


@slow_first_call
@given(st.lists(statements(), max_size=25), st.lists(times, min_size=1, max_size=6))
def test_any_timeline_equals_the_plain_reference(timeline, moments):
    found = pregnancy_at(row_frame([(7, time) for time in moments]), signature_frame(timeline))
    told = [statement[1:] for statement in timeline]
    expected = [{"person_id": 7, "prediction_time": t, **state_at(told, t)} for t in moments]
    found = found.drop("precision")

    assert_frame_equal(pl.DataFrame(expected, schema=found.schema), found)


@slow_first_call
@given(
    st.lists(statements(), max_size=20), st.lists(statements(), max_size=20), times, st.booleans()
)
def test_what_becomes_available_later_changes_nothing(timeline, rewritten, time, drop):
    row = row_frame([(7, time)])
    is_history = [max(one[1], one[2]) < time for one in timeline]
    history = [one for one, is_past in zip(timeline, is_history, strict=True) if is_past]
    later = [one for one in rewritten if max(one[1], one[2]) >= time]
    future = later if drop else [*timeline, *later]
    with_future = signature_frame([*history, *future] if drop else future)

    assert_frame_equal(pregnancy_at(row, signature_frame(history)), pregnancy_at(row, with_future))
    assert_frame_equal(
        infer_episodes(signature_frame(history), as_of=time),
        infer_episodes(with_future, as_of=time),
    )


def test_a_fact_that_becomes_known_at_the_prediction_time_is_not_history():
    noon = datetime(2024, 3, 9, 12)
    signatures = signature_frame([(7, datetime(2024, 3, 1), noon, "GA", 10.0)])
    just_after = noon + timedelta(microseconds=1)
    rows = row_frame([(7, noon), (7, just_after)])

    assert pregnancy_at(rows, signatures)["is_pregnant"].to_list() == [0, 1]


def test_order_and_repeats_of_rows_and_signatures_do_not_matter():
    signatures = random_signatures(5, persons=40)
    rows = random_rows(5, persons=40, count=400)
    expected = pregnancy_at(rows, signatures)
    mixed = pl.concat([signatures, signatures]).sample(fraction=1, shuffle=True, seed=3)
    order = np.random.default_rng(8).integers(0, rows.height, 900)
    shuffled = pregnancy_at(rows[order], mixed)

    assert_frame_equal(expected[order], shuffled)


def test_rows_without_signatures_are_outside_any_episode():
    rows = row_frame([(1, DAY_ZERO), (2, DAY_ZERO)])
    found = pregnancy_at(rows, PREGNANCY_SIGNATURES.empty())

    assert found["in_episode"].to_list() == [0, 0]
    assert found["previous_pregnancies"].to_list() == [0, 0]
    assert found["precision"].to_list() == [None, None]
    assert infer_episodes(PREGNANCY_SIGNATURES.empty(), as_of=DAY_ZERO).height == 0


def test_no_rows_give_no_rows_with_the_same_columns():
    some = pregnancy_at(row_frame([(1, DAY_ZERO)]), PREGNANCY_SIGNATURES.empty())
    none = pregnancy_at(row_frame([]), random_signatures(1, persons=2))

    assert none.height == 0
    assert none.schema == some.schema


def test_rows_without_a_prediction_time_are_an_error():
    rows = pl.DataFrame({"person_id": [1]})
    with pytest.raises(ContractError, match="prediction_time"):
        pregnancy_at(rows, PREGNANCY_SIGNATURES.empty())


def test_null_keys_are_an_error_that_counts_them():
    rows = row_frame([(1, None), (2, DAY_ZERO)])
    with pytest.raises(ContractError, match="'prediction_time': 1"):
        pregnancy_at(rows, PREGNANCY_SIGNATURES.empty())


MATCHES = pl.DataFrame(
    {
        "vocabulary": ["ICD10CM", "ICD10CM", "SNOMED", "LOINC", "ICD10CM", "ICD10CM"],
        "code": ["Z370", "Z3A20", "72892002", "18185-9", "Z3A00", "E119"],
        "code_set": [
            "pregnancy_live_birth",
            "gestational_age",
            "pregnancy_marker",
            "gestational_age",
            "gestational_age",
            "diabetes",
        ],
        "weeks": [None, 20.0, None, None, None, None],
    }
)


def event_frame(rows):
    names = ("vocabulary", "code", "standard_vocabulary", "standard_code", "value", "unit")
    types = {name: EVENTS.schema[name] for name in names}
    return (
        pl.DataFrame(rows, schema=types, orient="row")
        .with_columns(
            pl.lit(7, dtype=pl.Int64).alias("person_id"),
            pl.lit(DAY_ZERO).cast(pl.Datetime("us")).alias("occurred_at"),
            pl.lit(DAY_ZERO).cast(pl.Datetime("us")).alias("known_at"),
        )
        .match_to_schema(EVENTS.schema, missing_columns="insert")
    )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (("ICD10CM", "Z370", None, None, None, None), [("LB", None)]),
        (("ICD10CM", "Z3A20", "SNOMED", "72892002", None, None), [("GA", 20.0), ("PREG", None)]),
        (("Local", "preg", "SNOMED", "72892002", None, None), [("PREG", None)]),
        (("LOINC", "18185-9", None, None, 22.5, "wk"), [("GA", 22.5)]),
        (("LOINC", "18185-9", None, None, 140.0, "d"), [("GA", 20.0)]),
        (("LOINC", "18185-9", None, None, 300.0, None), [("PREG", None)]),
        (("ICD10CM", "Z3A00", None, None, None, None), [("PREG", None)]),
        (("ICD10CM", "E119", None, None, None, None), []),
    ],
)
def test_signatures_of_an_event(event, expected):
    found = pregnancy_signatures(event_frame([event]).lazy(), MATCHES)

    assert found.select("kind", "weeks").rows() == expected
    assert found.schema == PREGNANCY_SIGNATURES.schema


def test_an_event_that_matches_twice_is_one_signature():
    event = ("ICD10CM", "Z370", "ICD10CM", "Z370", None, None)
    found = pregnancy_signatures(event_frame([event, event]), MATCHES)

    assert found.height == 1


def test_score_counts_found_false_outcome_and_start():
    inferred = pl.DataFrame(
        {
            "person_id": [1, 1, 2],
            "episode_number": [1, 2, 1],
            "start_date": [date(2020, 1, 11), date(2023, 1, 1), date(2020, 5, 1)],
            "end_date": [date(2020, 10, 1), None, date(2020, 7, 1)],
            "outcome": ["DELIV", "PREG", "SA"],
        }
    )
    truth = pl.DataFrame(
        {
            "person_id": [1, 2, 3],
            "lmp": [date(2020, 1, 1), date(2020, 5, 1), date(2020, 5, 1)],
            "end_date": [date(2020, 10, 1), date(2020, 7, 1), date(2020, 7, 1)],
            "outcome": ["LB", "AB", "LB"],
        }
    )
    expected = {
        "true_pregnancies": 3.0,
        "inferred_episodes": 3.0,
        "found": 2 / 3,
        "false": 1 / 3,
        "outcome_agreement": 0.5,
        "start_within_7": 0.5,
        "start_within_14": 1.0,
        "start_within_28": 1.0,
        "start_median_error_days": 5.0,
    }

    assert expected == score_episodes(inferred, truth)


@pytest.mark.parametrize("function", [known_episodes, states])
def test_the_key_of_the_compiled_cache_follows_every_source_file(function):
    in_key = [cell.cell_contents for cell in function.py_func.__closure__]

    assert sources_fingerprint() in in_key


WORLD = WorldSpec(pregnancies=1500, oncology_patients=1)
EXTRACT = datetime(2026, 1, 5)


@pytest.fixture(scope="module")
def world():
    return make_world(WORLD)


@pytest.fixture(scope="module")
def world_signatures(world):
    """Signatures of the persons that the world has, without the dirt that staging removes."""
    concepts = world.tables["concept"].select("concept_id", "vocabulary_id", "concept_code")
    facts = [
        world.tables[f"{name}_occurrence"]
        .join(concepts, left_on=f"{name}_source_concept_id", right_on="concept_id")
        .join(world.tables["person"], on="person_id", how="semi")
        .filter(pl.col(day).is_between(date(2020, 12, 1), EXTRACT.date()))
        .select(
            "person_id",
            pl.col("vocabulary_id").alias("vocabulary"),
            pl.col("concept_code").str.replace_all(".", "", literal=True).alias("code"),
            pl.col(day).cast(pl.Datetime("us")).alias("occurred_at"),
            pl.col("known_at").cast(pl.Datetime("us")),
        )
        for name, day in (("condition", "condition_start_date"), ("procedure", "procedure_date"))
    ]
    events = pl.concat(facts).match_to_schema(EVENTS.schema, missing_columns="insert")
    code_sets = read_code_sets([CODE_SETS]).values()
    matches = match_codes(events.select("vocabulary", "code"), code_sets)
    return pregnancy_signatures(events, matches)


def test_true_pregnancies_of_the_synthetic_world_are_found_and_dated(world, world_signatures):
    truth = world.truth["truth_episode"]
    recorded = truth.filter(pl.col("lmp") < date(2025, 10, 1))
    score = score_episodes(infer_episodes(world_signatures, as_of=EXTRACT), recorded)

    assert score["found"] > 0.97
    assert score["outcome_agreement"] > 0.99
    assert score["start_within_7"] > 0.92
    assert score["start_within_28"] > 0.98
    assert abs(score["start_median_error_days"]) <= 1


def test_episodes_without_a_true_pregnancy_are_rare(world, world_signatures):
    episodes = infer_episodes(world_signatures, as_of=EXTRACT)

    assert score_episodes(episodes, world.truth["truth_episode"])["false"] < 0.02
