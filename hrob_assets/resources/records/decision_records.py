"""Records of who was made champion and why, and the one way to change the champion.

A change is written down before it is made, so that a process may end at any moment:

1. the intent (the signed record that is to be) as a file,
2. the alias ``previous_champion``,
3. the alias ``champion``, in one step of the registry,
4. the record, 5. its number and hash as a note in the registry, 6. the intent is removed.

Whoever comes next finds the intent and finishes it where step 3 was done, else undoes it. Between
any two steps the alias ``champion`` names the one champion or the other.
"""

import fcntl
import getpass
import json
import os
import secrets
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from hrob_assets.resources.records.model_registry import CHAMPION, PREVIOUS_CHAMPION, ModelRegistry
from hrob_assets.risk.errors import ConfigurationError, ContractError, RecordError
from hrob_assets.risk.promotion import (
    Decision,
    Head,
    Kind,
    SigningKey,
    are_signed,
    champion_before,
    model_fingerprint,
    record_of,
    signed_texts,
    verify_chain,
)

Record = dict[str, Any]
_HEAD = "decision_head"
_INTENT = "intent.json"
_LOCAL_KEY = "signing.key"
_OPEN_TO_OTHERS = 0o077
_SHORTEST_KEY = 32


class DecisionRecords(dg.ConfigurableResource):
    """Signed, chained records of decisions, a folder per use case.

    Parameters
    ----------
    folder : str
    key_variable : str, optional
        Name of the variable that holds the signing key (32 characters or more). Further keys,
        after blanks, are older ones: they verify and do not sign. None lets the records be signed
        with a key that is made in the folder on first use, for a developer's machine.
    """

    folder: str
    key_variable: str | None = None

    def signing_keys(self) -> tuple[SigningKey, ...]:
        """The key that signs, and then older keys that signed.

        Raises
        ------
        ConfigurationError
            If the variable is empty, a key too short, or the local key file open to others.
        """
        if self.key_variable is None:
            return (_local_key(Path(self.folder) / _LOCAL_KEY),)
        texts = os.environ.get(self.key_variable, "").split()
        if not texts or min(map(len, texts)) < _SHORTEST_KEY:
            msg = (
                f"the variable {self.key_variable} must hold the key that signs decisions, "
                f"{_SHORTEST_KEY} characters or more (found "
                f"{'a shorter one' if texts else 'nothing'}); set it before the start"
            )
            raise ConfigurationError(msg)
        return tuple(SigningKey(text.encode(), f"variable {self.key_variable}") for text in texts)

    def verified(self, name: str, registry: ModelRegistry) -> tuple[Record, ...]:
        """All records of a use case, oldest first.

        Raises
        ------
        RecordError
            If a record was changed, removed or reordered, an alias moved by hand, or there is a
            champion that nobody decided on.
        """
        with self._locked(name):
            return self._settled(name, registry)

    def champion(self, name: str, registry: ModelRegistry) -> str | None:
        """Version that the last decision made champion, whatever the aliases name by now.

        Returns
        -------
        str or None
            None where no decision made one.

        Raises
        ------
        RecordError
            If a record was changed, removed or reordered, or there are aliases without a record.
        """
        with self._locked(name):
            records = self._chain(name, registry)
            if not records:
                _require_no_alias(name, registry)
            return records[-1]["champion"] if records else None

    def append(self, decision: Decision, registry: ModelRegistry) -> Record:
        """Record a decision that leaves the champion as it is."""
        with self._locked(decision.use_case):
            before = self._settled(decision.use_case, registry)
            _require_champion(decision, before)
            record = record_of(decision, before=before, key=self.signing_keys()[0])
            self._complete(decision.use_case, record, registry)
            return record

    def change_champion(self, decision: Decision, registry: ModelRegistry) -> Record:
        """Record a decision and make its champion the champion.

        Returns
        -------
        dict
            The record.

        Raises
        ------
        ContractError
            If another decision was made since this one was judged.
        RecordError
            If the records or the aliases are not as the last decision left them.
        """
        name = decision.use_case
        with self._locked(name):
            before = self._settled(name, registry)
            _require_champion(decision, before)
            record = record_of(decision, before=before, key=self.signing_keys()[0])
            self._change(name, record, registry)
            return record

    def roll_back(self, name: str, registry: ModelRegistry, *, reason: str) -> Record:
        """Make the previous champion the champion again.

        The version that is withdrawn cannot be promoted again.

        Raises
        ------
        ContractError
            If there is no previous champion, or it cannot be loaded.
        """
        records = self.verified(name, registry)
        last = records[-1] if records else {}
        target = last.get("previous_champion")
        if target is None:
            msg = (
                f"{name} must have a previous champion to roll back to (found none); "
                f"run the job train_{name} for a better one"
            )
            raise ContractError(msg)
        registry.load_version(name, target)
        decision = Decision(
            use_case=name,
            kind="rolled back",
            decided_at=datetime.now(UTC),
            challenger=None,
            champion_before=last["champion"],
            champion=target,
            previous_champion=champion_before(records, target),
            reason=reason,
            asked_by=operating_system_user(),
        )
        return self.change_champion(decision, registry)

    def restore(self, name: str, registry: ModelRegistry, *, reason: str) -> Record:
        """Put aliases that were moved by hand back to where the last decision left them.

        Raises
        ------
        ContractError
            If they are there, or there is no decision.
        """
        with self._locked(name):
            records = self._chain(name, registry)
            if not records or _aliases(name, registry) == _decided(records[-1]):
                found = "both are" if records else "no decision"
                msg = (
                    f"restore needs an alias of {name} that is not as it was decided "
                    f"(found {found}); there is nothing to put back"
                )
                raise ContractError(msg)
            decision = _unchanged("restored", name, *_decided(records[-1]), reason=reason)
            record = record_of(decision, before=records, key=self.signing_keys()[0])
            self._change(name, record, registry)
            return record

    def adopt(self, name: str, registry: ModelRegistry, *, reason: str) -> Record:
        """Let a champion that no gate judged be the champion of the first record.

        For a registry from before there were records, or from a place that keeps none.

        Raises
        ------
        ContractError
            If there are records, or no champion.
        RecordError
            If the registry knows of records that are not here.
        """
        with self._locked(name):
            records = self._chain(name, registry)
            champion, previous = _aliases(name, registry)
            if records or champion is None:
                msg = (
                    f"adopt needs a champion of {name} on which nothing was decided "
                    f"(found {'records' if records else 'no champion'}); "
                    f"run the job train_{name}, which makes one"
                )
                raise ContractError(msg)
            model = model_fingerprint(registry.load_version(name, champion).model)
            decision = replace(
                _unchanged("adopted", name, champion, previous, reason=reason),
                challenger=champion,
                evidence={"model": model},
            )
            record = record_of(decision, before=(), key=self.signing_keys()[0])
            self._complete(name, record, registry)
            return record

    def sign(self, values: Mapping[str, str]) -> dict[str, str]:
        """Texts, such as the tags of a model version, with the signature of all of them."""
        return signed_texts(values, self.signing_keys()[0])

    def are_signed(self, texts: Mapping[str, str]) -> bool:
        """Whether `sign` wrote these texts, with a key that is at hand."""
        return are_signed(texts, self.signing_keys())

    def _chain(self, name: str, registry: ModelRegistry) -> tuple[Record, ...]:
        """The records as they stand, verified; an interrupted change is finished or undone."""
        self._recover(name, registry)
        records = self._read(name)
        noted = registry.note(name, _HEAD)
        head = Head.parse(noted) if noted else None
        if records or head:
            verify_chain(records, keys=self.signing_keys(), head=head)
        if records and head != Head.of(records[-1]):
            registry.set_note(name, _HEAD, str(Head.of(records[-1])))
        return records

    def _settled(self, name: str, registry: ModelRegistry) -> tuple[Record, ...]:
        """The verified chain, if the aliases are as it says."""
        records = self._chain(name, registry)
        if not records:
            _require_no_alias(name, registry)
        elif (found := _aliases(name, registry)) != _decided(records[-1]):
            msg = (
                f"the aliases of {name} must be as the last decision left them: champion and "
                f"previous champion {_decided(records[-1])} (found {found}; they "
                f"were moved by hand). Run hrob rollback {name} --restore to put them back"
            )
            raise RecordError(msg)
        return records

    def _recover(self, name: str, registry: ModelRegistry) -> None:
        path = self._path(name) / _INTENT
        if not path.exists():
            return
        intent = _read_json(path)
        record = intent["record"]
        noted = registry.note(name, _HEAD)
        chain = self._read(name)
        before = chain[: record["sequence"] - 1]
        head = Head.parse(noted) if noted else None
        verify_chain([*before, record], keys=self.signing_keys(), head=head)
        if registry.version(name, CHAMPION) == record["champion"]:
            registry.set_alias(name, PREVIOUS_CHAMPION, record["previous_champion"])
            self._complete(name, record, registry)
        else:
            registry.set_alias(name, PREVIOUS_CHAMPION, intent["previous_champion_before"])
        self._remove_intent(name)

    def _change(self, name: str, record: Record, registry: ModelRegistry) -> None:
        previous = registry.version(name, PREVIOUS_CHAMPION)
        self._write_intent(name, {"record": record, "previous_champion_before": previous})
        registry.set_alias(name, PREVIOUS_CHAMPION, record["previous_champion"])
        registry.set_alias(name, CHAMPION, record["champion"])
        self._complete(name, record, registry)
        self._remove_intent(name)

    def _complete(self, name: str, record: Record, registry: ModelRegistry) -> None:
        self._write_record(name, record)
        registry.set_note(name, _HEAD, str(Head.of(record)))

    def _write_intent(self, name: str, intent: Mapping[str, Any]) -> None:
        _write(intent, self._path(name) / _INTENT)

    def _write_record(self, name: str, record: Record) -> None:
        path = self._path(name) / f"{record['sequence']:06d}.json"
        if path.exists() and _read_json(path) == record:
            return  # an interrupted change that got as far as this
        _write(record, path)

    def _remove_intent(self, name: str) -> None:
        (self._path(name) / _INTENT).unlink()

    def _read(self, name: str) -> tuple[Record, ...]:
        files = sorted(self._path(name).glob("[0-9]*.json"))
        return tuple(_read_json(path) for path in files)

    def _path(self, name: str) -> Path:
        return Path(self.folder) / name

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Wait until no other process is deciding for the use case; the lock ends with it."""
        self._path(name).mkdir(parents=True, exist_ok=True)
        with (self._path(name) / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def operating_system_user() -> dict[str, str]:
    """Who runs this process, for a decision that was asked for on the command line."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"user number {os.getuid()}"
    return {"operating system user": user}


