"""How the compiled functions lay out what they pass to each other.

A signature is a row ``(day, kind, implied, half_width, available)``: days since 1970, code of
the kind, for GA the start that it implies and its half-width, and the microsecond at which it
became available. Rows are sorted by the first four columns and no two are alike in them.
Episodes and groups are rows of integers with the columns below; `NULL_INTEGER` stands for no value.
"""

from collections.abc import Callable
from importlib import resources
from typing import Any, TypeVar, cast
from zlib import crc32

import numba
import numpy as np

NULL_INTEGER = np.int64(-(2**62))
DAY, KIND, IMPLIED, HALF, AVAILABLE = range(5)
SIGNATURE_WIDTH = 5
START, HALF_WIDTH, END, OUTCOME, LAST, ANCHOR, IDENTIFIED = range(7)
EPISODE_WIDTH = 7
CENTRE, GROUP_HALF, SUPPORT, GROUP_LAST, GROUP_FIRST, USED = range(6)
GROUP_WIDTH = 6

Scratch = tuple[np.ndarray, np.ndarray, np.ndarray]
Integer = int | np.int64  # one thing to Numba, two to the stubs of NumPy
_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compile a function that only compiled functions call."""
    njit = cast("Any", numba.njit)  # its stub lacks the options that leave out the wrappers
    return njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def sources_fingerprint() -> int:
    """Return a number that changes with any source of this package.

    Numba's cache watches only the file of the function that Python calls. Without this number
    in its key, a changed term or rule in another file would go on giving the old results.
    """
    sources = resources.files("hrob_assets.risk.pregnancy").iterdir()
    texts = {each.name: each.read_bytes() for each in sources if each.name.endswith(".py")}
    return crc32(b"".join(texts[name] for name in sorted(texts)))


@compiled
def copy_row(source: np.ndarray, target: np.ndarray) -> None:
    """Copy a row; a loop, because Numba compiles it ten times faster than a slice."""
    for column in range(len(source)):
        target[column] = source[column]


@compiled
def add_signature(known: np.ndarray, count: Integer, signature: np.ndarray) -> Integer:
    """Insert a signature in order; return the new count. One like it stays as it was."""
    at = count
    while at > 0:
        order = _compare(known[at - 1], signature)
        if order == 0:
            return count
        if order < 0:
            break
        at -= 1
    for i in range(count, at, -1):
        copy_row(known[i - 1], known[i])
    copy_row(signature, known[at])
    return count + 1


@compiled
def _compare(first: np.ndarray, second: np.ndarray) -> Integer:
    for column in range(AVAILABLE):
        if first[column] != second[column]:
            return -1 if first[column] < second[column] else 1
    return 0


@compiled
def insertion_sort(rows: np.ndarray, count: Integer, column: Integer) -> None:
    """Sort rows in place by a column, keeping the order of equals."""
    for i in range(1, count):
        row = rows[i].copy()
        j = i - 1
        while j >= 0 and rows[j, column] > row[column]:
            copy_row(rows[j], rows[j + 1])
            j -= 1
        copy_row(row, rows[j + 1])
