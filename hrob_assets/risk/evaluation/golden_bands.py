"""Figures of a world whose answer is known, and the bands that they must lie in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from hrob_assets.risk.errors import ConfigurationError

_MEAN = "mean of "


@dataclass(frozen=True)
class Band:
    """What one figure must be: ``at_least <= figure <= at_most``."""

    figure: str
    at_least: float
    at_most: float


def bands_from(values: Mapping[str, Any], *, place: str) -> tuple[Band, ...]:
    """Bands as a YAML file has them: ``figure: [at least, at most]``.

    Parameters
    ----------
    values : mapping
    place : str
        Named in errors: file and use case.

    Raises
    ------
    ConfigurationError
        If there is no band, or one that no number or every number lies in.

    Examples
    --------
    >>> bands_from({"auroc": [0.65, 0.8]}, place="bands.yaml")
    (Band(figure='auroc', at_least=0.65, at_most=0.8),)
    """
    if not values:
        msg = f"{place} must have a band for each figure (found none); add them"
        raise ConfigurationError(msg)
    return tuple(_band(name, limits, place) for name, limits in values.items())


def _band(name: str, limits: Any, place: str) -> Band:
    try:
        low, high = (float(each) for each in limits)
        meant = -np.inf < low <= high < np.inf
    except (TypeError, ValueError):
        low = high = 0.0
        meant = False
    if not meant:
        msg = f"the band of {name!r} in {place} must be [at least, at most] (found {limits})"
        raise ConfigurationError(msg)
    return Band(name, low, high)


def model_figures(predictions: pl.DataFrame) -> dict[str, float]:
    """Size, outcome, discrimination and calibration of predictions of the test period.

    Parameters
    ----------
    predictions : DataFrame
        One row per encounter, with ``person_id``, ``outcome`` and ``probability``.

    Returns
    -------
    dict
        ``test rows``, ``test persons``, ``prevalence`` (fraction), ``auroc`` (absent when only one
        class is there) and ``calibration factor`` (mean predicted minus observed).

    Examples
    --------
    >>> seen = pl.DataFrame(
    ...     {"person_id": [1, 2], "outcome": [False, True], "probability": [0.25, 0.5]}
    ... )
    >>> model_figures(seen)["auroc"], model_figures(seen)["calibration factor"]
    (1.0, -0.125)
    """
    outcome = predictions["outcome"].cast(pl.Float64).to_numpy()
    probability = predictions["probability"].to_numpy()
    figures = {
        "test rows": float(outcome.size),
        "test persons": float(predictions["person_id"].n_unique()),
        "prevalence": float(np.mean(outcome)),
        "calibration factor": float(np.mean(probability) - np.mean(outcome)),
    }
    rank = predictions["probability"].rank("average").to_numpy()
    events = float(np.sum(outcome))
    others = outcome.size - events
    if events and others:
        above = float(np.sum(rank[outcome > 0])) - events * (events + 1) / 2
        figures["auroc"] = above / (events * others)
    return figures


def feature_figures(features: pl.LazyFrame, bands: Sequence[Band]) -> dict[str, float]:
    """Means of the feature columns that bands name as ``mean of <column>``; nulls do not count.

    A column that the feature store does not have gives no figure.

    Examples
    --------
    >>> rows = pl.LazyFrame({"age__years": [20.0, 40.0, None]})
    >>> feature_figures(rows, (Band("mean of age__years", 29, 31),))
    {'mean of age__years': 30.0}
    """
    there = features.collect_schema().names()
    named = [band.figure.removeprefix(_MEAN) for band in bands if band.figure.startswith(_MEAN)]
    columns = [column for column in named if column in there]
    if not columns:
        return {}
    means = features.select(pl.col(columns).cast(pl.Float64).mean()).collect().row(0)
    found = zip(columns, means, strict=True)
    return {f"{_MEAN}{column}": float(mean) for column, mean in found if mean is not None}


def judge_bands(figures: Mapping[str, float], bands: Sequence[Band]) -> pl.DataFrame:
    """Compare figures with their bands.

    Returns
    -------
    DataFrame
        One row per band: ``figure``, ``at_least``, ``found`` (null when there is no such figure),
        ``at_most``, ``within``; a figure that is not there or not a number is not within.

    Examples
    --------
    >>> judge_bands({"auroc": 0.93}, (Band("auroc", 0.65, 0.8),))["within"].to_list()
    [False]
    """
    found = [figures.get(band.figure) for band in bands]
    within = [
        value is not None and band.at_least <= value <= band.at_most
        for band, value in zip(bands, found, strict=True)
    ]
    return pl.DataFrame(
        {
            "figure": [band.figure for band in bands],
            "at_least": [band.at_least for band in bands],
            "found": found,
            "at_most": [band.at_most for band in bands],
            "within": within,
        },
        schema_overrides={"found": pl.Float64},
    )
