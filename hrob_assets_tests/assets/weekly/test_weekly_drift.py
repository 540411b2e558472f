"""What moved in a week whose population, codes and feature values are known."""

from datetime import date, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
import pytest

from hrob_assets.assets.weekly.weekly_drift import weekly_drift_definitions
from hrob_assets.resources.storage.io_manager import Storage
from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.scoring.weekly_list import WEEKLY_SCORES
from hrob_assets.risk.tables import COVERAGE, EVENTS, PERSONS, TIMESTAMP
from hrob_assets_tests.assets.worlds import (
    COLUMNS,
    crown,
    materialise,
    stage_of,
    store,
    use_case_named,
)
from hrob_assets_tests.example import fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

START = datetime(2023, 1, 2)  # a Monday
WEEKS, PER_WEEK, CHANGE = 70, 60, 66
WEEKLY = dg.WeeklyPartitionsDefinition("2023-01-02", day_offset=1, fmt="%Y-%m-%d")


def monday(number):
    return (START + timedelta(weeks=number)).date()


def world(root):
    """From week 66 on: everybody is Black, the second feature has risen, one code was replaced."""
    rng = np.random.default_rng(5)
    person = np.arange(WEEKS * PER_WEEK)
    week = person // PER_WEEK
    later = week >= CHANGE
    moment = [START + timedelta(weeks=int(number) + 1) for number in week]
    rows = pl.DataFrame(
        {
            "person_id": person,
            "encounter_id": person,
            "prediction_time": pl.Series(moment, dtype=TIMESTAMP),
            "week": [monday(int(number)) for number in week],
            COLUMNS[0]: rng.normal(50, 10, person.size).astype(np.float32),
            COLUMNS[1]: (rng.normal(size=person.size) + 2 * later).astype(np.float32),
        }
    )
    scores = rows.select(
        *("person_id", "encounter_id", "prediction_time", "week"),
        pl.lit(0.3).alias("probability"),
        pl.Series("high_risk", person % 20 == 0),
        pl.lit(None, dtype=pl.Int32).alias("rank"),
        pl.lit(value=False).alias("overflow"),
        pl.lit("1").alias("model_version"),
        pl.lit("a").alias("data_version"),
        pl.col("prediction_time").alias("scored_at"),
    ).with_columns(
        pl.Series("reasons", [[] for _ in person], dtype=WEEKLY_SCORES.schema["reasons"])
    )
    people = pl.DataFrame(
        {
            "person_id": person,
            "birth_date": date(1990, 1, 1),
            "gender": "female",
            "race": np.where(later | (person % 2 == 0), "Black", "White"),
            "ethnicity": "Unknown",
            "death_at": None,
            "death_known_at": None,
        },
        schema=PERSONS.schema,
    )
    codes = np.where(later, "new-code", "old-code")
    happened = [t - timedelta(days=3) for t in moment]
    events = pl.DataFrame(
        [
            (int(p), "condition", int(p), None, "ICD10CM", codes[p], None, None, None, None,
             happened[p], happened[p] + timedelta(days=1))
            for p in person
        ],
        schema=EVENTS.schema, orient="row",
    )  # fmt: skip
    store(
        root,
        {
            **{
                f"feature_store/encounter_features/{part['week'][0]}": part
                for part in rows.partition_by("week")
            },
            "moving/evaluation": rows.filter(pl.col("week") < monday(40)),
            "staged/events": events,
            "staged/persons": people,
            "staged/coverage": COVERAGE.empty(),
        },
    )
    table = ScoreTable(data_root=str(root))
    table.append("moving", scores.select(WEEKLY_SCORES.schema.keys()))
    table.record("moving", [monday(n) for n in range(WEEKS)], scores, "1")
    return table


@pytest.fixture(scope="module")
def drifted(tmp_path_factory, registry):
    """Metadata of a week before the change and of one after it."""
    root = tmp_path_factory.mktemp("drift")
    table = world(root)
    context = dg.build_asset_context()
    run = type("Context", (), {"log": context.log, "run": type("Run", (), {})})
    run.run.run_id, run.run.job_name = "drift", "train"
    with registry.tracked_run(run, "moving"):
        version = registry.register("moving", fitted(COLUMNS, [0.0, 1.0]), tags={})
    crown(root, registry, "moving", version)
    definitions = weekly_drift_definitions(stage_of(use_case_named("moving"), weekly=WEEKLY))
    result = materialise(
        definitions,
        root,
        registry,
        only="weekly_drift",
        weeks=(monday(65).isoformat(), monday(69).isoformat()),
        score_table=table,
        storage=Storage(data_root=str(root)),
    )
    metadata = {
        event.materialization.partition: event.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    return metadata[monday(65).isoformat()], metadata[monday(69).isoformat()]


def test_nothing_moved_before_the_change(drifted):
    before, _ = drifted

    assert before["population that moved"].value == "none"
    assert before["features that moved"].value == 0
    assert before["psi of the score"].value <= max(before["psi by chance"].value, 0.1)


def test_what_moved_is_named_and_what_did_not_is_not(drifted):
    _, after = drifted

    assert after["population that moved"].value == "race"
    assert after["features that moved"].value == 1
    assert COLUMNS[1] in after["strongest"].md_str
    assert COLUMNS[0] not in after["strongest"].md_str
    assert after["psi of the score"].value > 0.25


def test_the_shift_of_the_mean_risk_is_told_by_group_of_features(drifted):
    _, after = drifted

    # 2 was planted; the mean of the drawn values moved by 1.99.
    assert after["mean log-odds"].value == "The mean log odds rose by 1.99: utilisation +1.99."


def test_new_and_retired_codes_are_told(drifted):
    _, after = drifted

    table = after["codes that came or went"].md_str
    assert "| new-code | new |" in table
    assert "| old-code | retired |" in table


def test_what_the_week_would_come_to_is_labelled_as_a_supposition(drifted):
    _, after = drifted

    assert after["events, expected if still calibrated"].value == pytest.approx(18.0)
