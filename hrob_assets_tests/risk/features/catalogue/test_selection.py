from pathlib import Path

import pytest

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.features.catalogue.catalogue import Catalogue
from hrob_assets.risk.features.catalogue.imputation import ImputationRule, read_imputation
from hrob_assets.risk.features.catalogue.mappings import read_feature_mappings
from hrob_assets.risk.features.catalogue.selection import Screening, read_feature_selection

MAPPINGS = """\
groups:
  demographics:
    age: {kind: person, measures: [years], rationale: r, source: s}
    gender: {kind: person, measures: [female, male], rationale: r, source: s}
  labs:
    albumin:
      code_set: albumin
      columns: {abnormal_any: [90], last_value: [365], days_since_last: [ever]}
      rationale: r
      source: s
"""


@pytest.fixture
def catalogue(tmp_path) -> Catalogue:
    path = tmp_path / "feature_mappings.yml"
    path.write_text(MAPPINGS, encoding="utf-8")
    return read_feature_mappings(path, code_set_names=("albumin",))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_column_beats_its_family_and_a_family_its_group(tmp_path, catalogue):
    path = write(
        tmp_path,
        "groups: {labs: drop, demographics: keep}\n"
        "features:\n"
        "  gender: drop\n"
        "  gender__female: keep\n"
        "  albumin__last_value_365d: keep\n",
    )
    found = read_feature_selection(path, catalogue)

    assert found.columns == ("age__years", "gender__female", "albumin__last_value_365d")
    assert found.dropped == {
        "gender__male": "family gender",
        "albumin__abnormal_any_90d": "group labs",
        "albumin__days_since_last_ever": "group labs",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("groups: {demographics: keep}\n", "line 1, groups: every group .* missing: labs"),
        (
            "groups:\n  demographics: keep\n  lab: keep\n",
            "line 3, groups.lab: group must be known; found 'lab'. Did you mean 'labs'",
        ),
        (
            "groups:\n  demographics: keep\n  labs: kept\n",
            "line 3, groups.labs: .*'kept'. Did you mean 'keep'",
        ),
        (
            "groups: {demographics: keep, labs: keep}\nfeatures:\n  albumen: drop\n",
            "line 3, features.albumen: family or column .* Did you mean 'albumin'",
        ),
        (
            "groups: {demographics: keep, labs: keep}\nfeature:\n  albumin: drop\n",
            "line 2, feature: key is unknown here. Did you mean 'features'",
        ),
        ("groups: {demographics: drop, labs: drop}\n", "must keep at least one feature"),
    ],
)
def test_a_mistake_in_the_selection_is_an_error(tmp_path, catalogue, text, expected):
    with pytest.raises(ConfigurationError, match=rf"config.yml, .*{expected}"):
        read_feature_selection(write(tmp_path, text), catalogue)


def test_the_more_particular_rule_fills_a_column(tmp_path, catalogue):
    path = write(
        tmp_path,
        "default: {method: most_frequent}\n"
        "groups:\n"
        "  labs: {method: median, indicator: true}\n"
        "aggregations:\n"
        "  days_since_last: {method: constant, value: 3650}\n"
        "features:\n"
        "  gender: {method: constant, value: 0}\n",
    )
    assert read_imputation(path, catalogue) == {
        "age__years": ImputationRule("most_frequent"),
        "gender__female": ImputationRule("constant", 0.0),
        "gender__male": ImputationRule("constant", 0.0),
        "albumin__abnormal_any_90d": ImputationRule("median"),
        "albumin__last_value_365d": ImputationRule("median", indicator=True),
        "albumin__days_since_last_ever": ImputationRule("constant", 3650.0),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("groups: {}\n", "line 1: must have the key 'default'"),
        ("default: {method: medain}\n", "line 1, default.method: .* Did you mean 'median'"),
        ("default: {metod: median}\n", "line 1, default.metod: .* Did you mean 'method'"),
        ("default: {method: constant}\n", "line 1, default: .* must have a value"),
        ("default: {method: constant, value: x}\n", "default.value: must be a number; found 'x'"),
        ("default: {method: constant, value: true}\n", "default.value: must be a number"),
        ("default: {method: median, value: 1}\n", "default.value: method median must have no"),
        ("default: {method: median, indicator: 1}\n", "default.indicator: must be true or false"),
        (
            "default: {method: median}\naggregations:\n  days_since: {method: median}\n",
            "line 3, aggregations.days_since: .* Did you mean 'days_since_last'",
        ),
        (
            "default: {method: median}\nfeatures:\n  albumin__last: {method: median}\n",
            "line 3, features.albumin__last: .* Did you mean 'albumin__last_value_365d'",
        ),
    ],
)
def test_a_mistake_in_the_imputation_is_an_error(tmp_path, catalogue, text, expected):
    with pytest.raises(ConfigurationError, match=rf"config.yml, .*{expected}"):
        read_imputation(write(tmp_path, text), catalogue)


