"""Small worlds at the edges of time: a catalogue of everything and timelines drawn at random."""

from datetime import date, datetime, timedelta

import polars as pl
from hypothesis import strategies as st

from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.features.catalogue.measures import AGGREGATIONS, CODED_MEASURES, MEASURES
from hrob_assets.risk.pregnancy.signatures import PREGNANCY_CODE_SETS, pregnancy_signatures
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS
from hrob_assets.risk.vocabulary.code_sets import Code, CodeSet
from hrob_assets.risk.vocabulary.matching import match_codes
from hrob_assets_tests.risk.pregnancy.pregnancy_reference import episodes_at

T = datetime(2024, 3, 4)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)

ICD = {"name": "-", "source": "-", "match": "prefix"}
EXACT = {"name": "-", "source": "-"}
BY_TRIMESTER = {"low_1": 11.0, "high_1": 12.0, "low_2": 9.5, "high_2": 16.0, "low_3": 10.5}
HEMOGLOBIN_LIMITS = BY_TRIMESTER | {
    "low": 11.0,
    "high": 15.0,
    "plausible_low": 1.0,
    "plausible_high": 25.0,
}
GIVEN = {
    "hypertension": (Code("ICD10CM", "I10", **ICD), Code("SNOMED", "38341003", **EXACT)),
    "heart": (Code("ICD10CM", "I", **ICD), Code("SNOMED", "38341003", **EXACT)),
    "hemoglobin": (
        Code("LOINC", "718-7", **EXACT, unit="g/dL", **HEMOGLOBIN_LIMITS),
        Code("LOINC", "718-7", **EXACT, unit="g/L", factor=0.1, **HEMOGLOBIN_LIMITS),
    ),
    "glucose": (
        Code("LOINC", "2345-7", **EXACT, low=70.0),
        Code("LOINC", "2345-7", **EXACT, unit="mmol/L", factor=18.0, low=70.0, plausible_low=5.0),
    ),
    "pregnancy_live_birth": (Code("ICD10CM", "Z370", **ICD),),
    "pregnancy_marker": (Code("ICD10CM", "Z331", **ICD),),
    "gestational_age": (Code("ICD10CM", "Z3A20", **ICD, weeks=20.0),),
    "prenatal_visit": (Code("ICD10CM", "Z34", **ICD),),
    "preeclampsia": (Code("ICD10CM", "O149", **ICD),),
}
READ_BY_MEASURES = {
    name
    for measures in CODED_MEASURES.values()
    for code_sets in measures.values()
    for name in code_sets
}
CODE_SETS = {
    name: CodeSet(name, GIVEN.get(name, (Code("HROB", "never", **EXACT),)))
    for name in dict.fromkeys([*GIVEN, *PREGNANCY_CODE_SETS, *sorted(READ_BY_MEASURES)])
}

FACTS = (
    # domain, vocabulary, code, standard vocabulary, standard code, value, unit
    ("condition", "ICD10CM", "I10", None, None, None, None),
    ("condition", "ICD10CM", "I5023", "SNOMED", "38341003", None, None),
    ("condition", "None", "local", "SNOMED", "38341003", None, None),
    ("condition", "ICD10CM", "J45", None, None, None, None),
    ("condition", "ICD10CM", "Z370", None, None, None, None),
    ("condition", "ICD10CM", "Z331", None, None, None, None),
    ("condition", "ICD10CM", "Z3A20", None, None, None, None),
    ("measurement", "LOINC", "718-7", None, None, 12.5, "g/dL"),
    ("measurement", "LOINC", "718-7", None, None, 10.0, "G/DL"),
    ("measurement", "LOINC", "718-7", None, None, 155.0, "g/L"),
    ("measurement", "LOINC", "718-7", None, None, 99.0, None),
    ("measurement", "LOINC", "718-7", None, None, None, "g/dL"),
    ("measurement", "None", "glu", "LOINC", "2345-7", 65.5, None),
    ("measurement", "None", "glu", "LOINC", "2345-7", 5.0, "mmol/L"),
    ("measurement", "LOINC", "2345-7", "LOINC", "2345-7", 93.0, "mg/dL"),
    ("measurement", "LOINC", "718-7", None, None, 9999.0, "g/dL"),
    ("measurement", "LOINC", "718-7", None, None, -13.5, "g/dL"),
    ("measurement", "LOINC", "718-7", None, None, 5.0, "g/L"),
    ("measurement", "None", "glu", "LOINC", "2345-7", 0.1, "mmol/L"),
    ("condition", "ICD10CM", "Z3480", None, None, None, None),
    ("condition", "ICD10CM", "O149", None, None, None, None),
)


