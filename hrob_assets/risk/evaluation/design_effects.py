"""How much wider an interval is because rows of one patient are alike, metric by metric."""

import numpy as np

from hrob_assets.risk.statistics import (
    RankedRows,
    auprc_influence,
    auroc_influence,
    design_effect,
)

_EVENTS, _PREDICTED, _SQUARED, _LOSS = range(1, 5)


def design_effects(
    rows: RankedRows, columns: np.ndarray, alerts: int, threshold: float
) -> dict[str, float | None]:
    """Design effects of the metrics whose influence function is known in closed form.

    Parameters
    ----------
    rows : RankedRows
    columns : float64 array, shape (n_rows, 5)
        From `row_columns`.
    alerts : int
        Rows at or above the threshold.
    threshold : float

    Returns
    -------
    dict of str to float or None
    """
    outcome, probability = columns[:, _EVENTS], columns[:, _PREDICTED]
    high = np.arange(rows.rows) < alerts
    hit, quiet = high * outcome, ~high * (1 - outcome)
    prevalence, rate = outcome.mean(), max(high.mean(), 1 / rows.rows)
    precision = hit.sum() / max(alerts, 1)
    odds = threshold / (1 - threshold)
    benefit = hit - odds * high * (1 - outcome)
    calling = high * (outcome - precision)
    dismissed = ~high * (1 - outcome)
    of_low = dismissed.sum() / max(rows.rows - alerts, 1)
    cells = [hit, high * (1 - outcome), ~high * outcome, quiet]
    counts = [max(float(cell.sum()), 0.5) for cell in cells]
    signs = (1, -1, -1, 1)
    influence = {
        "prevalence": outcome - prevalence,
        "mean_predicted": probability - probability.mean(),
        "calibration_factor": probability - outcome - (probability - outcome).mean(),
        "observed_over_expected": outcome - prevalence / probability.mean() * probability,
        "alert_rate": high - high.mean(),
        "sensitivity": hit - hit.sum() / rows.events * outcome,
        "specificity": quiet - quiet.sum() / (rows.rows - rows.events) * (1 - outcome),
        "positive_predictive_value": calling,
        "negative_predictive_value": dismissed - of_low * ~high,
        "accuracy": hit + quiet - (hit + quiet).mean(),
        "lift": calling / rate - precision * (outcome - prevalence) / prevalence,
        "odds_ratio": sum(s * cell / n for s, cell, n in zip(signs, cells, counts, strict=True)),
        "brier": columns[:, _SQUARED] - columns[:, _SQUARED].mean(),
        "log_loss": columns[:, _LOSS] - columns[:, _LOSS].mean(),
        "net_benefit": benefit - benefit.mean(),
        "auroc": auroc_influence(rows),
        "auprc": auprc_influence(rows),
    }
    return {
        name: design_effect(rows.person, np.asarray(each, dtype=np.float64), rows.persons)
        for name, each in influence.items()
    }
