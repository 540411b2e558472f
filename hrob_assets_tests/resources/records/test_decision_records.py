"""Who is champion, whatever ends a process between two steps or moves files and aliases."""

import json
import multiprocessing
import os
import stat
import threading
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace

import dagster as dg
import pytest

from hrob_assets.resources.records.decision_records import DecisionRecords
from hrob_assets.resources.records.model_registry import CHAMPION, PREVIOUS_CHAMPION, ModelRegistry
from hrob_assets.risk.errors import ConfigurationError, ContractError, RecordError
from hrob_assets.risk.promotion.audit_trail import Decision
from hrob_assets_tests.example import fitted

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

VARIABLE = "HROB_TEST_DECISION_KEY"


def promotion(name, version, *, before=None):
    return Decision(
        use_case=name,
        kind="promoted",
        decided_at=datetime(2026, 1, 5, tzinfo=UTC),
        challenger=version,
        champion_before=before,
        champion=version,
        previous_champion=before,
        reason="all criteria are met",
    )


def refusal(name, version, *, champion, previous=None):
    return Decision(
        use_case=name,
        kind="refused",
        decided_at=datetime(2026, 1, 5, tzinfo=UTC),
        challenger=version,
        champion_before=champion,
        champion=champion,
        previous_champion=previous,
        reason="not met: ranks well enough",
    )


@pytest.fixture(scope="module")
def versions(registry):
    """Makes a model with three versions quickly: one file, registered under a new name."""
    with dg.build_asset_context() as context:
        run = SimpleNamespace(run_id=uuid.uuid4().hex, job_name="train")
        with registry.tracked_run(SimpleNamespace(log=context.log, run=run), "file") as tracker:
            registry.register("file", fitted(["x"], [1.0]), tags={})
            run_id = tracker.active_run().info.run_id
    _, client = registry._mlflow()
    source = client.get_model_version("file", "1").source

    def make(count=3):
        name = f"decided_{uuid.uuid4().hex[:8]}"
        client.create_registered_model(name)
        for _ in range(count):
            client.create_model_version(name, source, run_id=run_id)
        return name

    return make


@pytest.fixture
def records(tmp_path):
    return DecisionRecords(folder=str(tmp_path / "decisions"))


def champions(registry, name):
    return registry.version(name, CHAMPION), registry.version(name, PREVIOUS_CHAMPION)


def kinds(records, name, registry):
    return [record["kind"] for record in records.verified(name, registry)]


def promoted_twice(records, name, registry):
    records.change_champion(promotion(name, "1"), registry)
    records.change_champion(promotion(name, "2", before="1"), registry)


def test_a_promotion_sets_both_aliases_and_leaves_a_record(records, registry, versions):
    name = versions()

    promoted_twice(records, name, registry)

    assert champions(registry, name) == ("2", "1")
    assert kinds(records, name, registry) == ["promoted", "promoted"]


def test_a_decision_that_changes_nothing_leaves_a_record(records, registry, versions):
    name = versions()
    records.append(refusal(name, "1", champion=None), registry)
    records.change_champion(promotion(name, "2"), registry)
    records.append(refusal(name, "3", champion="2"), registry)

    assert kinds(records, name, registry) == ["refused", "promoted", "refused"]
    assert champions(registry, name) == ("2", None)


class KilledError(BaseException):
    """The process ended here."""


STEPS = (
    (DecisionRecords, "_write_intent", 1),
    (ModelRegistry, "set_alias", 1),
    (ModelRegistry, "set_alias", 2),
    (DecisionRecords, "_write_record", 1),
    (ModelRegistry, "set_note", 1),
    (DecisionRecords, "_remove_intent", 1),
)
"""What a change of the champion consists of, in its order."""
CHANGED = 3
"""From the end of this step on the new champion scores."""


def ending(step, moment, end):
    """Replace a step by one at the start or end of which the process ends."""
    owner, method, call = STEPS[step]
    whole, calls = getattr(owner, method), []

    def cut_short(self, *arguments: object):
        calls.append(arguments)
        if len(calls) == call and moment == "before":
            end()
        result = whole(self, *arguments)
        if len(calls) == call and moment == "after":
            end()
        return result

    return owner, method, cut_short


