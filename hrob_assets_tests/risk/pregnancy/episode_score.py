"""Inferred pregnancy episodes against the truth."""

import polars as pl

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.pregnancy.terms import LONGEST_PREGNANCY_DAYS

_INFERRED = ("person_id", "episode_number", "start_date", "end_date", "outcome")
_TRUTH = ("person_id", "lmp", "end_date", "outcome")
_BIRTHS = ["LB", "SB"]
_WORDS = {
    "live birth": "LB",
    "stillbirth": "SB",
    "ectopic": "ECT",
    "miscarriage": "SA",
    "termination": "AB",
}


def score_episodes(inferred: pl.DataFrame, truth: pl.DataFrame) -> dict[str, float]:
    """Return how well inferred episodes agree with true pregnancies.

    Parameters
    ----------
    inferred : DataFrame
        As `hrob_assets_tests.risk.pregnancy.known_at.infer_episodes` returns it.
    truth : DataFrame
        ``person_id``, ``lmp`` (date), ``end_date`` (date, null while pregnant) and ``outcome``
        (LB, SB, ECT, SA or AB, or the word that the synthetic world uses for it).

    Returns
    -------
    dict
        ``true_pregnancies`` and ``inferred_episodes`` (counts), ``found`` (share of true
        pregnancies that an episode overlaps), ``false`` (share of episodes without a true
        pregnancy), ``outcome_agreement`` (share of pairs with a known inferred outcome; a
        delivery record agrees with a live birth or a stillbirth), ``start_within_7``, ``_14``
        and ``_28`` days and ``start_median_error_days`` (inferred less true), all of pairs.
        A share of nothing is ``nan``.

    Notes
    -----
    Pairs are one to one: an episode goes with the pregnancy it overlaps longest, and back.

    Examples
    --------
    >>> from datetime import date
    >>> inferred = pl.DataFrame({"person_id": [1], "episode_number": [1],
    ...     "start_date": [date(2024, 1, 4)], "end_date": [date(2024, 10, 1)], "outcome": ["LB"]})
    >>> truth = pl.DataFrame({"person_id": [1], "lmp": [date(2024, 1, 1)],
    ...     "end_date": [date(2024, 10, 1)], "outcome": ["LB"]})
    >>> score_episodes(inferred, truth)["start_within_7"]
    1.0
    """
    for name, frame, needed in (("inferred", inferred, _INFERRED), ("truth", truth, _TRUTH)):
        missing = [column for column in needed if column not in frame.columns]
        if missing:
            msg = f"{name} must have the columns {', '.join(needed)}; {', '.join(missing)} missing."
            raise ContractError(msg)
    pairs = _pairs(inferred, truth)
    error = (pairs["start_date"] - pairs["lmp"]).dt.total_days()
    ended = pairs.filter(pl.col("outcome") != "PREG", pl.col("true_outcome").is_not_null())
    agrees = (pl.col("outcome") == pl.col("true_outcome")) | (
        (pl.col("outcome") == "DELIV") & pl.col("true_outcome").is_in(_BIRTHS)
    )
    return {
        "true_pregnancies": float(truth.height),
        "inferred_episodes": float(inferred.height),
        "found": _share(pairs.height, truth.height),
        "false": _share(inferred.height - pairs.height, inferred.height),
        "outcome_agreement": _share(ended.filter(agrees).height, ended.height),
        **{
            f"start_within_{d}": _share(int((error.abs() <= d).sum()), len(error))
            for d in (7, 14, 28)
        },
        "start_median_error_days": _number(error.median()),
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _pairs(inferred: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Return one row per matched pair of episode and pregnancy."""
    longest = pl.duration(days=LONGEST_PREGNANCY_DAYS)
    ours = inferred.select(
        *_INFERRED, pl.coalesce("end_date", pl.col("start_date") + longest).alias("last")
    )
    theirs = truth.select(
        "person_id",
        pl.col("lmp").cast(pl.Date),
        pl.col("outcome").replace(_WORDS).alias("true_outcome"),
        pl.coalesce(pl.col("end_date").cast(pl.Date), pl.col("lmp").cast(pl.Date) + longest).alias(
            "true_last"
        ),
    ).with_row_index("pregnancy")
    overlap = pl.min_horizontal("last", "true_last") - pl.max_horizontal("start_date", "lmp")
    return (
        ours.join(theirs, on="person_id")
        .with_columns(overlap.dt.total_days().alias("overlap"))
        .filter(pl.col("overlap") >= 0)
        .sort("overlap", descending=True, maintain_order=True)
        .unique(["person_id", "episode_number"], keep="first", maintain_order=True)
        .unique("pregnancy", keep="first", maintain_order=True)
    )
