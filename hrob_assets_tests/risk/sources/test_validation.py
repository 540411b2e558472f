"""Which staged tables pass, and which expectation names what is wrong with the others."""

from datetime import date, datetime

import polars as pl
import pytest

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.sources.validation import SUITES, ValidationReport, validate
from hrob_assets.risk.tables import COVERAGE, ENCOUNTERS, EVENTS, PERSONS

MARCH = datetime(2023, 3, 1)  # all times are UTC


def persons(**changes: list) -> pl.DataFrame:
    rows = {
        "person_id": [11, 12],
        "birth_date": [date(1990, 1, 1), date(1991, 1, 1)],
        "gender": ["female", "male"],
        "race": ["White", "Black"],
        "ethnicity": ["Unknown", "Hispanic or Latino"],
        "death_at": [None, None],
        "death_known_at": [None, None],
    }
    return pl.DataFrame(rows | changes, schema=PERSONS.schema, strict=False)


def encounters(**changes: list) -> pl.DataFrame:
    rows = {
        "encounter_id": [1, 2],
        "person_id": [11, 12],
        "encounter_class": ["inpatient", "office"],
        "occurred_at": [MARCH, MARCH],
        "ended_at": [MARCH, None],
        "known_at": [MARCH, MARCH],
        "prediction_time": [datetime(2023, 3, 2), datetime(2023, 3, 2)],
        "week": [date(2023, 2, 27), date(2023, 2, 27)],
    }
    return pl.DataFrame(rows | changes, schema=ENCOUNTERS.schema, strict=False)


def coverage(**changes: list) -> pl.DataFrame:
    rows = {
        "person_id": [11, 12],
        "started_at": [MARCH, MARCH],
        "ended_at": [datetime(2023, 4, 1), None],
        "payer": ["Medicaid", "Medicaid"],
        "known_at": [MARCH, MARCH],
        "end_known_at": [datetime(2023, 4, 1), None],
    }
    return pl.DataFrame(rows | changes, schema=COVERAGE.schema, strict=False)


def events(**changes: list) -> pl.DataFrame:
    rows = {
        "person_id": [11, 12],
        "domain": ["condition", "measurement"],
        "source_row_id": [1, 2],
        "encounter_id": [1, None],
        "vocabulary": ["ICD10CM", "LOINC"],
        "code": ["O141", "718-7"],
        "standard_vocabulary": [None, None],
        "standard_code": [None, None],
        "value": [None, 11.5],
        "unit": [None, "g/dL"],
        "occurred_at": [MARCH, MARCH],
        "known_at": [MARCH, MARCH],
    }
    return pl.DataFrame(rows | changes, schema=EVENTS.schema, strict=False)


MAKERS = {"persons": persons, "coverage": coverage, "encounters": encounters, "events": events}


def report_on(table: str, frame: pl.DataFrame, **options: object) -> ValidationReport:
    return validate(table, frame, persons=persons(), encounters=encounters(), **options)


def failed(report: ValidationReport) -> list[str]:
    return [result.name for result in (*report.critical_failures, *report.warnings)]


@pytest.mark.parametrize("table", list(MAKERS))
def test_a_clean_table_passes_every_expectation_of_its_suite(table):
    report = report_on(
        table, MAKERS[table](), previous_row_counts=[2], quarantine_share=0.0,
        as_of=datetime(2024, 1, 1),
        previous_domain_counts={"condition": 1} if table == "events" else None,
    )  # fmt: skip

    assert failed(report) == []
    assert [result.name for result in report.results] == [e.name for e in SUITES[table]]


