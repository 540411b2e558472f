"""What becomes of each kind of source row; the cases are in ``cases/staging``."""

from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
import yaml

from hrob_assets.resources.sources.source_database import open_source
from hrob_assets.risk.errors import ConfigurationError, SourceError
from hrob_assets.risk.features.build.coverage_measures import coverage_measures
from hrob_assets.risk.sources.staging import QUARANTINE, StagingResult, _statement, stage
from hrob_assets.risk.tables import CODES, STAGED
from hrob_assets_tests.paths import CASES

STAGING_CASES = sorted((CASES / "staging").iterdir())
VIEWS = {
    "persons": ("persons", ["person_id", "birth_date", "gender", "race", "death_at",
                            "death_known_at"]),
    "coverage": ("coverage", ["person_id", "started_at", "ended_at", "payer", "known_at"]),
    "ends": ("coverage", ["started_at", "known_at", "ended_at", "end_known_at"]),
    "encounters": ("encounters", ["encounter_id", "encounter_class", "known_at",
                                  "prediction_time", "week"]),
    "events": ("events", ["domain", "source_row_id", "vocabulary", "code", "occurred_at",
                          "known_at"]),
    "codes": ("events", ["source_row_id", "vocabulary", "code", "standard_vocabulary",
                         "standard_code"]),
    "links": ("events", ["source_row_id", "encounter_id"]),
    "quarantine": ("quarantine", ["source_table", "source_row_id", "reason"]),
}  # fmt: skip


