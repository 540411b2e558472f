"""Who is eligible at a prediction time, by bounds on features that were known then."""

from collections.abc import Iterable

import polars as pl

from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.risk.use_case import Criterion

COHORT_KEY = ("person_id", "encounter_id", "prediction_time", "week")


def select_cohort(features: pl.DataFrame, criteria: tuple[Criterion, ...]) -> pl.DataFrame:
    """Say for each encounter whether it is eligible, and if not, which criterion it fails first.

    Parameters
    ----------
    features : DataFrame
        One row per encounter: the row key, ``week`` and the columns that the criteria name.
    criteria : tuple of Criterion
        Applied in order; a null never meets a criterion.

    Returns
    -------
    DataFrame
        The same rows in the same order: key, ``week``, ``eligible`` (Boolean) and
        ``first_unmet`` (name of the first criterion that is not met; null when eligible).

    Raises
    ------
    ConfigurationError
        If a criterion names a feature that the store does not have.

    Examples
    --------
    >>> rows = pl.DataFrame({"person_id": [1, 2], "encounter_id": [1, 2],
    ...     "prediction_time": [None, None], "week": [None, None], "age__years": [30.0, 9.0]})
    >>> adult = (Criterion(name="adult", feature="age__years", at_least=18),)
    >>> select_cohort(rows, adult).select("eligible", "first_unmet").rows()
    [(True, None), (False, 'adult')]
    """
    require_features(features.columns, criteria)
    unmet = pl.coalesce(
        pl.when(_met(criterion)).then(None).otherwise(pl.lit(criterion.name))
        for criterion in criteria
    )
    return features.select(
        *COHORT_KEY, unmet.is_null().alias("eligible"), unmet.cast(pl.String).alias("first_unmet")
    )


def attrition(cohort: pl.DataFrame, criteria: tuple[Criterion, ...]) -> pl.DataFrame:
    """Count encounters and persons that remain after each criterion, in order.

    Returns
    -------
    DataFrame
        One row per step (``all encounters`` first): ``step``, ``encounters``, ``persons``.

    Examples
    --------
    >>> cohort = pl.DataFrame({"person_id": [1, 2], "first_unmet": [None, "adult"]})
    >>> attrition(cohort, (Criterion(name="adult", feature="age__years", at_least=18),)).rows()
    [('all encounters', 2, 2), ('adult', 1, 1)]
    """
    names = [criterion.name for criterion in criteria]
    position = pl.col("first_unmet").replace_strict(
        names, list(range(len(names))), default=len(names), return_dtype=pl.Int32
    )
    reached = cohort.select("person_id", position.alias("position"))
    steps = [reached, *(reached.filter(pl.col("position") > i) for i in range(len(names)))]
    return pl.DataFrame(
        {
            "step": ["all encounters", *names],
            "encounters": [step.height for step in steps],
            "persons": [step["person_id"].n_unique() for step in steps],
        }
    )


def _met(criterion: Criterion) -> pl.Expr:
    value = pl.col(criterion.feature)
    met = pl.lit(value=True)
    if criterion.at_least is not None:
        met = met & (value >= criterion.at_least)
    if criterion.below is not None:
        met = met & (value < criterion.below)
    return met.fill_null(value=False)


def require_features(columns: Iterable[str], criteria: tuple[Criterion, ...]) -> None:
    """Raise `ConfigurationError` unless every criterion names one of the columns.

    Examples
    --------
    >>> require_features(["age__years"], (Criterion(name="a", feature="age_years", below=9),))
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ConfigurationError: ...found 'age_years'. Did you mean 'age__years'?
    """
    known = set(columns)
    for criterion in criteria:
        if criterion.feature not in known:
            msg = (
                f"cohort criterion {criterion.name!r} must name a feature of the feature store; "
                f"found {criterion.feature!r}. {nearest(criterion.feature, known)}"
            )
            raise ConfigurationError(msg)
