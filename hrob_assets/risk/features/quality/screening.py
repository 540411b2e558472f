"""Decide which of the selected columns the training rows can carry."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import in_words
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.catalogue.catalogue import FeatureColumn
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.features.catalogue.selection import FeatureSelection, Screening
from hrob_assets.risk.features.quality.column_quality import (
    ColumnQuality,
    either_is_small,
    evenly_spaced,
    measure_columns,
    values_of,
)
from hrob_assets.risk.features.quality.record import SCREEN_RECORD_SCHEMA, require_kept


def screen_columns(
    train: pl.DataFrame,
    *,
    candidates: Sequence[FeatureColumn],
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
) -> pl.DataFrame:
    """Decide on every column by the selection file and by its quality on the training rows.

    The rules are applied in the order of the file's documentation; the first that a column breaks
    drops it, and a column is compared with kept ones only.

    Parameters
    ----------
    train : DataFrame
        The training rows only, ordered by time: ``person_id`` and the columns that the selection
        file keeps.
    candidates : sequence of FeatureColumn
        All columns of the catalogue, also those that the selection file drops.
    selection : FeatureSelection
    rules : mapping of column to ImputationRule

    Returns
    -------
    DataFrame
        `SCREEN_RECORD_SCHEMA`, one row per candidate, in their order; no figure tells fewer than 11
        persons. ``importance`` is null, and so are all figures of what the file drops.

    Raises
    ------
    ContractError
        If there are no training rows, or no column is kept.
    """
    if train.is_empty():
        msg = "the screen must have training rows (found none); use a longer training period"
        raise ContractError(msg)
    measured = dict(measure_columns(train, selection.columns))
    decided = _decide(train, candidates, selection, measured, rules)
    own = _own_indicators(train, [name for name, why in decided.items() if why is None], rules)
    rows = [
        _row(column, decided[column.name], measured.get(column.name), indicator=column.name in own)
        for column in candidates
    ]
    return require_kept(pl.DataFrame(rows, schema=SCREEN_RECORD_SCHEMA))


def _row(
    column: FeatureColumn,
    dropped: tuple[str, str] | None,
    measured: ColumnQuality | None,
    *,
    indicator: bool,
) -> dict[str, object]:
    """One row of the record; `dropped` is the rule and the reason, or None."""
    persons = 0 if measured is None else measured.persons_with_value
    kept = f"kept: {in_words(persons)} persons have another value than most rows"
    return {
        "column": column.name,
        "family": column.family,
        "group": column.group,
        "decision": "keep" if dropped is None else "drop",
        "rule": None if dropped is None else dropped[0],
        "reason": kept if dropped is None else dropped[1],
        **({} if measured is None else measured.safe()),
        "importance": None,
        "indicator": indicator,
    }


def screen_importance(
    record: pl.DataFrame, importance: Mapping[str, float], screening: Screening
) -> pl.DataFrame:
    """Apply the rules of importance to a record of quality.

    Parameters
    ----------
    record : DataFrame
        From `screen_columns`.
    importance : mapping of family to float
        Of every family with a kept column, log loss per row.
    screening : Screening

    Returns
    -------
    DataFrame
        The record with ``importance``, and the columns of unimportant families dropped.

    Raises
    ------
    ContractError
        If no column is kept.
    """
    ranked = sorted(importance, key=lambda family: -importance[family])
    dropped = {
        family: why
        for rank, family in enumerate(ranked, start=1)
        if (why := _unimportant(family, importance[family], rank, screening)) is not None
    }
    places = {family: f"{rank} of {len(ranked)}" for rank, family in enumerate(ranked, start=1)}
    rows = [_judged(row, importance, dropped, places) for row in record.iter_rows(named=True)]
    return require_kept(pl.DataFrame(rows, schema=record.schema))


def _decide(
    train: pl.DataFrame,
    candidates: Sequence[FeatureColumn],
    selection: FeatureSelection,
    measured: Mapping[str, ColumnQuality],
    rules: Mapping[str, ImputationRule],
) -> dict[str, tuple[str, str] | None]:
    """The rule that drops each column and its reason, or None; in the order of the candidates."""
    decided: dict[str, tuple[str, str] | None] = {}
    for column in candidates:
        if (entry := selection.dropped.get(column.name)) is not None:
            file = selection.path.name
            decided[column.name] = file, f"dropped by {file}: {entry}"
        else:
            decided[column.name] = _poor(measured[column.name], selection.screening)
    _drop_copies(train, decided, selection.screening, rules)
    _drop_correlated(train, decided, selection.screening)
    return decided


def _poor(found: ColumnQuality, screening: Screening) -> tuple[str, str] | None:
    """The first rule on a single column that it breaks."""
    least, most = screening.min_persons_with_value, screening.max_missing_share
    if least is not None and found.persons_with_value < least:
        persons = in_words(found.persons_with_value)
        what = f"{persons} persons have another value than most rows; at least {least} must"
        if not found.persons_with_value:
            what = "it is the same in all training rows"
        return "min_persons_with_value", f"dropped: {what}"
    if most is not None and found.missing_share > most:
        few = either_is_small(found.persons_missing, found.persons)
        share = "nearly all" if few else f"{found.missing_share:.2%}"
        what = f"missing in {share} of the training rows; at most {most:.2%} may be"
        return "max_missing_share", f"dropped: {what}"
    if screening.max_shift is not None and found.shift > screening.max_shift:
        what = (
            f"its population stability index between the first and the last third of the training "
            f"rows is {found.shift:.3f}; at most {screening.max_shift:g} is allowed"
        )
        return "max_shift", f"dropped: {what}"
    return None


def _drop_copies(
    train: pl.DataFrame,
    decided: dict[str, tuple[str, str] | None],
    screening: Screening,
    rules: Mapping[str, ImputationRule],
) -> None:
    """Drop each column that equals an earlier kept one in all rows and is imputed alike."""
    if not screening.drop_copies:
        return
    first: dict[tuple[bytes, ImputationRule], str] = {}
    for name in [name for name, why in decided.items() if why is None]:
        earlier = first.setdefault((_digest(values_of(train, name)), rules[name]), name)
        if earlier != name:
            reason = f"dropped: the same as {earlier} in all training rows"
            decided[name] = "drop_copies", reason


def _drop_correlated(
    train: pl.DataFrame, decided: dict[str, tuple[str, str] | None], screening: Screening
) -> None:
    """Drop each column that goes with an earlier kept one; missing values count as the mean."""
    if screening.max_correlation is None:
        return
    names = [name for name, why in decided.items() if why is None]
    correlation = np.abs(_correlations(train[evenly_spaced(0, train.height)], names))
    kept: list[int] = []
    for number, name in enumerate(names):
        likeness = correlation[number, kept]
        if kept and likeness.max() > screening.max_correlation:
            earlier = names[kept[int(likeness.argmax())]]
            reason = (
                f"dropped: its correlation with {earlier} is {likeness.max():.4f}; at most "
                f"{screening.max_correlation:g} is allowed"
            )
            decided[name] = "max_correlation", reason
        else:
            kept.append(number)


def _correlations(rows: pl.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Correlations of columns, shape (n_columns, n_columns); 0 for a constant column."""
    matrix = np.column_stack([values_of(rows, name) for name in names]).astype(np.float64)
    matrix = np.where(np.isnan(matrix), np.nanmean(matrix, axis=0), matrix)
    matrix -= matrix.mean(axis=0)
    length = np.sqrt((matrix**2).sum(axis=0))
    matrix /= np.where(length > 0, length, 1.0)
    return matrix.T @ matrix


