"""A new use case loads as it was written, and nothing is overwritten."""

import shutil

import pytest
import yaml
from click.testing import CliRunner
from dagster.components.testing import create_defs_folder_sandbox

from hrob_assets import cli
from hrob_assets.components import scaffold
from hrob_assets.components.catalogue import DEFS
from hrob_assets.components.scaffold import new_use_case
from hrob_assets.resources.environment import write_data_environment
from hrob_assets.risk.errors import ConfigurationError

QUESTION = 'Which members with "brittle" asthma: who will visit the emergency department?'


@pytest.fixture
def defs(tmp_path):
    """A definitions folder with the oncology and the obstetric use case."""
    folder = tmp_path / "defs"
    for name in ("oncology_ed_visit", "high_risk_obstetrics"):
        shutil.copytree(DEFS / name, folder / name)
    shutil.copytree(DEFS / "code_sets", folder / "code_sets")
    return folder


def made(defs, name="asthma_ed_visit", like="oncology_ed_visit"):
    return new_use_case(
        name, like=like, title="Asthma", question=QUESTION, owner="team:lungs", defs=defs
    )


@pytest.mark.parametrize("like", ["oncology_ed_visit", "high_risk_obstetrics"])
def test_a_new_use_case_loads_and_has_the_assets_of_the_one_it_is_like(
    defs, tmp_path, monkeypatch, like
):
    folder = made(defs, like=like)
    monkeypatch.delenv("HROB_ENV", raising=False)
    monkeypatch.setenv("HROB_DATA_ROOT", str(tmp_path / "root"))
    stages = []
    for name, source in (("asthma_ed_visit", folder), (like, DEFS / like)):
        write_data_environment(tmp_path / "root", {"use_cases": [name]})
        with create_defs_folder_sandbox() as sandbox:
            shutil.copytree(source, sandbox.defs_folder_path / name)
            with sandbox.load_component_and_build_defs(defs_path=name) as (_, found):
                keys = [key for asset in found.assets for key in asset.keys]
        assert {key.path[0] for key in keys} == {name}
        stages.append(sorted(key.path[-1] for key in keys))

    assert stages[0] == stages[1]


def test_the_folder_is_whole_and_says_what_was_asked(defs):
    folder = made(defs)

    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "code_sets",
        "defs.yaml",
        "feature_mappings.yml",
        "feature_selection_config.yml",
        "imputation_config.yml",
    ]
    use_case = yaml.safe_load((folder / "defs.yaml").read_text())["attributes"]["use_case"]
    assert use_case["name"] == "asthma_ed_visit"
    assert (use_case["title"], use_case["question"], use_case["owner"]) == (
        "Asthma",
        QUESTION,
        "team:lungs",
    )
    assert (folder / "README.md").read_text().startswith(f"# Asthma\n\n{QUESTION}\n")
    assert list(defs.parent.glob(".new_use_case_*")) == []


def test_a_name_that_is_taken_is_refused_and_what_is_there_stays(defs):
    made(defs)
    before = (defs / "asthma_ed_visit" / "defs.yaml").read_bytes()

    for name in ("asthma_ed_visit", "code_sets"):
        with pytest.raises(ConfigurationError, match="must have a name of its own"):
            made(defs, name=name)

    assert (defs / "asthma_ed_visit" / "defs.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["Asthma", "asthma-ed", "1_asthma", "../asthma", ""])
def test_a_name_that_cannot_be_one_is_refused(defs, name):
    with pytest.raises(ConfigurationError, match="small letters, digits and underscores"):
        made(defs, name=name)


def test_what_it_is_like_must_exist(defs):
    with pytest.raises(ConfigurationError, match="Did you mean 'oncology_ed_visit'"):
        made(defs, like="oncology_ed_visits")


def test_the_command_writes_it_and_says_what_is_next(defs, monkeypatch):
    monkeypatch.setattr(scaffold.new_use_case, "__kwdefaults__", {"defs": defs})
    arguments = ["new-use-case", "asthma_ed_visit", "--title", "Asthma", "--owner", "team:lungs"]

    result = CliRunner().invoke(cli.main, [*arguments, "--question", QUESTION])

    assert result.exit_code == 0
    assert (defs / "asthma_ed_visit" / "defs.yaml").exists()
    assert "use_cases" in result.output

    again = CliRunner().invoke(cli.main, [*arguments, "--question", QUESTION])

    assert again.exit_code == 1
    assert "must have a name of its own" in again.output
