"""Which of the selected columns the training rows can carry, and the record of every decision."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hrob_assets.risk.disclosure import in_words, is_small
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.catalogue import FeatureColumn
from hrob_assets.risk.features.selection import FeatureSelection, ImputationRule, Screening

RECORD_SCHEMA: dict[str, type[pl.DataType]] = {
    "column": pl.String,
    "family": pl.String,
    "group": pl.String,
    "decision": pl.String,
    "rule": pl.String,
    "reason": pl.String,
    "persons_with_value": pl.Int64,
    "missing_share": pl.Float64,
    "value_share": pl.Float64,
    "shift": pl.Float64,
    "importance": pl.Float64,
    "indicator": pl.Boolean,
}
RECORD_MEANINGS = {
    "column": "Column of the feature store.",
    "family": "What the column was made from.",
    "group": "Group of feature_mappings.yml.",
    "decision": "keep or drop.",
    "rule": "What dropped it: a rule of the screen, or the selection file; null when kept.",
    "reason": "One sentence, with the figure.",
    "persons_with_value": (
        "Training persons who differ at least once from the value that most rows share; null "
        "where it is under 11."
    ),
    "missing_share": "Share of training rows that are null; null where few persons are behind it.",
    "value_share": (
        "Share of training rows that differ from the value that most rows share; null where few "
        "persons are behind it."
    ),
    "shift": "Population stability index between the first and the last third of the rows.",
    "importance": (
        "Rise of the out-of-fold log loss per row when all columns of the family that the quality "
        "rules keep are shuffled together; null where no rule asks for it."
    ),
    "indicator": "Whether the model gets a column that says where this one was missing.",
}
_LARGEST_SAMPLE = 20_000
_BINS = 10
_SMALLEST_SHARE = 1e-4


@dataclass(frozen=True)
class _Measured:
    """What the training rows say of one column."""

    rows: int
    missing: int
    valued: int
    persons: int
    persons_missing: int
    persons_with_value: int
    shift: float

    @property
    def missing_share(self) -> float:
        return self.missing / self.rows

    def safe(self) -> dict[str, float | int | None]:
        """The figures as they may be shown."""
        few_values = _few(self.persons_with_value, self.persons)
        few_missing = _few(self.persons_missing, self.persons)
        return {
            "persons_with_value": None if few_values else self.persons_with_value,
            "missing_share": None if few_missing else self.missing_share,
            "value_share": None if few_values else self.valued / self.rows,
            "shift": None if few_values or few_missing else self.shift,
        }


def screen_columns(
    train: pl.DataFrame,
    *,
    candidates: Sequence[FeatureColumn],
    selection: FeatureSelection,
    rules: Mapping[str, ImputationRule],
) -> pl.DataFrame:
    """Judge every column by the selection file and by its quality on the training rows.

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
        `RECORD_SCHEMA`, one row per candidate, in their order; no figure tells fewer than 11
        persons. ``importance`` is null, and so are all figures of what the file drops.

    Raises
    ------
    ContractError
        If there are no training rows, or no column is kept.
    """
    if train.is_empty():
        msg = "the screen must have training rows (found none); use a longer training period"
        raise ContractError(msg)
    measured = dict(_measure_all(train, selection.columns))
    decided = _decide(train, candidates, selection, measured, rules)
    own = _own_indicators(train, [name for name, why in decided.items() if why is None], rules)
    rows = [
        _row(column, decided[column.name], measured.get(column.name), indicator=column.name in own)
        for column in candidates
    ]
    return _not_empty(pl.DataFrame(rows, schema=RECORD_SCHEMA))


def _row(
    column: FeatureColumn,
    dropped: tuple[str, str] | None,
    measured: _Measured | None,
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
    return _not_empty(pl.DataFrame(rows, schema=record.schema))


def kept_columns(record: pl.DataFrame) -> tuple[str, ...]:
    """Columns that a record keeps, in the order of the catalogue."""
    return tuple(record.filter(pl.col("decision") == "keep")["column"])


def rules_of_record(
    record: pl.DataFrame, rules: Mapping[str, ImputationRule]
) -> dict[str, ImputationRule]:
    """Imputation of the kept columns, without the indicators that the record leaves out."""
    own = set(record.filter("indicator")["column"])
    return {
        name: ImputationRule(rules[name].method, rules[name].value, indicator=name in own)
        for name in kept_columns(record)
    }


def population_stability_index(expected: np.ndarray, actual: np.ndarray) -> float:
    """How far the distribution of a column has moved; 0 is not at all.

    Parameters
    ----------
    expected, actual : ndarray of float
        NaN is missing, which is a bin of its own; the other bins are the deciles of `expected`.

    Returns
    -------
    float
        ``sum((a - e) * ln(a / e))`` over the bins, each share at least 0.0001.

    Examples
    --------
    >>> before, now = np.array([0.0, 0.0, 1.0, np.nan]), np.array([0.0, 1.0, 1.0, 1.0])
    >>> population_stability_index(before, before)
    0.0
    >>> round(population_stability_index(before, now), 2)
    2.68
    """
    edges = np.unique(_quantiles(expected[~np.isnan(expected)]))
    e, a = (_shares(values, edges) for values in (expected, actual))
    return float(((a - e) * np.log(a / e)).sum())


def _quantiles(values: np.ndarray) -> np.ndarray:
    if not values.size:
        return np.empty(0, dtype=values.dtype)
    ranks = np.arange(1, _BINS) * values.size // _BINS
    return np.partition(values, ranks)[ranks]


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Shares of rows up to each edge, beyond the last, and missing."""
    measured = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, measured), minlength=edges.size + 1)
    shares = np.append(counts, values.size - measured.size) / values.size
    return np.maximum(shares, _SMALLEST_SHARE)


