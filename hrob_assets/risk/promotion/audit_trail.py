"""Decisions on who scores people: as records that are signed, chained and can be verified."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from hrob_assets.risk.errors import RecordError

Kind = Literal["promoted", "kept", "refused", "rolled back", "restored", "adopted"]
Record = Mapping[str, Any]
_SIGNATURE = "signature"


@dataclass(frozen=True)
class Decision:
    """What was decided, on what evidence, and who or what asked; never a word about a person.

    Parameters
    ----------
    use_case : str
    kind : str
        ``promoted`` (the challenger is champion), ``refused`` (it is not), ``kept`` (challenger
        and champion are the same model), ``rolled back``, ``restored`` (aliases put back as they
        were decided) or ``adopted`` (somebody vouched for a champion without records).
    decided_at : datetime (UTC)
    challenger, champion_before : str, optional
        Versions that were judged.
    champion, previous_champion : str, optional
        Versions behind the two aliases from now on.
    criteria : tuple of mapping
        ``criterion``, ``must_hold``, ``found`` and ``passed`` of each.
    evidence, lineage, asked_by : mapping of str to str
        Hashes and period of the rows; code and configuration; run, schedule, sensor, user.
    reason : str
        In one sentence.
    """

    use_case: str
    kind: Kind
    decided_at: datetime
    challenger: str | None
    champion_before: str | None
    champion: str | None
    previous_champion: str | None
    reason: str
    criteria: tuple[Mapping[str, Any], ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict[str, str])
    lineage: Mapping[str, str] = field(default_factory=dict[str, str])
    asked_by: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class SigningKey:
    """A secret and where it came from.

    Parameters
    ----------
    secret : bytes
    source : str
        In words, for the record.
    """

    secret: bytes = field(repr=False)
    source: str

    @property
    def name(self) -> str:
        """What a record calls the key by; the secret cannot be worked out from it.

        Examples
        --------
        >>> SigningKey(b"x" * 32, "a test").name
        'c6638fc119fe5d9c'
        """
        return hashlib.sha256(b"hrob decision key\n" + self.secret).hexdigest()[:16]


@dataclass(frozen=True)
class Head:
    """The last record of a chain, as it is kept in a second place: its number and its hash.

    Examples
    --------
    >>> str(Head.parse("3:ab")), Head.parse("3:ab").sequence
    ('3:ab', 3)
    """

    sequence: int
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read what `str` wrote."""
        number, _, digest = text.partition(":")
        return cls(int(number), digest)

    @classmethod
    def of(cls, record: Record) -> "Head":
        """The head of a chain that ends with a record."""
        return cls(record["sequence"], record_hash(record))

    def __str__(self) -> str:
        return f"{self.sequence}:{self.digest}"


def record_of(decision: Decision, *, before: Sequence[Record], key: SigningKey) -> dict[str, Any]:
    """The decision as the next record of a chain, signed.

    Parameters
    ----------
    decision : Decision
    before : sequence of Record
        The chain so far.
    key : SigningKey

    Returns
    -------
    dict
        Only text, numbers, lists and dictionaries.
    """
    values = asdict(decision)
    values["decided_at"] = decision.decided_at.isoformat(timespec="seconds")
    values["criteria"] = [dict(criterion) for criterion in decision.criteria]
    values |= {
        "sequence": len(before) + 1,
        "previous_record": record_hash(before[-1]) if before else None,
        "signed_with": {"key": key.name, "source": key.source},
    }
    return values | {_SIGNATURE: signature(_canonical(values), key)}


def record_hash(record: Record) -> str:
    """SHA-256 of a record with its signature; the next record holds it."""
    return hashlib.sha256(_canonical(record)).hexdigest()


def signature(content: bytes, key: SigningKey) -> str:
    """HMAC-SHA256 in hexadecimal digits.

    Examples
    --------
    >>> signature(b"three", SigningKey(b"x" * 32, "a test"))[:8]
    'be0b356f'
    """
    return hmac.new(key.secret, content, hashlib.sha256).hexdigest()


def signed_texts(values: Mapping[str, str], key: SigningKey) -> dict[str, str]:
    """Texts, such as the tags of a model version, with the signature of all of them.

    Examples
    --------
    >>> signed_texts({"rows": "ab"}, SigningKey(b"x" * 32, "a test"))["key"]
    'c6638fc119fe5d9c'
    """
    content = {**values, "key": key.name}
    return content | {_SIGNATURE: signature(_canonical(content), key)}


