"""Families side by side on the validation patients, and which of them the rule takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from hrob_assets.risk.disclosure import SMALLEST_CELL, SUPPRESSED
from hrob_assets.risk.evaluation import COMPARED, Measured, improvements, measure_performance
from hrob_assets.risk.statistics import Estimate, rank_rows
from hrob_assets.risk.training.model import FittedModel
from hrob_assets.risk.training.predict import validation_probability
from hrob_assets.risk.use_case import Choice


@dataclass(frozen=True)
class ComparedFamily:
    """One family: its figures on the validation rows, and how much better than the default.

    Parameters
    ----------
    name : str
    figures : mapping of metric to float
    improvements : mapping of metric to Estimate
        Above 0 is better than the default, whatever the metric; empty for the default itself.
    """

    name: str
    figures: Mapping[str, float]
    improvements: Mapping[str, Estimate]


@dataclass(frozen=True)
class ChosenFamily:
    """Which family is taken, and why in one sentence."""

    name: str
    reason: str


def compare_families(models: Mapping[str, FittedModel], rows: pl.DataFrame) -> list[ComparedFamily]:
    """Judge fitted models on the same validation rows, with the same draws of patients.

    Calibrated families are judged by probabilities that were calibrated on other patients. Net
    benefit is at each model's own capacity threshold; a false alarm costs what the default's
    threshold says, the same for all.

    Parameters
    ----------
    models : mapping of str to FittedModel
        The default first.
    rows : DataFrame
        `TRAINING_COLUMNS` and the columns of all models; only validation rows are looked at.

    Returns
    -------
    list of ComparedFamily
        In the order of `models`.
    """
    validation = rows.filter(pl.col("split") == "validation")
    reference, *_ = models.values()
    measured = {
        family: _measured(model, validation, benefit_threshold=reference.threshold)
        for family, model in models.items()
    }
    default, *_ = measured.values()
    return [
        ComparedFamily(
            family,
            {metric: each.value(metric) for metric in COMPARED},
            {} if each is default else improvements(each, default),
        )
        for family, each in measured.items()
    ]


def _measured(
    model: FittedModel, validation: pl.DataFrame, *, benefit_threshold: float
) -> Measured:
    ranked = rank_rows(
        validation["person_id"].to_numpy(),
        validation_probability(model, validation),
        validation["label"].to_numpy(),
    )
    return measure_performance(
        ranked, threshold=model.threshold, benefit_threshold=benefit_threshold
    )


def choose_family(
    compared: Sequence[ComparedFamily], choice: Choice, *, candidates: Sequence[str]
) -> ChosenFamily:
    """Keep the default unless another family is better by more than the margin.

    Parameters
    ----------
    compared : sequence of ComparedFamily
        The default first.
    choice : Choice
    candidates : sequence of str
        Families that may be taken; a comparator is none.

    Examples
    --------
    >>> def other(low):
    ...     return ComparedFamily("forest", {}, {"log_loss": Estimate(0.01, low, 0.02)})
    >>> linear = ComparedFamily("linear", {}, {})
    >>> choose_family([linear, other(0.002)], Choice(margin=0.001), candidates=["forest"]).name
    'forest'
    >>> choose_family([linear, other(0.0005)], Choice(margin=0.001), candidates=["forest"]).name
    'linear'
    """
    better: dict[str, float] = {}
    for each in compared[1:]:
        found = each.improvements[choice.metric]
        if each.name in candidates and found.low is not None and found.low > choice.margin:
            better[each.name] = found.value
    metric = choice.metric.replace("_", " ")
    if better:
        name = max(better, key=lambda family: better[family])
        reason = (
            f"{name} is better in {metric} than {compared[0].name}: the lower bound of the paired "
            f"95 % interval lies above the margin of {choice.margin:g}"
        )
        return ChosenFamily(name, reason)
    reason = (
        f"{compared[0].name} stays: no other family's improvement of {metric} has a lower bound "
        f"(paired, 95 %) above the margin of {choice.margin:g}"
    )
    return ChosenFamily(compared[0].name, reason)


def family_table(compared: Sequence[ComparedFamily], chosen: ChosenFamily) -> pl.DataFrame:
    """One row per family, as numbers.

    Returns
    -------
    DataFrame
        ``family``, ``chosen``, ``reason``, each metric and ``<metric>_improvement`` with ``_low``
        and ``_high``; null for the default's improvement of itself.
    """
    rows: list[dict[str, object]] = []
    for each in compared:
        row: dict[str, object] = {
            "family": each.name,
            "chosen": each.name == chosen.name,
            "reason": chosen.reason,
            **each.figures,
        }
        for metric, found in each.improvements.items():
            row |= {
                f"{metric}_improvement": found.value,
                f"{metric}_improvement_low": found.low,
                f"{metric}_improvement_high": found.high,
            }
        rows.append(row)
    numbers = [
        name
        for metric in COMPARED
        for name in (metric, *(f"{metric}_improvement{s}" for s in ("", "_low", "_high")))
    ]
    schema = {"family": pl.String, "chosen": pl.Boolean, "reason": pl.String}
    return pl.DataFrame(rows, schema={**schema, **dict.fromkeys(numbers, pl.Float64)})


def shown_families(table: pl.DataFrame) -> pl.DataFrame:
    """The table as text: figures, and improvements on the default with 95 % intervals."""
    shown: list[dict[str, str]] = []
    for row in table.iter_rows(named=True):
        cells = {"family": f"{row['family']}{' (chosen)' if row['chosen'] else ''}"}
        for metric in COMPARED:
            words = metric.replace("_", " ")
            value = row[metric]
            cells[words] = SUPPRESSED if value is None else f"{value:.5f}"
            better, low, high = (
                row[f"{metric}_improvement{suffix}"] for suffix in ("", "_low", "_high")
            )
            whole = better is not None and low is not None and high is not None
            cells[f"better in {words}"] = (
                f"{better:+.5f} ({low:+.5f} to {high:+.5f})" if whole else "-"
            )
        shown.append(cells)
    return pl.DataFrame(shown)


def tellable(rows: pl.DataFrame) -> bool:
    """Whether figures of the validation rows tell no small cell."""
    validation = rows.filter(pl.col("split") == "validation")
    events = int(validation["label"].sum())
    persons = validation["person_id"].n_unique()
    return min(events, validation.height - events, persons) >= SMALLEST_CELL
