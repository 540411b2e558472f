"""How much each row moves an estimate: for design effects and analytic standard errors."""

import numpy as np

from hrob_assets.risk.statistics.ranked_rows import RankedRows


def design_effect(person: np.ndarray, influence: np.ndarray, persons: int) -> float | None:
    """Variance by patient over the variance by row, from the influence of each row.

    Parameters
    ----------
    person : int array, shape (n_rows,)
    influence : float array, shape (n_rows,)
        How much the figure moves with the weight of the row; sums to about 0.
    persons : int

    Returns
    -------
    float or None
        1 when every patient has one row; None when no row has any influence.

    Examples
    --------
    >>> design_effect(np.repeat([0, 1], 3), np.array([1.0, 1, 1, -1, -1, -1]), 2)
    3.0
    """
    by_row = float(np.sum(influence**2))
    if not by_row > 0:
        return None
    return float(np.sum(np.bincount(person, influence, minlength=persons) ** 2) / by_row)


def auprc_influence(rows: RankedRows) -> np.ndarray:
    """How the average precision moves with the weight of each row (its exact derivative).

    Returns
    -------
    float64 array, shape (n_rows,)
        Times the number of events.
    """
    outcome = rows.outcome.astype(np.float64)
    last = _last_of_ties(rows.probability)
    first = _first_of_ties(rows.probability)
    found = np.cumsum(outcome)[last]
    drawn = last + 1.0
    precision = found / drawn
    average = float(np.sum(outcome * precision) / outcome.sum())
    # a row counts in the precision of every event that ranks no higher
    by_event = outcome / drawn
    by_row = outcome * found / drawn**2
    below_event = np.sum(by_event) - np.append(0.0, np.cumsum(by_event))[first]
    below_row = np.sum(by_row) - np.append(0.0, np.cumsum(by_row))[first]
    return outcome * (precision - average) + outcome * below_event - below_row


def auroc_influence(rows: RankedRows) -> np.ndarray:
    """How the AUROC moves with the weight of each row: placement values less the area.

    Returns
    -------
    float64 array, shape (n_rows,)
        Times the number of rows.

    References
    ----------
    DeLong et al. 1988, Biometrics 44:837.
    """
    outcome = rows.outcome.astype(np.float64)
    positive, negative = outcome.sum(), rows.rows - outcome.sum()
    last, first = _last_of_ties(rows.probability), _first_of_ties(rows.probability)
    events = np.append(0.0, np.cumsum(outcome))
    others = np.append(0.0, np.cumsum(1 - outcome))
    events_over = (events[first] + events[last + 1]) / 2
    others_under = negative - (others[first] + others[last + 1]) / 2
    area = float(np.sum(outcome * others_under) / (positive * negative))
    of_event = outcome * (others_under / negative - area) / positive
    of_other = (1 - outcome) * (events_over / positive - area) / negative
    return (of_event + of_other) * rows.rows


def _first_of_ties(probability: np.ndarray) -> np.ndarray:
    return np.searchsorted(-probability, -probability, side="left")


def _last_of_ties(probability: np.ndarray) -> np.ndarray:
    return np.searchsorted(-probability, -probability, side="right") - 1
