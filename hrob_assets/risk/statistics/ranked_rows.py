"""Predictions with outcomes in the order of the predictions, which all estimates are made from."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

FEWEST_EVENTS = 2
FEWEST_PERSONS = 10


@dataclass(frozen=True)
class RankedRows:
    """Predictions of rows with their outcomes, the highest prediction first.

    Parameters
    ----------
    person : int32 array, shape (n_rows,)
        Position of the patient, 0 to ``persons - 1``.
    persons : int
    probability : float64 array, shape (n_rows,)
    outcome : uint8 array, shape (n_rows,)
    order : int array, shape (n_rows,)
        Where each row was before it was ranked.
    """

    person: np.ndarray
    persons: int
    probability: np.ndarray
    outcome: np.ndarray
    order: np.ndarray

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.person.size

    @property
    def events(self) -> int:
        """Number of rows with the outcome."""
        return int(self.outcome.sum())

    @cached_property
    def seed(self) -> int:
        """Seed of the draws, made from how many rows and events each patient has.

        The same rows give the same draws, whichever model has scored them and however often it
        was trained; this is what makes comparisons of models paired and repeatable.
        """
        counts = np.column_stack(
            [
                np.bincount(self.person, minlength=self.persons),
                np.bincount(self.person, self.outcome, minlength=self.persons),
            ]
        )
        digest = hashlib.sha256(counts.astype("<i8").tobytes()).digest()
        return int.from_bytes(digest[:4], "little")

    @property
    def has_interval(self) -> bool:
        """Whether there are 2 rows of each outcome and 10 patients, the least for an interval."""
        rarer = min(self.events, self.rows - self.events)
        return rarer >= FEWEST_EVENTS and self.persons >= FEWEST_PERSONS

    def at_least(self, threshold: float) -> int:
        """How many rows have this probability or more: they are the first ones."""
        return int(np.searchsorted(-self.probability, -threshold, side="right"))

    def part(self, which: np.ndarray) -> "RankedRows":
        """Rows of one group, with only its patients.

        Parameters
        ----------
        which : bool array, shape (n_rows,)
            In the order from before ranking.
        """
        kept = which[self.order]
        present = np.zeros(self.persons, dtype=np.bool_)
        present[self.person[kept]] = True
        place = np.cumsum(present, dtype=np.int32) - np.int32(1)
        return RankedRows(
            place[self.person[kept]],
            int(present.sum()),
            self.probability[kept],
            self.outcome[kept],
            self.order[kept],
        )


def rank_rows(person_id: np.ndarray, probability: np.ndarray, outcome: np.ndarray) -> RankedRows:
    """Bring rows into the order of their predictions.

    Parameters
    ----------
    person_id : int array, shape (n_rows,)
        Clusters of the bootstrap.
    probability : float array, shape (n_rows,)
    outcome : bool or 0/1 array, shape (n_rows,)

    Examples
    --------
    >>> rows = rank_rows(np.array([7, 7, 9]), np.array([0.1, 0.5, 0.3]), np.array([0, 1, 0]))
    >>> rows.persons, rows.person.tolist(), rows.probability.tolist(), rows.at_least(0.3)
    (2, [0, 1, 0], [0.5, 0.3, 0.1], 2)
    """
    persons, person = np.unique(person_id, return_inverse=True)
    order = np.argsort(-probability.astype(np.float64), kind="stable")
    return RankedRows(
        np.ascontiguousarray(person[order], dtype=np.int32),
        persons.size,
        probability.astype(np.float64)[order],
        outcome.astype(np.uint8)[order],
        order,
    )
