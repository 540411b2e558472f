from pathlib import Path

import pytest

from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.features.catalogue.mappings import read_feature_mappings

MAPPINGS = """\
groups:
  conditions:
    asthma:
      code_set: asthma
      columns: {any: [90, ever], count: [365]}
      rationale: Asthma raises the risk.
      source: C3
  demographics:
    age: {kind: person, measures: [years], rationale: Risk changes with age., source: C3}
"""
CODE_SETS = ("asthma", "hemoglobin", "copd")


def read(tmp_path: Path, text: str) -> Catalogue:
    path = tmp_path / "feature_mappings.yml"
    path.write_text(text, encoding="utf-8")
    return read_feature_mappings(path, code_set_names=CODE_SETS)


def error_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, text)
    return str(raised.value)


def test_families_and_columns_come_in_the_order_of_the_file(tmp_path):
    asthma = FeatureFamily(
        name="asthma",
        group="conditions",
        kind="codes",
        code_set="asthma",
        columns=(
            FeatureColumn(
                "asthma__any_90d",
                "asthma",
                "conditions",
                "codes",
                aggregation="any",
                window_days=90,
            ),
            FeatureColumn("asthma__any_ever", "asthma", "conditions", "codes", aggregation="any"),
            FeatureColumn(
                "asthma__count_365d",
                "asthma",
                "conditions",
                "codes",
                aggregation="count",
                window_days=365,
            ),
        ),
        rationale="Asthma raises the risk.",
        source="C3",
    )
    age = FeatureFamily(
        name="age",
        group="demographics",
        kind="person",
        code_set=None,
        columns=(FeatureColumn("age__years", "age", "demographics", "person", measure="years"),),
        rationale="Risk changes with age.",
        source="C3",
    )
    catalogue = read(tmp_path, MAPPINGS)

    assert catalogue == Catalogue((asthma, age))
    assert catalogue.groups == ("conditions", "demographics")
    assert catalogue.code_sets == ("asthma",)
    assert catalogue.column_names == (
        "asthma__any_90d",
        "asthma__any_ever",
        "asthma__count_365d",
        "age__years",
    )


def test_a_column_is_nullable_where_nothing_is_not_zero():
    def column(aggregation=None, measure=None):
        kind = "codes" if aggregation else "pregnancy"
        return FeatureColumn("c", "f", "g", kind, aggregation=aggregation, measure=measure)

    assert [
        column(aggregation=name).nullable
        for name in ("any", "count", "abnormal_any", "missing", "last_value", "days_since_last")
    ] == [False, False, False, False, True, True]
    assert column(measure="gestational_age_days").nullable
    assert not column(measure="is_pregnant").nullable


def test_merging_keeps_shared_families_once_and_adds_new_ones_at_the_end(tmp_path):
    one = read(tmp_path, MAPPINGS)
    other = read(tmp_path, MAPPINGS.replace("    asthma:\n", "    wheeze:\n"))

    merged = one.merge(other)

    assert [family.name for family in merged.families] == ["asthma", "age", "wheeze"]


def test_merging_two_definitions_of_a_family_is_an_error_that_names_the_difference(tmp_path):
    one = read(tmp_path, MAPPINGS)
    other = read(tmp_path, MAPPINGS.replace("[90, ever]", "[30, ever]"))

    with pytest.raises(ConfigurationError, match=r"'asthma' must have one definition.* columns"):
        one.merge(other)


