"""What acting on a threshold is worth: net benefit, and the decision curve.

Vickers and Elkin 2006 (Med Decis Making 26:565); intervals: Vickers et al. 2019
(Diagn Progn Res 3:18). A false alarm costs the odds of the threshold, in true positives.
"""

import numpy as np

THRESHOLDS = np.round(np.arange(0.01, 0.505, 0.01), 2)


def net_benefit(
    true_positives: np.ndarray | float,
    false_positives: np.ndarray | float,
    rows: np.ndarray | float,
    threshold: np.ndarray | float,
    *,
    harm: float = 0.0,
) -> np.ndarray:
    """Net benefit per row of calling high risk whoever is at the threshold or above.

    Parameters
    ----------
    true_positives, false_positives, rows : arrays that broadcast
        Counts.
    threshold : array, above 0 and below 1
    harm : float
        Of the prediction itself, in true positives per row.

    Returns
    -------
    float64 array

    Examples
    --------
    >>> float(net_benefit(20.0, 40.0, 1000.0, 0.2))
    0.01
    """
    odds = np.divide(threshold, 1 - np.asarray(threshold, dtype=np.float64))
    return np.divide(true_positives, rows) - np.divide(false_positives, rows) * odds - harm


def net_benefit_of_all(prevalence: np.ndarray | float, threshold: np.ndarray | float) -> np.ndarray:
    """Net benefit if everybody were called high risk; that of nobody is 0.

    Examples
    --------
    >>> round(float(net_benefit_of_all(0.2, 0.2)), 12)
    0.0
    """
    return net_benefit(prevalence, 1 - np.asarray(prevalence, dtype=np.float64), 1.0, threshold)


def interventions_avoided(
    benefit: np.ndarray | float, of_all: np.ndarray | float, threshold: np.ndarray | float
) -> np.ndarray:
    """Interventions per 100 rows that are spared, net, against calling everybody high risk.

    Examples
    --------
    >>> float(interventions_avoided(0.01, -0.05, 0.2).round(9))
    24.0
    """
    odds = np.divide(threshold, 1 - np.asarray(threshold, dtype=np.float64))
    return 100 * np.subtract(benefit, of_all) / odds