def killed():
    raise KilledError


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", range(len(STEPS)))
def test_there_is_a_champion_whenever_a_promotion_is_cut_short(
    records, registry, versions, monkeypatch, step, moment
):
    name = versions()
    records.change_champion(promotion(name, "1"), registry)

    with monkeypatch.context() as patched:
        patched.setattr(*ending(step, moment, killed))
        with pytest.raises(KilledError):
            records.change_champion(promotion(name, "2", before="1"), registry)

    changed = step + (moment == "after") >= CHANGED
    scoring = registry.load(name, CHAMPION)
    assert scoring.version == ("2" if changed else "1")
    assert kinds(records, name, registry) == ["promoted"] * (2 if changed else 1)
    assert champions(registry, name) == (("2", "1") if changed else ("1", None))
    if not changed:
        records.change_champion(promotion(name, "2", before="1"), registry)
    assert champions(registry, name) == ("2", "1")
    assert kinds(records, name, registry) == ["promoted"] * 2


@pytest.mark.parametrize("step", [1, 3, 4, 5])  # what a recovery does again
def test_a_recovery_that_is_cut_short_is_itself_recovered(
    records, registry, versions, monkeypatch, step
):
    name = versions()
    promoted_twice(records, name, registry)
    with monkeypatch.context() as patched:
        patched.setattr(*ending(2, "after", killed))  # the alias is set, the record is not
        with pytest.raises(KilledError):
            records.change_champion(promotion(name, "3", before="2"), registry)

    with monkeypatch.context() as patched:
        patched.setattr(*ending(step, "before", killed))
        with pytest.raises(KilledError):
            records.verified(name, registry)

    assert kinds(records, name, registry) == ["promoted"] * 3
    assert champions(registry, name) == ("3", "2")


def end_process():
    os._exit(9)


def promote_and_end(folder, uri, name, step):
    """Run in a process of its own, which ends without any clearing up."""
    setattr(*ending(step, "after", end_process))
    registry = ModelRegistry(tracking_uri=uri, artifact_root=folder)
    DecisionRecords(folder=folder).change_champion(promotion(name, "2", before="1"), registry)