def test_an_unknown_family_or_column_is_an_error_with_the_nearest_name(tmp_path):
    catalogue = read(tmp_path, MAPPINGS)

    assert catalogue.family("asthma").group == "conditions"
    assert catalogue.column("age__years").family == "age"
    with pytest.raises(ConfigurationError, match="Did you mean 'asthma'"):
        catalogue.family("astma")
    with pytest.raises(ConfigurationError, match="Did you mean 'asthma__any_90d'"):
        catalogue.column("asthma_any_90d")


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "hint"),
    [
        ("groups:", "group:", 1, "group", "'groups'"),
        ("code_set: asthma", "code_set: astma", 4, "groups.conditions.asthma.code_set", "'asthma'"),
        ("code_set: asthma", "codeset: asthma", 4, "asthma.codeset", "'code_set'"),
        ("any: [90", "anny: [90", 5, "asthma.columns.anny", "'any'"),
        ("any: [90", "any: [evr", 5, "asthma.columns.any", "'evr'"),
        ("any: [90", "any: [0", 5, "asthma.columns.any", "found 0"),
        ("any: [90", "any: [true", 5, "asthma.columns.any", "found True"),
        ("any: [90", "any: [1.5", 5, "asthma.columns.any", "found 1.5"),
        ("any: [90, ever]", "any: [ever, ever]", 5, "asthma.columns.any", "ever must occur once"),
        ("any: [90, ever]", "any: 90", 5, "asthma.columns.any", "must be a list"),
        ("any: [90, ever]", "any: []", 5, "asthma.columns.any", "found an empty list"),
        ("{any: [90, ever], count: [365]}", "{}", 5, "asthma.columns", "at least one aggregation"),
        ("{any: [90, ever], count: [365]}", "[90]", 5, "asthma.columns", "found a list"),
        (
            "      rationale: Asthma raises the risk.\n",
            "",
            3,
            "asthma",
            "'rationale'; it is missing",
        ),
        ("source: C3\n  dem", "source: ''\n  dem", 7, "asthma.source", "must not be empty"),
        ("kind: person", "kind: persn", 9, "age.kind", "'person'"),
        ("[years]", "[year]", 9, "age.measures", "'years'"),
        ("[years]", "[years, years]", 9, "age.measures", "'years' must occur once"),
        ("age: {", "agee: {", 9, "agee.measures", "Did you mean 'age'"),
        (
            "  demographics:\n    age:",
            "  demographics:\n    asthma:",
            9,
            "asthma",
            "also on line 3",
        ),
        ("    asthma:", "    asthma__x:", 3, "asthma__x", "joined by single underscores"),
        ("  conditions:", "  Conditions:", 2, "Conditions", "lower-case"),
    ],
)
def test_a_mistake_is_an_error_with_file_line_and_key(tmp_path, *, old, new, line, key, hint):
    assert old in MAPPINGS
    message = error_of(tmp_path, MAPPINGS.replace(old, new, 1))

    assert f"feature_mappings.yml, line {line}" in message
    assert key in message
    assert hint in message


def test_a_family_in_two_groups_is_an_error_with_both_lines(tmp_path):
    text = MAPPINGS + (
        "  medications:\n"
        "    asthma: {code_set: asthma, columns: {any: [90]}, rationale: r, source: s}\n"
    )
    message = error_of(tmp_path, text)

    assert "line 11, groups.medications.asthma: family 'asthma' must occur once" in message
    assert "also on line 3" in message


def test_a_repeated_key_is_an_error_and_not_the_last_value(tmp_path):
    text = MAPPINGS.replace("      source: C3\n", "      source: C3\n      code_set: copd\n", 1)
    message = error_of(tmp_path, text)

    assert "line 8, groups.conditions.asthma.code_set: must occur once" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "must not be empty"),
        ("groups: [", "line 1: must be YAML"),
        ("groups:\n  a: b: c\n", "line 2: must be YAML"),
        ("groups:\n", "line 1, groups: must be a mapping (key: value); found nothing"),
        ("- a\n", "line 1: must be a mapping (key: value); found a list"),
    ],
)
def test_what_is_not_a_mapping_is_an_error(tmp_path, text, expected):
    assert expected in error_of(tmp_path, text)


def test_a_file_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nothing\.yml must exist"):
        read_feature_mappings(tmp_path / "nothing.yml", code_set_names=())
