"""Where nurses act on a prediction, its outcome no longer tells whether it was right."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from hrob_assets.risk.disclosure import in_words, shown_share
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.tables import TIMESTAMP
from hrob_assets.risk.use_case import SilentArm

_BITS = 52
ACTIONS = ("reviewed_at", "acted_at")
ACCEPTED_BY = "hrob/accept_acted_on"
"""Run tag: who answers for an update from outcomes that people may have changed."""


def in_silent_arm(person_id: pl.Series, arm: SilentArm, *, salt: str) -> pl.Series:
    """Whether each person belongs to the share whose high risk is not shown.

    Of the person and the salt alone: the same person is always in the same arm, whatever the order
    or the week, and nobody can be moved to the other arm.

    Parameters
    ----------
    person_id : Series
    arm : SilentArm
    salt : str
        Secret of the deployment, so that nobody works the arms out.

    Examples
    --------
    >>> half = SilentArm(share=0.5, signed_off_by="Dr Who")
    >>> in_silent_arm(pl.Series([1, 2, 3, 4]), half, salt="s").to_list()
    [False, True, True, True]
    """
    if arm.share > 0 and not salt:
        msg = "the arm of a person must depend on a secret (found an empty salt); set one"
        raise ContractError(msg)
    if arm.share == 0:
        return pl.repeat(value=False, n=person_id.len(), eager=True).alias("silent")
    drawn = [_drawn(person, salt) < arm.share for person in person_id]
    return pl.Series("silent", drawn, dtype=pl.Boolean)


def _drawn(person: object, salt: str) -> float:
    digest = hashlib.sha256(f"silent|{salt}|{person}".encode()).digest()
    return (int.from_bytes(digest[:8]) >> (64 - _BITS)) / 2**_BITS


def flag_feedback(rows: pl.DataFrame, actions: pl.DataFrame | None) -> pl.DataFrame:
    """Mark rows that somebody reviewed or acted on before their outcome could be seen.

    Parameters
    ----------
    rows : DataFrame
        Of the ledger.
    actions : DataFrame, optional
        ``person_id``, ``reviewed_at`` and ``acted_at`` (null when not). None: nothing was
        recorded.

    Returns
    -------
    DataFrame
        The rows, with ``reviewed_at`` and ``acted_at`` (the first from the prediction to the end
        of ripening) and ``contaminated`` (acted on). Adds no rows.
    """
    flagged = rows.with_row_index("row")
    for name in ACTIONS:
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
    return flagged.with_columns(contaminated=pl.col("acted_at").is_not_null()).drop("row")


def readable_rows(rows: pl.DataFrame, arm: SilentArm, *, salt: str = "") -> pl.DataFrame:
    """Rows from which calibration can be read while nurses act on the list.

    With a silent arm: all rows of its persons, and of nobody else. A row that was not high risk
    says little where its person was on the list shortly before: what was done then lasts. Who is
    in the arm was drawn before any outcome. Without an arm: all rows, and `contaminated` tells
    which of them were acted on.

    Parameters
    ----------
    rows : DataFrame
        From `flag_feedback`.
    arm : SilentArm
    salt : str

    Returns
    -------
    DataFrame
        Rows with ``silent``.
    """
    marked = rows.with_columns(in_silent_arm(rows["person_id"], arm, salt=salt))
    return marked if arm.share == 0 else marked.filter("silent")


@dataclass(frozen=True)
class LearningRows:
    """Rows of a training set from which a model may learn, and by which it may be judged.

    Parameters
    ----------
    rows : DataFrame
    acted_on : int
        How many of them were acted on before their outcome could be seen.
    """

    rows: pl.DataFrame
    acted_on: int


def learning_rows(
    training_set: pl.DataFrame,
    actions: pl.DataFrame | None,
    *,
    arm: SilentArm,
    salt: str,
    ripe_after_days: int,
    changed_since: datetime | None,
    accepted_by: str | None,
) -> LearningRows:
    """Take from an update the outcomes that people may have changed; count them for a training.

    An update learns the level of outcomes since a change. Of those after whom nurses look, it
    would learn that help is low risk. To leave out who was acted on would be no way out: who was
    chosen for it differs from who was not.

    Parameters
    ----------
    training_set : DataFrame
        ``person_id``, ``prediction_time`` and anything else.
    actions : DataFrame, optional
        As in `flag_feedback`.
    arm : SilentArm
    salt : str
    ripe_after_days : int, days
        From a prediction until its outcome is ripe.
    changed_since : datetime (UTC), optional
        Of an update; None for a training, which keeps all rows.
    accepted_by : str, optional
        Who answers for an update from outcomes that were acted on, where there is no silent arm.

    Returns
    -------
    LearningRows
        For an update with a silent arm: all rows before the change, and since then those of the
        persons of the arm alone.

    Raises
    ------
    ContractError
        For an update without a silent arm, if any row since the change was acted on and nobody
        answers for it.
    """
    kept = training_set
    if changed_since is not None and arm.share > 0:
        silent = in_silent_arm(kept["person_id"], arm, salt=salt)
        kept = kept.filter((pl.col("prediction_time") < changed_since) | silent)
    ripe_at = pl.col("prediction_time") + pl.duration(days=ripe_after_days)
    timed = kept.select("person_id", "prediction_time", ripe_at.alias("ripe_at"))
    acted = flag_feedback(timed, actions).filter("contaminated")
    if changed_since is not None and arm.share == 0 and not accepted_by:
        _require_unchanged(acted.filter(pl.col("prediction_time") >= changed_since).height)
    return LearningRows(kept, acted.height)


def _require_unchanged(acted: int) -> None:
    if acted:
        msg = (
            "an update must learn from outcomes that nobody changed (found "
            f"{in_words(acted)} rows since the change that were acted on): it would take help for "
            f"low risk. Give the use case a silent arm, or run it again with the tag {ACCEPTED_BY} "
            "and the name of who answers for it"
        )
        raise ContractError(msg)


_READ_ON_THE_ARM = (
    "Calibration and evidence are of the persons of the silent arm alone, on whom nobody acts. "
    "Counts by status, drift, the nowcast and the correction for censoring are of all rows."
)


def contamination(rows: pl.DataFrame, arm: SilentArm) -> str | None:
    """What must be said of every figure of these rows, or None.

    Examples
    --------
    >>> acted = pl.DataFrame({"high_risk": [True] * 50, "contaminated": [True] * 30 + [False] * 20})
    >>> contamination(acted, SilentArm())
    '60% of the high-risk rows were acted on: outcomes may be better because of it, so
    over-prediction among them proves nothing. A silent arm would tell.'
    """
    if arm.share > 0:
        return _READ_ON_THE_ARM
    high = rows.filter("high_risk")
    if high.is_empty() or not high["contaminated"].any():
        return None
    share = shown_share(int(high["contaminated"].sum()), high.height)
    part = f"{share:.0%}" if isinstance(share, float) else "Some"
    return (
        f"{part} of the high-risk rows were acted on: outcomes may be better because of it, "
        "so over-prediction among them proves nothing. A silent arm would tell."
    )
