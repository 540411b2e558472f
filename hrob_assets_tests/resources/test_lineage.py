import subprocess

import pytest

from hrob_assets.resources import lineage
from hrob_assets.resources.lineage import lineage_of


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


def test_outside_a_checkout_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert lineage_of(tmp_path)["git_commit"] == "unknown"


def test_without_git_the_commit_is_unknown(tmp_path, monkeypatch):
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
