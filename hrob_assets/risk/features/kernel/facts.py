"""From staged events to the facts that the kernel slides over: read, map, lay out.

Staging has sorted the events by person and time and numbered their codes, so that what is left is
one pass over integers: each event looks up the series of its code and is written as that many
facts. No string is touched here, and nothing is sorted.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple

import numba
import numpy as np
import polars as pl

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.kernel.blocks import person_blocks
from hrob_assets.risk.tables import CODE_COLUMNS
from hrob_assets.risk.vocabulary import REFERENCE_RANGES, CodeSet, match_codes
from hrob_assets.risk.windows import available_us

FACT_COLUMNS = ("person_id", "code_id", "value", "occurred_at", "known_at")
_ORDER = ("person_id", "occurred_at", "known_at", "domain", "source_row_id", "code")
_LOW, _HIGH = zip(*REFERENCE_RANGES, strict=True)
_LIMITS = ("factor", "plausible_low", "plausible_high", *chain(*REFERENCE_RANGES))
_FIRST_RANGE = 3
_BLOCKS_PER_THREAD = 4


class Facts(NamedTuple):
    """Facts of persons, person after person.

    Parameters
    ----------
    person_start : int64 array, shape (n_persons + 1,)
        Person p owns the facts ``person_start[p]:person_start[p + 1]``.
    series : int32 array, shape (n_facts,)
        A fact of two series is there twice.
    occurred_us : int64 array, microseconds
        Ascending within a person; of two facts of one moment the later one counts as the last.
    available_us : int64 array, microseconds
        When the fact had happened and was known; in any order.
    value : float64 array
        NaN when the fact has no number.
    abnormal : uint8 array
        By which reference ranges the value is abnormal, one bit each: 0 outside pregnancy, 1 to
        3 in the first, second and third trimester.
    """

    person_start: np.ndarray
    series: np.ndarray
    occurred_us: np.ndarray
    available_us: np.ndarray
    value: np.ndarray
    abnormal: np.ndarray


class CodeMap(NamedTuple):
    """What becomes of an event by its code.

    Parameters
    ----------
    start : int64 array, shape (n_codes + 1,)
        Code c owns the entries ``start[c]:start[c + 1]`` of the other arrays; none when it
        belongs to no series.
    series : int32 array
    limits : float64 array, shape (n_entries, 11)
        Factor, plausible low and high, then low and high outside pregnancy and in each
        trimester; infinite where there is no limit.
    """

    start: np.ndarray
    series: np.ndarray
    limits: np.ndarray


def number_codes(events: pl.LazyFrame | pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give events that were not staged the order and the numbers of codes that staging gives.

    Parameters
    ----------
    events : LazyFrame or DataFrame [EVENTS]
        Small enough to be held in memory, in any order.

    Returns
    -------
    events : DataFrame
        `FACT_COLUMNS`, ordered.
    codes : DataFrame
        ``code_id`` (0, 1, ...) and `CODE_COLUMNS`; one row per combination.
    """
    used = list(dict.fromkeys([*_ORDER, *CODE_COLUMNS, "value"]))
    read = events.lazy().select(used).collect()
    codes = read.select(CODE_COLUMNS).unique().sort(CODE_COLUMNS)
    codes = codes.with_row_index("code_id").cast({"code_id": pl.Int32})
    numbered = read.join(codes, on=CODE_COLUMNS, nulls_equal=True, how="left")
    return numbered.sort(_ORDER, nulls_last=True).select(FACT_COLUMNS), codes


def map_codes(codes: pl.DataFrame, code_sets: Sequence[CodeSet]) -> CodeMap:
    """Say which series each code belongs to.

    Parameters
    ----------
    codes : DataFrame
        ``code_id``, 0 to n - 1, and `CODE_COLUMNS`; one row per combination.
    code_sets : sequence of CodeSet
        The series, in this order.

    Returns
    -------
    CodeMap
        One entry per code and series; where the source code and the standard code both belong
        to a code set, the source code decides.

    Examples
    --------
    >>> from hrob_assets.risk.vocabulary import Code
    >>> codes = pl.DataFrame({"code_id": [0], "code": ["local 9"], "vocabulary": ["None"],
    ...     "standard_code": ["38341003"], "standard_vocabulary": ["SNOMED"], "unit": [None]})
    >>> hypertension = CodeSet("hypertension", (Code("SNOMED", "38341003", "Hypertension", "-"),))
    >>> map_codes(codes, [hypertension]).start.tolist()
    [0, 1]
    """
    text = codes.cast(dict.fromkeys(CODE_COLUMNS, pl.String))
    pairs = [
        text.select("code_id", "unit", vocabulary=vocabulary, code=code)
        for vocabulary, code in (("vocabulary", "code"), ("standard_vocabulary", "standard_code"))
    ]
    stated = pl.concat(pairs).drop_nulls(["vocabulary", "code"])
    key = ["vocabulary", "code", "unit"]
    matches = match_codes(stated.select(key).unique(), code_sets)
    numbers = {code_set.name: number for number, code_set in enumerate(code_sets)}
    entries = (
        stated.join(matches, on=key, nulls_equal=True, maintain_order="left")
        .unique(["code_id", "code_set"], keep="first", maintain_order=True)
        .with_columns(
            pl.col("code_set").replace_strict(numbers, return_dtype=pl.Int32).alias("series"),
            pl.col(*_LOW, "plausible_low").fill_null(-np.inf),
            pl.col(*_HIGH, "plausible_high").fill_null(np.inf),
        )
        .sort("code_id", "series")
    )
    return CodeMap(
        np.searchsorted(entries["code_id"].to_numpy(), np.arange(codes.height + 1)),
        entries["series"].cast(pl.Int32).to_numpy(),
        np.ascontiguousarray(entries.select(_LIMITS).to_numpy()),
    )


