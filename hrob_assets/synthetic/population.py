"""Who lives in the world: women with their pregnancies, latent traits, and coverage."""

from dataclasses import dataclass

import numpy as np

WHITE, BLACK, ASIAN, NATIVE, ISLANDER, UNKNOWN_RACE = 8527, 8516, 8515, 8657, 8557, 0
HISPANIC, NOT_HISPANIC = 38003563, 38003564
FEMALE, MALE = 8532, 8507
YEAR = 365.25
MAX_PREGNANCIES = 4
SERIES_YEARS = 9.0
_RACES = np.array([WHITE, BLACK, ASIAN, NATIVE, ISLANDER, UNKNOWN_RACE])
_MEDICAID_MIX = {
    # (Hispanic or not): shares of the races above, for Medicaid births.
    False: np.array([0.573, 0.318, 0.050, 0.019, 0.006, 0.034]),
    True: np.array([0.58, 0.05, 0.01, 0.03, 0.01, 0.32]),
}
HISPANIC_SHARE = 0.29


@dataclass
class People:
    """Persons of one population, one entry each.

    ``health`` (higher is sicker), ``access`` (higher is more visits and more codes) and ``need``
    (higher is more use of emergency care) are latent: no table of the world shows them.
    """

    birth: np.ndarray
    gender: np.ndarray
    race: np.ndarray
    ethnicity: np.ndarray
    deprivation: np.ndarray
    health: np.ndarray
    access: np.ndarray
    need: np.ndarray

    def __len__(self) -> int:
        """Return the number of persons."""
        return len(self.birth)

    def take(self, index: np.ndarray) -> "People":
        """Return the persons at these positions."""
        return People(**{name: array[index] for name, array in vars(self).items()})