@pytest.mark.parametrize(
    ("table", "changes", "expected"),
    [
        ("persons", {"person_id": [11, 11]}, "person_id_is_unique"),
        ("persons", {"person_id": [11, None]}, "person_id_is_not_null"),
        ("persons", {"gender": ["female", "F"]}, "gender_is_a_category"),
        ("persons", {"race": ["White", "caucasian"]}, "race_is_a_category"),
        ("persons", {"birth_date": [date(1790, 1, 1), date(1990, 1, 1)]}, "births_out_of_range"),
        ("persons", {"death_at": [MARCH, None]}, "deaths_known_without_a_date"),
        ("coverage", {"person_id": [11, 99]}, "rows_of_unknown_persons"),
        ("coverage", {"person_id": [11, 11]}, "span_is_unique"),
        ("coverage", {"ended_at": [MARCH, None]}, "span_ends_after_its_start"),
        ("coverage", {"end_known_at": [MARCH, None]}, "end_is_not_known_before_it_happens"),
        (
            "coverage",
            {"known_at": [datetime(2023, 4, 2), MARCH]},
            "end_is_not_known_before_the_span",
        ),
        ("coverage", {"end_known_at": [None, None]}, "ends_known_without_an_end"),
        ("encounters", {"encounter_id": [1, 1]}, "encounter_id_is_unique"),
        ("encounters", {"person_id": [11, 99]}, "rows_of_unknown_persons"),
        ("encounters", {"encounter_class": ["inpatient", "ward"]}, "class_is_known"),
        (
            "encounters",
            {"ended_at": [datetime(2023, 2, 1), None]},
            "end_is_not_before_start",
        ),
        ("encounters", {"prediction_time": [MARCH, MARCH]}, "prediction_is_after_the_encounter"),
        ("encounters", {"week": [date(2023, 2, 28)] * 2}, "weeks_not_on_monday"),
        ("events", {"person_id": [11, 99]}, "rows_of_unknown_persons"),
        ("events", {"encounter_id": [1, 99]}, "rows_of_unknown_encounters"),
        ("events", {"person_id": [12, 11]}, "rows_out_of_order"),
        ("events", {"domain": ["condition", "device"]}, "rows_of_unknown_domains"),
        ("events", {"code": ["O14.1", "718-7"]}, "dotted_icd_codes"),
        ("events", {"code": ["O141", None]}, "nulls_in_required_columns"),
        (
            "events",
            {"known_at": [datetime(2023, 2, 28), MARCH]},
            "known_before_they_occurred",
        ),
        ("events", {"value": [None, float("inf")]}, "values_not_finite"),
        (
            "events",
            {"domain": ["condition"] * 2, "source_row_id": [1, 1], "code": ["O141", "O141"]},
            "repeated_keys",
        ),
    ],
)
def test_a_broken_rule_is_a_critical_failure_of_its_name(table, changes, expected):
    report = report_on(table, MAKERS[table](**changes))

    assert expected in [result.name for result in report.critical_failures]


@pytest.mark.parametrize(
    ("table", "changes", "expected"),
    [
        ("persons", {"gender": ["female", "unknown"]}, "gender_is_known"),
        ("persons", {"death_at": [datetime(1980, 1, 1), None]}, "death_is_not_before_birth"),
        ("coverage", {"payer": ["Unknown", "Unknown"]}, "unknown_payer_share"),
        ("encounters", {"encounter_class": ["inpatient", "other"]}, "class_is_specific"),
        ("events", {"vocabulary": ["ICD10CM", "Unknown"]}, "known_vocabulary_share"),
        ("events", {"value": [None, -1.0]}, "negative_or_not_finite_measurement_share"),
        ("events", {"value": [None, float("nan")]}, "negative_or_not_finite_measurement_share"),
    ],
)
def test_an_unusual_table_is_a_warning(table, changes, expected):
    report = report_on(table, MAKERS[table](**changes))

    assert expected in [result.name for result in report.warnings]


def measured(*values: float | None, domain: str = "measurement") -> pl.DataFrame:
    size = len(values)
    return events(
        person_id=[11] * size,
        domain=[domain] * size,
        source_row_id=list(range(size)),
        encounter_id=[None] * size,
        vocabulary=["LOINC"] * size,
        code=["11555-0"] * size,
        standard_vocabulary=[None] * size,
        standard_code=[None] * size,
        value=list(values),
        unit=["mmol/L"] * size,
        occurred_at=[MARCH] * size,
        known_at=[MARCH] * size,
    )


