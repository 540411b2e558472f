"""The feature store in Dagster: what is out of date shows, week by week, and is built again."""

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from hrob_assets.assets.data.feature_store import (
    definition_version,
    feature_store_definitions,
    stale_ranges,
)
from hrob_assets.assets.keys import ENCOUNTER_FEATURES, INPUT_FINGERPRINTS
from hrob_assets.assets.partitions import Weeks, weekly_partitions
from hrob_assets.components.catalogue import shared_catalogue
from hrob_assets.resources.storage.io_manager import ParquetIOManager, Storage, refuse
from hrob_assets_tests.risk.features.staged_files import WEEKS, write_staged

pytestmark = pytest.mark.xdist_group("feature_store")

CATALOGUE, CODE_SETS = shared_catalogue(("oncology_ed_visit",))
DEFINITION = definition_version(CATALOGUE, CODE_SETS)
BEFORE = [(1, "I10", 1, 0), (1, "C50911", 9, 0), (2, "I10", 16, 3)]
RESTATED = [*BEFORE, (1, "O141", 22, 0)]  # known on Tuesday of the fourth week
TOUCHED = WEEKS[3:]


class Store:
    """The feature store on two people, in a folder and an instance of its own."""

    def __init__(self, root, instance, *, spark=None) -> None:
        self.root, self.instance = root, instance
        self.storage = Storage(data_root=str(root))
        definitions = feature_store_definitions(
            catalogue=CATALOGUE,
            code_sets=CODE_SETS,
            weekly=weekly_partitions(WEEKS[0]),
            owner="team:test",
            threads=1,
            spark=spark,
        )
        resources = {"io_manager": ParquetIOManager(root), "storage": self.storage}
        assets = dg.Definitions(assets=definitions.assets, resources=resources)
        self.definitions = dg.Definitions.merge(
            assets, dg.Definitions(jobs=definitions.jobs, sensors=definitions.sensors)
        )

    def load(self, events):
        """Stage these events and fingerprint them."""
        write_staged(self.root / "assets" / "staged", events=events)
        self.run(INPUT_FINGERPRINTS)

    def run(self, key, weeks=None):
        """Materialise one asset."""
        assets = [each for each in self.definitions.assets if isinstance(each, dg.AssetsDefinition)]
        job = dg.materialize(
            list(self.definitions.assets),
            selection=[each for each in assets if each.key == key],
            resources=self.definitions.resources,
            instance=self.instance,
            tags=weeks.tags if weeks else None,
        )
        assert job.success

    def build(self, weeks):
        """Build the features of a range."""
        self.run(ENCOUNTER_FEATURES, weeks)

    def out_of_date(self):
        """Weeks that Dagster shows as out of date."""
        graph = self.definitions.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(
            self.instance, graph, LoadingContextForTest(self.instance)
        )
        return [
            week
            for week in WEEKS
            if resolver.get_status(ENCOUNTER_FEATURES, week.isoformat()) is StaleStatus.STALE
        ]

    def files(self):
        """Bytes of the weekly files."""
        folder = self.storage.asset_path(ENCOUNTER_FEATURES)
        return {path.stem: path.read_bytes() for path in folder.glob("*.parquet")}


@pytest.fixture
def store(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        found = Store(tmp_path, instance)
        found.load(BEFORE)
        found.build(Weeks(WEEKS[0], WEEKS[-1]))
        yield found


def test_weeks_that_were_just_built_are_up_to_date(store):
    assert store.out_of_date() == []
    assert stale_ranges(store.storage, DEFINITION) == []


def test_a_new_load_with_the_same_facts_leaves_all_weeks_up_to_date(store):
    store.load(BEFORE[::-1])

    assert store.out_of_date() == []


def test_a_restated_fact_shows_in_the_weeks_that_it_touches(store):
    store.load(RESTATED)

    assert store.out_of_date() == TOUCHED
    assert stale_ranges(store.storage, DEFINITION) == [Weeks(TOUCHED[0], TOUCHED[-1])]


def test_building_what_is_out_of_date_changes_no_other_file(store):
    before = store.files()
    store.load(RESTATED)

    for weeks in stale_ranges(store.storage, DEFINITION):
        store.build(weeks)

    after = store.files()
    assert store.out_of_date() == []
    assert [
        week for week in WEEKS if after[week.isoformat()] != before[week.isoformat()]
    ] == TOUCHED


def test_after_a_load_the_sensor_asks_for_the_weeks_out_of_date(store):
    store.load(RESTATED)
    sensor = next(iter(store.definitions.sensors))
    run = store.instance.create_run_for_job(store.definitions.resolve_job_def("stage_source"))
    event = dg.DagsterEvent("PIPELINE_SUCCESS", "stage_source")
    context = dg.build_run_status_sensor_context(
        sensor.name, event, store.instance, run, resources={"storage": store.storage}
    )

    requests = list(sensor(context))

    assert [request.tags for request in requests] == [Weeks(TOUCHED[0], TOUCHED[-1]).tags]
    assert [request.job_name for request in requests] == ["build_features"]


def test_a_load_that_was_refused_is_not_read(store):
    refuse(store.root / "assets" / "staged", "events", rows=3, failed=["some check"])

    with pytest.raises(Exception, match="must have passed their critical checks"):
        store.build(Weeks(WEEKS[0], WEEKS[0]))


def test_counts_of_a_week_are_on_its_partition_and_small_ones_are_not_told(store):
    event = store.instance.get_latest_data_version_record(
        ENCOUNTER_FEATURES, partition_key=WEEKS[0].isoformat()
    )

    metadata = event.asset_materialization.metadata
    assert metadata["persons"].value == "<11"
    assert "dagster/row_count" not in metadata
    assert pl.read_parquet(
        store.storage.asset_path(ENCOUNTER_FEATURES) / f"{WEEKS[0]}.parquet"
    ).height == 2  # fmt: skip