@dataclass
class Spans:
    """Spans of coverage, ordered by person and start, without overlap; days since the start."""

    person: np.ndarray
    start: np.ndarray
    end: np.ndarray
    payer: np.ndarray

    def covers(self, person: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return whether each person is covered at each time (days).

        Examples
        --------
        >>> span = Spans(np.array([0]), np.array([5.0]), np.array([9.0]), np.array(["Medicaid"]))
        >>> span.covers(np.array([0, 0, 0]), np.array([4.0, 5.0, 9.0]))
        array([False,  True, False])
        """
        width = 1e6
        place = np.searchsorted(
            self.person * width + self.start, person * width + time, side="right"
        )
        place = np.maximum(place - 1, 0)
        return (
            (self.person[place] == person) & (time >= self.start[place]) & (time < self.end[place])
        )


def draw_latent(
    people: int, deprivation: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw health, access and need; all three depend on the area's deprivation."""
    z = (deprivation - 50) / 29
    health = 0.15 * z + rng.normal(0, 1, people)
    access = -0.45 * z + rng.normal(0, 0.9, people)
    need = 0.2 * z + 0.25 * health + rng.normal(0, 0.9, people)
    return health, access, need


def _race_and_ethnicity(people: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    hispanic = rng.random(people) < HISPANIC_SHARE
    lot = rng.random(people)
    place = np.where(
        hispanic,
        np.searchsorted(np.cumsum(_MEDICAID_MIX[True]), lot),
        np.searchsorted(np.cumsum(_MEDICAID_MIX[False]), lot),
    )
    race = _RACES[np.minimum(place, len(_RACES) - 1)]
    return race, np.where(hispanic, HISPANIC, NOT_HISPANIC)


def draw_women(women: int, rng: np.random.Generator) -> People:
    """Draw women of a Medicaid population; the birth date is set by `draw_series`."""
    race, ethnicity = _race_and_ethnicity(women, rng)
    mean = 56 + np.where(race == BLACK, 10.0, 0.0) + np.where(ethnicity == HISPANIC, 5.0, 0.0)
    deprivation = np.clip(np.round(rng.normal(mean, 25)), 1, 100)
    health, access, need = draw_latent(women, deprivation, rng)
    return People(
        birth=np.zeros(women),
        gender=np.full(women, FEMALE),
        race=race,
        ethnicity=ethnicity,
        deprivation=deprivation,
        health=health,
        access=access,
        need=need,
    )


@dataclass
class Series:
    """Conceptions: one entry per pregnancy, ordered by woman and time.

    ``lmp`` is the first day of the last period (days since the start), ``age`` in years, ``order``
    the number of earlier pregnancies in the series, ``parity`` the number of earlier births.
    """

    woman: np.ndarray
    lmp: np.ndarray
    age: np.ndarray
    order: np.ndarray
    parity: np.ndarray


def draw_series(
    women: int, *, first_day: float, last_day: float, rng: np.random.Generator
) -> tuple[Series, np.ndarray]:
    """Place each woman's pregnancies in time.

    The whole series of a woman is moved by a uniform time over a range wider than the window, so
    that no calendar day differs from another: the world is stationary.

    Returns
    -------
    series : Series
    birth : float array, days since the start
        One per woman.
    """
    count = 1 + np.searchsorted([0.48, 0.80, 0.94], rng.random(women))
    gaps = 60 + rng.gamma(1.6, 330, (women, MAX_PREGNANCIES))
    steps = np.concatenate([np.zeros((women, 1)), 285 + gaps[:, :-1]], axis=1)
    begin = first_day - SERIES_YEARS * YEAR
    first = begin + rng.random(women) * (last_day - begin)
    lmp = first[:, None] + np.cumsum(steps, axis=1)
    age = np.clip(rng.normal(24.0, 5.0, women), 14.6, 42.5)
    age = np.where(age > 16, age, 16 + rng.random(women) * 1.5)  # noqa: PLR2004 few births under 16
    birth = first - age * YEAR
    before = rng.poisson(np.clip((age - 17) * 0.13, 0, 2.5))
    exists = (np.arange(MAX_PREGNANCIES) < count[:, None]) & (lmp - birth[:, None] < 46 * YEAR)
    woman, order = np.nonzero(exists)
    flat = lmp[exists]
    return Series(woman, flat, (flat - birth[woman]) / YEAR, order, before[woman] + order), birth


def select_series(
    series: Series, pregnancies: int, *, women: int, first_day: float, last_day: float
) -> tuple[Series, np.ndarray]:
    """Keep the first women who together have ``pregnancies`` in the window, with all theirs.

    Returns
    -------
    series : Series
        With women renumbered from 0.
    chosen : int array
        Old numbers of the women that stay.
    """
    inside = (series.lmp < last_day) & (series.lmp + 285 > first_day)
    per_woman = np.bincount(series.woman[inside], minlength=women)
    enough = int(np.searchsorted(np.cumsum(per_woman), pregnancies)) + 1
    chosen = np.flatnonzero(per_woman[:enough] > 0)
    number = np.full(women, -1)
    number[chosen] = np.arange(len(chosen))
    stay = number[series.woman] >= 0
    kept = {name: array[stay] for name, array in vars(series).items()}
    kept["woman"] = number[kept["woman"]]
    return Series(**kept), chosen


def merge_spans(person: np.ndarray, start: np.ndarray, end: np.ndarray, payer: str) -> Spans:
    """Join overlapping spans of the same person.

    Examples
    --------
    >>> start, end = np.array([0.0, 5.0]), np.array([6.0, 9.0])
    >>> spans = merge_spans(np.array([0, 0]), start, end, "Medicaid")
    >>> spans.start.tolist(), spans.end.tolist()
    ([0.0], [9.0])
    """
    order = np.lexsort((start, person))
    person, start, end = person[order], start[order], end[order]
    width = 1e6
    reach = np.maximum.accumulate(person * width + end)
    new = np.ones(len(person), dtype=bool)
    new[1:] = (person[1:] != person[:-1]) | (person[1:] * width + start[1:] > reach[:-1])
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(person)) - 1
    merged_end = reach[last] - person[first] * width
    return Spans(person[first], start[first], merged_end, np.full(len(first), payer))


def draw_medicaid_spans(
    series: Series, ends: np.ndarray, women: int, last_day: float, rng: np.random.Generator
) -> Spans:
    """Draw enrolment around pregnancies, and yearly renewals with gaps for some women.

    Parameters
    ----------
    series : Series
    ends : float array, days
        End of each pregnancy.
    women : int
    last_day : float, days
    rng : Generator
    """
    size = len(series.woman)
    early = rng.random(size) < 0.55  # noqa: PLR2004 share enrolled before conception
    begin = series.lmp + np.where(
        early, -rng.exponential(200, size), 20 + 80 * rng.beta(1.5, 2.5, size)
    )
    finish = ends + np.where(rng.random(size) < 0.45, 62 + 25 * rng.random(size), 365)  # noqa: PLR2004
    begin = np.minimum(begin, ends - 14)
    years = int(last_day / YEAR) + 4
    continuous = rng.random(women) < 0.32  # noqa: PLR2004
    offset = rng.random(women) * YEAR
    year = np.arange(-3, years)
    base = offset[:, None] + year * YEAR
    gap = np.where(rng.random(base.shape) < 0.30, rng.exponential(110, base.shape), 0)  # noqa: PLR2004
    joined = continuous[:, None] & (rng.random(base.shape) < 0.85)  # noqa: PLR2004
    who = np.broadcast_to(np.arange(women)[:, None], base.shape)[joined]
    low, high = (base + np.minimum(gap, 330))[joined], (base + YEAR)[joined]
    return merge_spans(
        np.concatenate([series.woman, who]),
        np.floor(np.concatenate([begin, low])),
        np.floor(np.concatenate([finish, high])) + 1,
        "Medicaid",
    )