def coded_family(name, code_set, windows=(5, 30, 365, None)):
    columns = tuple(
        FeatureColumn(
            f"{name}__{aggregation}_{'ever' if days is None else f'{days}d'}",
            name,
            "coded",
            "codes",
            aggregation=aggregation,
            window_days=days,
        )
        for aggregation in AGGREGATIONS
        for days in windows
    )
    return FeatureFamily(name, "coded", "codes", code_set, columns, "-", "-")


def measured_families(*kinds):
    return tuple(
        FeatureFamily(
            family,
            "measured",
            kind,
            None,
            tuple(
                FeatureColumn(f"{family}__{measure}", family, "measured", kind, measure=measure)
                for measure in measures
            ),
            "-",
            "-",
        )
        for kind in kinds
        for family, measures in MEASURES[kind].items()
    )


CODED = (
    coded_family("hypertension", "hypertension"),
    coded_family("heart", "heart"),
    coded_family("hemoglobin", "hemoglobin"),
    coded_family("glucose", "glucose"),
    coded_family("glucose_again", "glucose", windows=(90,)),
)
WITHOUT_PREGNANCY = Catalogue((*measured_families("person", "coverage", "encounter"), *CODED))
EVERYTHING = Catalogue((*WITHOUT_PREGNANCY.families, *measured_families("pregnancy")))

days_around = st.sampled_from(
    [-400, -366, -365, -364, -90, -31, -30, -29, -6, -5, -4, -1, 0, 1, 5, 30]
)
offsets = st.sampled_from([timedelta(0), timedelta(0), MICROSECOND, -MICROSECOND, 7 * DAY / 24])
moments = st.builds(lambda day, offset: T + day * DAY + offset, days_around, offsets)
person_ids = st.integers(1, 3)


def events_of(drawn):
    """Frame from (person, fact, occurred_at, known_at)."""
    rows = [
        (person, fact[0], number, None, *fact[1:], occurred_at, known_at)
        for number, (person, fact, occurred_at, known_at) in enumerate(drawn)
    ]
    return pl.DataFrame(rows, schema=EVENTS.schema, orient="row")


def coverage_of(drawn):
    """Frame from (person, started_at, ended_at, payer, known_at, end_known_at)."""
    return pl.DataFrame(drawn, schema=COVERAGE.schema, orient="row")


def rows_of(drawn):
    """Rows from (person, prediction_time, encounter_class, days to known)."""
    return pl.DataFrame(
        [
            (person, number, time, encounter_class, time - days * DAY)
            for number, (person, time, encounter_class, days) in enumerate(drawn)
        ],
        schema={
            "person_id": pl.Int64,
            "encounter_id": pl.Int64,
            "prediction_time": pl.Datetime("us"),
            "encounter_class": pl.String,
            "occurred_at": pl.Datetime("us"),
        },
        orient="row",
    )


def pregnancies_of(rows, events, code_sets=CODE_SETS):
    """What each row knows of pregnancies, by the slow reference; as the SQL form wants it."""
    kinds = match_codes(events.select("vocabulary", "code").unique(), code_sets.values())
    statements = pregnancy_signatures(events, kinds).rows()
    known = [
        (person, time, number, episode.start, episode.end or episode.start + 300)
        for person, time in rows.select("person_id", "prediction_time").unique().rows()
        for number, episode in enumerate(
            episodes_at([told for who, *told in statements if who == person], time)
        )
    ]
    schema = ("person_id", "prediction_time", "number", "start_date", "last_date")
    return pl.DataFrame(known, schema=schema, orient="row").cast(
        {
            "person_id": pl.Int64,
            "prediction_time": pl.Datetime("us"),
            "start_date": pl.Date,
            "last_date": pl.Date,
        }
    )


def three_persons(death_at=None):
    return pl.DataFrame(
        [
            (1, date(1990, 2, 28), "female", "White", "Hispanic or Latino", death_at, death_at),
            (2, date(1996, 2, 29), "male", "Asian", "Unknown", None, None),
            (3, date(2000, 3, 4), "unknown", "Unknown", "Not Hispanic or Latino", None, None),
        ],
        schema=PERSONS.schema,
        orient="row",
    )


drawn_events = st.lists(
    st.tuples(person_ids, st.sampled_from(FACTS), moments, moments), max_size=25
)
drawn_coverage = st.lists(
    st.tuples(
        person_ids,
        moments,
        st.one_of(st.none(), moments),
        st.sampled_from(["Medicaid", "State MEDICAID plan", "Commercial", "Unknown"]),
        moments,
        st.one_of(st.none(), moments),
    ),
    max_size=8,
)
drawn_rows = st.lists(
    st.tuples(
        person_ids,
        st.sampled_from([T, T + DAY, T + 5 * DAY, T + 30 * DAY]),
        st.sampled_from(["inpatient", "emergency", "emergency_inpatient", "office", "home"]),
        st.integers(1, 40),
    ),
    max_size=6,
)
