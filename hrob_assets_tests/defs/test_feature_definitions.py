"""The shipped feature definitions: readable, consistent, and answered by the code sets."""

from functools import cache
from itertools import combinations

import pytest

from hrob_assets.risk.features.catalogue.catalogue import Catalogue
from hrob_assets.risk.features.catalogue.imputation import read_imputation
from hrob_assets.risk.features.catalogue.mappings import read_feature_mappings
from hrob_assets.risk.features.catalogue.selection import read_feature_selection
from hrob_assets.risk.pregnancy.signatures import PREGNANCY_CODE_SETS
from hrob_assets.risk.vocabulary.code_set_files import read_code_sets
from hrob_assets.risk.vocabulary.code_sets import CodeSet
from hrob_assets_tests.paths import DEFS

USE_CASES = ("high_risk_obstetrics", "oncology_ed_visit", "hospital_readmission")
VALUE_AGGREGATIONS = {"last_value", "min", "max", "mean", "slope", "abnormal_any"}


@cache
def code_sets(use_case: str) -> dict[str, CodeSet]:
    own = DEFS / use_case / "code_sets"
    return read_code_sets([DEFS / "code_sets", *([own] if own.is_dir() else [])])


@cache
def catalogue(use_case: str) -> Catalogue:
    path = DEFS / use_case / "feature_mappings.yml"
    return read_feature_mappings(path, code_set_names=code_sets(use_case))


@pytest.mark.parametrize("use_case", USE_CASES)
def test_each_use_case_reads_and_each_column_has_a_rule_for_nulls(use_case):
    features = catalogue(use_case)
    kept = read_feature_selection(
        DEFS / use_case / "feature_selection_config.yml", features
    ).columns
    rules = read_imputation(DEFS / use_case / "imputation_config.yml", features)

    assert set(kept) <= set(features.column_names)
    assert tuple(rules) == features.column_names


@pytest.mark.parametrize(
    "path", sorted(DEFS.glob("*/feature_selections/*.yml")), ids=lambda path: path.stem
)
def test_each_variant_of_a_selection_reads_and_differs_from_the_one_in_use(path):
    features = catalogue(path.parents[1].name)
    current = read_feature_selection(path.parents[1] / "feature_selection_config.yml", features)

    variant = read_feature_selection(path, features)

    assert variant.columns != current.columns
    assert variant.screening == current.screening


@pytest.mark.parametrize("use_case", ["high_risk_obstetrics", "oncology_ed_visit"])
def test_each_catalogue_has_more_than_500_columns_with_a_reason_and_a_source(use_case):
    features = catalogue(use_case)

    assert len(features.columns) > 500
    assert all(family.rationale and family.source for family in features.families)


def test_each_shared_code_set_is_asked_for_by_some_use_case():
    asked = {name for use_case in USE_CASES for name in catalogue(use_case).code_sets}
    shared = {path.stem for path in (DEFS / "code_sets").glob("*.csv")}

    assert shared - asked - set(PREGNANCY_CODE_SETS) == set()


def test_families_of_the_same_name_are_the_same_in_all_use_cases():
    for one, other in combinations(USE_CASES, 2):
        merged = catalogue(one).merge(catalogue(other))

        assert len(merged.column_names) == len(set(merged.column_names))


@pytest.mark.parametrize("use_case", USE_CASES)
def test_abnormal_any_is_asked_only_of_code_sets_with_a_reference_range(use_case):
    sets = code_sets(use_case)
    without_range = {
        family.name
        for family in catalogue(use_case).families
        if any(column.aggregation == "abnormal_any" for column in family.columns)
        and not all(
            code.low is not None or code.high is not None for code in sets[family.code_set].codes
        )
    }
    assert without_range == set()


@pytest.mark.parametrize("use_case", ["high_risk_obstetrics", "oncology_ed_visit"])
def test_race_and_ethnicity_are_built_but_kept_out_of_the_model(use_case):
    features = catalogue(use_case)
    kept = read_feature_selection(
        DEFS / use_case / "feature_selection_config.yml", features
    ).columns

    assert {"race__black", "ethnicity__hispanic"} <= set(features.column_names)
    assert [name for name in kept if name.startswith(("race__", "ethnicity__"))] == []


def test_albumin_is_abnormal_in_the_windows_of_the_study():
    columns = catalogue("oncology_ed_visit").family("albumin").columns

    assert [column.window_days for column in columns if column.aggregation == "abnormal_any"] == [
        5,
        30,
        90,
    ]


def test_a_non_melanoma_skin_cancer_is_no_cancer_of_the_cohort():
    codes = {code.code for code in code_sets("oncology_ed_visit")["cancer_any"].codes}

    assert "C43" in codes
    assert {code for code in codes if code.startswith("C44")} == set()


def test_severe_maternal_morbidity_has_the_21_indicators_and_20_without_transfusion():
    sets = code_sets("high_risk_obstetrics")
    indicators = {
        name: {code.name[:2] for code in sets[name].codes}
        for name in ("severe_maternal_morbidity", "severe_maternal_morbidity_without_transfusion")
    }
    twenty = {f"{number:02d}" for number in range(1, 21)}

    assert indicators["severe_maternal_morbidity_without_transfusion"] == twenty
    assert indicators["severe_maternal_morbidity"] == twenty | {"21"}


def test_the_weeks_of_gestation_are_those_in_the_code():
    weeks = {
        code.code: code.weeks
        for code in code_sets("high_risk_obstetrics")["gestational_age"].codes
        if code.code.startswith("Z3A")
    }

    assert {code: week for code, week in weeks.items() if code in {"Z3A08", "Z3A42"}} == {
        "Z3A08": 8.0,
        "Z3A42": 42.0,
    }
    assert weeks["Z3A00"] is None
    assert len(weeks) == 38


def test_a_diagnosis_of_the_puerperium_is_no_sign_of_a_pregnancy():
    codes = [code.code for code in code_sets("high_risk_obstetrics")["pregnancy_marker"].codes]
    puerperium = ("O1003", "O135", "O1405", "O1415", "O1425", "O152", "O2443", "O9903", "O9943")

    assert [code for code in puerperium if code.startswith(tuple(codes))] == []


def test_value_aggregations_are_asked_only_of_measurements_visits_and_areas():
    groups = {
        column.group
        for use_case in ("high_risk_obstetrics", "oncology_ed_visit")
        for column in catalogue(use_case).columns
        if column.aggregation in VALUE_AGGREGATIONS
    }
    assert groups == {"labs", "vitals", "utilisation", "social_determinants"}
