import uuid
from datetime import date, datetime

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets.assets.weekly.scoring import scoring_definitions
from hrob_assets.resources.records.model_registry import CHAMPION
from hrob_assets.resources.storage.score_table import ScoreTable
from hrob_assets.risk.errors import ContractError, RecordError
from hrob_assets.risk.features.catalogue.catalogue import Catalogue
from hrob_assets.risk.tables import EVENTS
from hrob_assets_tests.assets.worlds import (
    COLUMNS,
    crown,
    materialise,
    stage_of,
    store,
    use_case_named,
)
from hrob_assets_tests.example import feature_rows, fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

WEEKLY = dg.WeeklyPartitionsDefinition("2024-03-04", day_offset=1, fmt="%Y-%m-%d")
FIRST, SECOND = "2024-03-04", "2024-03-11"


@pytest.fixture
def scored(tmp_path, registry, run_context):
    """Scores weeks of four people; the third is not eligible, the second week is empty."""
    name = f"scored_{uuid.uuid4().hex[:8]}"
    rows = feature_rows(
        (1, 10, 0, 40, 2), (2, 20, 0, 40, 1), (3, 30, 0, 40, 9), (4, 40, 0, 40, -1),
        columns=COLUMNS,
    )  # fmt: skip
    cohort = rows.select("person_id", "encounter_id", "prediction_time", "week").with_columns(
        eligible=pl.col("person_id") != 3
    )
    store(
        tmp_path,
        {
            f"feature_store/encounter_features/{FIRST}": rows,
            f"feature_store/encounter_features/{SECOND}": rows.clear(),
            f"{name}/cohort/{FIRST}": cohort,
            f"{name}/cohort/{SECOND}": cohort.clear(),
            "staged/events": EVENTS.empty(),
        },
    )
    stage = stage_of(use_case_named(name), catalogue=Catalogue(()), weekly=WEEKLY)
    definitions = scoring_definitions(stage)

    table = ScoreTable(data_root=str(tmp_path))

    class Scored:
        def champion(self, *coefficients):
            with registry.tracked_run(run_context, name):
                version = registry.register(name, fitted(COLUMNS, coefficients), tags={})
            crown(tmp_path, registry, name, version)

        def challenger(self, *coefficients):
            with registry.tracked_run(run_context, name):
                return registry.register(name, fitted(COLUMNS, coefficients), tags={})

        def move(self, version):
            registry.set_alias(name, CHAMPION, version)

        def run(self, first, last):
            result = materialise(
                definitions,
                tmp_path,
                registry,
                only="weekly_scores",
                weeks=(first, last),
                weekly=("encounter_features", "cohort"),
                score_table=table,
            )
            self.check = result.get_asset_check_evaluations()[0]
            return result.get_asset_materialization_events()[0].materialization.metadata

        def rows(self):
            return table.read(name)

        def version(self):
            return registry.version(name, CHAMPION)

    return Scored()


def test_eligible_rows_are_scored_by_the_champion(scored):
    scored.champion(0, 1)

    metadata = scored.run(FIRST, SECOND)

    found = scored.rows().sort("encounter_id")
    assert found.select("encounter_id", "rank", "high_risk").rows() == [
        (10, 1, True),
        (20, 2, True),
        (40, None, False),
    ]
    assert found["week"].unique().to_list() == [date(2024, 3, 4)]
    assert found["model_version"].unique().to_list() == [scored.version()]
    assert metadata["new rows of the run"].value == "<11"
    assert "dagster/row_count" not in metadata
    assert metadata["people on the list"].value == "<11"
    assert metadata["alert rate"].value == "suppressed"


def test_scoring_again_adds_nothing(scored):
    scored.champion(0, 1)
    scored.run(FIRST, FIRST)
    before = scored.rows()

    metadata = scored.run(FIRST, SECOND)

    assert metadata["new rows of the run"].value == 0
    assert_frame_equal(scored.rows(), before)


def test_a_new_champion_adds_rows_and_keeps_what_was_sent(scored):
    scored.champion(0, 1)
    scored.run(FIRST, FIRST)
    before = scored.rows()
    scored.champion(0, -1)

    scored.run(FIRST, FIRST)

    after = scored.rows()
    assert after.height == 6
    kept = after.filter(pl.col("model_version") == before["model_version"][0])
    assert_frame_equal(kept.sort("encounter_id"), before.sort("encounter_id"))


def test_an_empty_week_is_scored_without_rows(scored):
    scored.champion(0, 1)

    metadata = scored.run(SECOND, SECOND)

    assert metadata["new rows of the run"].value == 0
    assert scored.rows().is_empty()


@pytest.mark.parametrize("alias", ["of another version", "taken away"])
def test_an_alias_moved_by_hand_scores_nobody_and_no_list_waits_for_it(scored, alias):
    scored.champion(0, 1)
    decided = scored.version()
    assert "moved alias" not in scored.run(FIRST, FIRST)
    assert scored.check.passed

    scored.move(scored.challenger(0, -1) if alias == "of another version" else None)
    metadata = scored.run(FIRST, FIRST)

    assert scored.rows()["model_version"].unique().to_list() == [decided]
    assert metadata["model version"].value == decided
    assert "--restore" in metadata["moved alias"].value
    assert not scored.check.passed


def test_a_champion_without_a_record_scores_nobody(scored):
    scored.move(scored.challenger(0, 1))

    with pytest.raises(RecordError, match=r"found no record.*--adopt"):
        scored.run(FIRST, FIRST)


def test_no_list_is_made_by_a_record_that_was_edited(scored, tmp_path):
    scored.champion(0, 1)
    (record,) = tmp_path.glob("decisions/*/000001.json")
    record.write_text(record.read_text().replace("a test", "a guess"))

    with pytest.raises(RecordError, match="signature does not fit"):
        scored.run(FIRST, FIRST)


def test_without_a_champion_nothing_is_scored(scored):
    with pytest.raises(ContractError, match=r"alias champion .*run the job train_"):
        scored.run(FIRST, FIRST)


def test_a_week_without_features_is_an_error_and_not_an_empty_list(scored, tmp_path):
    scored.champion(0, 1)
    (tmp_path / "assets" / "feature_store" / "encounter_features" / f"{SECOND}.parquet").unlink()

    with pytest.raises(ContractError, match="encounter_features must have all 2 weeks"):
        scored.run(FIRST, SECOND)


def test_no_scoring_time_lies_in_the_past_of_the_run(scored):
    scored.champion(0, 1)
    started = datetime.now().astimezone()

    scored.run(FIRST, FIRST)

    written = scored.rows()["scored_at"].dt.replace_time_zone("UTC")
    assert written.min() >= started
