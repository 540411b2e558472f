"""A week made live and the same week made a year later are the same bytes.

A real extract of a Monday holds what was known by then. Features of the weeks before must be the
same from that extract as from one that was drawn long after, and rewriting what became known later
must change nothing.
"""

from datetime import date, datetime

import polars as pl
import pytest

from hrob_assets.components.catalogue import shared_catalogue
from hrob_assets.resources.sources.source_database import open_source
from hrob_assets.risk.features.build.build import build_features
from hrob_assets.risk.sources.staging import stage
from hrob_assets.risk.training.training_set import fingerprint
from hrob_assets.synthetic.world import WorldSpec, write_world

pytestmark = pytest.mark.xdist_group("live")  # one world for all

MONDAY = datetime(2025, 6, 2)
WEEKS = (date(2025, 1, 6), date(2025, 6, 2))  # from the first to before the second
LAGS = {"death": 7}
CATALOGUE, CODE_SETS = shared_catalogue(("high_risk_obstetrics", "oncology_ed_visit"))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(WorldSpec(seed=11, pregnancies=250, oncology_patients=150), folder / "world")
    open_source(str(folder / "world" / "omop")).snapshot(folder / "raw")
    return folder / "raw"


def staged(raw, folder, **options: object):
    stage(raw, folder, known_lag_days=LAGS, threads=1, **options)
    return folder


def features(folder, weeks=WEEKS):
    encounters = pl.read_parquet(folder / "encounters.parquet")
    rows = encounters.filter(pl.col("week") >= weeks[0], pl.col("week") < weeks[1])
    tables = {
        name: pl.scan_parquet(folder / f"{name}.parquet")
        for name in ("persons", "coverage", "events")
    }
    return build_features(
        rows.sort("encounter_id"),
        **tables,
        catalogue=CATALOGUE,
        code_sets=CODE_SETS,
        n_threads=1,
    )


@pytest.fixture(scope="module")
def backfilled(snapshot, tmp_path_factory):
    return features(staged(snapshot, tmp_path_factory.mktemp("later") / "staged"))


def changed(snapshot, folder, change):
    """A snapshot with every table that has a date of knowledge passed through `change`."""
    folder.mkdir()
    for path in snapshot.glob("*.parquet"):
        table = pl.read_parquet(path)
        known = "known_at" in table.columns and table["known_at"].null_count() < table.height
        (change(path.stem, table) if known else table).write_parquet(folder / path.name)
    return folder


def extract_of_that_monday(_, table):
    """Rows known before Monday, without the ends that lie after it."""
    ends = [name for name in table.columns if "_end_date" in name]
    return table.filter(pl.col("known_at") < MONDAY).with_columns(
        pl.when(pl.col(name) < MONDAY).then(pl.col(name)) for name in ends
    )


def rewritten_future(name, table):
    """Other values, codes and persons in all that was known later; a third of it gone."""
    later = pl.col("known_at") >= MONDAY
    key = table.columns[0]
    columns = [column for column in table.columns if column.endswith("source_value")]
    kept = table.filter(~later | (pl.col(key) % 3 != 0))
    person = kept["person_id"].drop_nulls().mode()[0]
    return kept.with_columns(
        pl.when(later).then(pl.lit(person)).otherwise(pl.col("person_id")).alias("person_id"),
        *(
            pl.when(later).then(pl.lit("O141")).otherwise(column).alias(column)
            for column in columns
        ),
        *(
            [pl.when(later).then(-999.0).otherwise("value_as_number").alias("value_as_number")]
            if name == "measurement"
            else []
        ),
    )


def test_there_is_something_to_compare(backfilled):
    varied = backfilled.select(pl.all().exclude("^.*_id$").n_unique()).row(0)

    assert backfilled.height > 500
    assert sum(count > 1 for count in varied) > 200


def test_an_extract_of_that_day_gives_the_same_features_to_the_byte(snapshot, backfilled, tmp_path):
    raw = changed(snapshot, tmp_path / "raw", extract_of_that_monday)
    rows = [
        pl.scan_parquet(folder / "condition_occurrence.parquet").select(pl.len()).collect().item()
        for folder in (raw, snapshot)
    ]

    live = features(staged(raw, tmp_path / "staged"))

    assert rows[0] < rows[1]
    assert fingerprint(live) == fingerprint(backfilled)


def test_rewriting_what_became_known_later_changes_no_feature(snapshot, backfilled, tmp_path):
    raw = changed(snapshot, tmp_path / "raw", rewritten_future)

    poisoned = features(staged(raw, tmp_path / "staged", as_of=datetime(2026, 1, 5)))

    assert fingerprint(poisoned) == fingerprint(backfilled)


def test_rewriting_what_was_known_before_does_change_features(snapshot, backfilled, tmp_path):
    def rewritten_past(name, table):
        if name != "measurement":
            return table
        return table.with_columns(pl.col("value_as_number") + 1)

    raw = changed(snapshot, tmp_path / "raw", rewritten_past)

    assert fingerprint(features(staged(raw, tmp_path / "staged"))) != fingerprint(backfilled)


def test_one_week_alone_is_the_same_as_in_a_backfill_of_many(snapshot, backfilled, tmp_path):
    folder = staged(snapshot, tmp_path / "staged")
    week = (date(2025, 3, 3), date(2025, 3, 10))

    alone = features(folder, week)

    key = ["person_id", "encounter_id", "prediction_time"]
    among = backfilled.join(alone.select(key), on=key, how="semi", maintain_order="left")
    assert alone.height > 10
    assert fingerprint(among) == fingerprint(alone)
