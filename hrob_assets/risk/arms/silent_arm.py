"""The silent arm: a share of patients whose high risk is not shown to anybody.

Outcomes of these patients show what happens without the worklist. The arm is drawn before any
outcome exists, from the patient alone, so that it depends on nothing that could bias it.
"""

import hashlib

import polars as pl

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.use_case import SilentArm

_BITS = 52  # a double holds every integer up to 2**52 exactly


def in_silent_arm(person_id: pl.Series, arm: SilentArm, *, salt: str) -> pl.Series:
    """Whether each patient belongs to the silent arm.

    Membership depends on the patient and the salt only: a patient is in the same arm in every
    week and whatever the order of the rows, and nobody can move a patient to the other arm.

    Parameters
    ----------
    person_id : Series
    arm : SilentArm
    salt : str
        Secret of the deployment, so that nobody can work out who is in the arm.

    Returns
    -------
    Series of Boolean
        Named ``silent``; false for everybody where the share is 0.

    Raises
    ------
    ContractError
        If the arm has a share but the salt is empty.

    Examples
    --------
    >>> half = SilentArm(share=0.5, signed_off_by="Dr Who")
    >>> in_silent_arm(pl.Series([1, 2, 3, 4]), half, salt="s").to_list()
    [False, True, True, True]
    """
    if arm.share == 0:
        return pl.repeat(value=False, n=person_id.len(), eager=True).alias("silent")
    if not salt:
        msg = "membership in the silent arm must depend on a secret salt (found none); set one"
        raise ContractError(msg)
    fractions = [_salted_fraction(person, salt) for person in person_id]
    return pl.Series("silent", [each < arm.share for each in fractions], dtype=pl.Boolean)


def _salted_fraction(person: object, salt: str) -> float:
    """A number in [0, 1) that is fixed for a patient and cannot be guessed without the salt.

    `statistics.person_fraction` has no secret: whoever knows it could work out the arm.
    """
    digest = hashlib.sha256(f"silent|{salt}|{person}".encode()).digest()
    return (int.from_bytes(digest[:8]) >> (64 - _BITS)) / 2**_BITS


def evaluable_rows(rows: pl.DataFrame, arm: SilentArm, *, salt: str = "") -> pl.DataFrame:
    """Rows whose outcomes show whether predictions were right, while nurses act on the worklist.

    With a silent arm these are all rows of its patients and no other row. Rows of other patients
    are left out even where they were not high risk: what nurses did for a patient who was on the
    worklist last month still lowers the risk of this month's row. Without an arm all rows are
    used, and `intervention_caution` says how many of them were acted on.

    Parameters
    ----------
    rows : DataFrame
        With ``person_id``.
    arm : SilentArm
    salt : str

    Returns
    -------
    DataFrame
        The rows, with ``silent``.
    """
    marked = rows.with_columns(in_silent_arm(rows["person_id"], arm, salt=salt))
    return marked if arm.share == 0 else marked.filter("silent")
