"""The command `hrob export-scores`: what it refuses, and what it writes of a world."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from click.testing import CliRunner

from hrob_assets.cli import main
from hrob_assets.resources.environment import write_data_environment
from hrob_assets.resources.records.model_registry import CHAMPION
from hrob_assets_tests.example import fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

NAME = "hospital_readmission"
MARCH = datetime(2008, 3, 2)
TRAINING_SET = pl.DataFrame(
    {
        "person_id": [7, 8, 9, 7],
        "encounter_id": [1, 2, 3, 4],
        "prediction_time": [datetime(2005, 1, 2), datetime(2007, 1, 2), MARCH, MARCH],
        "week": [MARCH.date()] * 4,
        "split": ["train", "test", "test", "test"],
        "person_seen": [True, False, False, True],
        "eligible": [True, True, True, True],
        "label": [True, False, True, False],
        "x__last_value_ever": [2.0, 0.0, -1.0, 1.0],
        "y__any_ever": [0, 1, 0, 1],
    }
)


@pytest.fixture
def data_root(tmp_path, registry, run_context, monkeypatch):
    """Tables of a small world, and a champion whose log-odds are x."""
    monkeypatch.delenv("HROB_ENV", raising=False)
    for variable in ("HROB_DATA_ROOT", "DAGSTER_HOME"):
        monkeypatch.setenv(variable, "set by use_data_root")
    with registry.tracked_run(run_context, NAME):
        model = fitted(["x__last_value_ever"], [1.0])
        tags = {"judged_from": datetime(2007, 1, 1).isoformat()}
        version = registry.register(NAME, model, tags=tags)
    registry.set_alias(NAME, CHAMPION, version)
    root = tmp_path / "root"
    write_data_environment(root, {"mlflow_tracking_uri": registry.tracking_uri})
    known = datetime(2006, 1, 1)
    spans = pl.DataFrame(
        {
            "person_id": [8], "started_at": [known], "ended_at": [None], "payer": ["MC"],
            "known_at": [known], "end_known_at": [None],
        },
        schema_overrides=dict.fromkeys(("ended_at", "end_known_at"), pl.Datetime("us")),
    )  # fmt: skip
    persons = pl.DataFrame(
        {
            "person_id": [7, 8, 9],
            "birth_date": [datetime(1940, 1, 1).date()] * 3,
            "race": ["White", "Black", None],
            "gender": ["female"] * 3,
        }
    )
    for name, table in (
        (f"{NAME}/training_set", TRAINING_SET),
        ("staged/persons", persons),
        ("staged/coverage", spans),
    ):
        path = root / "assets" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(path)
    yield root
    registry.set_alias(NAME, CHAMPION, None)


@pytest.fixture
def export(data_root, tmp_path):
    def run(*options, out="scores.parquet"):
        arguments = ["export-scores", NAME, str(tmp_path / out), "--data-root", str(data_root)]
        return CliRunner().invoke(main, [*arguments, *options])

    return run


def exported(tmp_path):
    return pl.read_parquet(tmp_path / "scores.parquet")


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_test_period_is_written_with_outcome_groups_and_features(export, tmp_path, registry):
    found = export("--features", "y__any_ever")

    assert found.exit_code == 0, found.output
    rows = exported(tmp_path)
    assert rows["encounter_id"].to_list() == [2, 3, 4]
    assert rows["probability"].round(4).to_list() == [0.5, 0.2689, 0.7311]  # 1 / (1 + exp(-x))
    assert rows["outcome"].to_list() == [False, True, False]
    assert rows["payer"].to_list() == ["MC", "Not covered", "Not covered"]
    assert rows["race"].to_list() == ["Black", "Unknown", "White"]
    assert rows["age_band"].to_list() == ["65-74"] * 3
    assert rows["y__any_ever"].to_list() == [1, 0, 1]
    assert set(rows["model_version"]) == {registry.version(NAME, CHAMPION)}
    assert left_in(tmp_path) == ["root", "scores.parquet"]


def test_the_command_says_that_the_file_is_person_level_and_tells_no_person(export):
    found = export()

    assert "Wrote fewer than 11 rows of fewer than 11 persons" in found.output
    assert "person-level data" in found.output
    told = CliRunner().invoke(main, ["export-scores", "--help"]).output
    assert "person-level data" in " ".join(told.split())


def test_an_outcome_is_known_after_horizon_and_run_out(export, tmp_path):
    export()

    rows = exported(tmp_path)
    assert set(rows["known_at"] - rows["prediction_time"]) == {timedelta(days=30 + 7)}


def test_rows_that_were_learnt_from_come_only_when_asked_for(export, tmp_path):
    export("--every-split")

    assert exported(tmp_path)["split"].to_list() == ["train", "test", "test", "test"]


def test_of_encounters_with_one_time_only_the_first_is_kept_where_that_is_asked_for(
    export, tmp_path, data_root
):
    twice = TRAINING_SET.tail(1).with_columns(encounter_id=5, x__last_value_ever=3.0)
    path = data_root / "assets" / NAME / "training_set.parquet"
    pl.concat([TRAINING_SET, twice.cast(TRAINING_SET.schema)]).write_parquet(path)

    assert "--one-per-time keeps the first" in export().output
    assert exported(tmp_path)["encounter_id"].to_list() == [2, 3, 4, 5]
    assert "--one-per-time" not in export("--one-per-time", "--overwrite").output
    assert exported(tmp_path)["encounter_id"].to_list() == [2, 3, 4]


def test_what_is_exported_can_be_evaluated_and_monitored(data_root, export, tmp_path):
    rows = 600
    n = pl.int_range(rows, eager=True)
    many = pl.DataFrame({"person_id": n // 2, "encounter_id": n}).with_columns(
        prediction_time=pl.lit(MARCH) + pl.duration(days=n // 20),
        week=pl.lit(MARCH.date()),
        split=pl.lit("test"),
        person_seen=False,
        eligible=True,
        label=n % 3 == 0,
        x__last_value_ever=(n % 7 / 7 - 1.0).cast(pl.Float64),
        y__any_ever=n % 2,
    )
    many.write_parquet(data_root / "assets" / NAME / "training_set.parquet")
    export("--one-per-time", "--features", "y__any_ever")
    file = str(tmp_path / "scores.parquet")
    named = ["--person", "person_id", "--probability", "probability", "--outcome", "outcome"]
    timed = [file, *named, "--time", "prediction_time"]
    known = ["--known-at", "known_at", "--as-of", "2009-01-01", "--horizon-days", "30"]
    quick = ["--histories", "0", "--features", "y__any_ever", "--model-version", "model_version"]

    for command in (
        ["evaluate", *timed, "--replicates", "100"],
        ["monitor", *timed, *known, *quick],
    ):
        out = ["--out", str(tmp_path / command[0])]
        done = CliRunner().invoke(main, [*command, *out])
        assert done.exit_code == 0, done.output


def test_a_test_row_from_before_the_champion_was_judged_is_no_test_of_it(
    export, tmp_path, registry
):
    version = registry.version(NAME, CHAMPION)
    registry.tag_version(NAME, version, {"judged_from": datetime(2008, 1, 1).isoformat()})

    export()

    assert exported(tmp_path)["encounter_id"].to_list() == [3, 4]


def test_no_row_is_an_error_and_no_empty_file(export, tmp_path, registry):
    version = registry.version(NAME, CHAMPION)
    registry.tag_version(NAME, version, {"judged_from": datetime(2009, 1, 1).isoformat()})

    found = export()

    assert found.exit_code == 1
    assert "has not learnt from (found none)" in found.output
    assert left_in(tmp_path) == ["root"]


@pytest.mark.parametrize("name", ["y__any_evre", "person_id"])
def test_a_feature_that_is_none_is_named_and_nothing_is_written(export, tmp_path, name):
    found = export("--features", name)

    assert found.exit_code == 1
    assert f"found '{name}'" in found.output
    assert left_in(tmp_path) == ["root"]


def test_a_training_set_of_other_columns_is_an_error_of_one_line(export, data_root):
    path = data_root / "assets" / NAME / "training_set.parquet"
    TRAINING_SET.drop("x__last_value_ever").write_parquet(path)

    found = export()

    assert found.exit_code == 1
    assert "found 1 missing, the first is 'x__last_value_ever'" in found.output
    path.unlink()
    assert f"run train_{NAME}" in export().output


def test_an_export_is_replaced_only_if_that_is_asked_for(export, tmp_path):
    assert export().exit_code == 0

    refused = export("--every-split")

    assert refused.exit_code == 1
    assert "give --overwrite" in refused.output
    assert exported(tmp_path).height == 3
    assert export("--every-split", "--overwrite").exit_code == 0
    assert exported(tmp_path).height == 4


def test_content_of_others_is_never_replaced(export, tmp_path, data_root):
    (tmp_path / "notes.parquet").write_text("mine")
    own = data_root / "assets" / NAME / "training_set.parquet"
    before = own.read_bytes()

    for out in ("notes.parquet", str(own), "root"):
        found = export("--overwrite", out=out)
        assert found.exit_code == 1, out
        assert "choose another name" in found.output

    assert (tmp_path / "notes.parquet").read_text() == "mine"
    assert own.read_bytes() == before
    assert "must end in .parquet" in export(out="scores.csv").output
