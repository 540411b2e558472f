"""Feature selections side by side: the same rows, folds, seeds and search, judged on validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from hrob_assets.risk.disclosure import SUPPRESSED
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.evaluation import (
    Evaluation,
    Measured,
    improvements,
    measure_performance,
    sign_of,
    summarise,
)
from hrob_assets.risk.features import (
    FeatureColumn,
    FeatureSelection,
    ImputationRule,
    kept_columns,
    rules_of_record,
)
from hrob_assets.risk.statistics import Estimate, rank_rows
from hrob_assets.risk.training.feature_selection import select_features
from hrob_assets.risk.training.fit import fit_model
from hrob_assets.risk.training.model import FittedModel
from hrob_assets.risk.training.predict import predict
from hrob_assets.risk.training.training_set import TRAINING_COLUMNS, require_enough
from hrob_assets.risk.training.tuning.plan import best_trial
from hrob_assets.risk.use_case import UseCase

CURRENT = "current"
"""Name of the selection that is in use; the others are compared with it."""
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class ComparedSelection:
    """One selection: what it keeps, its model, and how that does on the validation rows.

    Parameters
    ----------
    name : str
    selection : FeatureSelection
    record : DataFrame
        `SCREEN_RECORD_SCHEMA`.
    fitted : FittedModel
    evaluation : Evaluation
        On the validation rows.
    differences : mapping of str to Estimate
        ``log_loss`` and ``auroc`` minus those of the current selection, on the same rows; empty
        for the current selection itself.
    """

    name: str
    selection: FeatureSelection
    record: pl.DataFrame
    fitted: FittedModel
    evaluation: Evaluation
    differences: Mapping[str, Estimate]


def named_selections(
    current: FeatureSelection, others: Sequence[FeatureSelection]
) -> dict[str, FeatureSelection]:
    """The selection in use and others under the names of their files.

    Raises
    ------
    ConfigurationError
        If two have the same name.
    """
    named = {CURRENT: current}
    for selection in others:
        name = selection.path.stem
        if name in named:
            msg = (
                f"selections that are compared must have names of their own (found {name!r} "
                f"twice, the second is {selection.path}); rename a file"
            )
            raise ConfigurationError(msg)
        named[name] = selection
    return named


def compare_selections(
    training_set: pl.LazyFrame,
    *,
    selections: Mapping[str, FeatureSelection],
    candidates: Sequence[FeatureColumn],
    rules: Mapping[str, ImputationRule],
    use_case: UseCase,
) -> list[ComparedSelection]:
    """Train each selection on the training rows and judge it on the validation rows.

    No row of the test period is read but for its count. Only the columns of one selection are in
    memory at a time.

    Parameters
    ----------
    training_set : LazyFrame
        `TRAINING_COLUMNS` and all candidates, ordered by time.
    selections : mapping of str to FeatureSelection
        The selection in use, under `CURRENT`, and at least one other.
    candidates : sequence of FeatureColumn
    rules : mapping of column to ImputationRule
    use_case : UseCase

    Returns
    -------
    list of ComparedSelection
        The current one first, then the others in their order.

    Raises
    ------
    ConfigurationError
        If the current selection or another to compare it with is missing.
    TooSmallError
        If the rows cannot carry a model.
    """
    if CURRENT not in selections or len(selections) == 1:
        msg = (
            f"a comparison must have the selection {CURRENT!r} and another one (found "
            f"{', '.join(selections) or 'none'}); write one into feature_selections/"
        )
        raise ConfigurationError(msg)
    require_enough(training_set.select("split", "label").collect(), use_case.model)
    judged = training_set.filter(pl.col("split").is_in(["train", "validation"]))
    reference: Measured | None = None
    compared: list[ComparedSelection] = []
    for name in [CURRENT, *(name for name in selections if name != CURRENT)]:
        rows = judged.select(*TRAINING_COLUMNS, *selections[name].columns).collect()
        record, fitted = _trained(
            rows, selections[name], candidates=candidates, rules=rules, use_case=use_case
        )
        validation = rows.filter(pl.col("split") == "validation")
        measured = _measured(validation, fitted)
        differences = {} if reference is None else _differences(measured, reference)
        reference = reference or measured
        evaluation = summarise(measured)
        compared.append(
            ComparedSelection(name, selections[name], record, fitted, evaluation, differences)
        )
    return compared


def _trained(
    rows: pl.DataFrame,
    selection: FeatureSelection,
    *,
    candidates: Sequence[FeatureColumn],
    rules: Mapping[str, ImputationRule],
    use_case: UseCase,
) -> tuple[pl.DataFrame, FittedModel]:
    """The record and the model of one selection, as the training job makes them."""
    record = select_features(
        rows.filter(pl.col("split") == "train"),
        candidates=candidates,
        selection=selection,
        rules=rules,
        model=use_case.model,
    )
    fitted = fit_model(
        rows,
        columns=kept_columns(record),
        rules=rules_of_record(record, rules),
        model=use_case.model,
        threshold=use_case.threshold,
    )
    return record, fitted


def _measured(validation: pl.DataFrame, fitted: FittedModel) -> Measured:
    ranked = rank_rows(
        validation["person_id"].to_numpy(),
        predict(fitted, validation),
        validation["label"].to_numpy(),
    )
    return measure_performance(ranked, threshold=fitted.threshold)


def _differences(measured: Measured, reference: Measured) -> dict[str, Estimate]:
    """Log loss and AUROC less those of the reference."""
    found = improvements(measured, reference)
    return {metric: _times(sign_of(metric), found[metric]) for metric in ("log_loss", "auroc")}


def _times(sign: float, found: Estimate) -> Estimate:
    if sign > 0:
        return found
    low, high = (None if bound is None else -bound for bound in (found.high, found.low))
    return Estimate(-found.value, low, high)


def comparison_table(compared: Sequence[ComparedSelection]) -> pl.DataFrame:
    """One row per selection, as numbers.

    Returns
    -------
    DataFrame
        ``selection``, ``columns`` (kept), ``columns_of_file``, ``inverse_penalty``,
        ``cv_log_loss``, the figures of the evaluation on the validation rows, and
        ``<figure>_difference`` (with ``_low`` and ``_high``) from the current selection for log
        loss and AUROC. Null where a figure would tell a small cell.
    """
    rows: list[dict[str, object]] = []
    for each in compared:
        best = best_trial(each.fitted.trials)
        rows.append(
            {
                "selection": each.name,
                "columns": len(each.fitted.columns),
                "columns_of_file": len(each.selection.columns),
                "inverse_penalty": best.parameters.get("inverse_penalty"),
                "cv_log_loss": best.log_loss,
                **figures_of(each),
            }
        )
    floats = dict.fromkeys(_FIGURES, pl.Float64)
    schema = {"selection": pl.String, "columns": pl.Int64, "columns_of_file": pl.Int64,
              "inverse_penalty": pl.Float64, "cv_log_loss": pl.Float64, **floats}  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def figures_of(compared: ComparedSelection) -> dict[str, float]:
    """Figures of one selection under flat names; none where there are too few events or persons."""
    if not compared.evaluation.tellable:
        return {}
    figures = compared.evaluation.figures()
    flat = {name: figures[name] for name in _FIGURES if name in figures}
    for name, estimate in compared.differences.items():
        values = (estimate.value, estimate.low, estimate.high)
        for suffix, value in zip(("", "_low", "_high"), values, strict=True):
            if value is not None:
                flat[f"{name}_difference{suffix}"] = value
    return flat


def _with_bounds(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{suffix}" for name in names for suffix in ("", "_low", "_high"))


_FIGURES = (
    "log_loss",
    *_with_bounds("log_loss_difference", "auroc", "auroc_difference"),
    "auprc",
    "brier",
    *_with_bounds("calibration_factor"),
)


def shown_comparison(table: pl.DataFrame) -> pl.DataFrame:
    """The table as text, for a reader.

    Parameters
    ----------
    table : DataFrame
        From `comparison_table`.

    Returns
    -------
    DataFrame
        All columns are text; differences are from the current selection, with 95 % intervals.
    """
    rows = [
        {
            "selection": row["selection"],
            "columns": f"{row['columns']} of {row['columns_of_file']}",
            "log loss": _number(row["log_loss"], ".5f"),
            "difference": _interval(row, "log_loss_difference", "+.5f"),
            "AUROC": _interval(row, "auroc", ".3f"),
            "difference of AUROC": _interval(row, "auroc_difference", "+.3f"),
            "AUPRC": _number(row["auprc"], ".3f"),
            "Brier": _number(row["brier"], ".5f"),
            "calibration factor": _interval(row, "calibration_factor", "+.4f"),
        }
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def _number(value: float | None, form: str) -> str:
    return SUPPRESSED if value is None else format(value, form)


def _interval(row: Mapping[str, Any], name: str, form: str) -> str:
    value, low, high = (row[f"{name}{suffix}"] for suffix in ("", "_low", "_high"))
    if value is None:
        return "-" if name.endswith("_difference") and row["selection"] == CURRENT else SUPPRESSED
    if low is None or high is None:
        return format(value, form)
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def caution(selections: int, use_case_name: str) -> str:
    """What a reader must know before choosing from a comparison.

    Examples
    --------
    >>> print(caution(4, "falls"))
    All 4 selections were trained on the same training rows, folds, seeds and search budget, and
    judged on the same validation patients, of whom training has no row; the test period was not
    looked at. A difference is this selection minus the current one: a lower log loss is better.
    Each interval is for one comparison: with 3 of them, one or more exclude zero by chance up to
    14% of the time, and the best of several looks better than it is. Choose for a reason, write
    it into feature_selection_config.yml and run train_falls: the test period and the gate decide.
    """
    others = selections - 1
    chance = 1 - _CONFIDENCE**others
    return (
        f"All {selections} selections were trained on the same training rows, folds, seeds and "
        "search budget, and judged on the same validation patients, of whom training has no row; "
        "the test period was not looked at. A difference is this selection minus the current one: "
        "a lower log loss is better. Each interval is for one comparison: with "
        f"{others} of them, one or more exclude zero by chance up to {chance:.0%} of the time, "
        "and the best of several looks better than it is. Choose for a reason, write it into "
        f"feature_selection_config.yml and run train_{use_case_name}: the test period and the "
        "gate decide."
    )