def _own_indicators(
    train: pl.DataFrame, names: Sequence[str], rules: Mapping[str, ImputationRule]
) -> set[str]:
    """Columns whose missing indicator says what no kept column and no earlier indicator says."""
    wanted = [name for name in names if rules[name].indicator and train[name].null_count()]
    patterns = {name: train[name].is_null().to_numpy() for name in wanted}
    said = {_digest(values_of(train, name)) for name in names if name not in patterns}
    own: set[str] = set()
    for name, pattern in patterns.items():
        both = {_digest(each.astype(np.float32)) for each in (pattern, ~pattern)}
        if not both & said:
            own.add(name)
        said |= both
    return own


def _digest(values: np.ndarray) -> bytes:
    return hashlib.blake2b(values.tobytes(), digest_size=16).digest()


def _unimportant(
    family: str, importance: float, rank: int, screening: Screening
) -> tuple[str, str] | None:
    least, most = screening.min_importance, screening.keep_top
    if least is not None and importance < least:
        what = (
            f"shuffling {family} changes the log loss by {importance:+.6f}; at least {least:+g} "
            "is asked for"
        )
        return "min_importance", f"dropped: {what}"
    if most is not None and rank > most:
        what = f"{family} is number {rank} by importance; {most} families are kept"
        return "keep_top", f"dropped: {what}"
    return None


def _judged(
    row: dict[str, object],
    importance: Mapping[str, float],
    dropped: Mapping[str, tuple[str, str]],
    places: Mapping[str, str],
) -> dict[str, object]:
    """One row of the record with the importance of its family."""
    family = str(row["family"])
    if row["decision"] != "keep":
        return row
    if (why := dropped.get(family)) is not None:
        judged = {"decision": "drop", "rule": why[0], "reason": why[1], "indicator": False}
    else:
        judged = {"reason": f"{row['reason']}; importance {places[family]} families"}
    return row | {"importance": importance[family]} | judged
