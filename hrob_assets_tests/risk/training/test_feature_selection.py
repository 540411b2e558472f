"""The importance of a family, and what a record is made from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from hrob_assets.risk.features.catalogue.catalogue import FeatureColumn
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.features.catalogue.selection import FeatureSelection, Screening
from hrob_assets.risk.features.quality.record import kept_columns
from hrob_assets.risk.training.feature_selection import (
    family_importance,
    select_features,
    selection_tag,
)
from hrob_assets.risk.use_case import ModelSpec, Tuning

MODEL = ModelSpec("logistic_regression", Tuning(trials=4, folds=3, maximum_rows=5000), seed=7)
COLUMNS = tuple(
    FeatureColumn(name, family, "group", "codes")
    for name, family in (
        ("visits_30d", "visits"),
        ("visits_90d", "visits"),
        ("lab", "lab"),
        ("nothing", "nothing"),
    )
)
RULES = {
    column.name: ImputationRule("median", indicator=column.name == "lab") for column in COLUMNS
}
ROWS = 3000


def rows(seed=3):
    """Two windows that say nearly the same carry the risk; so does that the lab is missing."""
    rng = np.random.default_rng(seed)
    visits, missing = rng.normal(size=ROWS), rng.random(ROWS) < 0.4
    risk = 1 / (1 + np.exp(1 - 1.2 * visits - 1.0 * missing))
    return pl.DataFrame(
        {
            "person_id": np.arange(ROWS) // 3,
            "label": rng.random(ROWS) < risk,
            "visits_30d": (visits + 0.02 * rng.normal(size=ROWS)).astype(np.float32),
            "visits_90d": (visits + 0.02 * rng.normal(size=ROWS)).astype(np.float32),
            "lab": pl.Series(rng.normal(size=ROWS).astype(np.float32)).set(
                pl.Series(missing), None
            ),
            "nothing": rng.normal(size=ROWS).astype(np.float32),
        }
    )


def selection(**limits: object):
    return FeatureSelection(Path("selection.yml"), tuple(RULES), {}, Screening(**limits))


def select(frame, **limits: object):
    return select_features(
        frame, candidates=COLUMNS, selection=selection(**limits), rules=RULES, model=MODEL
    )


def test_windows_that_stand_in_for_each_other_are_important_together():
    found = family_importance(rows(), columns=COLUMNS, rules=RULES, model=MODEL)

    assert list(found) == ["visits", "lab", "nothing"]
    assert found["visits"] > 0.05
    assert found["lab"] > 0.005  # only its indicator says something
    assert abs(found["nothing"]) < 0.003


def test_only_what_matters_is_kept_when_the_file_asks_for_it():
    assert kept_columns(select(rows(), keep_top=2)) == ("visits_30d", "visits_90d", "lab")
    assert kept_columns(select(rows(), keep_top=1)) == ("visits_30d", "visits_90d")


def test_importance_is_measured_only_where_a_rule_asks_for_it():
    assert select(rows())["importance"].null_count() == len(COLUMNS)


def test_the_same_rows_give_the_same_record():
    assert select(rows(), keep_top=2).equals(select(rows(), keep_top=2))


def test_a_tag_tells_other_rows_another_file_and_other_filling_apart():
    frame = rows().select("person_id", "label")
    tags = {
        selection_tag(frame, selection(), RULES),
        selection_tag(frame.head(10), selection(), RULES),
        selection_tag(frame, selection(keep_top=2), RULES),
        selection_tag(frame, replace(selection(), columns=("lab",)), RULES),
        selection_tag(frame, selection(), RULES | {"lab": ImputationRule("median")}),
    }

    assert len(tags) == 5
    assert selection_tag(frame, replace(selection(), path=Path("elsewhere.yml")), RULES) in tags
