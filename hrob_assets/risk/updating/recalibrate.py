"""The update of a champion after an alarm: chosen by a closed test, made into a challenger."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from hrob_assets.risk.models import Recalibration
from hrob_assets.risk.monitoring import contributions_by_group, first_of_horizon
from hrob_assets.risk.training import (
    CrossFit,
    FittedModel,
    capacity_threshold,
    contributions,
    predict,
    term_names,
)
from hrob_assets.risk.updating.closed_test import (
    FEWEST_EVENTS_PER_COEFFICIENT,
    FEWEST_WEEKS,
    Pace,
    UpdateChoice,
    choose_update,
    fit_update,
    pace_of_change,
)
from hrob_assets.risk.use_case import Threshold

_OTHER = "other"
_PRECISION = 1e-12


@dataclass(frozen=True)
class ModelUpdate:
    """What the ripe outcomes since a change ask for.

    Parameters
    ----------
    choice : UpdateChoice
    pace : Pace, optional
        Sudden or slow; None with too few weeks to tell.
    challenger : FittedModel, optional
        The champion with another recalibration and threshold; None where nothing is to be
        changed, or where a new fit is.
    """

    choice: UpdateChoice
    pace: Pace | None
    challenger: FittedModel | None


def update_champion(
    training_set: pl.DataFrame,
    champion: FittedModel,
    *,
    changed_since: datetime,
    horizon_days: int,
    group_of_column: Mapping[str, str],
    threshold: Threshold,
    sudden_weeks: int,
    seed: int,
) -> ModelUpdate:
    """Choose the smallest update that is enough, and make it where it is no new fit.

    Parameters
    ----------
    training_set : DataFrame
        As `training.assemble_training_set` gives it with `split.plan_split` after a change: the
        choice is made on the training rows since the change, the threshold is set on the
        validation rows. Rows of the test split have no part in either; a recalibration that was
        chosen is fitted on them too, and says by `CrossFit` what it would be without each part.
    champion : FittedModel
    changed_since : datetime (UTC)
    horizon_days : int, days
    group_of_column : mapping of str to str
        Feature group of each column: what a new fit would weigh anew.
    threshold : Threshold
    sudden_weeks : int
    seed : int
        Of the split.

    Returns
    -------
    ModelUpdate

    Raises
    ------
    TooSmallError
        With too few events since the change to choose.
    """
    since = training_set.filter(
        pl.col("split").is_in(["train", "test"]), pl.col("prediction_time") >= changed_since
    )
    everybody = independent_rows(since, horizon_days=horizon_days)
    rows = everybody.filter(pl.col("split") == "train")
    probability, outcome = _said(champion, rows)
    components = _components(champion, rows, group_of_column)
    rarer = int(min(outcome.sum(), outcome.size - outcome.sum()))
    choice = choose_update(probability, outcome, _affordable(components, rarer))
    pace = _pace(rows, probability, sudden_weeks)
    if choice.update in {"none", "refit"}:
        return ModelUpdate(choice, pace, None)
    parts = {"of_judges": rows, "of_others": everybody.filter(pl.col("split") == "test")}
    fits = {
        name: combined(champion.recalibration, fit_update(choice.update, *_said(champion, part)))
        for name, part in parts.items()
    }
    then = fit_update(choice.update, *_said(champion, everybody))
    changed = _with_recalibration(champion, then, training_set, threshold)
    cross = CrossFit(since=changed_since.isoformat(), seed=seed, **fits)
    return ModelUpdate(choice, pace, replace(changed, cross_fit=cross))


def _said(champion: FittedModel, rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """What the champion said of rows, and what came of them."""
    return predict(champion, rows), rows["label"].to_numpy().astype(np.int8)


def independent_rows(rows: pl.DataFrame, *, horizon_days: int) -> pl.DataFrame:
    """One row per person and horizon, as the evidence of the alarm takes them.

    Parameters
    ----------
    rows : DataFrame
        With ``person_id``, ``prediction_time`` and ``encounter_id``.
    horizon_days : int, days

    Examples
    --------
    >>> rows = pl.DataFrame({"person_id": [7, 7, 7], "encounter_id": [1, 2, 3],
    ...     "prediction_time": [datetime(2024, 1, day) for day in (1, 5, 12)]})
    >>> independent_rows(rows, horizon_days=10)["encounter_id"].to_list()
    [1, 3]
    """
    ordered = rows.sort("person_id", "prediction_time", "encounter_id")
    horizon = timedelta(days=horizon_days)
    chosen = first_of_horizon(ordered["person_id"], ordered["prediction_time"], horizon)
    return ordered.filter(chosen).sort("prediction_time", "encounter_id")


def _components(
    champion: FittedModel, rows: pl.DataFrame, group_of_column: Mapping[str, str]
) -> np.ndarray:
    """Log-odds that each group of features adds, shape (n_rows, n_groups)."""
    columns = [name.removeprefix("missing ") for name in term_names(champion)]
    groups = [group_of_column.get(name, _OTHER) for name in columns]
    sums, _ = contributions_by_group(contributions(champion, rows), groups)
    return sums[:, np.ptp(sums, axis=0) > _PRECISION]


def _affordable(components: np.ndarray, rarer: int) -> np.ndarray:
    """The components that vary most, as many as the events allow beside intercept and slope."""
    most = max(rarer // FEWEST_EVENTS_PER_COEFFICIENT - 2, 0)
    order = np.argsort(-components.var(axis=0), kind="stable")
    return components[:, np.sort(order[:most])]


def _pace(rows: pl.DataFrame, probability: np.ndarray, sudden_weeks: int) -> Pace | None:
    weekly = (
        rows.select("week", "label")
        .with_columns(pl.Series("p", probability))
        .group_by("week")
        .agg(
            expected=pl.col("p").sum(),
            events=pl.col("label").sum(),
            information=(pl.col("p") * (1 - pl.col("p"))).sum(),
        )
        .sort("week")
    )
    if weekly.height < max(sudden_weeks + 1, FEWEST_WEEKS):
        return None
    return pace_of_change(weekly, sudden_weeks=sudden_weeks)


def recalibrate_fit(
    fitted: FittedModel, training_set: pl.DataFrame, *, horizon_days: int, threshold: Threshold
) -> FittedModel:
    """Bring a new fit, most of whose rows are from before the change, to the level after it.

    Intercept, or intercept and slope, where a closed test on the validation rows, which are all
    of after the change, asks for it.

    Raises
    ------
    TooSmallError
        With fewer than 20 validation events.
    """
    validation = training_set.filter(pl.col("split") == "validation")
    rows = independent_rows(validation, horizon_days=horizon_days)
    outcome = rows["label"].to_numpy().astype(np.int8)
    choice = choose_update(predict(fitted, rows), outcome, np.empty((rows.height, 0)))
    return _with_recalibration(fitted, choice.recalibration, training_set, threshold)


def _with_recalibration(
    model: FittedModel, then: Recalibration, training_set: pl.DataFrame, threshold: Threshold
) -> FittedModel:
    """The model recalibrated, with the threshold of the validation rows after the change."""
    changed = replace(model, recalibration=combined(model.recalibration, then), cross_fit=None)
    validation = training_set.filter(pl.col("split") == "validation")
    frozen = capacity_threshold(predict(changed, validation), threshold)
    return replace(changed, threshold=frozen)


def combined(first: Recalibration, then: Recalibration) -> Recalibration:
    """One recalibration that does what two do one after the other.

    Examples
    --------
    >>> combined(Recalibration(1.0, 2.0), Recalibration(0.5, 3.0))
    Recalibration(intercept=3.5, slope=6.0)
    """
    return Recalibration(then.intercept + then.slope * first.intercept, then.slope * first.slope)
