"""The files that deploy this project agree with each other and with the environments."""

import re

import hcl2
import pytest
import yaml

from hrob_assets.resources.environment import load_environment
from hrob_assets_tests.paths import PROJECT

DEPLOY = PROJECT / "deploy"
TERRAFORM = sorted((DEPLOY / "terraform").glob("*.tf"))
PIPELINES = [PROJECT / ".github" / "workflows" / "ci.yaml", PROJECT / "azure-pipelines.yml"]
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def plain(key):
    return key.strip('"')


@pytest.fixture(scope="module")
def declared():
    """Addresses of all that the Terraform files declare."""
    found = set()
    for path in TERRAFORM:
        with path.open() as text:
            blocks = hcl2.load(text)
        for prefix, kind in (("", "resource"), ("data.", "data")):
            for block in blocks.get(kind, []):
                for type_, names in block.items():
                    if not type_.startswith("__"):
                        found |= {
                            f"{prefix}{plain(type_)}.{plain(name)}"
                            for name in names
                            if not name.startswith("__")
                        }
        for block in blocks.get("variable", []):
            found |= {f"var.{plain(name)}" for name in block if not name.startswith("__")}
        for block in blocks.get("locals", []):
            found |= {f"local.{name}" for name in block if not name.startswith("__")}
    return found


def referenced(text):
    """Addresses that an expression uses, as `declared` writes them."""
    text = re.sub(r"#.*", "", text)
    strings = re.sub(r"\$\{([^}]*)\}", r'" \1 "', text)  # what a string interpolates is code
    code = re.sub(r'"[^"]*"', '""', strings)
    return set(re.findall(r"\b((?:data\.)?(?:azurerm|random)_\w+\.\w+|(?:var|local)\.\w+)", code))


def test_the_finder_of_references_finds_them():
    text = 'name = "${local.prefix}_X" # var.no\nid = data.azurerm_client_config.this.tenant_id'

    assert referenced(text) == {"local.prefix", "data.azurerm_client_config.this"}


@pytest.mark.parametrize("path", TERRAFORM, ids=lambda path: path.name)
def test_terraform_refers_only_to_what_is_declared(path, declared):
    assert referenced(path.read_text()) - declared == set()


def test_all_that_terraform_declares_as_input_is_used(declared):
    used = set().union(*(referenced(path.read_text()) for path in TERRAFORM))

    assert {name for name in declared if name.startswith(("var.", "local."))} - used == set()


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_terraform_gives_each_environment_the_variables_that_its_yaml_names(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("HROB_ENV", name)
    monkeypatch.setenv("HROB_DATA_ROOT", str(tmp_path))
    text = (DEPLOY / "terraform" / "secrets.tf").read_text()
    text = text.replace("${local.prefix}", f"HROB_{name.upper()}")

    given = set(re.findall(r"HROB_[A-Z_]+", text))
    given = {variable for variable in given if variable.startswith(f"HROB_{name.upper()}_")}

    assert given == set(load_environment().variables.values())


def test_the_example_of_an_env_file_names_the_variables_of_production(tmp_path, monkeypatch):
    monkeypatch.setenv("HROB_ENV", "prod")
    monkeypatch.setenv("HROB_DATA_ROOT", str(tmp_path))
    text = (DEPLOY / "prod.env.example").read_text()

    assert set(re.findall(r"HROB_PROD_[A-Z_]+", text)) == set(load_environment().variables.values())
    wanted = set(re.findall(r"\$\{(HROB_[A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))
    assert set(re.findall(r"^(HROB_[A-Z_]+)=", text, flags=re.MULTILINE)) == wanted


def test_compose_publishes_on_loopback_only():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_every_part_of_compose_is_watched_and_holds_no_secret():
    for name, service in COMPOSE["services"].items():
        assert service["healthcheck"]["test"], name
        for key, value in service["environment"].items():
            secret = "PASSWORD" in key or "://" in value
            assert not secret or value.startswith("/run/secrets/"), (name, key)


def test_the_parts_of_compose_are_of_one_machine_so_that_the_daemon_sees_a_killed_run():
    ours = [each for each in COMPOSE["services"].values() if "HROB_ENV" in each["environment"]]

    assert len(ours) == 4
    assert {service["hostname"] for service in ours} == {"hrob"}
    assert all("data:/var/lib/hrob" in service["volumes"] for service in ours)  # with the locks


def test_the_parts_of_compose_and_of_the_cloud_are_those_that_the_command_starts():
    from hrob_assets.cli import serve  # noqa: PLC0415 - only here

    parts = set(next(each for each in serve.params if each.name == "part").type.choices)
    cloud = re.findall(
        r'^    "([a-z-]+)" += {', (DEPLOY / "terraform" / "apps.tf").read_text(), re.MULTILINE
    )

    assert set(cloud) == parts
    assert set(COMPOSE["services"]) == parts | {"postgresql"}


def test_the_container_is_built_from_the_pins_and_runs_without_rights():
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]

    assert users == ["10001:10001"]
    assert any("-c constraints.txt" in line for line in lines)
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    assert sum(line.startswith("FROM ") for line in lines) == 2


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_pipelines_call_make_targets_that_exist_and_only_in_the_right_place(path):
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    called = re.findall(r"\bmake ([a-z-]+)", text)

    assert called == ["check", "test", "staging", "image", "push", "deploy"]
    assert set(called) <= targets
    production = text.split("production", 1)[1]
    assert "make deploy DEPLOY_ENV=prod" in production
    assert "environment: production" in production
    assert "refs/heads/release/" in text


@pytest.mark.parametrize(
    "path",
    [*TERRAFORM, *PIPELINES, *(path for path in DEPLOY.iterdir() if path.is_file())],
    ids=lambda path: path.name,
)
def test_no_file_names_a_registry_or_an_index(path):
    words = (
        "docker.io",
        "ghcr.io",
        "quay.io",
        "azurecr.io",
        "mcr.microsoft",
        "--index-url",
        "pypi.",
    )

    assert [word for word in words if word in path.read_text()] == []
