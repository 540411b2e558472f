from datetime import UTC, datetime, timedelta

import pytest

from hrob_assets.risk.errors import RecordError
from hrob_assets.risk.promotion.audit_trail import (
    Decision,
    Head,
    SigningKey,
    are_signed,
    champion_before,
    record_of,
    signed_texts,
    verify_chain,
    withdrawn_versions,
)

KEY = SigningKey(b"k" * 32, "a test")
OTHER = SigningKey(b"o" * 32, "a test")


def decision(number, **changes: object):
    values = {
        "use_case": "falls",
        "kind": "promoted",
        "decided_at": datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=number),
        "challenger": str(number),
        "champion_before": str(number - 1) if number > 1 else None,
        "champion": str(number),
        "previous_champion": str(number - 1) if number > 1 else None,
        "reason": "all criteria are met",
        "criteria": ({"criterion": "ranks", "found": "0.750", "passed": True},),
        "evidence": {"rows": "ab"},
    }
    return Decision(**(values | changes))


@pytest.fixture
def chain():
    records = []
    for number in (1, 2, 3):
        records.append(record_of(decision(number), before=records, key=KEY))
    return records


def verify(records, *, keys=(KEY,), head=None):
    verify_chain(records, keys=keys, head=head or Head.of(records[-1]))


def test_a_chain_as_it_was_written_is_whole(chain):
    verify(chain)
    verify_chain([], keys=[], head=None)


def test_a_chain_may_be_one_record_ahead_of_the_registry_and_no_more(chain):
    verify(chain, head=Head.of(chain[1]))

    with pytest.raises(RecordError, match="knows of 1 records only"):
        verify(chain, head=Head.of(chain[0]))
    with pytest.raises(RecordError, match="knows of 0 records only"):
        verify_chain(chain, keys=[KEY], head=None)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(
    "change",
    [
        {"champion": "9"},
        {"kind": "refused"},
        {"decided_at": "2026-01-01T00:00:00+00:00"},
        {"evidence": {"rows": "cd"}},
        {"criteria": [{"criterion": "ranks", "found": "0.950", "passed": True}]},
        {"signature": "0" * 64},
        {"more": "said"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_record_is_found(chain, number, change):
    head = Head.of(chain[-1])
    chain[number] = chain[number] | change

    with pytest.raises(RecordError, match=rf"record {number + 1}: its signature does not fit"):
        verify(chain, head=head)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_removed_record_is_found(chain, number):
    head = Head.of(chain[-1])
    del chain[number]

    with pytest.raises(RecordError, match="the registry knows of 3 records"):
        verify(chain, head=head)


def test_all_records_gone_is_found(chain):
    with pytest.raises(RecordError, match=r"found 0 records; the registry knows of 3 records"):
        verify_chain([], keys=[KEY], head=Head.of(chain[-1]))


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 2), (0, 2)])
def test_records_in_another_order_are_found(chain, one, other):
    head = Head.of(chain[-1])
    chain[one], chain[other] = chain[other], chain[one]

    with pytest.raises(RecordError, match=rf"record {one + 1}: it says that it is number"):
        verify(chain, head=head)


def test_a_record_signed_by_somebody_without_the_key_is_found(chain):
    forged = [*chain[:2], record_of(decision(3, champion="8"), before=chain[:2], key=OTHER)]

    with pytest.raises(RecordError, match=f"record 3: its key {OTHER.name} is not at hand"):
        verify(forged, head=Head.of(chain[-1]))


def test_a_record_signed_with_the_key_in_the_place_of_another_is_found(chain):
    replaced = [*chain[:2], record_of(decision(3, champion="8"), before=chain[:2], key=KEY)]

    with pytest.raises(RecordError, match="record 3 is not the one that the registry knows"):
        verify(replaced, head=Head.of(chain[-1]))


def test_older_keys_verify_what_they_signed(chain):
    chain.append(record_of(decision(4), before=chain, key=OTHER))

    verify(chain, keys=(OTHER, KEY))

    with pytest.raises(RecordError, match=r"record 1: its key .* record 3: its key"):
        verify(chain, keys=(OTHER,))


def test_a_secret_is_not_in_the_record_nor_in_what_is_printed(chain):
    assert "kkkk" not in str(chain)
    assert "kkkk" not in repr(KEY)
    assert chain[0]["signed_with"] == {"key": KEY.name, "source": "a test"}


@pytest.mark.parametrize("change", [{"rows": "cd"}, {"more": "x"}, {"signature": "0"}])
def test_signed_texts_that_were_changed_are_found(change):
    texts = signed_texts({"rows": "ab", "version": "3"}, KEY)

    assert are_signed(texts, [OTHER, KEY])
    assert not are_signed(texts, [OTHER])
    assert not are_signed(texts | change, [KEY])
    assert not are_signed({}, [KEY])


def test_the_champion_before_is_that_of_its_promotion():
    chain = []
    for made in (
        decision(1, kind="adopted", challenger=None),
        decision(2),
        decision(3, kind="refused", champion="2", previous_champion="1"),
        decision(4, champion_before="2", previous_champion="2"),
        decision(5, kind="rolled back", champion_before="4", champion="2", previous_champion="1"),
    ):
        chain.append(record_of(made, before=chain, key=KEY))

    assert champion_before(chain, "4") == "2"
    assert champion_before(chain, "2") == "1"
    assert champion_before(chain, "1") is None
    assert withdrawn_versions(chain) == {"4"}
