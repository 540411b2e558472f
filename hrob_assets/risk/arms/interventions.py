"""Interventions: what people did for a patient after a prediction.

Acting on a prediction changes its outcome, so the outcome no longer shows whether the prediction
was right.
"""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from hrob_assets.risk.arms.silent_arm import in_silent_arm
from hrob_assets.risk.disclosure import in_words, shown_share
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.tables import TIMESTAMP
from hrob_assets.risk.use_case import SilentArm

_ACTIONS = ("reviewed_at", "acted_at")
ACCEPTED_BY_TAG = "hrob/accept_acted_on"
"""Run tag: who takes responsibility for an update from outcomes that people may have changed."""


def flag_interventions(rows: pl.DataFrame, actions: pl.DataFrame | None) -> pl.DataFrame:
    """Mark rows whose patient was reviewed, or acted on, before the outcome was ascertained.

    Parameters
    ----------
    rows : DataFrame
        Of the ledger: ``person_id``, ``prediction_time`` and ``ripe_at`` (null while pending).
    actions : DataFrame, optional
        ``person_id``, ``reviewed_at`` and ``acted_at`` (null when not). None: nothing was
        recorded.

    Returns
    -------
    DataFrame
        The rows, with ``reviewed_at`` and ``acted_at`` (the first from the prediction until the
        outcome is mature, null without one) and ``acted_on``. Adds no rows.
    """
    flagged = rows.with_row_index("row")
    for name in _ACTIONS:
        if actions is None:
            flagged = flagged.with_columns(pl.lit(None, dtype=TIMESTAMP).alias(name))
            continue
        dated = actions.select("person_id", name).drop_nulls()
        near = flagged.select("row", "person_id", "prediction_time", "ripe_at").join(
            dated, on="person_id"
        )
        inside = (pl.col(name) >= pl.col("prediction_time")) & (
            pl.col(name) < pl.col("ripe_at")
        ).fill_null(value=True)
        first = near.filter(inside).group_by("row").agg(pl.col(name).min())
        flagged = flagged.join(first, on="row", how="left", maintain_order="left")
    return flagged.with_columns(acted_on=pl.col("acted_at").is_not_null()).drop("row")


def intervention_caution(rows: pl.DataFrame, arm: SilentArm) -> str | None:
    """Caution that goes with every estimate from these rows; None where there is none.

    Parameters
    ----------
    rows : DataFrame
        With ``high_risk`` and ``acted_on``.
    arm : SilentArm

    Examples
    --------
    >>> acted = pl.DataFrame({"high_risk": [True] * 50, "acted_on": [True] * 30 + [False] * 20})
    >>> intervention_caution(acted, SilentArm())
    '60% of the high-risk rows were acted on. That may have prevented outcomes, so over-prediction
    among them does not show that the model is wrong. A silent arm would show it.'
    """
    if arm.share > 0:
        return _ESTIMATED_ON_THE_ARM
    high = rows.filter("high_risk")
    if high.is_empty() or not high["acted_on"].any():
        return None
    share = shown_share(int(high["acted_on"].sum()), high.height)
    part = f"{share:.0%}" if isinstance(share, float) else "Some"
    return (
        f"{part} of the high-risk rows were acted on. That may have prevented outcomes, so "
        "over-prediction among them does not show that the model is wrong. A silent arm would "
        "show it."
    )


_ESTIMATED_ON_THE_ARM = (
    "Calibration and e-values are estimated on the patients of the silent arm alone, on whom "
    "nobody acts. Counts by status, drift, the nowcast and the correction for censoring use all "
    "rows."
)


@dataclass(frozen=True)
class LearningRows:
    """Rows of a training set from which a model may learn, and on which it may be evaluated.

    Parameters
    ----------
    rows : DataFrame
    acted_on : int
        How many of them were acted on before their outcome was ascertained.
    """

    rows: pl.DataFrame
    acted_on: int


def learning_rows(
    training_set: pl.DataFrame,
    actions: pl.DataFrame | None,
    *,
    arm: SilentArm,
    salt: str,
    mature_after_days: int,
    changed_since: datetime | None,
    accepted_by: str | None,
) -> LearningRows:
    """Leave outcomes that people may have changed out of an update; count them for a training.

    An update learns how frequent outcomes have been since a change. From patients whom nurses
    look after it would learn that help is low risk. Leaving out only the patients who were acted
    on would not solve this: they were chosen because they differ from the others.

    Parameters
    ----------
    training_set : DataFrame
        ``person_id``, ``prediction_time`` and any other columns.
    actions : DataFrame, optional
        As in `flag_interventions`.
    arm : SilentArm
    salt : str
    mature_after_days : int, days
        From a prediction until its outcome is mature.
    changed_since : datetime (UTC), optional
        Start of the change that an update answers; None for a training, which keeps all rows.
    accepted_by : str, optional
        Who takes responsibility for an update from outcomes that were acted on, where there is
        no silent arm.

    Returns
    -------
    LearningRows
        For an update with a silent arm: all rows before the change, and from then on only those
        of patients of the arm.

    Raises
    ------
    ContractError
        For an update without a silent arm, if any row since the change was acted on and nobody
        takes responsibility for it.
    """
    kept = training_set
    if changed_since is not None and arm.share > 0:
        silent = in_silent_arm(kept["person_id"], arm, salt=salt)
        kept = kept.filter((pl.col("prediction_time") < changed_since) | silent)
    mature_at = pl.col("prediction_time") + pl.duration(days=mature_after_days)
    timed = kept.select("person_id", "prediction_time", mature_at.alias("ripe_at"))
    acted = flag_interventions(timed, actions).filter("acted_on")
    if changed_since is not None and arm.share == 0 and not accepted_by:
        _require_unchanged(acted.filter(pl.col("prediction_time") >= changed_since).height)
    return LearningRows(kept, acted.height)


def _require_unchanged(acted: int) -> None:
    if acted:
        msg = (
            "an update must learn from outcomes that nobody changed (found "
            f"{in_words(acted)} rows since the change that were acted on): it would take help for "
            f"low risk. Give the use case a silent arm, or run it again with the tag "
            f"{ACCEPTED_BY_TAG} and the name of whoever takes responsibility for it"
        )
        raise ContractError(msg)
