"""Whether a challenger may score people: criteria, judged from evidence."""

from dataclasses import dataclass

from hrob_assets.risk.evaluation import Estimate, Evaluation
from hrob_assets.risk.small_cells import SUPPRESSED
from hrob_assets.risk.use_case import Acceptance


@dataclass(frozen=True)
class Verdict:
    """One criterion: what must hold, what was found, and whether it holds."""

    criterion: str
    must_hold: str
    found: str
    passed: bool


def judge(
    evaluation: Evaluation, acceptance: Acceptance, *, improvement: Estimate | None
) -> tuple[Verdict, ...]:
    """Judge a challenger on the test period.

    Parameters
    ----------
    evaluation : Evaluation
        Of the challenger.
    acceptance : Acceptance
        Absolute criteria of the use case.
    improvement : Estimate, optional
        Log loss of the champion minus that of the challenger on the same rows; None when there
        is no champion yet, and then the absolute criteria decide alone.

    Returns
    -------
    tuple of Verdict
        The challenger is accepted when all have passed.

    Examples
    --------
    >>> import numpy as np
    >>> from hrob_assets.risk.evaluation import evaluate
    >>> p, y = np.tile([0.2, 0.8], 50), np.tile([0, 0, 1, 1, 0, 1, 0, 1, 0, 1], 10)
    >>> found = evaluate(np.arange(100), p, y, threshold=0.5, seed=1)
    >>> rules = Acceptance(minimum_auroc=0.6, maximum_auroc=0.9,
    ...     maximum_absolute_calibration_factor=0.02)
    >>> [verdict.passed for verdict in judge(found, rules, improvement=None)]
    [True, True, True]
    """
    auroc, factor = evaluation.auroc.value, evaluation.calibration_factor.value
    bound = acceptance.maximum_absolute_calibration_factor
    verdicts = [
        Verdict(
            "ranks well enough",
            f"AUROC at least {acceptance.minimum_auroc}",
            f"{auroc:.3f}" if evaluation.tellable else SUPPRESSED,
            auroc >= acceptance.minimum_auroc,
        ),
        Verdict(
            "is not too good to be true",
            f"AUROC at most {acceptance.maximum_auroc}; above it, look for a leak",
            f"{auroc:.3f}" if evaluation.tellable else SUPPRESSED,
            auroc <= acceptance.maximum_auroc,
        ),
        Verdict(
            "is calibrated in the large",
            f"calibration factor within +-{bound}",
            f"{factor:+.4f}" if evaluation.tellable else SUPPRESSED,
            abs(factor) <= bound,
        ),
    ]
    if improvement is not None:
        verdicts.append(_against_champion(improvement))
    return tuple(verdicts)


def _against_champion(improvement: Estimate) -> Verdict:
    low = float("-inf") if improvement.low is None else improvement.low
    return Verdict(
        "is better than the champion",
        "lower bound of the log-loss improvement on the same rows above 0",
        f"{improvement.value:+.5f} (from {low:+.5f})",
        low > 0,
    )
