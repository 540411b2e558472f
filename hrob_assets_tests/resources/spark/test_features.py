"""On Spark the weekly files are those of the local engine, to the byte."""

import random
from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest
from pyspark.errors import PySparkException

from hrob_assets.components.catalogue import shared_catalogue
from hrob_assets.resources.sources.source_database import open_source
from hrob_assets.resources.spark.features import open_session, reason_of, write_weekly_features
from hrob_assets.risk.features.build import weekly_files
from hrob_assets.risk.features.build.weekly_files import WeeklyTask
from hrob_assets.risk.features.kernel.facts import number_codes
from hrob_assets.risk.sources.staging import stage
from hrob_assets.risk.tables import EVENTS
from hrob_assets.risk.windows import week_of
from hrob_assets.synthetic.world import WorldSpec, write_world
from hrob_assets_tests import spark
from hrob_assets_tests.risk.features.timelines import (
    CODE_SETS,
    DAY,
    EVERYTHING,
    FACTS,
    T,
    coverage_of,
    events_of,
    rows_of,
    three_persons,
)

pytestmark = [pytest.mark.xdist_group("spark"), spark.SOCKETS]  # one session for all

TABLES = ("persons", "coverage", "encounters", "events", "codes")
WEEKS = tuple(date(2024, 1, 1) + timedelta(weeks=number) for number in range(6))


@pytest.fixture(scope="module")
def session():
    spark.require()
    found = open_session(spark.SPARK)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A task on the synthetic world, with a week in which nothing happens."""
    folder = tmp_path_factory.mktemp("world")
    write_world(WorldSpec(seed=5, pregnancies=20, oncology_patients=150), folder / "world")
    open_source(str(folder / "world" / "omop")).snapshot(folder / "raw")
    stage(folder / "raw", folder / "staged", known_lag_days={}, threads=1)
    catalogue, code_sets = shared_catalogue(("oncology_ed_visit",))
    return WeeklyTask(
        weeks=(*WEEKS, date(2035, 1, 1)),
        staged={name: folder / "staged" / f"{name}.parquet" for name in TABLES},
        folder=folder / "features",
        catalogue=catalogue,
        code_sets=code_sets,
        definition="d1",
        fingerprints={week: f"{number:016x}" for number, week in enumerate(WEEKS)},
    )


def drawn_task(folder, *, seed, n_persons):
    """A task on many persons whose timelines are drawn at random, at the edges of time."""
    draw = random.Random(seed)  # noqa: S311 - a world, not a secret

    def moment():
        return T + draw.randrange(-60, 40) * DAY + draw.choice([0, 0, 0.3]) * DAY

    def someone():
        return draw.randint(1, n_persons)

    events = events_of(
        [(someone(), draw.choice(FACTS), moment(), moment()) for _ in range(80 * n_persons)]
    )
    rows = rows_of([(someone(), T + 7 * n * DAY, "home", 1) for n in range(6) for _ in range(40)])
    ends = (moment(), None)
    coverage = [
        (someone(), moment(), draw.choice(ends), "Medicaid", moment(), draw.choice(ends))
        for _ in range(n_persons)
    ]
    numbered, codes = number_codes(events)
    one, _, other = three_persons().iter_rows()
    persons = [(who, *(one if who % 2 else other)[1:]) for who in range(1, n_persons + 1)]
    schema = EVENTS.schema | {"code_id": pl.Int32}
    tables = {
        "persons": pl.DataFrame(persons, schema=three_persons().schema, orient="row"),
        "coverage": coverage_of(coverage),
        "encounters": rows.with_columns(
            week_of(pl.col("prediction_time")).alias("week"), known_at=pl.col("prediction_time")
        ),
        "events": numbered.match_to_schema(schema, missing_columns="insert"),
        "codes": codes,
    }
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return WeeklyTask(
        weeks=tuple(tables["encounters"]["week"].unique().sort()),
        staged={name: folder / f"{name}.parquet" for name in tables},
        folder=folder / "features",
        catalogue=EVERYTHING,
        code_sets=CODE_SETS,
        definition="d1",
        fingerprints={},
    )


def locally(task):
    values = {name: getattr(task, name) for name in task.__dataclass_fields__}
    return weekly_files.write_weekly_features(values.pop("weeks"), **values, n_threads=1)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_and_counts_are_those_of_the_local_engine(session, world, tmp_path):
    expected = locally(replace(world, folder=tmp_path / "local"))

    found = write_weekly_features(
        session, replace(world, folder=tmp_path / "spark"), events_per_task=2_000
    )

    assert found.equals(expected)
    assert expected["encounters"].sum() > 50
    assert sorted(contents(tmp_path / "spark")) == [f"{week}.parquet" for week in world.weeks]
    assert contents(tmp_path / "spark") == contents(tmp_path / "local")


@pytest.mark.parametrize(("seed", "events_per_task"), [(1, 10_000), (2, 200)])
def test_random_timelines_give_the_same_bytes(session, tmp_path, seed, events_per_task):
    task = drawn_task(tmp_path, seed=seed, n_persons=30)
    locally(replace(task, folder=tmp_path / "local"))

    write_weekly_features(session, task, events_per_task=events_per_task)

    assert contents(task.folder) == contents(tmp_path / "local")
    assert len(task.weeks) == 6


def test_a_failure_says_why_and_leaves_the_files_as_they_were(session, world, tmp_path):
    task = replace(world, folder=tmp_path / "features", weeks=WEEKS[:1])
    locally(task)
    before = contents(task.folder)
    turned = tmp_path / "events.parquet"
    pl.read_parquet(world.staged["events"]).reverse().write_parquet(turned)
    wrong = replace(task, weeks=WEEKS, staged=world.staged | {"events": turned}, definition="d2")

    with pytest.raises(PySparkException) as error:
        write_weekly_features(session, wrong, events_per_task=2_000)

    kind, reason = reason_of(error.value)
    assert kind == "ContractError"
    assert reason.startswith("events must be ordered by person_id, occurred_at and known_at")
    assert contents(task.folder) == before


def test_a_file_that_is_not_there_is_named(session, world, tmp_path):
    nowhere = tmp_path / "coverage.parquet"
    wrong = replace(world, staged=world.staged | {"coverage": nowhere}, folder=tmp_path / "out")

    with pytest.raises(PySparkException) as error:
        write_weekly_features(session, wrong, events_per_task=2_000)

    kind, reason = reason_of(error.value)
    assert kind == "SparkJobError"
    assert "[PATH_NOT_FOUND]" in reason
    assert nowhere.name in reason
    assert contents(tmp_path / "out") == {}


def test_what_python_says_of_values_is_not_repeated():
    traceback = (
        "An exception was thrown from the Python worker:\nTraceback (most recent call last):\n"
        '  File "x.py", line 1, in f\npolars.exceptions.ComputeError: cannot cast Jane Doe\n'
    )

    kind, reason = reason_of(RuntimeError(traceback))

    assert kind == "SparkJobError"
    assert "failed with polars.exceptions.ComputeError." in reason
    assert "Jane" not in reason
