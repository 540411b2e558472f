"""What stops the main path for one use case, and what the command line says of it."""

from datetime import date, timedelta
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from hrob_assets import pipeline
from hrob_assets.cli import _clear_errors, main
from hrob_assets.pipeline import PipelineOutcome, Weeks, run_pipeline, weeks_to_monitor
from hrob_assets.resources.environment import read_data_environment
from hrob_assets.risk.errors import ConfigurationError, TooSmallError

WEEKS = Weeks(date(2024, 1, 1), date(2024, 3, 4))


@pytest.fixture
def path_with(monkeypatch, tmp_path):
    """The main path of two use cases in which training the first raises an error."""
    jobs = []

    def run(error):
        class Runner:
            def __init__(self, *_) -> None:
                self.say = lambda _: None

            def __call__(self, job, *_) -> None:
                jobs.append(job)
                if job == "train_one":
                    raise error
                if job == "report_monitoring_two":
                    msg = "no outcome is ripe"
                    raise TooSmallError(msg)

        environment = SimpleNamespace(use_cases=("one", "two"), data_root=tmp_path)
        monkeypatch.setattr(pipeline, "_Runner", Runner)
        monkeypatch.setattr(pipeline, "load_environment", lambda: environment)
        monkeypatch.setattr(pipeline, "_with_first_week", lambda found: found)
        monkeypatch.setattr(pipeline, "weeks_of_the_data", lambda _: WEEKS)
        monkeypatch.setattr(pipeline, "_build_features", lambda *_: None)
        monkeypatch.setattr(pipeline, "_has_champion", lambda _, name: name == "two")
        with dg.DagsterInstance.ephemeral() as instance:
            monkeypatch.setattr(dg.DagsterInstance, "get", lambda: instance)
            return run_pipeline(score_weeks=1, say=lambda _: None), jobs

    return run


def test_a_refused_first_champion_does_not_stop_the_other_use_cases(path_with):
    outcome, jobs = path_with(dg.Failure("It must have: AUROC at least 0.6"))

    assert outcome.refused == {"one": "It must have: AUROC at least 0.6"}
    assert outcome.not_trained == {}
    assert outcome.scored == ("two",)
    assert "score_one" not in jobs


def test_lists_whose_outcomes_are_not_ripe_end_with_a_status_board_all_the_same(path_with):
    _, jobs = path_with(TooSmallError("at least 1000 rows"))

    assert jobs[-6:] == [
        "score_two",
        "monitor_two",
        "watch_inputs_two",
        "report_monitoring_two",
        "status_two",
        "describe_two",
    ]


@pytest.mark.parametrize(
    ("scored_from", "monitored", "first"),
    [
        (None, [], date(2024, 2, 26)),  # nothing was scored: the latest weeks
        (1, [1, 2, 3], date(2024, 1, 29)),  # week 4 was scored and never monitored
        (1, [1, 3, 4], date(2024, 1, 15)),
        (4, range(4, 10), date(2024, 2, 26)),
    ],
)
def test_weeks_that_were_never_monitored_are_made_up_for(
    tmp_path, monkeypatch, scored_from, monitored, first
):
    def monday(number):
        return date(2024, 1, 1) + timedelta(weeks=number)

    scored = [] if scored_from is None else [monday(n) for n in range(scored_from, 10)]
    table = pl.DataFrame({"week": scored}, schema={"week": pl.Date})
    monkeypatch.setattr(pipeline.ScoreTable, "scorings", lambda *_: table)
    folder = tmp_path / "assets" / "one" / "calibration_evidence"
    folder.mkdir(parents=True)
    for number in monitored:
        (folder / f"{monday(number)}.parquet").touch()

    found = weeks_to_monitor(SimpleNamespace(data_root=tmp_path), "one", WEEKS, latest=2)

    assert (found.first, found.last) == (first, WEEKS.last)


def test_a_source_that_is_too_small_is_told_apart_from_a_refusal(path_with):
    outcome, _ = path_with(TooSmallError("at least 1000 rows"))

    assert outcome.not_trained == {"one": "at least 1000 rows"}
    assert outcome.refused == {}


def test_a_wrong_configuration_stops_the_path(path_with):
    with pytest.raises(ConfigurationError, match="move test_start"):
        path_with(ConfigurationError("move test_start"))


@pytest.mark.parametrize(
    ("not_trained", "refused", "status", "said"),
    [
        ({}, {}, 0, ""),
        ({"one": "few rows"}, {}, 3, "one was not trained: few rows"),
        ({"one": "few rows"}, {"two": "AUROC 0.5"}, 4, "two has no champion: AUROC 0.5"),
    ],
    ids=["all well", "too small", "refused"],
)
def test_the_exit_status_says_what_a_run_came_to(
    tmp_path, monkeypatch, not_trained, refused, status, said
):
    outcome = PipelineOutcome(SimpleNamespace(), (), not_trained, refused)
    monkeypatch.setattr(pipeline, "run_pipeline", lambda **_: outcome)
    monkeypatch.setattr(pipeline, "use_data_root", lambda _: None)

    found = CliRunner().invoke(main, ["demo", "--data-root", str(tmp_path / "root")])

    assert found.exit_code == status
    assert said in found.output
    assert "Traceback" not in found.output


def test_a_registry_of_another_data_root_comes_with_its_records(tmp_path, monkeypatch):
    trained, root = tmp_path / "trained", tmp_path / "root"
    trained.mkdir()
    outcome = PipelineOutcome(SimpleNamespace(), (), {}, {})
    monkeypatch.setattr(pipeline, "run_pipeline", lambda **_: outcome)
    monkeypatch.setattr(pipeline, "use_data_root", lambda _: None)
    asked = ["run", str(tmp_path), "--data-root", str(root), "--registry", str(trained)]

    found = CliRunner().invoke(main, asked)

    assert found.exit_code == 0, found.output
    values = read_data_environment(root)
    assert values["mlflow_tracking_uri"] == f"sqlite:///{trained}/mlflow.db"
    assert values["decision_folder"] == str(trained / "decisions")


def test_the_list_of_an_unknown_use_case_names_the_nearest(tmp_path):
    found = CliRunner().invoke(main, ["list", "oncology_visit", "--data-root", str(tmp_path)])

    assert found.exit_code == 1
    assert "'oncology_ed_visit'" in found.output
    assert list(tmp_path.iterdir()) == []


def test_a_circle_of_causes_ends():
    first, second = ValueError("one"), ValueError("other")
    first.__context__, second.__context__ = second, first

    with pytest.raises(ValueError, match="one"), _clear_errors():
        raise first
