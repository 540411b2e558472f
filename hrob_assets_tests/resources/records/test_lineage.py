import re
import subprocess

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from hrob_assets.resources.records import lineage
from hrob_assets.resources.records.lineage import (
    code_lineage,
    in_process_with_lineage,
    lineage_of,
    run_tags,
)
from hrob_assets.risk.errors import ConfigurationError


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(  # noqa: S603 - fixed program and arguments
        ["git", "-C", str(folder), *identity, *arguments],  # noqa: S607 - as the PATH has it
        check=True,
        capture_output=True,
    )


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (tmp_path / "defs.yaml").write_text("horizon_days: 60\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "defs.yaml")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_the_commit_is_named_in_full(checkout):
    commit = lineage_of(checkout)["git_commit"]

    assert len(commit) == 40
    assert set(commit) <= set("0123456789abcdef")


def test_a_changed_file_is_said_with_the_commit(checkout):
    before = lineage_of(checkout)["git_commit"]

    (checkout / "defs.yaml").write_text("horizon_days: 90\n")

    assert lineage_of(checkout)["git_commit"] == f"{before}+changes"


def test_outside_a_checkout_the_commit_is_what_the_image_says_or_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("HROB_GIT_COMMIT", raising=False)

    assert lineage_of(tmp_path)["git_commit"] == "unknown"

    monkeypatch.setenv("HROB_GIT_COMMIT", "a" * 40)

    assert lineage_of(tmp_path)["git_commit"] == "a" * 40


def test_in_a_checkout_the_variable_of_the_image_does_not_count(checkout, monkeypatch):
    monkeypatch.setenv("HROB_GIT_COMMIT", "a" * 40)

    assert lineage_of(checkout)["git_commit"] != "a" * 40


def test_without_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.delenv("HROB_GIT_COMMIT", raising=False)

    def absent(*_, **__: object):
        raise FileNotFoundError

    monkeypatch.setattr(lineage.subprocess, "run", absent)

    assert lineage_of(tmp_path)["git_commit"] == "unknown"


def test_the_configuration_is_that_of_all_yaml_and_csv_files(tmp_path):
    def configuration():
        return lineage_of(tmp_path)["configuration"]

    (tmp_path / "code_sets").mkdir()
    (tmp_path / "defs.yaml").write_text("a: 1\n")
    (tmp_path / "code_sets" / "x.csv").write_text("code\n")
    first = configuration()
    (tmp_path / "README.md").write_text("words")

    assert configuration() == first

    (tmp_path / "code_sets" / "x.csv").write_text("code\nI10\n")
    second = configuration()
    (tmp_path / "code_sets" / "x.csv").rename(tmp_path / "code_sets" / "y.csv")

    assert len({first, second, configuration()}) == 3


def test_shared_code_sets_belong_to_the_configuration(tmp_path):
    folder, shared = tmp_path / "use_case", tmp_path / "code_sets"
    for each in (folder, shared):
        each.mkdir()
        (each / "x.csv").write_text("code\n")
    before = lineage_of(folder, shared)["configuration"]

    (shared / "x.csv").write_text("code\nI10\n")

    assert lineage_of(folder, shared)["configuration"] != before


@pytest.fixture
def at_commit(monkeypatch):
    """Let the code of this process be of a commit; returns how to change it."""

    def commit(text):
        monkeypatch.setattr(
            lineage,
            "code_lineage",
            lambda: {"git_commit": text, "configuration": "0123456789abcdef"},
        )

    return commit


@dg.asset
def nothing():
    """Nothing."""


@dg.asset
def tries():
    """Fail."""
    msg = "must not start"
    raise AssertionError(msg)


@dg.definitions
def both_jobs():
    """A job of one asset; Dagster adds the one that runs when assets are chosen in the UI."""
    return dg.Definitions(
        assets=[nothing, tries],
        executor=in_process_with_lineage,
        jobs=[
            dg.define_asset_job(asset.key.path[-1], selection=[asset]) for asset in (nothing, tries)
        ],
    )


def execute(job, asset, instance):
    repository = ReconstructableRepository.for_module(__name__, "both_jobs")
    return dg.execute_job(
        repository.get_reconstructable_job(job), instance=instance, asset_selection=[asset.key]
    )


@pytest.mark.parametrize("job", ["nothing", "__ASSET_JOB"])
def test_every_run_carries_commit_configuration_and_environment(monkeypatch, at_commit, job):
    monkeypatch.setenv("HROB_ENV", "staging")
    at_commit("c" * 40)
    with dg.instance_for_test() as instance:
        run_id = execute(job, nothing, instance).run_id
        tags = instance.get_run_by_id(run_id).tags

    assert {name: value for name, value in tags.items() if name.startswith("hrob/")} == {
        "hrob/git_commit": "c" * 40,
        "hrob/configuration": "0123456789abcdef",
        "hrob/environment": "staging",
    }


@pytest.mark.parametrize("commit", ["unknown", "c" * 40 + "+changes"])
def test_production_runs_nothing_that_no_commit_holds(monkeypatch, at_commit, commit):
    monkeypatch.setenv("HROB_ENV", "prod")
    at_commit(commit)

    with dg.instance_for_test() as instance:
        run = execute("tries", tries, instance)
        failed = run.all_events[-1]
        tags = instance.get_run_by_id(run.run_id).tags

    assert failed.is_run_failure
    assert "must run the code of a commit" in failed.event_specific_data.error.message
    assert [event for event in run.all_events if event.is_step_event] == []
    assert "hrob/git_commit" not in tags
    with pytest.raises(ConfigurationError, match=f"found {re.escape(commit)}"):
        run_tags("prod")

    at_commit("c" * 40)
    assert run_tags("prod")["hrob/git_commit"] == "c" * 40


def test_the_configuration_of_a_run_covers_use_cases_and_environments(monkeypatch):
    seen = []
    monkeypatch.setattr(lineage, "lineage_of", lambda *folders: seen.extend(folders) or {})
    code_lineage.__wrapped__()

    assert [folder.name for folder in seen] == ["defs", "environments"]
    assert all(folder.is_dir() for folder in seen)