def are_signed(texts: Mapping[str, str], keys: Sequence[SigningKey]) -> bool:
    """Whether `signed_texts` wrote these texts with one of the keys.

    Examples
    --------
    >>> key = SigningKey(b"x" * 32, "a test")
    >>> texts = signed_texts({"rows": "ab"}, key)
    >>> are_signed(texts, [key]), are_signed(texts | {"rows": "cd"}, [key])
    (True, False)
    """
    content = {name: text for name, text in texts.items() if name not in {_SIGNATURE, "key"}}
    return any(signed_texts(content, key) == dict(texts) for key in keys)


def verify_chain(
    records: Sequence[Record], *, keys: Sequence[SigningKey], head: Head | None
) -> None:
    """Raise unless no record was changed, removed, added or reordered.

    Parameters
    ----------
    records : sequence of Record
        In the order of their files.
    keys : sequence of SigningKey
        All that may have signed.
    head : Head, optional
        From the second place. A chain may be longer by one record, because a process may end
        between the two writes; it may not be shorter.

    Raises
    ------
    RecordError
        Naming each record at which the chain breaks.

    Examples
    --------
    >>> verify_chain([], keys=[], head=Head(2, "ab"))
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.RecordError: the chain of decisions must be whole ...gone...
    """
    problems = [
        f"record {number}: {problem}"
        for number, record in enumerate(records, start=1)
        for problem in _problems(record, number, records[: number - 1], keys)
    ]
    known = head.sequence if head else 0
    if known > len(records):
        problems.append(f"the registry knows of {known} records (records are gone)")
    elif head is not None and record_hash(records[known - 1]) != head.digest:
        problems.append(f"record {known} is not the one that the registry knows")
    if len(records) > known + 1:
        problems.append(f"the registry knows of {known} records only")
    if problems:
        msg = (
            f"the chain of decisions must be whole (found {len(records)} records; "
            f"{'; '.join(problems)}). Put the files back from a copy, and find out who changed them"
        )
        raise RecordError(msg)


def withdrawn_versions(records: Sequence[Record]) -> frozenset[str]:
    """Versions that were champion and were rolled back.

    Examples
    --------
    >>> sorted(withdrawn_versions([{"kind": "rolled back", "champion_before": "4"}]))
    ['4']
    """
    return frozenset(
        record["champion_before"] for record in records if record["kind"] == "rolled back"
    )


def withdrawn_models(records: Sequence[Record]) -> frozenset[str]:
    """What records say of the models that were rolled back: hashes of what each says of rows.

    Examples
    --------
    >>> judged = {"kind": "promoted", "challenger": "4", "evidence": {"model": "ab"}}
    >>> sorted(withdrawn_models([judged, {"kind": "rolled back", "champion_before": "4"}]))
    ['ab']
    """
    versions = withdrawn_versions(records)
    return frozenset(
        record["evidence"][name]
        for record in records
        if record["kind"] in _NAMES_ITS_MODEL and record["challenger"] in versions
        for name in ("model", "challenger_predictions")
        if name in record["evidence"]
    )


_NAMES_ITS_MODEL = frozenset({"promoted", "kept", "refused", "adopted"})


def champion_before(records: Sequence[Record], version: str) -> str | None:
    """Which version was champion before this one took its place, by the records.

    Examples
    --------
    >>> chain = [{"kind": "promoted", "champion": "2", "previous_champion": "1"}]
    >>> champion_before(chain, "2"), champion_before(chain, "1")
    ('1', None)
    """
    for record in reversed(records):
        if record["kind"] in {"promoted", "adopted"} and record["champion"] == version:
            return record["previous_champion"]
    return None


def _problems(
    record: Record, number: int, before: Sequence[Record], keys: Sequence[SigningKey]
) -> list[str]:
    problems: list[str] = []
    if record.get("sequence") != number:
        problems.append(f"it says that it is number {record.get('sequence')}")
    previous = record_hash(before[-1]) if before else None
    if record.get("previous_record") != previous:
        problems.append("it does not follow on the one before")
    signed: Mapping[str, str] = record.get("signed_with") or {}
    key = next((each for each in keys if each.name == signed.get("key")), None)
    if key is None:
        problems.append(f"its key {signed.get('key')} is not at hand")
        return problems
    content = {name: value for name, value in record.items() if name != _SIGNATURE}
    if not hmac.compare_digest(signature(_canonical(content), key), str(record.get(_SIGNATURE))):
        problems.append("its signature does not fit its content")
    return problems


def _canonical(record: Record) -> bytes:
    return json.dumps(
        record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()
