import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.errors import ContractError
from hrob_assets.risk.features.catalogue.catalogue import FeatureColumn
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.training.fit import fit_model
from hrob_assets.risk.training.sensitivity_analysis import (
    REFERENCE,
    analyse_sensitivity,
    anti_classification,
    sensitivity_table,
    shown_sensitivity,
    variants_of,
)
from hrob_assets_tests.example import example_use_case

CANDIDATES = (
    FeatureColumn("ed__last_value_ever", "ed", "utilisation", "codes", aggregation="last_value"),
    FeatureColumn("bmi__last_value_ever", "bmi", "vitals", "codes", aggregation="last_value"),
    FeatureColumn("race__black", "race", "demographics", "person", measure="black"),
)
COLUMNS = tuple(column.name for column in CANDIDATES[:2])
RULES = {column.name: ImputationRule("median") for column in CANDIDATES}


def training_set(count=4000):
    rng = np.random.default_rng(3)
    visits = rng.normal(size=count)
    return pl.DataFrame(
        {
            "person_id": np.arange(count) // 2,
            "week": np.arange(count) % 9,
            "split": np.where(np.arange(count) // 2 % 3 == 0, "validation", "train"),
            "label": rng.random(count) < 1 / (1 + np.exp(1 - visits)),
            "ed__last_value_ever": visits,
            "bmi__last_value_ever": rng.normal(size=count),
            "race__black": rng.integers(0, 2, count).astype(float),
        }
    )


def analysed():
    use_case = example_use_case()
    model = fit_model(
        training_set(),
        columns=COLUMNS,
        rules=RULES,
        model=use_case.model,
        threshold=use_case.threshold,
    )
    refits = analyse_sensitivity(
        training_set().lazy(),
        model,
        variants=variants_of(COLUMNS, CANDIDATES),
        rules=RULES,
        use_case=use_case,
    )
    return sensitivity_table(refits)


def test_each_group_is_left_out_and_taken_alone_and_race_is_added():
    found = {variant.name: variant.columns for variant in variants_of(COLUMNS, CANDIDATES)}

    assert found == {
        REFERENCE: COLUMNS,
        "without utilisation": COLUMNS[1:],
        "only utilisation": COLUMNS[:1],
        "without vitals": COLUMNS[:1],
        "only vitals": COLUMNS[1:],
        "with race and ethnicity": (*COLUMNS, "race__black"),
    }


def test_race_is_left_out_where_the_model_has_it():
    found = [v.name for v in variants_of((*COLUMNS, "race__black"), CANDIDATES)]

    assert found[-1] == "without race and ethnicity"


def test_a_model_of_one_group_has_no_variant_without_columns():
    found = variants_of(COLUMNS[:1], CANDIDATES[:1])

    assert [variant.name for variant in found] == [REFERENCE]


def test_the_group_that_carries_the_planted_risk_is_missed_and_the_others_are_not():
    table = analysed()
    high = dict(table.select("variant", "log_loss_change_high").rows())
    low = dict(table.select("variant", "log_loss_change_low").rows())

    assert high["without utilisation"] < 0
    assert high["only vitals"] < 0
    assert low["without vitals"] <= 0.002
    assert -0.002 < high["with race and ethnicity"] < 0.005
    assert high[REFERENCE] is None
    assert "-" in shown_sensitivity(table)["change of log loss"][0]


def test_race_changes_nothing_of_a_risk_that_does_not_know_it():
    table = analysed()

    found = anti_classification(table)

    for each in (found.auroc, found.log_loss, found.calibration_factor):
        assert each.low <= 0 <= each.high
    row = table.filter(variant="with race and ethnicity").row(0, named=True)
    assert found.auroc.value == row["auroc_change"]
    assert found.log_loss.value == -row["log_loss_change"]
    reference = table.filter(variant=REFERENCE)["calibration_factor"].item()
    assert found.calibration_factor.value == pytest.approx(row["calibration_factor"] - reference)


def test_with_less_without_is_the_same_whichever_the_model_has():
    table = analysed()
    turned = table.with_columns(
        pl.col("variant").str.replace("with race", "without race"),
        *(
            (0.0 - pl.col(f"{name}_change{other}")).alias(f"{name}_change{end}")
            for name in ("auroc", "log_loss", "calibration_factor")
            for end, other in (("", ""), ("_low", "_high"), ("_high", "_low"))
        ),
    )

    assert anti_classification(turned) == anti_classification(table)


def test_without_such_a_refit_nothing_is_known():
    assert anti_classification(analysed().filter(variant=REFERENCE)) is None


def test_a_training_set_that_lacks_a_column_is_named():
    variants = variants_of(COLUMNS, CANDIDATES)
    use_case = example_use_case()

    with pytest.raises(ContractError, match=r"1 missing, the first is 'race__black'"):
        analyse_sensitivity(
            training_set().drop("race__black").lazy(),
            None,
            variants=variants,
            rules=RULES,
            use_case=use_case,
        )
