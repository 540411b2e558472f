"""Visits and the coded facts that hang on them, as flat NumPy arrays.

All visits that *could* happen are drawn as candidates; a mask says which did. So a scenario only
changes masks and values, never the number of random draws, and a world with a scenario equals the
world without it up to the day of the drift.
"""

from dataclasses import dataclass, field, fields

import numpy as np

NO_STAGE = 5
PROFESSIONAL, FACILITY, RECORD = 0, 1, 2


@dataclass
class Visits:
    """Candidate visits of one population; all arrays have the same length.

    Parameters
    ----------
    person : int array
        Position of the person in the population.
    start, end : float array, days since the start of the world
    concept : int array
        OMOP visit concept.
    keep : bool array
        Whether the visit happened.
    stage : int array
        0, 1, 2 trimester, 3 childbirth, 4 puerperium, 5 none: which ICD digit applies.
    pregnancy : int array
        Position of the pregnancy; -1 when none.
    source : int array
        `PROFESSIONAL` or `FACILITY` claim, or medical `RECORD`: which lag applies.
    """

    person: np.ndarray
    start: np.ndarray
    end: np.ndarray
    concept: np.ndarray
    keep: np.ndarray
    stage: np.ndarray
    pregnancy: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.person)


def visits(
    person: np.ndarray,
    start: np.ndarray,
    *,
    concept: np.ndarray | int,
    keep: np.ndarray,
    source: int,
    end: np.ndarray | None = None,
    stage: np.ndarray | int = NO_STAGE,
    pregnancy: np.ndarray | int = -1,
) -> Visits:
    """Return candidate visits; scalars are repeated, a missing end is half an hour later.

    Examples
    --------
    >>> one = visits(np.array([3]), np.array([0.5]), concept=9202, keep=np.array([True]), source=0)
    >>> len(one), int(one.concept[0]), int(one.stage[0])
    (1, 9202, 5)
    """
    size = len(person)
    return Visits(
        person=np.asarray(person, dtype=np.int64),
        start=np.asarray(start, dtype=np.float64),
        end=np.asarray(start + 0.02 if end is None else end, dtype=np.float64),
        concept=np.broadcast_to(np.asarray(concept, dtype=np.int64), size).copy(),
        keep=np.asarray(keep, dtype=bool),
        stage=np.broadcast_to(np.asarray(stage, dtype=np.int64), size).copy(),
        pregnancy=np.broadcast_to(np.asarray(pregnancy, dtype=np.int64), size).copy(),
        source=np.full(size, source, dtype=np.int64),
    )


def join_visits(parts: dict[str, Visits]) -> tuple[Visits, dict[str, np.ndarray]]:
    """Return the visits of all kinds, one after the other, and the positions of each kind."""
    joined = Visits(
        **{
            f.name: np.concatenate([getattr(part, f.name) for part in parts.values()])
            for f in fields(Visits)
        }
    )
    edges = np.cumsum([len(part) for part in parts.values()])[:-1]
    positions = np.split(np.arange(len(joined)), edges)
    return joined, dict(zip(parts, positions, strict=True))


@dataclass
class Facts:
    """Coded facts of visits, collected part by part.

    Every fact has the position of its visit, the position of its code, a value (NaN when none) and
    the days after the start of the visit.
    """

    visit: list[np.ndarray] = field(default_factory=list[np.ndarray])
    code: list[np.ndarray] = field(default_factory=list[np.ndarray])
    value: list[np.ndarray] = field(default_factory=list[np.ndarray])
    after: list[np.ndarray] = field(default_factory=list[np.ndarray])

    def add(
        self,
        where: np.ndarray,
        code: np.ndarray | int,
        *,
        value: np.ndarray | float = np.nan,
        after: np.ndarray | float = 0.0,
    ) -> None:
        """Add one fact per visit for which ``where`` is true; the rest has its length."""
        index = np.flatnonzero(where)
        for target, item in ((self.code, code), (self.value, value), (self.after, after)):
            array = np.asarray(item)
            target.append(array[index] if array.ndim else np.full(len(index), item))
        self.visit.append(index)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return visit, code, value and days after the visit of all facts."""
        return (
            np.concatenate(self.visit).astype(np.int64),
            np.concatenate(self.code).astype(np.int64),
            np.concatenate(self.value).astype(np.float64),
            np.concatenate(self.after).astype(np.float64),
        )