@pytest.mark.parametrize(
    ("frame", "observed", "fails"),
    [
        (measured(*[-2.0] * 20, *[1.0] * 3980, *[None] * 6000), "0.005", False),
        (measured(*[-2.0] * 50, *[1.0] * 3950), "0.0125", True),
        (measured(*[-2.0] * 5, *[1.0] * 395), "suppressed", True),
        (measured(None, None), "0", False),
        (measured(-2.0, -2.0, domain="observation"), "0", False),
    ],
    ids=[
        "a few of the values",
        "too many",
        "too many in a small cell",
        "no values",
        "another domain",
    ],
)
def test_negative_measurements_stay_and_their_share_of_the_values_is_shown(frame, observed, fails):
    name = "negative_or_not_finite_measurement_share"
    report = report_on("events", frame)
    (result,) = [result for result in report.results if result.name == name]

    assert (result.observed, result.severity, result.success) == (observed, "warning", not fails)


@pytest.mark.parametrize("as_of", [datetime(2023, 3, 1), datetime(2022, 1, 1)])
def test_an_event_at_or_after_the_end_of_the_data_is_critical(as_of):
    report = report_on("events", events(), as_of=as_of)

    assert failed(report) == ["dates_out_of_range"]


@pytest.mark.parametrize(
    ("previous", "expected"),
    [
        ([2], []),
        ([3], ["rows_per_previous_row_low"]),
        ([1], ["rows_per_previous_row_high"]),
        ([1, 2], []),
    ],
)
def test_volume_is_compared_with_the_last_load(previous, expected):
    assert failed(report_on("events", events(), previous_row_counts=previous)) == expected


def test_a_table_that_becomes_empty_is_critical():
    report = report_on("coverage", coverage().clear(), previous_row_counts=[5])

    assert [result.name for result in report.critical_failures] == ["became_empty"]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.05, []),
        (0.06, ["quarantine_share_warning"]),
        (0.21, ["quarantine_share_critical", "quarantine_share_warning"]),
    ],
)
def test_the_share_in_quarantine_warns_and_then_blocks(share, expected):
    assert failed(report_on("events", events(), quarantine_share=share)) == expected


def test_a_missing_column_and_a_wrong_type_are_critical_and_the_rest_is_not_evaluated():
    missing = report_on("events", events().drop("known_at"))
    wrong = report_on("events", events().with_columns(pl.col("value").cast(pl.String)))

    assert [result.name for result in missing.critical_failures] == ["columns_missing"]
    assert [result.name for result in wrong.critical_failures] == ["columns_of_wrong_type"]


def test_results_hold_no_value_of_a_person():
    report = report_on("persons", persons(gender=["female", "a private word"]))

    assert "a private word" not in repr(report)


def test_a_parquet_file_and_a_frame_give_the_same_report(tmp_path):
    events().write_parquet(tmp_path / "events.parquet")

    assert report_on("events", tmp_path / "events.parquet") == report_on("events", events())
    assert report_on("events", events().lazy()) == report_on("events", events())


def test_an_unknown_table_is_refused():
    with pytest.raises(ConfigurationError, match="Did you mean 'events'"):
        validate("event", events())


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({"condition": 2, "measurement": 1}, []),
        ({"condition": 3}, ["rows_per_previous_row_of_poorest_domain"]),
        (
            {"condition": 1, "drug": 1},
            ["domains_that_became_empty", "rows_per_previous_row_of_poorest_domain"],
        ),
        ({"drug": 0}, []),
    ],
)
def test_each_domain_of_events_is_compared_with_the_load_before(before, expected):
    report = report_on("events", events(), previous_domain_counts=before)

    assert failed(report) == expected
    assert [r.name for r in report.critical_failures] == expected[:-1]
