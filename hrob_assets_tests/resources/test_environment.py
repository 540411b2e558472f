from datetime import date

import pytest

from hrob_assets.resources.environment import (
    Source,
    load_environment,
    write_data_environment,
)
from hrob_assets.resources.sources import RawSource
from hrob_assets.risk.errors import ConfigurationError


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name in ("HROB_ENV", "HROB_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HROB_DATA_ROOT", str(tmp_path))
    return tmp_path


def test_dev_is_the_environment_unless_another_is_named(root):
    environment = load_environment()

    assert environment.name == "dev"
    assert environment.source.kind == "synthetic"
    assert environment.data_root == root


def test_the_data_root_of_the_files_holds_unless_one_is_given(root, monkeypatch):
    monkeypatch.delenv("HROB_DATA_ROOT")
    monkeypatch.chdir(root)

    assert str(load_environment().data_root) == "data/demo"


@pytest.mark.parametrize(
    ("name", "kind", "pregnancies", "schedules"),
    [
        ("dev", "synthetic", 12_000, False),
        ("staging", "synthetic", 1_500, False),
        ("prod", "omop", 12_000, True),
    ],
)
@pytest.mark.usefixtures("root")
def test_an_overlay_changes_what_it_names_and_keeps_the_rest(
    monkeypatch, name, kind, pregnancies, schedules
):
    monkeypatch.setenv("HROB_ENV", name)

    found = load_environment()

    assert (found.source.kind, found.source.pregnancies) == (kind, pregnancies)
    assert found.start_schedules is schedules
    assert found.known_lag_days["death"] == 7


def test_the_overlay_of_the_data_root_comes_last_and_changes_single_keys(root):
    write_data_environment(
        root, {"source": {"pregnancies": 5}, "known_lag_days": {"death": 30}, "threads": 1}
    )

    found = load_environment()

    assert (found.source.pregnancies, found.source.oncology_patients) == (5, 8_000)
    assert (found.known_lag_days["death"], found.known_lag_days["visit"]) == (30, 0)
    assert found.threads == 1


def test_an_unknown_environment_names_the_nearest(monkeypatch):
    monkeypatch.setenv("HROB_ENV", "stagin")

    with pytest.raises(ConfigurationError, match=r"found 'stagin'.*Did you mean 'staging'"):
        load_environment()


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"threds": 2}, "threds"),
        ({"source": {"patients": 5}}, "source.patients"),
        ({"source": {"kind": "fhir"}}, "source.kind"),
        ({"threads": 0}, "threads"),
        ({"known_lag_days": {"death": -1}}, "known_lag_days.death"),
    ],
)
def test_a_bad_key_is_named_with_the_files(root, values, place):
    write_data_environment(root, values)

    with pytest.raises(ConfigurationError) as error:
        load_environment()

    assert f"{place}: " in str(error.value)
    assert str(root / "environment.yaml") in str(error.value)
    assert "base.yaml" in str(error.value)


def test_the_first_week_must_be_a_monday(root):
    write_data_environment(root, {"first_week": "2024-03-05"})

    with pytest.raises(ConfigurationError, match=r"must be a Monday .found 2024-03-05"):
        load_environment()

    write_data_environment(root, {"first_week": "2024-03-04"})

    assert load_environment().first_week == date(2024, 3, 4)


def test_writing_the_overlay_of_a_data_root_leaves_one_file(root):
    write_data_environment(root / "new", {"threads": 1})

    assert [path.name for path in (root / "new").iterdir()] == ["environment.yaml"]


def test_mlflow_is_a_file_in_the_data_root_unless_an_address_is_given(root):
    assert load_environment().tracking_uri == f"sqlite:///{root}/mlflow.db"

    write_data_environment(root, {"mlflow_tracking_uri": "http://127.0.0.1:5000"})

    assert load_environment().tracking_uri == "http://127.0.0.1:5000"


def test_a_location_may_come_from_a_variable(monkeypatch):
    source = Source(kind="omop", location_variable="HROB_SOURCE")
    monkeypatch.delenv("HROB_SOURCE", raising=False)

    with pytest.raises(ConfigurationError, match="the variable HROB_SOURCE must hold"):
        source.resolve_location()

    monkeypatch.setenv("HROB_SOURCE", "/somewhere")

    assert source.resolve_location() == "/somewhere"


def test_an_omop_source_without_a_location_is_refused():
    with pytest.raises(ConfigurationError, match="location or location_variable"):
        Source(kind="omop").resolve_location()


def test_a_password_is_not_shown(tmp_path, monkeypatch):
    address = "postgresql://reader:hunter2@127.0.0.1:5999/omop?password=hunter2"
    monkeypatch.setenv("HROB_SOURCE", address)
    source = RawSource.of(Source(kind="omop", location_variable="HROB_SOURCE"), tmp_path)

    assert "127.0.0.1" in source.description
    assert "hunter2" not in source.description
    assert "hunter2" not in str(source)
    assert "hunter2" not in source.settings


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Source(kind="synthetic", pregnancies=1200), "1,200 pregnancies and 8,000 patients"),
        (Source(kind="diabetes130"), "pseudo-calendar"),
    ],
)
def test_a_source_says_what_it_is(tmp_path, source, words):
    raw = RawSource.of(source, tmp_path)

    assert words in raw.description
    assert raw.source == source
