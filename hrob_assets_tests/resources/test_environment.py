import os
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from hrob_assets.resources.environment import (
    Source,
    Spark,
    claim_data_root,
    environment_names,
    load_environment,
    require_separate,
    write_data_environment,
)
from hrob_assets.resources.sources.current_source import RawSource
from hrob_assets.risk.errors import ConfigurationError


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("HROB_")]:
        monkeypatch.delenv(name)
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
        ({"spark": {"master": "spark:7077"}}, "spark.master"),
        ({"spark": {"remote": "http://127.0.0.1:15002"}}, "spark.remote"),
        ({"spark": {"events_per_task": 0}}, "spark.events_per_task"),
    ],
)
def test_a_bad_key_is_named_with_the_files(root, values, place):
    write_data_environment(root, values)

    with pytest.raises(ConfigurationError) as error:
        load_environment()

    assert f"{place}: " in str(error.value)
    assert str(root / "environment.yaml") in str(error.value)
    assert "base.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"feature_engine": "sparc"}, "feature_engine: .*Did you mean 'spark'"),
        ({"feature_engin": "spark"}, "feature_engin: .*Did you mean 'feature_engine'"),
        ({"spark": {"mastr": "local[2]"}}, "spark.mastr: .*Did you mean 'master'"),
        ({"source": {"kind": "omob"}}, "source.kind: .*Did you mean 'omop'"),
    ],
)
def test_an_unknown_key_or_value_names_the_nearest(root, values, hint):
    write_data_environment(root, values)

    with pytest.raises(ConfigurationError, match=hint):
        load_environment()


@pytest.mark.usefixtures("root")
def test_features_are_made_in_the_run_itself_unless_spark_is_chosen():
    found = load_environment()

    assert found.feature_engine == "local"
    assert (found.spark.master, found.spark.resolve_remote()) == ("local[*]", None)


def test_an_overlay_chooses_spark_and_its_settings(root):
    write_data_environment(
        root, {"feature_engine": "spark", "spark": {"conf": {"spark.executor.cores": 2}}}
    )

    found = load_environment()

    assert found.feature_engine == "spark"
    assert found.spark.conf == {"spark.executor.cores": 2}
    assert found.spark.events_per_task == 1_000_000
    assert found.search_engine == "local"  # each is chosen by itself


def test_an_overlay_chooses_spark_for_the_trials_of_a_search(root):
    write_data_environment(
        root, {"search_engine": "spark", "spark": {"master": "local[2]", "trials_at_a_time": 8}}
    )

    found = load_environment()

    assert (found.search_engine, found.spark.trials_at_a_time) == ("spark", 8)
    assert found.feature_engine == "local"


@pytest.mark.parametrize(
    "server", [{"remote": "sc://spark.example.org:15002"}, {"remote_variable": "HROB_SPARK"}]
)
def test_trials_are_refused_where_there_is_no_master(root, server):
    write_data_environment(root, {"search_engine": "spark", "spark": server})

    with pytest.raises(ConfigurationError, match="needs a Spark with a master"):
        load_environment()


def test_the_address_of_spark_may_come_from_a_variable(monkeypatch):
    spark = Spark(remote_variable="HROB_SPARK")
    monkeypatch.delenv("HROB_SPARK", raising=False)

    with pytest.raises(ConfigurationError, match="the variable HROB_SPARK must hold"):
        spark.resolve_remote()

    monkeypatch.setenv("HROB_SPARK", "sc://127.0.0.1:15002/;token=hunter2")

    assert spark.resolve_remote() == "sc://127.0.0.1:15002/;token=hunter2"


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


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (Source(kind="omop", location="/gone"), None),
        (Source(kind="omop", location_variable="HROB_NOT_SET", in_words="claims"), "claims"),
        (Source(kind="synthetic", pregnancies=7, oncology_patients=5), "synthetic world, 7 preg"),
        (Source(kind="diabetes130"), "Diabetes 130-US hospitals 1999-2008"),
    ],
)
def test_a_source_is_told_to_readers_without_opening_it_or_its_place(source, told, tmp_path):
    found = RawSource.of(source, tmp_path).in_words

    assert found is None if told is None else found.startswith(told)


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


# Apart: production shares nothing.


def named(monkeypatch, name):
    monkeypatch.setenv("HROB_ENV", name)
    return load_environment()


@pytest.fixture
def pair(root, monkeypatch):
    """Production and staging, each in a data root of its own."""
    monkeypatch.setenv("HROB_DATA_ROOT", str(root / "staging"))
    staging = named(monkeypatch, "staging")
    monkeypatch.setenv("HROB_DATA_ROOT", str(root / "prod"))
    return named(monkeypatch, "prod"), staging


def test_the_environments_of_the_house_share_nothing(root, monkeypatch):
    monkeypatch.delenv("HROB_DATA_ROOT")
    monkeypatch.chdir(root)

    loaded = [named(monkeypatch, name) for name in environment_names()]

    assert [each.name for each in loaded] == ["dev", "prod", "staging"]
    assert "dagster_database_variable" in loaded[1].variables
    assert "source.location_variable" in loaded[1].variables
    for one in loaded:
        for other in loaded:
            if one is not other:
                require_separate(one, other)


@pytest.mark.parametrize("name", ["dev", "staging"])
def test_production_refuses_the_folder_of_another(root, monkeypatch, name):
    monkeypatch.chdir(root)
    monkeypatch.delenv("HROB_DATA_ROOT")
    theirs = named(monkeypatch, name).data_root
    monkeypatch.setenv("HROB_DATA_ROOT", str(theirs))

    with pytest.raises(ConfigurationError, match=rf"prod and {name} must share nothing.*data root"):
        named(monkeypatch, "prod")

    monkeypatch.setenv("HROB_DATA_ROOT", str(theirs / "deeper"))

    with pytest.raises(ConfigurationError, match="data root"):
        named(monkeypatch, "prod")


