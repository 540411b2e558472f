"""The commands that list decisions and roll back."""

from datetime import UTC, datetime

import dagster as dg
import pytest
from click.testing import CliRunner

from hrob_assets.cli import main
from hrob_assets.pipeline import use_data_root
from hrob_assets.resources.environment import write_data_environment
from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import CHAMPION
from hrob_assets.risk.promotion.audit_trail import Decision
from hrob_assets_tests.example import fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

NAME = "oncology_ed_visit"


@pytest.fixture(scope="module")
def registered(registry):
    """A registry with two versions of a real use case."""
    from types import SimpleNamespace  # noqa: PLC0415

    with dg.build_asset_context() as context:
        run = SimpleNamespace(run_id="decisions", job_name="train")
        with registry.tracked_run(SimpleNamespace(log=context.log, run=run), NAME):
            for coefficient in (1.0, 2.0):
                registry.register(NAME, fitted(["x"], [coefficient]), tags={})
    return registry


@pytest.fixture
def root(tmp_path, registered, monkeypatch):
    """A data root in which version 2 took the place of version 1."""
    monkeypatch.delenv("HROB_ENV", raising=False)
    for variable in ("HROB_DATA_ROOT", "DAGSTER_HOME"):
        monkeypatch.setenv(variable, "set by use_data_root")
    root = tmp_path / "root"
    write_data_environment(root, {"mlflow_tracking_uri": registered.tracking_uri})
    use_data_root(root)
    for alias in ("champion", "previous_champion"):
        registered.set_alias(NAME, alias, None)
    registered.set_note(NAME, "decision_head", "0:none")
    registered._mlflow()[1].delete_registered_model_tag(NAME, "decision_head")
    records = DecisionRecords(folder=str(root.absolute() / "decisions"))
    for version, before in (("1", None), ("2", "1")):
        decision = Decision(
            use_case=NAME,
            kind="promoted",
            decided_at=datetime(2026, 1, int(version), tzinfo=UTC),
            challenger=version,
            champion_before=before,
            champion=version,
            previous_champion=before,
            reason="all criteria are met",
            criteria=({"criterion": "ranks well enough", "found": "0.75", "passed": True},),
            asked_by={"schedule": "retrain"},
        )
        records.change_champion(decision, registered)
    return root


def hrob(*arguments: object):
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_decisions_are_listed_with_who_asked_and_verified(root):
    found = hrob("decisions", NAME, "--data-root", root)

    assert found.exit_code == 0, found.output
    lines = [line.strip() for line in found.output.splitlines()]
    assert lines[0] == "1. 2026-01-01T00:00:00+00:00  promoted: all criteria are met"
    assert "versions: challenger 2, champion before 1, champion 2, previous champion 1" in lines
    assert lines[2] == "asked by: schedule retrain"
    assert "yes  ranks well enough: 0.75" in lines
    assert lines[-1] == "2 records, each signed and in its place; the aliases are as decided."


def test_a_changed_record_makes_the_command_fail(root):
    path = root / "decisions" / NAME / "000001.json"
    path.write_text(path.read_text().replace("0.75", "0.85"))

    found = hrob("decisions", NAME, "--data-root", root)

    assert found.exit_code == 1
    assert "record 1: its signature does not fit its content" in found.output


def test_one_command_rolls_back_and_the_ui_is_told(root, registered):
    found = hrob("rollback", NAME, "--data-root", root, "--reason", "too many false alarms")

    assert found.exit_code == 0, found.output
    assert "rolled back: too many false alarms" in found.output
    assert registered.version(NAME, CHAMPION) == "1"
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey([NAME, "champion_model"]))
    metadata = event.asset_materialization.metadata
    assert metadata["decision"].value == "rolled back"
    assert metadata["champion"].value == "1"

    again = hrob("rollback", NAME, "--data-root", root, "--reason", "more")

    assert again.exit_code == 1
    assert "must have a previous champion to roll back to (found none)" in again.output


def test_an_alias_moved_by_hand_is_told_and_put_back(root, registered):
    registered.set_alias(NAME, CHAMPION, "1")

    found = hrob("decisions", NAME, "--data-root", root)
    assert found.exit_code == 1
    assert f"hrob rollback {NAME} --restore" in found.output

    put_back = hrob("rollback", NAME, "--data-root", root, "--restore", "--reason", "by mistake")
    assert put_back.exit_code == 0, put_back.output
    assert registered.version(NAME, CHAMPION) == "2"


def test_a_champion_without_records_is_vouched_for_on_the_command_line(root, registered):
    for path in (root / "decisions" / NAME).glob("*.json"):
        path.unlink()
    registered._mlflow()[1].delete_registered_model_tag(NAME, "decision_head")

    found = hrob("decisions", NAME, "--data-root", root)
    assert found.exit_code == 1
    assert f"hrob rollback {NAME} --adopt" in found.output

    adopted = hrob("rollback", NAME, "--data-root", root, "--adopt", "--reason", "it is known")
    assert adopted.exit_code == 0, adopted.output
    assert "adopted: it is known" in adopted.output
    assert hrob("decisions", NAME, "--data-root", root).exit_code == 0


def test_an_unknown_use_case_is_named(root):
    found = hrob("decisions", "oncology_ed_visits", "--data-root", root)

    assert found.exit_code == 1
    assert "Did you mean 'oncology_ed_visit'?" in found.output
