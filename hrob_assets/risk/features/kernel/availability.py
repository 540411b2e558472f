"""The order in which facts become known."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def order_by_availability(available_us: np.ndarray, person_start: np.ndarray) -> np.ndarray:
    """Positions of the facts in the order of availability within each person; ties keep order.

    Examples
    --------
    >>> order_by_availability(np.array([9, 3, 3, 1]), np.array([0, 3, 4])).tolist()
    [1, 2, 0, 3]
    """
    order = np.arange(available_us.size)
    for person in range(person_start.size - 1):
        begin, end = person_start[person], person_start[person + 1]
        if end - begin > 128:  # noqa: PLR2004 - from here on merge sort beats insertion
            order[begin:end] = begin + np.argsort(available_us[begin:end], kind="mergesort")
            continue
        for position in range(begin + 1, end):
            fact = order[position]
            place = position
            while place > begin and available_us[order[place - 1]] > available_us[fact]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = fact
    return order