def test_no_other_environment_may_use_the_folder_of_production(root, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setenv("HROB_DATA_ROOT", "data/prod")

    with pytest.raises(ConfigurationError, match="dev and prod must share nothing"):
        named(monkeypatch, "dev")


def test_a_shared_registry_is_refused(pair):
    prod, staging = pair
    one = replace(prod, mlflow_tracking_uri="http://127.0.0.1:5000")
    other = replace(staging, mlflow_tracking_uri="http://127.0.0.1:5000")

    with pytest.raises(ConfigurationError, match=r"the registry http://127\.0\.0\.1:5000"):
        require_separate(one, other)


def test_shared_records_of_decisions_are_refused(pair):
    prod, staging = pair
    other = replace(staging, decision_folder=prod.records_folder)

    with pytest.raises(ConfigurationError, match=r"the records of decisions .*prod/decisions"):
        require_separate(prod, other)


def test_records_of_decisions_are_in_the_data_root_unless_the_registry_is_another(pair):
    prod, _ = pair

    assert prod.records_folder == (prod.data_root / "decisions").absolute()
    assert replace(prod, decision_folder=Path("/a/b")).records_folder == Path("/a/b")


def test_a_shared_source_is_refused(pair):
    prod, staging = pair
    source = Source(kind="omop", location="/omop")

    with pytest.raises(ConfigurationError, match="the source /omop"):
        require_separate(replace(prod, source=source), replace(staging, source=source))


def test_a_shared_variable_is_refused(pair):
    prod, staging = pair
    other = replace(staging, dagster_database_variable=prod.dagster_database_variable)

    with pytest.raises(ConfigurationError, match="the variable HROB_PROD_DAGSTER_DATABASE"):
        require_separate(prod, other)


def test_one_secret_under_two_names_is_refused_and_not_shown(monkeypatch, pair):
    assert pair
    address = "postgresql+psycopg2://hrob:hunter2@127.0.0.1:5999/mlflow"
    monkeypatch.setenv("HROB_STAGING_MLFLOW_DATABASE", address)
    monkeypatch.setenv("HROB_PROD_MLFLOW_DATABASE", address)

    with pytest.raises(ConfigurationError) as error:
        named(monkeypatch, "prod")

    assert "HROB_PROD_MLFLOW_DATABASE and HROB_STAGING_MLFLOW_DATABASE" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_data_root_belongs_to_the_environment_that_claimed_it(root, monkeypatch):
    claim_data_root(named(monkeypatch, "staging"))

    with pytest.raises(ConfigurationError, match=f"{root} belongs to staging, HROB_ENV is prod"):
        named(monkeypatch, "prod")

    assert named(monkeypatch, "staging").data_root == root


def test_the_folders_of_development_are_not_marked(root, monkeypatch):
    claim_data_root(named(monkeypatch, "dev"))

    assert list(root.iterdir()) == []


# Secrets by name.


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (
            {"mlflow_tracking_uri_variable": "postgresql://a:hunter2@b/c"},
            "mlflow_tracking_uri_variable",
        ),
        ({"source": {"kind": "omop", "location_variable": "hunter2"}}, "source.location_variable"),
        ({"mlflow_tracking_uri": "postgresql://a:hunter2@b/c"}, "mlflow_tracking_uri"),
        (
            {"source": {"kind": "omop", "location": "postgresql://b/c?password=hunter2"}},
            "source.location",
        ),
    ],
)
def test_a_secret_in_a_file_is_refused_and_not_shown(root, values, key):
    write_data_environment(root, values)

    with pytest.raises(ConfigurationError) as error:
        load_environment()

    assert f"{key}: " in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.usefixtures("root")
def test_a_registry_without_its_variable_is_an_error_that_names_it(monkeypatch):
    environment = named(monkeypatch, "prod")

    with pytest.raises(ConfigurationError, match="HROB_PROD_MLFLOW_DATABASE must hold the address"):
        _ = environment.tracking_uri

    monkeypatch.setenv("HROB_PROD_MLFLOW_DATABASE", "postgresql+psycopg2://127.0.0.1/mlflow")

    assert environment.tracking_uri == "postgresql+psycopg2://127.0.0.1/mlflow"


@pytest.mark.usefixtures("root")
def test_dagster_is_given_the_name_of_the_variable_of_the_registry(monkeypatch):
    from hrob_assets.defs.resources import _tracking_uri  # noqa: PLC0415 - loads Dagster

    monkeypatch.setenv(
        "HROB_PROD_MLFLOW_DATABASE", "postgresql+psycopg2://a:hunter2@127.0.0.1/mlflow"
    )
    found = _tracking_uri(named(monkeypatch, "prod"))

    assert isinstance(found, dg.EnvVar)
    assert found.env_var_name == "HROB_PROD_MLFLOW_DATABASE"


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("key", ["HROB_STAGING_MLFLOW_DATABASE", "HROB_STAGING_DAGSTER_DATABASE"])
def test_an_address_without_its_driver_is_refused_and_not_shown(monkeypatch, key):
    monkeypatch.setenv(key, "postgresql://a:hunter2@127.0.0.1/b")

    with pytest.raises(ConfigurationError) as error:
        named(monkeypatch, "staging")

    assert f"{key} must name its driver and begin with postgresql+psycopg2://" in str(error.value)
    assert "hunter2" not in str(error.value)
