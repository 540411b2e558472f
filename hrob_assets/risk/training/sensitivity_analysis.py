"""What each group of features is worth: refits without it, with it alone, and with race."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import SUPPRESSED
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.evaluation import (
    COMPARED,
    AntiClassification,
    Metric,
    paired_mean_difference,
)
from hrob_assets.risk.features import FeatureColumn, ImputationRule
from hrob_assets.risk.models import Design
from hrob_assets.risk.statistics import Estimate
from hrob_assets.risk.training.compare_model_types import ComparedFamily, compare_families
from hrob_assets.risk.training.fit import fit_design
from hrob_assets.risk.training.model import FittedModel
from hrob_assets.risk.training.predict import validation_probability
from hrob_assets.risk.training.tuning.plan import Trial
from hrob_assets.risk.use_case import FamilySpec, UseCase

REFERENCE = "as trained"
"""The refit with the columns of the model; all others are compared with it."""
SENSITIVE_FAMILIES = ("race", "ethnicity")
CALIBRATION = "calibration_factor"
"""Mean predicted minus mean observed risk; its change is neither better nor worse by itself."""
_WITH, _WITHOUT = (f"{word} {' and '.join(SENSITIVE_FAMILIES)}" for word in ("with", "without"))
_FEWEST_COLUMNS = 1


@dataclass(frozen=True)
class Variant:
    """Columns of one refit, and what it asks.

    Parameters
    ----------
    name : str
    columns : tuple of str
    """

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Refit:
    """A variant, fitted and judged on the validation patients.

    Parameters
    ----------
    variant : Variant
    judged : ComparedFamily
        Against the reference, on the same draws of patients.
    factor : float
        Calibration factor.
    factor_change : Estimate or None
        That of the variant less that of the reference; None for the reference itself.
    """

    variant: Variant
    judged: ComparedFamily
    factor: float
    factor_change: Estimate | None


def variants_of(columns: Sequence[str], candidates: Sequence[FeatureColumn]) -> tuple[Variant, ...]:
    """Refits of a sensitivity analysis: the reference, each group left out, each group alone.

    Race and ethnicity are added where the model has neither, and left out where it has them.

    Parameters
    ----------
    columns : sequence of str
        Of the model.
    candidates : sequence of FeatureColumn
        All columns of the catalogue.

    Examples
    --------
    >>> def column(name, family, group):
    ...     return FeatureColumn(name, family, group, "codes", aggregation="any")
    >>> found = variants_of(["a", "b"], [column("a", "a", "labs"), column("b", "b", "vitals"),
    ...     column("c", "race", "demographics")])
    >>> [variant.name for variant in found][:4]
    ['as trained', 'without labs', 'only labs', 'without vitals']
    """
    kept = set(columns)
    groups: dict[str, list[str]] = {}
    for candidate in candidates:
        if candidate.name in kept:
            groups.setdefault(candidate.group, []).append(candidate.name)
    found = [Variant(REFERENCE, tuple(columns))]
    for group, members in groups.items():
        inside = set(members)
        without = tuple(name for name in columns if name not in inside)
        if len(without) >= _FEWEST_COLUMNS:
            found.append(Variant(f"without {group}", without))
            found.append(Variant(f"only {group}", tuple(members)))
    sensitive = [each.name for each in candidates if each.family in SENSITIVE_FAMILIES]
    without = tuple(name for name in columns if name not in sensitive)
    if without and len(without) < len(columns):
        found.append(Variant(_WITHOUT, without))
    elif sensitive:
        found.append(Variant(_WITH, (*columns, *sensitive)))
    return tuple(found)


def analyse_sensitivity(
    training_set: pl.LazyFrame,
    model: FittedModel,
    *,
    variants: Sequence[Variant],
    rules: Mapping[str, ImputationRule],
    use_case: UseCase,
) -> list[Refit]:
    """Refit with the columns of each variant and the parameters of the model, judge all alike.

    Hyperparameters are not searched again: the question is what columns are worth to this model.
    Validation patients judge, with paired draws; the test period is not looked at.

    Parameters
    ----------
    training_set : LazyFrame
    model : FittedModel
        Family, calibration and hyperparameters are taken from it.
    variants : sequence of Variant
        The reference first.
    rules : mapping of column to ImputationRule
    use_case : UseCase

    Returns
    -------
    list of Refit
        The reference first; an improvement above 0 means that the variant is better than it.
    """
    rows = _rows(training_set, variants)
    trials = (Trial(model.parameters, 0.0, ()),)
    models = {
        variant.name: fit_design(
            rows,
            Design(variant.columns, {name: rules[name] for name in variant.columns}),
            family=_family(model),
            trials=trials,
            seed=use_case.model.seed,
            threshold=use_case.threshold,
        )
        for variant in variants
    }
    compared = compare_families(models, rows)
    factors = _factors(models, rows.filter(pl.col("split") == "validation"))
    return [
        Refit(variant, judged, *found)
        for variant, judged, found in zip(variants, compared, factors, strict=True)
    ]


def _factors(
    models: Mapping[str, FittedModel], validation: pl.DataFrame
) -> Iterator[tuple[float, Estimate | None]]:
    """Calibration factor of each model, and what it is more than that of the first."""
    person = validation["person_id"].to_numpy()
    outcome = validation["label"].to_numpy().astype(np.float64)
    first: np.ndarray | None = None
    for model in models.values():
        off = validation_probability(model, validation) - outcome
        change = None
        if first is None:
            first = off
        else:
            change = paired_mean_difference(person, outcome, off, first)
        yield float(off.mean()), change


def sensitivity_table(refits: Sequence[Refit]) -> pl.DataFrame:
    """One row per variant, as numbers.

    Returns
    -------
    DataFrame
        ``variant``, ``columns``, each metric and ``<metric>_change`` with ``_low`` and ``_high``:
        above 0 the variant is better than the reference; null for the reference itself. Also
        ``calibration_factor`` and its change: that of the variant less that of the reference.
    """
    return pl.DataFrame([_table_row(refit) for refit in refits], infer_schema_length=None)


def anti_classification(table: pl.DataFrame) -> AntiClassification | None:
    """What race and ethnicity change: with them less without them, on the validation patients.

    Parameters
    ----------
    table : DataFrame
        From `sensitivity_table`.

    Returns
    -------
    AntiClassification or None
        None where no refit differs in these columns alone.
    """
    for name, with_them in ((_WITH, True), (_WITHOUT, False)):
        found = table.filter(variant=name)
        if found.height:
            row = found.row(0, named=True)
            return AntiClassification(
                removed=SENSITIVE_FAMILIES,
                auroc=_difference(row, "auroc", negate=not with_them),
                log_loss=_difference(row, "log_loss", negate=with_them),
                calibration_factor=_difference(row, CALIBRATION, negate=not with_them),
            )
    return None


def _difference(row: Mapping[str, float | None], name: str, *, negate: bool) -> Metric:
    """A change of the table, or its opposite; an improvement of a loss is a fall."""
    value, low, high = (row[f"{name}_change{end}"] for end in ("", "_low", "_high"))
    if negate:
        value, low, high = (None if each is None else 0.0 - each for each in (value, high, low))
    return Metric(value, low, high, interval="patient-cluster bootstrap")


def shown_sensitivity(table: pl.DataFrame) -> pl.DataFrame:
    """The table as text, with 95 % intervals; above 0 the variant is better, but in calibration."""
    shown: list[dict[str, str]] = []
    for row in table.iter_rows(named=True):
        cells = {"variant": str(row["variant"]), "columns": str(row["columns"])}
        for metric in (*COMPARED, CALIBRATION):
            value, low, high = (row[f"{metric}_change{s}"] for s in ("", "_low", "_high"))
            words = f"change of {metric.replace('_', ' ')}"
            if row["variant"] == REFERENCE:
                cells[words] = "-"
            elif low is None or high is None:
                cells[words] = SUPPRESSED
            else:
                cells[words] = f"{value:+.5f} ({low:+.5f} to {high:+.5f})"
        shown.append(cells)
    return pl.DataFrame(shown)


def _table_row(refit: Refit) -> dict[str, object]:
    row: dict[str, object] = {
        "variant": refit.variant.name,
        "columns": len(refit.variant.columns),
        **{metric: refit.judged.figures[metric] for metric in COMPARED},
        CALIBRATION: refit.factor,
    }
    changes = {name: refit.judged.improvements.get(name) for name in COMPARED}
    for name, change in {**changes, CALIBRATION: refit.factor_change}.items():
        row[f"{name}_change"] = None if change is None else change.value
        row[f"{name}_change_low"] = None if change is None else change.low
        row[f"{name}_change_high"] = None if change is None else change.high
    return row


def _family(model: FittedModel) -> FamilySpec:
    kinds = {"none": FamilySpec(model.family), "logistic": FamilySpec(model.family, "logistic")}
    kinds["isotonic"] = FamilySpec(model.family, "isotonic")
    return kinds[model.calibration_kind]


def _rows(training_set: pl.LazyFrame, variants: Sequence[Variant]) -> pl.DataFrame:
    needed = dict.fromkeys(name for variant in variants for name in variant.columns)
    present = set(training_set.collect_schema())
    if absent := [name for name in needed if name not in present]:
        msg = (
            f"the training set must have all columns of the model (found {len(absent)} missing, "
            f"the first is {absent[0]!r}); materialise training_set and trained_model again"
        )
        raise ContractError(msg)
    judged = training_set.filter(pl.col("split").is_in(["train", "validation"]))
    return judged.select("person_id", "week", "split", "label", *needed).collect()
