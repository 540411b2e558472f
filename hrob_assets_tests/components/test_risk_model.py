"""What a wrong file of a use case is answered with, before anything runs."""

import shutil

import pytest
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.testing import create_defs_folder_sandbox

from hrob_assets.components import catalogue
from hrob_assets.components.catalogue import DEFS, shared_catalogue
from hrob_assets.resources.environment import load_environment, write_data_environment
from hrob_assets.risk.errors import ConfigurationError

ONCOLOGY = DEFS / "oncology_ed_visit"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("HROB_ENV", raising=False)
    monkeypatch.setenv("HROB_DATA_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def load(root):
    """Load the oncology use case after its files were edited: {file: [(old, new)]}."""

    def loaded(edits=None, name="oncology_ed_visit"):
        with create_defs_folder_sandbox() as sandbox:
            folder = sandbox.defs_folder_path / name
            shutil.copytree(DEFS / name, folder)
            for file, replacements in (edits or {}).items():
                text = (folder / file).read_text()
                for old, new in replacements:
                    assert text.count(old) == 1
                    text = text.replace(old, new)
                (folder / file).write_text(text)
            with sandbox.load_component_and_build_defs(defs_path=name) as (_, defs):
                return defs

    assert root.exists()
    return loaded


def keys_of(defs):
    return [key for asset in defs.assets or () for key in asset.keys]


def message_of(error):
    """What the error and all errors behind it say."""
    texts, cause = [], error.value
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    return "\n".join(texts)


def test_a_use_case_becomes_its_assets_jobs_and_schedules(load):
    defs = load()

    assert {key.path[-1] for key in keys_of(defs)} >= {
        "champion_model",
        "cohort",
        "data_dictionary",
        "evaluation",
        "feature_selection",
        "labels",
        "outcome_ledger",
        "model_comparison",
        "selection_comparison",
        "trained_model",
        "training_set",
        "weekly_calibration",
        "weekly_scores",
    }
    assert sorted(job.name for job in defs.jobs) == [
        "analyse_sensitivity_oncology_ed_visit",
        "compare_families_oncology_ed_visit",
        "compare_selections_oncology_ed_visit",
        "describe_oncology_ed_visit",
        "monitor_oncology_ed_visit",
        "report_monitoring_oncology_ed_visit",
        "report_oncology_ed_visit",
        "ripen_oncology_ed_visit",
        "score_oncology_ed_visit",
        "status_oncology_ed_visit",
        "train_oncology_ed_visit",
        "update_oncology_ed_visit",
        "watch_inputs_oncology_ed_visit",
    ]
    assert sorted(schedule.name for schedule in defs.schedules) == [
        "monitor_oncology_ed_visit_weekly",
        "ripen_oncology_ed_visit_weekly",
        "score_oncology_ed_visit_weekly",
        "watch_inputs_oncology_ed_visit_weekly",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("horizon_days:", "horizon_day:", "horizon_day:", "Did you mean 'horizon_days'?"),
        (
            "reviews_per_week:",
            "reviews_a_week:",
            "reviews_a_week:",
            "Did you mean 'reviews_per_week'?",
        ),
        ("capacity_share: 0.10", "capacity_share: 10", "capacity_share:", "less than 1"),
    ],
)
def test_a_bad_key_is_reported_with_file_and_line(load, old, new, line, words):
    lines = (ONCOLOGY / "defs.yaml").read_text().replace(old, new).splitlines()
    number = next(n for n, text in enumerate(lines, start=1) if line in text)

    with pytest.raises(ComponentTreeException) as error:
        load({"defs.yaml": [(old, new)]})

    reported = next(text for text in message_of(error).splitlines() if words in text)
    assert f"defs.yaml:{number}: " in reported


def test_a_cohort_criterion_that_names_an_unknown_feature_is_refused(load):
    with pytest.raises(ComponentTreeException) as error:
        load({"defs.yaml": [("feature: age__years", "feature: age__year")]})

    assert "criterion 'adult' must name a feature" in message_of(error)
    assert "Did you mean 'age__years'" in message_of(error)


def test_an_outcome_that_names_an_unknown_code_set_is_refused(load):
    with pytest.raises(ComponentTreeException) as error:
        load({"defs.yaml": [("code_set: ed_visit", "code_set: ed_visits")]})

    assert "outcome component 'ed_visit' of oncology_ed_visit must name a code set" in message_of(
        error
    )
    assert "Did you mean 'ed_visit'" in message_of(error)


def test_a_selection_that_names_an_unknown_group_is_refused_with_its_line(load):
    text = (ONCOLOGY / "feature_selection_config.yml").read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("demographics:"))

    with pytest.raises(ComponentTreeException) as error:
        load(
            {"feature_selection_config.yml": [(line, line.replace("demographics", "demografics"))]}
        )

    assert "feature_selection_config.yml" in message_of(error)
    assert "'demographics'" in message_of(error)


def test_a_use_case_that_is_not_deployed_has_no_definitions(load, root):
    write_data_environment(root, {"use_cases": ["high_risk_obstetrics"]})

    assert keys_of(load()) == []


def test_a_use_case_without_a_folder_is_refused(root):
    write_data_environment(root, {"use_cases": ["cardiology"]})

    with pytest.raises(ConfigurationError, match="'cardiology' must have a folder"):
        shared_catalogue(load_environment().use_cases)


@pytest.fixture
def other_defs(tmp_path, monkeypatch):
    """Two use cases, `oncology_ed_visit` and a copy of it called `other`."""
    folder = tmp_path / "defs"
    for name in ("oncology_ed_visit", "other"):
        shutil.copytree(ONCOLOGY, folder / name)
    monkeypatch.setattr(catalogue, "DEFS", folder)
    return folder


def test_two_use_cases_share_the_families_that_they_define_alike(other_defs):
    assert other_defs.exists()
    alone, _ = shared_catalogue(("other",))

    both, _ = shared_catalogue(("oncology_ed_visit", "other"))

    assert both.column_names == alone.column_names


def test_two_use_cases_that_define_a_family_differently_are_refused(other_defs):
    path = other_defs / "other" / "feature_mappings.yml"
    text = path.read_text()
    old = "columns: {any: [30, 90], count: [5, 30, 90, 365], days_since_last: [ever]}"
    assert old in text
    path.write_text(text.replace(old, "columns: {any: [30]}", 1))

    with pytest.raises(ConfigurationError, match=r"must have one definition.*columns"):
        shared_catalogue(("oncology_ed_visit", "other"))


def test_two_use_cases_that_define_a_code_set_differently_are_refused(other_defs):
    own = other_defs / "other" / "code_sets"
    own.mkdir(exist_ok=True)
    (own / "ed_visit.csv").write_text("vocabulary,code,name,source\nVisit,inpatient,Stay,test\n")

    with pytest.raises(ConfigurationError, match=r"'ed_visit' must mean the same .* other"):
        shared_catalogue(("oncology_ed_visit", "other"))


@pytest.mark.parametrize("name", sorted(path.parent.name for path in DEFS.glob("*/defs.yaml")))
def test_every_use_case_of_the_house_loads_by_itself(load, root, name):
    write_data_environment(root, {"use_cases": [name]})

    keys = keys_of(load(name=name))

    assert {key.path[0] for key in keys} == {name}
    names = [key.path[-1] for key in keys]
    assert len(set(names)) == len(names)
    assert {"cohort", "champion_model", "weekly_scores", "weekly_calibration"} <= set(names)