def _require_champion(decision: Decision, before: tuple[Record, ...]) -> None:
    champion = before[-1]["champion"] if before else None
    if decision.champion_before != champion:
        msg = (
            f"a decision on {decision.use_case} must be about the present champion, version "
            f"{champion} (found {decision.champion_before}: another decision was made meanwhile); "
            "materialise evaluation and champion_model again"
        )
        raise ContractError(msg)


def _unchanged(
    kind: Kind, name: str, champion: str | None, previous: str | None, *, reason: str
) -> Decision:
    return Decision(
        use_case=name,
        kind=kind,
        decided_at=datetime.now(UTC),
        challenger=None,
        champion_before=champion,
        champion=champion,
        previous_champion=previous,
        reason=reason,
        asked_by=operating_system_user(),
    )


def _aliases(name: str, registry: ModelRegistry) -> tuple[str | None, str | None]:
    return registry.version(name, CHAMPION), registry.version(name, PREVIOUS_CHAMPION)


def _require_no_alias(name: str, registry: ModelRegistry) -> None:
    """Raise where a champion scores, or could come back, on which nothing was decided."""
    champion, previous = _aliases(name, registry)
    if (champion, previous) != (None, None):
        msg = (
            f"a champion of {name} must have been decided on (found no record, and champion and "
            f"previous champion {(champion, previous)}). Put the records of this registry back, or "
            f"name their folder by decision_folder; run hrob rollback {name} --adopt if this "
            "champion is from before there were records; else delete the aliases and train"
        )
        raise RecordError(msg)


def _decided(record: Record) -> tuple[str | None, str | None]:
    return record["champion"], record["previous_champion"]


def _read_json(path: Path) -> Record:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        msg = f"{path.name} must hold a record (found something else); put it back from a copy"
        raise RecordError(msg)
    return found


def _write(values: Mapping[str, Any], path: Path) -> None:
    """Write a file that is there whole or not at all, also after a loss of power."""
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(values, file, indent=2, sort_keys=True, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    if path.name == _INTENT:
        temporary.replace(path)
    else:
        os.link(temporary, path)  # fails where a record is, instead of replacing it
        temporary.unlink()
    _sync(path.parent)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _local_key(path: Path) -> SigningKey:
    """The key of a machine without a key variable, made on first use for its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        number = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(_SHORTEST_KEY))
        with suppress(FileExistsError):  # the first of two processes wins
            os.link(temporary, path)
        temporary.unlink()
    if path.stat().st_mode & _OPEN_TO_OTHERS:
        msg = f"{path.name} must be readable by its owner only; run chmod 600 on it, or name a key"
        raise ConfigurationError(msg)
    return SigningKey(path.read_bytes(), "local key file, because no key variable is named")
