"""Counts of persons, rows and events that are too small to be told."""

from collections.abc import Iterable, Sequence
from itertools import compress

from hrob_assets.risk.errors import TooSmallError

SMALLEST_CELL = 11
SMALL = f"<{SMALLEST_CELL}"
SUPPRESSED = "suppressed"


def is_small(count: int) -> bool:
    """Whether a count is 1 to 10, so that persons behind it might be recognised.

    Examples
    --------
    >>> [is_small(count) for count in (0, 1, 10, 11)]
    [False, True, True, False]
    """
    return 0 < count < SMALLEST_CELL


def shown_count(count: int, *, whole: int | None = None) -> int | str:
    """A count as it may be shown.

    Parameters
    ----------
    count : int
    whole : int, optional
        A count that is shown too and of which this one is a part: what is left of it must not
        be small either.

    Returns
    -------
    int or str
        The count itself where it is 0 or at least 11, else ``<11``; ``suppressed`` where the
        difference from `whole` is small.

    Examples
    --------
    >>> shown_count(12), shown_count(3), shown_count(95, whole=100)
    (12, '<11', 'suppressed')
    """
    if is_small(count):
        return SMALL
    return SUPPRESSED if whole is not None and is_small(whole - count) else count


def shown_share(part: int, whole: int) -> float | str:
    """``part / whole`` as it may be shown: neither of the two, nor what is left, is small.

    Examples
    --------
    >>> shown_share(25, 100), shown_share(3, 100), shown_share(97, 100), shown_share(0, 5)
    (0.25, 'suppressed', 'suppressed', 'suppressed')
    """
    if whole < SMALLEST_CELL or is_small(part) or is_small(whole - part):
        return SUPPRESSED
    return part / whole


def rounded_count(count: int) -> int | str:
    """A count that grows from report to report by single rows, as it may be shown: about.

    Returns
    -------
    int or str
        0, ``<11``, or the nearest of the tens from 20 on; ``suppressed`` below these.

    Examples
    --------
    >>> [rounded_count(count) for count in (0, 7, 12, 15, 344, 346)]
    [0, '<11', 'suppressed', 20, 340, 350]
    """
    if count == 0 or is_small(count):
        return shown_count(count)
    tens = (count + 5) // 10 * 10
    return tens if tens > SMALLEST_CELL else SUPPRESSED


def in_words(count: int) -> str:
    """A count in a message.

    Examples
    --------
    >>> in_words(7), in_words(1200)
    ('fewer than 11', '1200')
    """
    return f"fewer than {SMALLEST_CELL}" if is_small(count) else str(count)


def require_persons(count: int, *, what: str) -> None:
    """Refuse what would be told of too few persons.

    Raises
    ------
    TooSmallError

    Examples
    --------
    >>> require_persons(3, what="monitoring")
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.TooSmallError: monitoring needs predictions of 11 persons or more (found
    fewer than 11): what is told of fewer tells who they are; choose another file
    """
    if count < SMALLEST_CELL:
        msg = (
            f"{what} needs predictions of {SMALLEST_CELL} persons or more (found "
            f"{in_words(count)}): what is told of fewer tells who they are; choose another file"
        )
        raise TooSmallError(msg)


def hidden_parts(counts: Sequence[int]) -> list[bool]:
    """Which parts must be hidden when their total is shown.

    The small ones, and the next larger until what is hidden holds at least two parts and 11 in
    all: else the total would tell it.

    Examples
    --------
    >>> hidden_parts([3, 40, 20, 0])
    [True, False, True, False]
    >>> hidden_parts([6, 7, 40])
    [True, True, False]
    """
    hidden = [is_small(count) for count in counts]
    if not any(hidden):
        return hidden
    others = [number for number, count in enumerate(counts) if count and not hidden[number]]
    for number in sorted(others, key=lambda number: counts[number]):
        if sum(hidden) > 1 and sum(compress(counts, hidden)) >= SMALLEST_CELL:
            break
        hidden[number] = True
    return hidden


def shown_parts(counts: Sequence[int]) -> list[int | str]:
    """Parts of a total that is shown, as they may be shown.

    Examples
    --------
    >>> shown_parts([3, 40, 20, 0])
    ['<11', 40, 'suppressed', 0]
    """
    flags = zip(counts, hidden_parts(counts), strict=True)
    return [shown_count(count) if is_small(count) or not hide else SUPPRESSED
            for count, hide in flags]  # fmt: skip


def shown_steps(counts: Sequence[int]) -> list[int | str]:
    """Counts that only fall, as they may be shown: no difference of two of them is small.

    Examples
    --------
    >>> shown_steps([100, 95, 60, 4, 0])
    [100, 'suppressed', 60, '<11', 0]
    """
    shown: list[int | str] = []
    last: int | None = None
    for count in counts:
        shown.append(shown_count(count, whole=last))
        if isinstance(shown[-1], int):
            last = count
    return shown


def hidden_together(
    kinds: Sequence[Sequence[int]], *, also: Sequence[bool] | None = None
) -> list[bool]:
    """Which parts must be hidden when several counts of each are shown and so are the totals.

    Parameters
    ----------
    kinds : sequence of sequence of int
        Counts of one kind each, for the same parts: rows, events, and so on. What is left of a
        total when the parts are taken from it is one more part. A part of which the first kind is
        0 hides nothing beside it.
    also : sequence of bool, optional
        Parts that are hidden for another reason.

    Returns
    -------
    list of bool
        The parts with a small count, and the next larger ones until, of no kind, the totals less
        what is shown leave a small count or the count of a single part.

    Examples
    --------
    >>> hidden_together([[300, 200, 40], [50, 30, 4]])
    [False, True, True]
    >>> hidden_together([[300, 200], [50, 30]])
    [False, False]
    >>> hidden_together([[300, 200, 100, 0]], also=[True, False, False, False])
    [True, False, True, False]
    """
    parts = len(kinds[0])
    hidden = [any(is_small(kind[part]) for kind in kinds) for part in range(parts)]
    if also is not None:
        hidden = [one or other for one, other in zip(hidden, also, strict=True)]
    if not any(hidden):
        return hidden
    others = [part for part in range(parts) if kinds[0][part] and not hidden[part]]
    for part in sorted(others, key=lambda part: kinds[0][part]):
        if sum(map(bool, compress(kinds[0], hidden))) > 1 and not any(
            is_small(sum(compress(k, hidden))) for k in kinds
        ):
            break
        hidden[part] = True
    return hidden


class Cell:
    """Counts that grow week by week: rows, those with the outcome, those without, and persons.

    Examples
    --------
    >>> cell = Cell()
    >>> cell.add(rows=12, events=0, persons=range(12))
    >>> cell.is_small
    False
    >>> cell.add(rows=3, events=1, persons=range(3))
    >>> cell.is_small, cell.counts
    (True, (15, 1, 14, 11))
    """

    def __init__(self) -> None:
        self._rows = self._events = 0
        self._persons: set[int] = set()

    def add(self, *, rows: int, events: int, persons: Iterable[int]) -> None:
        """Add the rows of a week."""
        self._rows += rows
        self._events += events
        if len(self._persons) < SMALLEST_CELL:
            self._persons.update(persons)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Rows, events, others and persons; of these no more than 11 are told apart."""
        persons = min(len(self._persons), SMALLEST_CELL)
        return self._rows, self._events, self._rows - self._events, persons

    @property
    def is_small(self) -> bool:
        """Whether one of the counts is small."""
        return any(is_small(count) for count in self.counts)