def test_there_is_a_champion_when_the_process_itself_is_killed(records, registry, versions):
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["mlflow", __name__])
    cases = []
    for step in range(len(STEPS)):
        name = versions(2)
        records.change_champion(promotion(name, "1"), registry)
        arguments = (records.folder, registry.tracking_uri, name, step)
        process = processes.Process(target=promote_and_end, args=arguments)
        process.start()
        cases.append((step, name, process))

    for step, name, process in cases:
        process.join(120)

        assert process.exitcode == 9
        changed = step + 1 >= CHANGED
        assert registry.load(name, CHAMPION).version == ("2" if changed else "1")
        assert kinds(records, name, registry) == ["promoted"] * (2 if changed else 1)
        assert champions(registry, name) == (("2", "1") if changed else ("1", None))


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(records, registry, versions):
    name = versions()
    records.change_champion(promotion(name, "1"), registry)
    start, lost, won = threading.Barrier(2), [], []

    def promote(version):
        start.wait()
        try:
            records.change_champion(promotion(name, version, before="1"), registry)
            won.append(version)
        except ContractError as error:
            lost.append(str(error))

    threads = [threading.Thread(target=promote, args=(version,)) for version in ("2", "3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert champions(registry, name) == (won[0], "1")
    assert [f"present champion, version {won[0]}" in text for text in lost] == [True]
    assert kinds(records, name, registry) == ["promoted", "promoted"]


def test_a_decision_about_another_champion_than_the_present_one_is_refused(
    records, registry, versions
):
    name = versions()
    promoted_twice(records, name, registry)

    with pytest.raises(ContractError, match=r"present champion, version 2 \(found 1: another"):
        records.append(refusal(name, "3", champion="1"), registry)


def test_a_rollback_goes_back_step_by_step_and_then_says_that_there_is_no_more(
    records, registry, versions
):
    name = versions()
    promoted_twice(records, name, registry)
    records.change_champion(promotion(name, "3", before="2"), registry)

    records.roll_back(name, registry, reason="too many false alarms")
    assert champions(registry, name) == ("2", "1")
    last = records.roll_back(name, registry, reason="still")
    assert champions(registry, name) == ("1", None)

    with pytest.raises(ContractError, match=r"must have a previous champion .*found none"):
        records.roll_back(name, registry, reason="again")
    assert last["reason"] == "still"
    assert last["asked_by"]["operating system user"]
    assert kinds(records, name, registry) == ["promoted"] * 3 + ["rolled back"] * 2


def test_without_any_decision_there_is_nothing_to_roll_back_to(records, registry):
    with pytest.raises(ContractError, match="run the job train_nobody"):
        records.roll_back("nobody", registry, reason="why not")


def test_a_rollback_to_a_version_that_cannot_be_loaded_changes_nothing(
    records, registry, versions, monkeypatch
):
    name = versions()
    promoted_twice(records, name, registry)

    def broken(*_: object):
        raise OSError

    monkeypatch.setattr(ModelRegistry, "load_version", broken)

    with pytest.raises(OSError):  # noqa: PT011 - of the file system, whatever it says
        records.roll_back(name, registry, reason="try")
    assert champions(registry, name) == ("2", "1")


@pytest.mark.parametrize("alias", [CHAMPION, PREVIOUS_CHAMPION])
@pytest.mark.parametrize("version", ["3", None])
def test_an_alias_moved_by_hand_is_found_and_can_be_put_back(
    records, registry, versions, alias, version
):
    name = versions()
    promoted_twice(records, name, registry)
    registry.set_alias(name, alias, version)

    with pytest.raises(RecordError, match=r"moved by hand.*hrob rollback .* --restore"):
        records.verified(name, registry)
    with pytest.raises(RecordError, match="moved by hand"):
        records.change_champion(promotion(name, "3", before="2"), registry)

    records.restore(name, registry, reason="somebody moved it")

    assert champions(registry, name) == ("2", "1")
    assert kinds(records, name, registry) == ["promoted", "promoted", "restored"]
    with pytest.raises(ContractError, match=r"both are.*nothing to put back"):
        records.restore(name, registry, reason="again")


@pytest.mark.parametrize("alias", [CHAMPION, PREVIOUS_CHAMPION])
def test_a_champion_that_nobody_decided_on_gets_no_record_by_being_looked_at(
    records, registry, versions, alias
):
    name = versions()
    registry.set_alias(name, alias, "2")

    for look in (records.verified, records.champion):
        with pytest.raises(RecordError, match=r"found no record.*hrob rollback .* --adopt"):
            look(name, registry)
    with pytest.raises(RecordError, match="found no record"):
        records.append(refusal(name, "1", champion=None), registry)
    assert list(records._path(name).glob("*.json")) == []


def test_a_champion_whose_records_are_gone_is_not_adopted(records, registry, versions):
    name = versions()
    promoted_twice(records, name, registry)
    for path in records._path(name).glob("*.json"):
        path.unlink()

    with pytest.raises(RecordError, match="registry knows of 2 records"):
        records.adopt(name, registry, reason="it scores")


def test_adoption_needs_a_champion_and_no_record(records, registry, versions):
    name = versions()
    with pytest.raises(ContractError, match=r"found no champion.*train_"):
        records.adopt(name, registry, reason="it scores")

    records.change_champion(promotion(name, "1"), registry)

    with pytest.raises(ContractError, match="found records"):
        records.adopt(name, registry, reason="it scores")


def test_the_champion_is_the_one_of_the_last_decision(records, registry, versions):
    name = versions()
    assert records.champion(name, registry) is None
    promoted_twice(records, name, registry)
    registry.set_alias(name, CHAMPION, "3")

    assert records.champion(name, registry) == "2"

    (records._path(name) / "000001.json").unlink()
    with pytest.raises(RecordError, match="must be whole"):
        records.champion(name, registry)


def test_a_champion_from_before_there_were_records_is_adopted_by_somebody(
    records, registry, versions
):
    name = versions()
    registry.set_alias(name, CHAMPION, "2")
    registry.set_alias(name, PREVIOUS_CHAMPION, "1")

    record = records.adopt(name, registry, reason="it scored for a year")

    assert record["reason"] == "it scored for a year"
    assert record["asked_by"]["operating system user"]
    assert kinds(records, name, registry) == ["adopted"]

    records.roll_back(name, registry, reason="it was better")
    assert champions(registry, name) == ("1", None)


def edit(path):
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"reason": "it is the best"}))