def _measure_all(train: pl.DataFrame, names: Sequence[str]) -> Iterator[tuple[str, _Measured]]:
    person = train["person_id"].rank("dense").to_numpy().astype(np.int64) - 1
    third = train.height // 3
    for name in names:
        yield name, _measure(_values(train, name), person, third)


def _values(train: pl.DataFrame, name: str) -> np.ndarray:
    """Values of a column as float32, NaN where null."""
    return train[name].cast(pl.Float32).fill_null(float("nan")).to_numpy()


def _measure(values: np.ndarray, person: np.ndarray, third: int) -> _Measured:
    missing = np.isnan(values)
    common = _common_value(values, missing)
    valued = ~missing if np.isnan(common) else values != common  # NaN differs from every value
    persons = int(person.max()) + 1

    def count(rows: np.ndarray) -> int:
        return int(np.count_nonzero(np.bincount(person[rows], minlength=persons)))

    return _Measured(
        rows=values.size,
        missing=int(missing.sum()),
        valued=int(valued.sum()),
        persons=persons,
        persons_missing=count(missing) if missing.any() else 0,
        persons_with_value=count(valued),
        shift=population_stability_index(
            values[_spread(0, third)], values[_spread(values.size - third, values.size)]
        )
        if third
        else 0.0,
    )


def _spread(start: int, stop: int) -> slice:
    """At most `_LARGEST_SAMPLE` rows from here to there, evenly spaced."""
    return slice(start, stop, -(-(stop - start) // _LARGEST_SAMPLE) or 1)


def _common_value(values: np.ndarray, missing: np.ndarray) -> float:
    """The value that more than half of the rows share; where there is none, the median.

    Missing counts as a value. A value of more than half of all rows is the median of those that
    are measured.
    """
    half = values.size / 2
    if missing.sum() > half:
        return float("nan")
    if np.count_nonzero(values == 0) > half:
        return 0.0
    measured = values[~missing]
    middle = (measured.size - 1) // 2
    return float(np.partition(measured, middle)[middle])


def _few(part: int, whole: int) -> bool:
    return is_small(part) or is_small(whole - part)


def _decide(
    train: pl.DataFrame,
    candidates: Sequence[FeatureColumn],
    selection: FeatureSelection,
    measured: Mapping[str, _Measured],
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


def _poor(found: _Measured, screening: Screening) -> tuple[str, str] | None:
    """The first rule on a single column that it breaks."""
    least, most = screening.min_persons_with_value, screening.max_missing_share
    if least is not None and found.persons_with_value < least:
        persons = in_words(found.persons_with_value)
        what = f"{persons} persons have another value than most rows; at least {least} must"
        if not found.persons_with_value:
            what = "it is the same in all training rows"
        return "min_persons_with_value", f"dropped: {what}"
    if most is not None and found.missing_share > most:
        few = _few(found.persons_missing, found.persons)
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
        earlier = first.setdefault((_digest(_values(train, name)), rules[name]), name)
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
    correlation = np.abs(_correlations(train[_spread(0, train.height)], names))
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
    matrix = np.column_stack([_values(rows, name) for name in names]).astype(np.float64)
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
    said = {_digest(_values(train, name)) for name in names if name not in patterns}
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


def _not_empty(record: pl.DataFrame) -> pl.DataFrame:
    if not kept_columns(record):
        rules = sorted(set(record["rule"].drop_nulls()))
        msg = (
            f"at least one feature must be kept (all {record.height} are dropped, by "
            f"{', '.join(rules)}); relax the limits"
        )
        raise ContractError(msg)
    return record
