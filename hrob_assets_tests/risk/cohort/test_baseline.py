"""Table 1: figures as a slow reckoning has them, and no small cell, also not by difference."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrob_assets.risk.cohort.baseline import baseline_summary, baseline_table, characteristics_of
from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.reporting.pages.baseline import baseline_cells
from hrob_assets.risk.use_case import Characteristic

AGE = Characteristic("Age", feature="age", unit="years")
RACE = Characteristic("Race", person="race")
FLAG = Characteristic("Medicaid", feature="flag", kind="yes_no")
PARTS = ("train", "test")
START = datetime(2024, 1, 1)


def world(seed=3, persons=300):
    """Persons with one to four rows, in a part by their number."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(persons), rng.integers(1, 5, persons))
    age = rng.normal(60 + 5 * (who % 2), 10, who.size).round()
    return pl.DataFrame(
        {
            "person_id": who,
            "prediction_time": [START + timedelta(days=int(d)) for d in rng.permutation(who.size)],
            "split": np.where(who % 2 == 0, "train", "test"),
            "age": np.where(who % 11 == 0, np.nan, age),
            "race": np.array(["White", "Black", "Asian"])[who % 7 % 3],
            "flag": (who % 3 == 0).astype(float),
        }
    ).with_columns(pl.col("age").fill_nan(None))


def row_of(table, **where: str):
    return table.filter(**where).row(0, named=True)


def test_figures_are_those_of_a_slow_reckoning():
    rows = world()
    pandas = rows.to_pandas().sort_values(["person_id", "prediction_time"])
    first = pandas.groupby("person_id").first()

    table = baseline_table(rows, characteristics=[AGE, RACE, FLAG], parts=PARTS)

    train, test = (first[first["split"] == part] for part in PARTS)
    numbers = table.filter(pl.col("median").is_not_null())
    age = row_of(numbers, unit="patient", part="test", characteristic="Age")
    assert age["median"] == test["age"].median()
    assert age["third_quartile"] == pytest.approx(test["age"].quantile(0.75))
    pooled = np.sqrt((train["age"].var() + test["age"].var()) / 2)
    assert age["smd"] == pytest.approx((test["age"].mean() - train["age"].mean()) / pooled)
    black = row_of(table, unit="encounter", part="train", characteristic="Race", level="Black")
    encounters = pandas[pandas["split"] == "train"]
    assert black["count"] == (encounters["race"] == "Black").sum()
    yes = row_of(table, unit="patient", part="test", characteristic="Medicaid", level="yes")
    share = {part: frame["flag"].mean() for part, frame in zip(PARTS, (train, test), strict=True)}
    spread = np.sqrt(sum(p * (1 - p) for p in share.values()) / 2)
    assert yes["share"] == pytest.approx(share["test"])
    assert yes["smd"] == pytest.approx((share["test"] - share["train"]) / spread)


def test_a_patient_is_described_as_at_the_first_row_of_the_part():
    rows = pl.DataFrame(
        {
            "person_id": [*range(20), *range(20)],
            "prediction_time": [START + timedelta(days=9)] * 20 + [START] * 20,
            "split": ["train"] * 40,
            "age": [70.0] * 20 + [60.0] * 20,
        }
    )

    table = baseline_table(rows, characteristics=[AGE], parts=["train"])

    medians = table.filter(characteristic="Age")
    assert dict(medians.select("unit", "median").rows()) == {"encounter": 65.0, "patient": 60.0}


def test_an_extreme_value_of_few_patients_is_not_told():
    rows = world().with_columns(
        pl.when(pl.col("person_id") == 1).then(103.0).otherwise("age").alias("age")
    )

    table = baseline_table(rows, characteristics=[AGE], parts=PARTS)

    told = table.filter(part="test", characteristic="Age")
    assert told["maximum"].max() < 103
    assert not told["maximum_is_exact"].any(ignore_nulls=True)
    cells = baseline_cells(table, unit="patient")
    assert "\N{GREATER-THAN OR EQUAL TO}" in cells.filter(characteristic="Age (years)")["test"][0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abcde"), st.booleans()), max_size=150)
)
def test_no_level_of_few_patients_is_told_or_can_be_worked_out(drawn):
    rows = pl.DataFrame(
        {
            "person_id": [person for person, _, _ in drawn],
            "prediction_time": [START + timedelta(days=n) for n in range(len(drawn))],
            "split": ["train"] * len(drawn),
            "race": [race for _, race, _ in drawn],
            "flag": [float(flag) for _, _, flag in drawn],
        },
        schema_overrides={"person_id": pl.Int64, "race": pl.String, "flag": pl.Float64},
    )

    table = baseline_table(rows, characteristics=[RACE, FLAG], parts=["train"])

    for unit, of_unit in (
        ("encounter", rows),
        ("patient", rows.sort("prediction_time").unique("person_id", keep="first")),
    ):
        for name, column in (("Race", "race"), ("Medicaid", "flag")):
            told = table.filter(~pl.col("suppressed"), unit=unit, characteristic=name)
            levels = of_unit[column].unique().to_list()
            names = {each: each for each in levels} if column == "race" else {1.0: "yes"}
            shown = dict(told.select("level", "count").rows())
            hidden = [each for each in levels if names.get(each) not in shown]
            if column == "flag" and "yes" in shown:
                hidden = [0.0]  # the rest of the whole
            sizes = [
                of_unit.filter(pl.col(column) == each)["person_id"].n_unique() for each in hidden
            ]
            totals = table.filter(~pl.col("suppressed"), unit=unit, characteristic="All")
            assert not totals.height or sum(sizes) == 0 or sum(sizes) >= 11
            for each, level in names.items():
                if shown.get(level):
                    assert rows.filter(pl.col(column) == each)["person_id"].n_unique() >= 11


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(ContractError, match="must have the column age"):
        baseline_table(world().drop("age"), characteristics=[AGE], parts=PARTS)


def test_arms_of_a_trial_are_parts_too():
    rows = world().rename({"split": "arm"})

    table = baseline_table(rows, characteristics=[AGE], parts=PARTS, part_column="arm")

    assert table["part"].unique(maintain_order=True).to_list() == list(PARTS)


def test_the_summary_reads_as_in_a_study():
    rows = world()

    table = baseline_table(rows, characteristics=[AGE, RACE, FLAG], parts=PARTS)

    assert baseline_summary(table, part="test").startswith("Of 150 patients, the median age was 6")


def test_the_study_characteristics_come_first():
    found = characteristics_of([Characteristic("X", feature="x")])

    assert [each.name for each in found] == [
        "Age", "Gender", "Race", "Ethnicity", "Medicaid", "X",
    ]  # fmt: skip


def test_a_characteristic_is_a_feature_or_of_the_person():
    with pytest.raises(ValueError, match="either feature or person"):
        Characteristic("Both", feature="x", person="race")
