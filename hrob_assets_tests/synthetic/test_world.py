from datetime import date, datetime
from hashlib import sha256

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.synthetic.codes import catalogue as codes
from hrob_assets.synthetic.world import SCENARIOS, WorldSpec, make_world, write_world
from hrob_assets_tests.synthetic.conftest import KEYS, clean

TINY = WorldSpec(seed=3, pregnancies=60, oncology_patients=40)
STARTS = {
    "visit_occurrence": "visit_start_datetime",
    "condition_occurrence": "condition_start_datetime",
    "procedure_occurrence": "procedure_datetime",
    "drug_exposure": "drug_exposure_start_datetime",
    "measurement": "measurement_datetime",
    "observation": "observation_datetime",
}


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    write_world(TINY, tmp_path / "one")
    write_world(TINY, tmp_path / "two")

    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(digests(tmp_path / "one")) == 18


def test_another_seed_writes_another_world():
    other = WorldSpec(seed=4, pregnancies=60, oncology_patients=40)

    first, second = make_world(TINY), make_world(other)

    assert not first.tables["visit_occurrence"].equals(second.tables["visit_occurrence"])


def test_writing_again_replaces_the_world_and_leaves_nothing_beside(tmp_path):
    write_world(TINY, tmp_path / "world")
    write_world(TINY, tmp_path / "world")

    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_a_folder_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("keep me")

    with pytest.raises(ConfigurationError, match="must be new, empty or hold an earlier world"):
        write_world(TINY, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_failed_write_leaves_the_earlier_world(tmp_path, monkeypatch):
    folder = tmp_path / "world"
    write_world(TINY, folder)
    before = digests(folder)

    def fail(*_args, **_kwargs):  # noqa: ANN003 stands for any signature
        message = "disk full"
        raise OSError(message)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", fail)
    with pytest.raises(OSError, match="disk full"):
        write_world(TINY, folder)

    assert digests(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_an_unknown_scenario_names_the_nearest():
    with pytest.raises(ConfigurationError, match="Did you mean 'base_rate_shift'"):
        WorldSpec(scenario="base_rate")


def test_a_drift_outside_the_window_is_refused():
    with pytest.raises(ConfigurationError, match="must be in this order"):
        WorldSpec(drift_at=date(2020, 1, 1))


def test_drift_begins_twelve_months_before_the_end_unless_stated():
    assert WorldSpec().drift_day == date(2025, 1, 5)


def test_pregnancies_in_the_window_are_as_many_as_asked(world):
    count = world.truth["truth_episode"].height

    # Early losses end before a nominal term, so a few pregnancies ended before the start.
    assert 0.93 * 4_000 < count <= 4_002


@pytest.mark.parametrize("table", sorted(STARTS))
def test_clean_rows_lie_in_the_window_and_are_known_after_they_occur(world, table):
    frame = clean(world, table)
    start = frame[STARTS[table]]

    assert start.min() >= datetime(2021, 1, 4)
    assert frame["known_at"].max() <= datetime(2026, 1, 5)
    assert (frame["known_at"] >= start).all()


@pytest.mark.parametrize("table", sorted(set(STARTS) - {"visit_occurrence", "observation"}))
def test_clean_rows_belong_to_a_visit_of_the_same_person(world, table):
    visits = clean(world, "visit_occurrence").select("visit_occurrence_id", "person_id")

    orphans = clean(world, table).join(visits, on=["visit_occurrence_id", "person_id"], how="anti")

    assert orphans.height == 0


@pytest.mark.parametrize("table", sorted(KEYS))
def test_clean_rows_have_known_persons_and_unique_keys(world, table):
    frame = clean(world, table)

    assert frame[KEYS[table]].is_unique().all()
    assert set(frame["person_id"]) <= set(clean(world, "person")["person_id"])


def test_every_code_used_has_a_concept_with_that_code(world):
    concepts = world.tables["concept"].select("concept_id", "concept_code")
    rows = world.tables["condition_occurrence"].join(
        concepts, left_on="condition_source_concept_id", right_on="concept_id", how="left"
    )

    assert (rows["condition_source_value"] == rows["concept_code"]).all()
    assert set(rows["condition_concept_id"]) == {0}


def test_nobody_is_treated_after_death(world):
    death = world.tables["death"].select("person_id", "death_datetime")
    rows = clean(world, "visit_occurrence").join(death, on="person_id")

    assert (rows["visit_start_datetime"] <= rows["death_datetime"]).all()


def test_visits_happen_under_coverage(world):
    spans = world.tables["payer_plan_period"].with_columns(
        pl.col("payer_plan_period_end_date").fill_null(date(2026, 1, 5))
    )
    visits = clean(world, "visit_occurrence").select(
        "visit_occurrence_id", "person_id", "visit_start_date"
    )
    covered = visits.join(spans, on="person_id").filter(
        pl.col("visit_start_date").is_between(
            "payer_plan_period_start_date", "payer_plan_period_end_date"
        )
    )

    assert covered["visit_occurrence_id"].n_unique() == visits.height


def test_delivery_carries_the_gestational_week_of_the_truth(world):
    episodes = (
        world.truth["truth_episode"]
        .drop_nulls("delivery_visit_id")
        .filter(pl.col("ga_days") < 43 * 7)
    )
    weeks = clean(world, "condition_occurrence").filter(
        pl.col("condition_source_value").str.starts_with("Z3A.")
    )
    rows = episodes.join(
        weeks, left_on="delivery_visit_id", right_on="visit_occurrence_id"
    ).with_columns(week=pl.col("condition_source_value").str.slice(4).cast(pl.Int64))

    assert rows.height == episodes.height
    assert (rows["week"] == rows["ga_days"] // 7).all()


def test_severe_preeclampsia_is_coded_at_hospital_stays_only(world):
    visits = clean(world, "visit_occurrence").select("visit_occurrence_id", "visit_concept_id")
    severe = clean(world, "condition_occurrence").filter(
        pl.col("condition_source_value").str.contains(r"^O14\.[12]")
    )

    places = severe.join(visits, on="visit_occurrence_id")["visit_concept_id"]

    assert set(places) == {codes.INPATIENT}


def test_blood_pressure_rises_before_severe_preeclampsia(world):
    episodes = world.truth["truth_episode"].filter("severe").drop_nulls("delivery_visit_id")
    pressure = clean(world, "measurement").filter(pl.col("measurement_source_value") == "8480-6")
    days_before = (pl.col("end_date") - pl.col("measurement_date")).dt.total_days()
    rows = episodes.join(pressure, on="person_id")
    late = rows.filter(days_before.is_between(3, 12))["value_as_number"]
    early = rows.filter(days_before.is_between(60, 150))["value_as_number"]

    assert late.mean() > early.mean() + 8


def test_some_claims_bring_a_diagnosis_later(world):
    visits = clean(world, "visit_occurrence").select(
        "visit_occurrence_id", pl.col("known_at").alias("claim_known_at")
    )
    rows = clean(world, "condition_occurrence").join(visits, on="visit_occurrence_id")

    late = (rows["known_at"] - rows["claim_known_at"]).dt.total_days() >= 20

    assert 0.0005 < late.mean() < 0.05


def test_the_calendar_has_no_trend_without_a_scenario(world):
    risk = world.truth["truth_risk"]
    first = risk.filter(pl.col("as_of") < pl.datetime(2023, 1, 1))["probability"].mean()
    last = risk.filter(pl.col("as_of") > pl.datetime(2024, 6, 1))["probability"].mean()
    visits = clean(world, "visit_occurrence").filter(pl.col("person_id") < 5_000_000)
    years = visits.group_by(pl.col("visit_start_date").dt.year()).len()
    full = years.filter(pl.col("visit_start_date").is_between(2021, 2024))["len"]

    assert first == pytest.approx(last, rel=0.15)
    assert full.max() / full.min() < 1.12


def test_two_spellings_of_the_same_spec_are_equal_worlds():
    one = make_world(TINY)
    two = make_world(WorldSpec(3, 60, 40, scenario="none", drift_at=date(2023, 1, 1)))

    for name, frame in one.tables.items():
        assert_frame_equal(frame, two.tables[name])


def test_every_scenario_has_a_description_of_one_line():
    assert set(SCENARIOS) == {
        "none",
        "base_rate_shift",
        "coefficient_shift",
        "lag_change",
        "subgroup_under_coding",
        "code_replacement",
        "lab_unit_change",
        "pandemic",
    }
    assert not any("\n" in text or len(text) < 20 for text in SCENARIOS.values())
