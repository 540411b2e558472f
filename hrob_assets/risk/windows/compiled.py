"""The rules of time as compiled functions, for the kernels that walk over timelines.

A moment is a number of microseconds since 1970 (UTC). Each rule gives what the Polars expression of
the same meaning gives; tests compare the two.
"""

import numba
import numpy as np

DAY_US = 86_400_000_000


@numba.njit(cache=True, nogil=True)
def available_us(occurred_us: int, known_us: int) -> int:
    """Moment from which a fact can be used: it has happened and is known (microseconds).

    Examples
    --------
    >>> available_us(7, 9), available_us(9, 7)
    (9, 9)
    """
    return max(occurred_us, known_us)


@numba.njit(cache=True, nogil=True)
def is_history(available_us: int, t_us: int) -> bool:
    """Whether a fact is available strictly before the prediction time (microseconds).

    Examples
    --------
    >>> is_history(99, 100), is_history(100, 100)
    (True, False)
    """
    return available_us < t_us


@numba.njit(cache=True, nogil=True)
def window_start_us(t_us: int, days: int) -> int:
    """First moment, inclusive, of the window of that many days before the prediction time.

    Examples
    --------
    >>> window_start_us(5 * DAY_US, 2) == 3 * DAY_US
    True
    """
    return t_us - days * DAY_US


@numba.njit(cache=True, nogil=True)
def days_before(occurred_us: int, t_us: int) -> int:
    """Whole calendar days from a moment to the prediction time, midnight to midnight.

    Examples
    --------
    >>> days_before(2 * DAY_US - 1, 2 * DAY_US), days_before(DAY_US, 2 * DAY_US)
    (1, 1)
    """
    return t_us // DAY_US - occurred_us // DAY_US


@numba.njit(cache=True, nogil=True)
def cut_points(
    available_us: np.ndarray,
    occurred_us: np.ndarray,
    event_start: np.ndarray,
    t_us: np.ndarray,
    row_start: np.ndarray,
    window_days: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Where each row's history ends and each of its windows starts, as positions.

    Parameters
    ----------
    available_us : int64 array, shape (n_events,)
        Sorted ascending within each person.
    occurred_us : int64 array, shape (n_events,)
        Sorted ascending within each person, independently of `available_us`.
    event_start, row_start : int64 arrays, shape (n_persons + 1,)
        Person p owns the positions ``start[p]:start[p + 1]``.
    t_us : int64 array, shape (n_rows,)
        Prediction times, ascending within each person.
    window_days : int64 array, shape (n_windows,)
        Days; a negative number means ever.

    Returns
    -------
    known_end : int64 array, shape (n_rows,)
        The person's facts before this position in the order of availability are history.
    window_first : int64 array, shape (n_rows, n_windows)
        Facts from this position on, in the order of occurrence, are in the window.

    Examples
    --------
    >>> day = np.array([1, 2, 9]) * DAY_US
    >>> ends = cut_points(day, day, np.array([0, 3]), np.array([9, 10]) * DAY_US,
    ...     np.array([0, 2]), np.array([8, -1]))
    >>> [array.tolist() for array in ends]
    [[2, 3], [[0, 0], [1, 0]]]
    """
    known_end = np.empty(t_us.size, np.int64)
    window_first = np.empty((t_us.size, window_days.size), np.int64)
    first = np.empty(window_days.size, np.int64)
    for person in range(event_start.size - 1):
        end = event_start[person + 1]
        known: int = event_start[person]
        first[:] = known
        # Prediction times ascend, so no cut ever moves back: one pass over the facts serves all
        # rows, and a window without a beginning stays at the person's first fact.
        for row in range(row_start[person], row_start[person + 1]):
            while known < end and is_history(available_us[known], t_us[row]):
                known += 1
            known_end[row] = known
            for window in range(window_days.size):
                if window_days[window] >= 0:
                    start = window_start_us(t_us[row], window_days[window])
                    while first[window] < end and occurred_us[first[window]] < start:
                        first[window] += 1
                window_first[row, window] = first[window]
    return known_end, window_first
