"""The feature store with ``feature_engine: spark``: started by Dagster, told through Pipes."""

import subprocess
import sys

import dagster as dg
import polars as pl
import pytest

from hrob_assets.assets.keys import ENCOUNTER_FEATURES
from hrob_assets.assets.partitions import Weeks
from hrob_assets.risk.errors import ContractError
from hrob_assets_tests import spark
from hrob_assets_tests.assets.data.test_feature_store import BEFORE, WEEKS, Store

pytestmark = pytest.mark.xdist_group("spark")  # beside the other tests of Spark, not among others

ALL_WEEKS = Weeks(WEEKS[0], WEEKS[-1])


@pytest.fixture(scope="module")
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture(scope="module")
def store(tmp_path_factory, instance):
    """Weekly files that the program on Spark has made."""
    spark.require()
    found = Store(tmp_path_factory.mktemp("spark"), instance, spark=spark.SPARK)
    found.load(BEFORE)
    found.build(ALL_WEEKS)
    return found


def messages(instance):
    """What the latest run has logged."""
    run = next(iter(instance.get_run_records(limit=1))).dagster_run
    return [entry.user_message for entry in instance.all_logs(run.run_id)]


def test_the_files_are_those_of_the_local_engine(store, tmp_path):
    with dg.DagsterInstance.ephemeral() as other:
        local = Store(tmp_path, other)
        local.load(BEFORE)
        local.build(ALL_WEEKS)

    assert store.files() == local.files()
    assert len(local.files()) == len(WEEKS)
    assert store.out_of_date() == []


@pytest.mark.usefixtures("store")
def test_counts_and_logs_of_the_program_arrive_in_dagster(instance):
    event = instance.get_latest_data_version_record(
        ENCOUNTER_FEATURES, partition_key=WEEKS[0].isoformat()
    )

    assert event.asset_materialization.metadata["persons"].value == "<11"
    assert any(
        message.startswith("Spark 4") and message.endswith("features of 6 weeks")
        for message in messages(instance)
    )


def test_the_process_of_dagster_does_not_load_what_belongs_to_spark():
    """The asset with all its imports, in a fresh interpreter."""
    code = (
        "import sys; import hrob_assets.assets.data.feature_store;"
        " sys.exit('pyspark' in sys.modules or 'py4j' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own code


def test_a_job_that_fails_fails_the_step_with_its_reason_and_leaves_the_files(store, instance):
    before = store.files()
    events = store.storage.staged_files(["events"])["events"]
    staged = events.read_bytes()
    pl.read_parquet(events).reverse().write_parquet(events)

    with pytest.raises(ContractError, match="events must be ordered by person_id, occurred_at"):
        store.build(ALL_WEEKS)

    events.write_bytes(staged)
    assert store.files() == before
    told = "\n".join(messages(instance))
    assert "Traceback" not in told
    assert "I10" not in told
