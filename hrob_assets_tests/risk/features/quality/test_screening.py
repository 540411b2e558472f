"""Which columns the training rows can carry, and what the record says of each."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.catalogue.catalogue import FeatureColumn
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.features.catalogue.selection import FeatureSelection, Screening
from hrob_assets.risk.features.quality.column_quality import shift_of
from hrob_assets.risk.features.quality.record import (
    SCREEN_RECORD_SCHEMA,
    kept_columns,
    rules_of_record,
)
from hrob_assets.risk.features.quality.screening import screen_columns, screen_importance

ROWS, PERSONS = 1200, 300  # four rows each, in the order of time


def frame(**columns: object):
    values = {name: pl.Series(each, dtype=pl.Float32) for name, each in columns.items()}
    return pl.DataFrame({"person_id": np.arange(ROWS) % PERSONS + 5_000, **values})


def noise(seed=1):
    return np.random.default_rng(seed).normal(size=ROWS)


def of_persons(count, value=1.0, other=0.0):
    """`value` in every row of so many persons, `other` in the rest."""
    return [value if n % PERSONS < count else other for n in range(ROWS)]


def screen(rows, *, dropped=(), indicator=False, **limits: object):
    names = [name for name in rows.columns if name != "person_id"]
    return screen_columns(
        rows,
        candidates=[FeatureColumn(name, f"family_{name}", "group", "codes") for name in names],
        selection=FeatureSelection(
            Path("selection.yml"),
            tuple(name for name in names if name not in dropped),
            dict.fromkeys(dropped, "group group"),
            Screening(**limits),
        ),
        rules=dict.fromkeys(names, ImputationRule("median", indicator=indicator)),
    )


def row_of(record, column):
    return record.row(by_predicate=pl.col("column") == column, named=True)


def test_without_a_rule_only_the_file_drops_a_column():
    rows = frame(constant=[1.0] * ROWS, rare=of_persons(1), left_out=noise())

    record = screen(rows, dropped=("left_out",))

    assert dict(record.schema) == SCREEN_RECORD_SCHEMA
    assert kept_columns(record) == ("constant", "rare")
    found = row_of(record, "left_out")
    assert (found["decision"], found["rule"]) == ("drop", "selection.yml")
    assert found["reason"] == "dropped by selection.yml: group group"


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (of_persons(10), False),
        (of_persons(11), True),
        (of_persons(PERSONS - 10), False),  # the few are those without it
        (of_persons(10, value=30.0, other=3650.0), False),
        (of_persons(10, value=30.0, other=None), False),
        (of_persons(11, value=30.0, other=None), True),
        ([2.5] * ROWS, False),
        ([None] * ROWS, False),
    ],
)
def test_a_column_must_tell_enough_persons_from_the_rest(values, kept):
    record = screen(frame(x=values, y=noise()), min_persons_with_value=11)

    assert ("x" in kept_columns(record)) is kept


def test_no_figure_and_no_sentence_tells_fewer_than_eleven_persons():
    rows = frame(rare=of_persons(4), nearly=of_persons(PERSONS - 4, other=None), y=noise())

    record = screen(rows, min_persons_with_value=11, max_missing_share=0.001)

    rare, nearly = row_of(record, "rare"), row_of(record, "nearly")
    assert rare["reason"].startswith("dropped: fewer than 11 persons have another value")
    for name in ("persons_with_value", "value_share", "shift"):
        assert rare[name] is None
    for name in ("missing_share", "shift"):
        assert nearly[name] is None
    assert "%" not in nearly["reason"].split(";")[0]


def test_a_column_that_is_mostly_missing_goes():
    rows = frame(x=[1.0 * (n % 7) if n % 10 == 0 else None for n in range(ROWS)], y=noise())

    assert kept_columns(screen(rows, max_missing_share=0.9)) == ("x", "y")
    record = screen(rows, max_missing_share=0.89)
    assert kept_columns(record) == ("y",)
    assert row_of(record, "x")["reason"] == (
        "dropped: missing in 90.00% of the training rows; at most 89.00% may be"
    )
    assert row_of(record, "x")["missing_share"] == pytest.approx(0.9)


def test_a_column_that_moves_over_time_goes():
    moved = noise() + np.where(np.arange(ROWS) < ROWS // 2, 0.0, 2.0)

    record = screen(frame(moved=moved, still=noise()), max_shift=0.25)

    assert kept_columns(record) == ("still",)
    assert row_of(record, "moved")["shift"] > 1
    assert row_of(record, "still")["shift"] < 0.1


def test_a_copy_goes_and_names_the_earlier_column():
    record = screen(frame(x=noise(), other=noise(2), copy=noise()), drop_copies=True)

    assert kept_columns(record) == ("x", "other")
    assert row_of(record, "copy")["reason"] == "dropped: the same as x in all training rows"


def test_a_copy_of_a_dropped_column_stays():
    record = screen(frame(x=noise(), copy=noise()), dropped=("x",), drop_copies=True)

    assert kept_columns(record) == ("copy",)


def test_a_column_that_goes_with_an_earlier_one_goes():
    x = noise()
    rows = frame(x=x, opposite=-x + 0.1 * noise(2), apart=noise(3))

    record = screen(rows, max_correlation=0.95)

    assert kept_columns(record) == ("x", "apart")
    assert "its correlation with x is 0.99" in row_of(record, "opposite")["reason"]
    assert kept_columns(screen(rows, max_correlation=0.999)) == ("x", "opposite", "apart")


def test_an_indicator_that_another_column_says_is_left_out():
    gaps = np.arange(ROWS) % 3 == 0
    holed = pl.Series(noise()).set(pl.Series(gaps), None)
    rows = frame(
        low=holed, high=holed + 1, own=[None if n % 5 == 0 else 1.0 * n for n in range(ROWS)]
    )

    record = screen(rows, indicator=True)
    said = screen(rows.with_columns(missing=pl.Series(gaps, dtype=pl.Float32)), indicator=True)

    assert record["indicator"].to_list() == [True, False, True]
    assert said["indicator"].to_list() == [False, False, True, False]
    rules = rules_of_record(record, dict.fromkeys(rows.columns[1:], ImputationRule("median")))
    assert [rule.indicator for rule in rules.values()] == [True, False, True]


def importance_of(**limits: object):
    record = screen(frame(a=noise(1), b=noise(2), c=noise(3)), dropped=("c",))
    return screen_importance(record, {"family_a": 0.01, "family_b": -0.001}, Screening(**limits))


@pytest.mark.parametrize("limits", [{"min_importance": 0.0}, {"keep_top": 1}])
def test_an_unimportant_family_goes(limits):
    record = importance_of(**limits)

    assert kept_columns(record) == ("a",)
    assert row_of(record, "b")["rule"] == next(iter(limits))
    assert record["importance"].to_list() == [0.01, -0.001, None]
    assert row_of(record, "a")["reason"].endswith("importance 1 of 2 families")
    assert row_of(record, "c")["rule"] == "selection.yml"


def test_a_screen_that_keeps_nothing_is_an_error():
    with pytest.raises(ContractError, match=r"at least one feature .* by min_persons_with_value"):
        screen(frame(x=[1.0] * ROWS), min_persons_with_value=11)
    with pytest.raises(ContractError, match="at least one feature"):
        importance_of(min_importance=1.0)


def test_a_screen_without_training_rows_is_an_error():
    with pytest.raises(ContractError, match="must have training rows"):
        screen(frame(x=noise()).clear())


def test_a_new_share_of_missing_values_is_a_shift():
    before = np.arange(1000.0)
    after = np.where(np.arange(1000) % 2, np.nan, before)

    assert shift_of(before, after) > 1
    assert shift_of(after, after) == 0