def swap(path):
    other = path.with_name("000001.json")
    kept = other.read_text()
    other.write_text(path.read_text())
    path.write_text(kept)


def scribble(path):
    path.write_text("[")


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (edit, "record 2: its signature does not fit"),
        (swap, "record 1: it says that it is number 2"),
        (scribble, "000002.json must hold a record"),
        (lambda path: path.unlink(), "the registry knows of 2 records"),
        (lambda path: path.with_name("000001.json").unlink(), "registry knows of 2 records"),
    ],
    ids=["edited", "swapped", "scribbled", "last removed", "first removed"],
)
def test_files_that_were_tampered_with_are_found(records, registry, versions, tamper, found):
    name = versions()
    promoted_twice(records, name, registry)

    tamper(records._path(name) / "000002.json")

    with pytest.raises(RecordError, match=found):
        records.verified(name, registry)
    with pytest.raises(RecordError, match=found):
        records.roll_back(name, registry, reason="try")
    assert champions(registry, name) == ("2", "1")


def test_an_intent_that_nobody_signed_moves_no_alias(records, registry, versions):
    name = versions()
    promoted_twice(records, name, registry)
    last = json.loads((records._path(name) / "000002.json").read_text())
    forged = last | {"sequence": 3, "champion": "3", "previous_champion": "2"}
    intent = {"record": forged, "previous_champion_before": "1"}
    (records._path(name) / "intent.json").write_text(json.dumps(intent))

    with pytest.raises(RecordError, match=r"record 3: .*signature does not fit"):
        records.verified(name, registry)

    assert champions(registry, name) == ("2", "1")


def test_the_local_key_is_for_its_owner_only_and_the_record_says_that_it_is_local(
    records, registry, versions
):
    name = versions()
    records.change_champion(promotion(name, "1"), registry)
    key = records._path("").joinpath("signing.key")

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    source = records.verified(name, registry)[0]["signed_with"]["source"]
    assert source.startswith("local key file")

    key.chmod(0o640)
    with pytest.raises(ConfigurationError, match="readable by its owner only"):
        records.verified(name, registry)


def test_a_key_by_the_name_of_its_variable_signs_and_older_ones_verify(
    tmp_path, registry, versions, monkeypatch
):
    name = versions()
    records = DecisionRecords(folder=str(tmp_path), key_variable=VARIABLE)
    monkeypatch.setenv(VARIABLE, "a" * 32)
    first = records.change_champion(promotion(name, "1"), registry)
    monkeypatch.setenv(VARIABLE, f"{'b' * 32} {'a' * 32}")
    second = records.change_champion(promotion(name, "2", before="1"), registry)

    assert (
        first["signed_with"]["source"]
        == second["signed_with"]["source"]
        == (f"variable {VARIABLE}")
    )
    assert first["signed_with"]["key"] != second["signed_with"]["key"]
    assert kinds(records, name, registry) == ["promoted", "promoted"]

    monkeypatch.setenv(VARIABLE, "b" * 32)
    with pytest.raises(RecordError, match=r"record 1: its key .* is not at hand"):
        records.verified(name, registry)


@pytest.mark.parametrize(("text", "found"), [(None, "found nothing"), ("short", "found a shorter")])
def test_without_the_key_that_is_named_nothing_is_decided(
    tmp_path, registry, versions, monkeypatch, text, found
):
    name = versions()
    records = DecisionRecords(folder=str(tmp_path), key_variable=VARIABLE)
    if text is not None:
        monkeypatch.setenv(VARIABLE, text)

    with pytest.raises(ConfigurationError, match=f"variable {VARIABLE} must hold.*{found}"):
        records.change_champion(promotion(name, "1"), registry)
    assert champions(registry, name) == (None, None)