def read_facts(
    events: pl.DataFrame, persons: np.ndarray, code_map: CodeMap, *, n_threads: int
) -> Facts:
    """Lay events out for the kernel.

    Parameters
    ----------
    events : DataFrame
        `FACT_COLUMNS`, in the order of staging; also of other persons.
    persons : int64 array
        Person ids, ascending.
    code_map : CodeMap
    n_threads : int
        The result does not depend on it.

    Returns
    -------
    Facts
        One fact per event of these persons and series it belongs to. Values are multiplied by
        the factor of the code; one that is not finite, below ``plausible_low`` or above
        ``plausible_high`` is no value, and its fact counts without one. A fact is abnormal by a
        range when its value is below its low or above its high limit.

    Raises
    ------
    ContractError
        If an event lacks occurred_at or known_at, or the events are not in order.
    """
    if nulls := sum(events[name].null_count() for name in ("occurred_at", "known_at")):
        msg = (
            f"events must have occurred_at and known_at; {nulls} of {events.height} rows lack one. "
            "Stage the events again, or send these rows to quarantine."
        )
        raise ContractError(msg)
    dated = _Events(
        events["person_id"].to_numpy(),
        events["code_id"].to_numpy(),
        events["value"].fill_null(float("nan")).to_numpy(),
        events["occurred_at"].to_physical().to_numpy(),
        events["known_at"].to_physical().to_numpy(),
    )
    if not _is_in_order(dated):
        msg = (
            "events must be ordered by person_id, occurred_at and known_at; they are not. "
            "Stage the source again."
        )
        raise ContractError(msg)
    start = np.searchsorted(dated.person_id, persons)
    end = np.searchsorted(dated.person_id, persons, side="right")
    blocks = person_blocks(np.append(0, np.cumsum(end - start)), n_threads * _BLOCKS_PER_THREAD)

    def count(block: slice) -> np.ndarray:
        return _count(dated.code_id, start[block], end[block], code_map)

    with ThreadPoolExecutor(n_threads) as pool:
        facts = _room(np.cumsum(np.concatenate([np.zeros(1, np.int64), *pool.map(count, blocks)])))

        def fill(block: slice) -> None:
            _fill(dated, start[block], end[block], code_map, facts, facts.person_start[block])

        list(pool.map(fill, blocks))
    return facts


class _Events(NamedTuple):
    """`FACT_COLUMNS` as arrays; times in microseconds, NaN where there is no value."""

    person_id: np.ndarray
    code_id: np.ndarray
    value: np.ndarray
    occurred_us: np.ndarray
    known_us: np.ndarray


def _room(person_start: np.ndarray) -> Facts:
    n_facts = int(person_start[-1])
    return Facts(
        person_start,
        np.empty(n_facts, np.int32),
        np.empty(n_facts, np.int64),
        np.empty(n_facts, np.int64),
        np.empty(n_facts, np.float64),
        np.empty(n_facts, np.uint8),
    )


@numba.njit(cache=True, nogil=True)
def _is_in_order(events: _Events) -> bool:
    """Whether the events ascend by person, occurrence and knowledge."""
    for later in range(1, events.person_id.size):
        former = later - 1
        if events.person_id[former] != events.person_id[later]:
            if events.person_id[former] > events.person_id[later]:
                return False
        elif events.occurred_us[former] != events.occurred_us[later]:
            if events.occurred_us[former] > events.occurred_us[later]:
                return False
        elif events.known_us[former] > events.known_us[later]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _count(
    code_id: np.ndarray, start: np.ndarray, end: np.ndarray, code_map: CodeMap
) -> np.ndarray:
    """Number of facts of each person."""
    facts = np.zeros(start.size, np.int64)
    for person in range(start.size):
        for event in range(start[person], end[person]):
            code = code_id[event]
            facts[person] += code_map.start[code + 1] - code_map.start[code]
    return facts


@numba.njit(cache=True, nogil=True)
def _fill(
    events: _Events,
    start: np.ndarray,
    end: np.ndarray,
    code_map: CodeMap,
    facts: Facts,
    first_fact: np.ndarray,
) -> None:
    """Write the facts of some persons at their places."""
    for person in range(start.size):
        fact = first_fact[person]
        for event in range(start[person], end[person]):
            code = events.code_id[event]
            for entry in range(code_map.start[code], code_map.start[code + 1]):
                limits = code_map.limits[entry]
                value = events.value[event] * limits[0]
                if not (np.isfinite(value) and limits[1] <= value <= limits[2]):
                    value = np.nan
                facts.series[fact] = code_map.series[entry]
                facts.occurred_us[fact] = events.occurred_us[event]
                facts.available_us[fact] = available_us(
                    events.occurred_us[event], events.known_us[event]
                )
                facts.value[fact] = value
                facts.abnormal[fact] = _abnormal_by(value, limits)
                fact += 1


@numba.njit(cache=True, nogil=True)
def _abnormal_by(value: float, limits: np.ndarray) -> int:
    """Ranges by which a value is abnormal: bit 0 outside pregnancy, bits 1 to 3 by trimester."""
    found = 0
    for number in range((limits.size - _FIRST_RANGE) // 2):
        low, high = limits[_FIRST_RANGE + 2 * number], limits[_FIRST_RANGE + 2 * number + 1]
        if value < low or value > high:
            found |= 1 << number
    return found
