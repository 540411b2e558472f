"""What an evaluation means in plain words: may the model be used, for whom not yet, how sure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hrob_assets.risk.evaluation import Analysis, EvaluationReport, GroupFairness, Metric
from hrob_assets.risk.promotion import Verdict

SummaryStatus = Literal[
    "may be used", "may be used, not yet for everybody", "must not be used", "open"
]


@dataclass(frozen=True)
class EvaluationSummary:
    """One look at a model.

    Parameters
    ----------
    status : str
        ``may be used``: all criteria hold and no group is told to be miscalibrated.
        ``may be used, not yet for everybody``: all criteria hold, some group is miscalibrated.
        ``must not be used``: a criterion does not hold. ``open``: no criteria were given.
    headline : str
    unmet : tuple of Verdict
    not_yet : tuple of GroupFairness
        Groups whose estimates are off by more than the margin.
    unknown : tuple of GroupFairness
        Groups of which the data cannot tell, the one with most rows first.
    frequencies : tuple of str
        Natural frequencies: of 100 rows on the list, and of 100 others.
    certainty : tuple of str
        How sure the figures are.
    """

    status: SummaryStatus
    headline: str
    unmet: tuple[Verdict, ...]
    not_yet: tuple[GroupFairness, ...]
    unknown: tuple[GroupFairness, ...]
    frequencies: tuple[str, ...]
    certainty: tuple[str, ...]


def summarise_evaluation(
    report: EvaluationReport, criteria: Sequence[Verdict] | None
) -> EvaluationSummary:
    """Say what a report means; every figure is one of the report.

    Parameters
    ----------
    report : EvaluationReport
    criteria : sequence of Verdict, optional
        Of the gate; None where nobody set criteria, as for a score file.
    """
    groups = report.fairness.groups if report.fairness else ()
    not_yet = tuple(group for group in groups if group.verdict == "not calibrated")
    unknown = tuple(
        sorted(
            (group for group in groups if group.verdict in {"undetermined", "too few"}),
            key=lambda group: -(group.analysis.counts.rows or 0),
        )
    )
    unmet = tuple(verdict for verdict in criteria or () if not verdict.passed)
    status = _status(criteria, unmet, not_yet)
    main = report.analysis("encounter")
    return EvaluationSummary(
        status=status,
        headline=_headline(status, len(unmet)),
        unmet=unmet,
        not_yet=not_yet,
        unknown=unknown,
        frequencies=tuple(_frequencies(main)),
        certainty=tuple(_certainty(main)),
    )


def per_hundred(metric: Metric | None) -> str | None:
    """A share as a natural frequency, with its interval.

    Examples
    --------
    >>> per_hundred(Metric(0.262, 0.22, 0.31))
    'about 26 (95 % interval 22 to 31)'
    >>> per_hundred(Metric(0.004, None, None))
    'fewer than 1'
    """
    if metric is None or metric.value is None:
        return None
    number = round(metric.value * 100)
    told = f"about {number}" if number else "fewer than 1"
    if metric.low is None or metric.high is None:
        return told
    return f"{told} (95 % interval {metric.low * 100:.0f} to {metric.high * 100:.0f})"


def _status(
    criteria: Sequence[Verdict] | None,
    unmet: Sequence[Verdict],
    not_yet: Sequence[GroupFairness],
) -> SummaryStatus:
    if criteria is None:
        return "open"
    if unmet:
        return "must not be used"
    return "may be used, not yet for everybody" if not_yet else "may be used"


def _headline(status: SummaryStatus, unmet: int) -> str:
    criteria = "criterion is" if unmet == 1 else "criteria are"
    return {
        "may be used": "May be used: all acceptance criteria are met.",
        "may be used, not yet for everybody": (
            "May be used, but not yet for everybody: all acceptance criteria are met, and for the "
            "groups below the estimated chance is off by more than the margin."
        ),
        "must not be used": f"Must not be used: {unmet} acceptance {criteria} not met.",
        "open": "Not decided: no acceptance criteria were given. This is the evidence.",
    }[status]


def _frequencies(main: Analysis) -> list[str]:
    listed = per_hundred(main.metrics.get("positive_predictive_value"))
    everybody = per_hundred(main.metrics.get("prevalence"))
    quiet = main.metrics.get("negative_predictive_value")
    missed = None
    if quiet is not None and quiet.value is not None:
        low, high = (None if end is None else 1 - end for end in (quiet.high, quiet.low))
        missed = per_hundred(Metric(1 - quiet.value, low, high))
    found = per_hundred(main.metrics.get("sensitivity"))
    told = [
        (listed, "Of 100 encounters on the list, {} were followed by the outcome."),
        (everybody, "Of 100 encounters taken at random, {} were."),
        (missed, "Of 100 encounters that are not on the list, {} were followed by it too."),
        (found, "Of 100 encounters followed by the outcome, the list has {}."),
    ]
    return [text.format(value) for value, text in told if value is not None]


def _certainty(main: Analysis) -> list[str]:
    told: list[str] = []
    counts = main.counts
    if counts.rows is not None and counts.persons is not None:
        events = "" if counts.events is None else f", {counts.events:,} with the outcome"
        told.append(f"{counts.rows:,} encounters of {counts.persons:,} patients{events}.")
    auroc = main.metrics.get("auroc")
    if auroc is not None and auroc.value is not None and auroc.low is not None:
        told.append(
            "A patient with the outcome is ranked above one without it in "
            f"{auroc.value:.0%} of pairs ({auroc.low:.0%} to {auroc.high or 1:.0%}; by chance 50%)."
        )
    factor = main.metrics.get("calibration_factor")
    if factor is not None and factor.value is not None:
        side = "too high" if factor.value > 0 else "too low"
        off = f"{abs(factor.value) * 100:.1f} percentage points {side}"
        ends = ""
        if factor.low is not None and factor.high is not None:
            ends = f" (95 % interval {factor.low * 100:+.1f} to {factor.high * 100:+.1f})"
        told.append(f"On average the estimated chance is {off}{ends}.")
    return told