# The screening section, and variants of a file.

GROUPS = "groups: {demographics: keep, labs: keep}\n"


def test_a_family_named_like_a_group_decides_itself_only(tmp_path):
    path = tmp_path / "feature_mappings.yml"
    path.write_text(MAPPINGS.replace("  demographics:", "  gender:", 1), encoding="utf-8")
    catalogue = read_feature_mappings(path, code_set_names=("albumin",))

    found = read_feature_selection(
        write(tmp_path, "groups: {gender: keep, labs: drop}\nfeatures: {gender: drop}\n"), catalogue
    )

    assert found.columns == ("age__years",)


def test_limits_of_the_screen_are_read_and_no_limit_is_assumed(tmp_path, catalogue):
    text = "screening: {min_persons_with_value: 11, max_missing_share: 0.9, drop_copies: true}\n"

    assert read_feature_selection(write(tmp_path, GROUPS), catalogue).screening == Screening()
    assert read_feature_selection(write(tmp_path, GROUPS + text), catalogue).screening == Screening(
        min_persons_with_value=11, max_missing_share=0.9, drop_copies=True
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_mising_share: 0.9", "max_mising_share: key .* Did you mean 'max_missing_share'"),
        ("max_missing_share: 90", "must be a number from 0 to 1; found 90"),
        ("max_missing_share: .nan", "must be a number from 0 to 1; found nan"),
        ("min_persons_with_value: 1.5", "must be a whole number from 1"),
        ("keep_top: 0", "must be a whole number from 1"),
        ("max_correlation: 0.1", "must be a number from 0.5 to 1; found 0.1"),
        ("drop_copies: 1", "must be true or false; found '1'"),
        ("max_shift: much", "must be a number; found 'much'"),
    ],
)
def test_a_mistake_in_the_screen_is_an_error_with_its_line(tmp_path, catalogue, text, expected):
    path = write(tmp_path, f"{GROUPS}screening:\n  {text}\n")

    with pytest.raises(ConfigurationError, match=rf"config.yml, line 3, screening.*{expected}"):
        read_feature_selection(path, catalogue)


def variant(tmp_path, text):
    path = tmp_path / "variants" / "variant.yml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return path


def test_a_variant_says_only_what_differs(tmp_path, catalogue):
    write(
        tmp_path,
        f"{GROUPS}features: {{gender: drop}}\nscreening: {{keep_top: 5, max_missing_share: 0.9}}\n",
    )
    path = variant(
        tmp_path,
        "based_on: ../config.yml\ngroups: {labs: drop}\nfeatures: {gender__male: keep}\n"
        "screening: {keep_top: 2}\n",
    )

    found = read_feature_selection(path, catalogue)

    assert found.columns == ("age__years", "gender__male")
    assert found.screening == Screening(keep_top=2, max_missing_share=0.9)
    assert found.path == path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("based_on: ../other.yml\n", "line 1, based_on: must name a file; found none"),
        ("based_on: variant.yml\n", "line 1, based_on: must name a file that stands by itself"),
        ("based_on: ../config.yml\ngroups: {lab: drop}\n", "line 2, .*Did you mean 'labs'"),
        ("base_on: ../config.yml\n", "line 1, base_on: key .* Did you mean 'based_on'"),
        ("features: {gender: drop}\n", "must have the key 'groups'"),
    ],
)
def test_a_mistake_in_a_variant_is_an_error_with_its_line(tmp_path, catalogue, text, expected):
    write(tmp_path, GROUPS)

    with pytest.raises(ConfigurationError, match=rf"variant.yml, .*{expected}"):
        read_feature_selection(variant(tmp_path, text), catalogue)