def write_source(folder: Path, tables: dict[str, list[dict]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        columns = list({column: None for row in rows for column in row})
        cells = {column: [row.get(column) for row in rows] for column in columns}
        text = {c: [None if v is None else str(v) for v in values] for c, values in cells.items()}
        pl.DataFrame(text, schema=dict.fromkeys(columns, pl.String)).write_csv(
            folder / f"{name}.csv"
        )


def staged(folder: Path, tables: dict[str, list[dict]], **options: object) -> StagingResult:
    write_source(folder / "source", tables)
    open_source(str(folder / "source")).snapshot(folder / "snapshot")
    return stage(folder / "snapshot", folder / "staged", **{"known_lag_days": {}} | options)


def moment(value: object) -> object:
    """Dates and timestamps at midnight are the same thing in a case file."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # all times are UTC
    return value


def rows_of(result: StagingResult, view: str) -> list[list]:
    """Rows in the order of the file; the quarantine by source table."""
    table, columns = VIEWS[view]
    frame = pl.read_parquet(result.path(table))
    if view == "links":
        frame = frame.filter(pl.col("domain") == "condition").sort("source_row_id")
    if view == "quarantine":
        frame = frame.sort("source_table", "source_row_id", "reason")
    return [[moment(value) for value in row] for row in frame.select(columns).rows()]


@pytest.mark.parametrize("case", STAGING_CASES, ids=lambda case: case.name)
def test_staging_case(case, tmp_path):
    given = yaml.safe_load((case / "given.yaml").read_text())
    expected = yaml.safe_load((case / "expected.yaml").read_text())
    as_of = moment(given.pop("as_of"))
    lags = given.pop("known_lag_days", {})

    result = staged(tmp_path, given, as_of=as_of, known_lag_days=lags)

    wanted = {v: [[moment(value) for value in row] for row in expected[v]] for v in expected}
    assert {view: rows_of(result, view) for view in expected} == wanted


def minimal() -> dict[str, list[dict]]:
    return {
        "person": [{"person_id": 1, "year_of_birth": 1990}],
        "visit_occurrence": [
            {
                "visit_occurrence_id": visit,
                "person_id": 1,
                "visit_concept_id": 9202,
                "visit_start_date": f"2023-03-{visit:02d}",
            }
            for visit in range(1, 11)
        ],
    }


def test_staged_tables_keep_their_contract(tmp_path):
    result = staged(tmp_path, minimal())

    for table in (*STAGED, CODES, QUARANTINE):
        frame = pl.read_parquet(result.path(table.name))
        table.check(frame)
        numbered = ["code_id"] if table.name == "events" else []
        assert frame.columns == [*table.schema, *numbered]
    assert result.rows == {
        "persons": 1,
        "coverage": 0,
        "encounters": 10,
        "events": 10,
        "codes": 1,
        "quarantine": 0,
    }


def test_codes_are_numbered_and_the_events_keep_their_order(tmp_path):
    source = minimal()
    source["condition_occurrence"] = [
        {
            "condition_occurrence_id": row,
            "person_id": 1,
            "condition_source_value": code,
            "condition_start_date": f"2023-03-{day:02d}",
        }
        for row, (code, day) in enumerate([("O14.1", 9), ("I10", 5), ("O14.1", 7)], start=1)
    ]

    result = staged(tmp_path, source)

    codes = pl.read_parquet(result.path("codes"))
    events = pl.read_parquet(result.path("events"))
    found = events.join(codes, on="code_id", suffix="_of_number", maintain_order="left")
    assert codes["code_id"].to_list() == [0, 1, 2]
    assert codes.select("code", "rows", "first_occurred_at", "last_occurred_at").rows() == [
        ("I10", 1, datetime(2023, 3, 5), datetime(2023, 3, 5)),
        ("O141", 2, datetime(2023, 3, 7), datetime(2023, 3, 9)),
        ("outpatient", 10, datetime(2023, 3, 1), datetime(2023, 3, 10)),
    ]
    assert found["code"].to_list() == found["code_of_number"].to_list()
    assert events["occurred_at"].is_sorted()


def test_quarantine_holds_the_whole_row_and_its_share_is_counted(tmp_path):
    source = minimal()
    source["visit_occurrence"][3]["visit_start_date"] = None

    result = staged(tmp_path, source)

    quarantine = pl.read_parquet(result.path("quarantine"))
    assert quarantine["row"].to_list() == [
        (
            '{"visit_occurrence_id":4,"person_id":1,"visit_concept_id":9202,"visit_start_date":null,'
            '"visit_start_datetime":null,"visit_end_date":null,"visit_end_datetime":null,'
            '"visit_source_value":null,"known_at":null}'
        )
    ]
    assert result.quarantined["encounters"] == {"null date": 1}
    assert result.quarantine_share("encounters") == 0.1
    assert result.quarantine_share("coverage") == 0.0


def test_as_of_is_the_midnight_after_the_last_usual_day(tmp_path):
    assert staged(tmp_path, minimal()).as_of == datetime(2023, 3, 11)


@pytest.mark.parametrize("wrong_day", ["2023-05-15", "2099-12-31"])
def test_a_few_visits_in_the_future_do_not_move_as_of(wrong_day, tmp_path):
    source = minimal()
    source["visit_occurrence"] = [
        {
            "visit_occurrence_id": number,
            "person_id": 1,
            "visit_concept_id": 9202,
            "visit_start_date": f"2023-03-{1 + number % 28:02d}" if number > 3 else wrong_day,
        }
        for number in range(1, 1001)
    ]

    result = staged(tmp_path, source)

    assert result.as_of == datetime(2023, 3, 29)
    assert result.quarantined["encounters"] == {"future date": 3}


def test_as_of_cannot_be_taken_from_a_source_without_dated_visits(tmp_path):
    source = minimal()
    source["visit_occurrence"] = source["visit_occurrence"][:1]
    source["visit_occurrence"][0]["visit_start_date"] = None

    with pytest.raises(SourceError, match="at least one dated visit"):
        staged(tmp_path, source)


def test_observation_periods_stand_in_only_when_no_payer_period_exists(tmp_path):
    source = minimal()
    source["observation_period"] = [
        {
            "observation_period_id": 5,
            "person_id": 1,
            "observation_period_start_date": "2022-01-01",
            "observation_period_end_date": "2023-12-31",
        }
    ]

    result = staged(tmp_path, source)

    assert pl.read_parquet(result.path("coverage")).rows() == [
        (
            1,
            datetime(2022, 1, 1),
            datetime(2024, 1, 1),
            "Unknown",
            datetime(2022, 1, 1),
            datetime(2024, 1, 1),
        )
    ]


def covered_until(last_day: str, folder: Path) -> pl.DataFrame:
    source = minimal()
    source["payer_plan_period"] = [
        {
            "payer_plan_period_id": 5,
            "person_id": 1,
            "payer_plan_period_start_date": "2023-01-01",
            "payer_plan_period_end_date": last_day,
            "payer_source_value": "Medicaid",
        }
    ]
    return pl.read_parquet(staged(folder, source).path("coverage"))


@pytest.mark.parametrize(
    ("last_day", "first_moment_after"),
    [
        ("2023-02-28", datetime(2023, 3, 1)),
        ("2023-02-28 00:00:00", datetime(2023, 3, 1)),
        ("2023-02-28 23:59:59", datetime(2023, 3, 1)),
        ("2023-01-01", datetime(2023, 1, 2)),
        ("2030-06-30", datetime(2030, 7, 1)),
        ("2099-12-31", None),
    ],
)
def test_the_last_day_of_a_span_is_covered_whole(last_day, first_moment_after, tmp_path):
    coverage = covered_until(last_day, tmp_path)

    assert coverage["ended_at"].to_list() == [first_moment_after]


@pytest.mark.parametrize(
    ("last_day", "enrolled"), [("2023-03-03", 0), ("2023-03-04", 1), ("2023-03-05", 1)]
)
def test_who_was_covered_on_the_day_before_the_prediction_is_enrolled(last_day, enrolled, tmp_path):
    rows = pl.DataFrame(
        {"person_id": [1], "encounter_id": [4], "prediction_time": [datetime(2023, 3, 5)]},
        schema_overrides={"prediction_time": pl.Datetime("us")},
    )

    coverage = covered_until(last_day, tmp_path)

    assert coverage_measures(rows, coverage)["coverage__enrolled"].to_list() == [enrolled]


def test_a_negative_value_is_staged_as_it_is(tmp_path):
    source = minimal()
    source["measurement"] = [
        {
            "measurement_id": 1,
            "person_id": 1,
            "measurement_source_value": "11555-0",
            "measurement_date": "2023-03-01",
            "value_as_number": -3.5,
        }
    ]

    result = staged(tmp_path, source)
    events = pl.read_parquet(result.path("events")).filter(pl.col("domain") == "measurement")

    assert events["value"].to_list() == [-3.5]
    assert result.rows["quarantine"] == 0


def test_a_lag_for_an_unknown_domain_or_below_zero_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="Did you mean 'condition'"):
        stage(tmp_path, tmp_path / "staged", known_lag_days={"conditions": 3})
    with pytest.raises(ConfigurationError, match="must not be negative; visit has -1"):
        stage(tmp_path, tmp_path / "staged", known_lag_days={"visit": -1})


def test_an_incomplete_snapshot_is_refused_and_earlier_tables_stay(tmp_path):
    result = staged(tmp_path, minimal())
    before = result.path("events").read_bytes()
    (tmp_path / "snapshot" / "death.parquet").unlink()

    with pytest.raises(SourceError, match="death missing"):
        stage(tmp_path / "snapshot", tmp_path / "staged", known_lag_days={})

    assert result.path("events").read_bytes() == before


@pytest.mark.parametrize(
    ("domain", "code", "vocabulary"),
    [
        ("condition", "O14.10", "ICD10CM"),
        ("condition", "Z3A38", "ICD10CM"),
        ("condition", "E119", "ICD10CM"),
        ("condition", "V43.52XA", "ICD10CM"),
        ("condition", "642.5", "ICD9CM"),
        ("condition", "64251", "ICD9CM"),
        ("condition", "V22.1", "ICD9CM"),
        ("condition", "E880.9", "ICD9CM"),
        ("condition", "46764007", "SNOMED"),
        ("condition", "high blood pressure", "Unknown"),
        ("procedure", "10D00Z1", "ICD10PCS"),
        ("procedure", "0016070", "ICD10PCS"),
        ("procedure", "5880005", "SNOMED"),
        ("procedure", "59400", "CPT4"),
        ("procedure", "0500F", "CPT4"),
        ("procedure", "G0463", "HCPCS"),
        ("procedure", "74.1", "ICD9Proc"),
        ("procedure", "788", "DRG"),
        ("drug", "00093721410", "NDC"),
        ("drug", "0093-7214-10", "NDC"),
        ("drug", "860975", "RxNorm"),
        ("drug", "J1050", "HCPCS"),
        ("measurement", "718-7", "LOINC"),
        ("measurement", "85025", "CPT4"),
        ("observation", "Z59.0", "ICD10CM"),
        ("observation", "Z590", "ICD10CM"),
        ("observation", "67875-5", "LOINC"),
        ("death", "I21.9", "ICD10CM"),
    ],
)
def test_vocabulary_of_a_code_without_a_concept(domain, code, vocabulary):
    engine = duckdb.connect()
    engine.execute("SET VARIABLE as_of = TIMESTAMP '2024-01-01'")
    engine.execute(_statement("macros"))

    found = engine.execute("SELECT inferred_vocabulary(?, ?)", [domain, code]).fetchall()

    assert found == [(vocabulary,)]


def after_the_death(*, death_is_known: bool) -> dict[str, list[dict]]:
    """A death on 1 January that becomes known on 1 September, and rows of July and October."""
    july, october = ({"known_at": day} for day in ("2023-07-10", "2023-10-10"))
    source = minimal()
    for day, number in (("2023-07-05", 90), ("2023-10-05", 91)):
        known = july if number == 90 else october
        source["visit_occurrence"].append(
            {"visit_occurrence_id": number, "person_id": 1, "visit_start_date": day} | known
        )
        source.setdefault("condition_occurrence", []).append(
            {
                "condition_occurrence_id": number,
                "person_id": 1,
                "condition_start_date": day,
                "condition_source_value": "I21",
                "visit_occurrence_id": 89 if number == 90 else None,
            }
            | known
        )
        source.setdefault("payer_plan_period", []).append(
            {
                "payer_plan_period_id": number,
                "person_id": 1,
                "payer_plan_period_start_date": day,
                "payer_plan_period_end_date": "2099-12-31",
                "payer_source_value": "Medicaid",
            }
            | known
        )
    for table, rows in source.items():
        if table != "person" and not death_is_known:
            source[table] = [row for row in rows if row.get("known_at") != "2023-10-10"]
    if death_is_known:
        source["death"] = [{"person_id": 1, "death_date": "2023-01-01", "known_at": "2023-09-01"}]
    return source


def test_a_death_that_becomes_known_later_removes_nothing_that_was_known_before(tmp_path):
    early = staged(
        tmp_path / "early", after_the_death(death_is_known=False), as_of=datetime(2023, 8, 1)
    )
    late = staged(
        tmp_path / "late", after_the_death(death_is_known=True), as_of=datetime(2024, 1, 1)
    )

    for table in ("coverage", "encounters", "events"):
        before, after = (pl.read_parquet(result.path(table)) for result in (early, late))
        known_then = after.filter(pl.col("known_at") < datetime(2023, 8, 1))
        of_the_load = pl.exclude("code_id")
        assert before.height > 0
        assert known_then.select(of_the_load).equals(before.select(of_the_load))
    assert pl.read_parquet(late.path("encounters"))["encounter_id"].max() == 90


def test_rows_after_a_death_are_counted_whether_they_stay_or_not(tmp_path):
    result = staged(tmp_path, after_the_death(death_is_known=True), as_of=datetime(2024, 1, 1))

    kept, gone = "after death (kept, known before the death)", "event after death"
    orphan = "orphan visit reference (kept, link removed)"
    assert result.quarantined == {
        "persons": {},
        "coverage": {kept: 1, gone: 1},
        "encounters": {kept: 1, gone: 1},
        "events": {kept: 1, gone: 1, orphan: 1},
    }
    assert result.rejected == {"coverage": 1, "encounters": 1, "events": 1}
    whole = pl.read_parquet(result.path("quarantine")).filter(pl.col("reason") == kept)
    assert whole["kept"].to_list() == [True, True, True]


def weeks_of_visits(last: date, *, extra: dict[date, int]) -> dict[str, list[dict]]:
    """100 visits on weekdays and 2 on weekend days, over ten weeks up to and with `last`."""
    per_day = {last - timedelta(days=days): 0 for days in range(70)}
    per_day = {day: 100 if day.weekday() < 5 else 2 for day in per_day} | extra
    days = [day for day, visits in per_day.items() for _ in range(visits)]
    return minimal() | {
        "visit_occurrence": [
            {
                "visit_occurrence_id": n,
                "person_id": 1,
                "visit_concept_id": 9202,
                "visit_start_date": day.isoformat(),
            }
            for n, day in enumerate(days, start=1)
        ]
    }


@pytest.mark.parametrize(
    ("last", "extra", "expected"),
    [
        (date(2023, 3, 12), {}, datetime(2023, 3, 13)),
        (date(2023, 3, 11), {}, datetime(2023, 3, 12)),
        (date(2023, 3, 8), {}, datetime(2023, 3, 9)),
        (date(2023, 3, 8), {date(2023, 3, 12): 2}, datetime(2023, 3, 9)),
        (date(2023, 3, 8), {date(2023, 3, 9): 1}, datetime(2023, 3, 9)),
    ],
    ids=["Sunday", "Saturday", "Wednesday", "a Sunday to come", "one on a Thursday to come"],
)
def test_a_quiet_weekend_at_the_end_of_the_data_is_known(last, extra, expected, tmp_path):
    result = staged(tmp_path, weeks_of_visits(last, extra=extra))

    assert result.as_of == expected
    assert result.rows["quarantine"] == sum(extra.values())
