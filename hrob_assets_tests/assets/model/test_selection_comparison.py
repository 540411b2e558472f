"""Feature selections side by side: a table, runs of their own, and only validation rows."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets.assets.model.selection_comparison import selection_comparison_definitions
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureFamily
from hrob_assets.risk.training.compare_selections import caution, shown_comparison
from hrob_assets_tests.assets.worlds import (
    CANDIDATES,
    RULES,
    materialise,
    selection_of,
    store,
    training_set,
    use_case_named,
)

pytestmark = pytest.mark.xdist_group("registry")  # one registry for all

FAMILIES = tuple(
    FeatureFamily(column.family, column.group, column.kind, None, (column,), "why", "who")
    for column in CANDIDATES
)


def compare(root, registry, name, variants, frame=None):
    store(root, {f"{name}/training_set": training_set() if frame is None else frame})
    paths = []
    for stem, dropped in variants.items():
        paths.append(root / f"{stem}.yml")
        features = "".join(f"  {family}: drop\n" for family in dropped)
        paths[-1].write_text(f"based_on: {selection_of(root).path.name}\nfeatures:\n{features}")
    definitions = selection_comparison_definitions(
        use_case_named(name),
        catalogue=Catalogue(FAMILIES),
        selection=selection_of(root),
        variants=paths,
        rules=RULES,
    )
    result = materialise(definitions, root, registry, only="selection_comparison")
    return result, pl.read_parquet(root / "assets" / name / "selection_comparison.parquet")


def test_dropping_the_feature_that_carries_the_risk_is_told_as_worse(tmp_path, registry):
    _, table = compare(
        tmp_path, registry, "compared", {"without_ed": ["ed"], "without_age": ["age"]}
    )

    current, without_age, without_ed = table.sort("selection").iter_rows(named=True)
    assert [row["selection"] for row in (current, without_age, without_ed)] == [
        "current", "without_age", "without_ed",
    ]  # fmt: skip
    assert current["log_loss_difference"] is None
    assert without_ed["log_loss_difference_low"] > 0
    assert without_ed["auroc_difference_high"] < 0
    assert (
        without_age["log_loss_difference_low"] < 0 < without_age["log_loss_difference_high"] + 0.01
    )


def test_each_selection_is_a_run_with_its_file_and_its_record(tmp_path, registry):
    import mlflow  # noqa: PLC0415 - slow to import

    compare(tmp_path, registry, "compared_runs", {"without_age": ["age"]})

    runs = mlflow.search_runs(experiment_names=["compared_runs"])
    children = runs[runs["tags.mlflow.parentRunId"].notna()]
    assert sorted(children["params.selection"]) == ["current", "without_age"]
    files = {
        each.path
        for run in children["run_id"]
        for each in mlflow.artifacts.list_artifacts(run_id=run)
    }
    assert {"without_age.yml", "feature_selection.csv"} <= files


def test_rows_of_the_test_period_change_nothing(tmp_path, registry):
    frame = training_set()
    poisoned = frame.with_columns(
        pl.when(pl.col("split") == "test").then(~pl.col("label")).otherwise("label").alias("label")
    )
    variants = {"without_age": ["age"]}

    _, plain = compare(tmp_path, registry, "unpoisoned", variants, frame)
    _, other = compare(tmp_path, registry, "unpoisoned", variants, poisoned)

    assert_frame_equal(plain, other, check_exact=True)


def test_a_comparison_needs_something_to_compare_with(tmp_path, registry):
    with pytest.raises(ConfigurationError, match="and another one"):
        compare(tmp_path, registry, "alone", {})


def test_the_caution_and_all_intervals_are_shown(tmp_path, registry):
    result, table = compare(tmp_path, registry, "cautious", {"without_age": ["age"]})

    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert "data:image/png" in metadata["differences"].md_str
    assert metadata["read this first"].value == caution(2, "cautious")
    assert shown_comparison(table)["difference"].to_list()[0] == "-"
    assert " to " in shown_comparison(table)["difference"].to_list()[1]


def test_a_variant_must_not_be_called_current(tmp_path, registry):
    with pytest.raises(ConfigurationError, match=r"names of their own \(found 'current' twice"):
        compare(tmp_path, registry, "twice", {"current": ["age"]})


def test_a_mistake_in_a_variant_is_found_before_anything_runs(tmp_path):
    path = tmp_path / "wrong.yml"
    selection = selection_of(tmp_path)
    path.write_text(f"based_on: {selection.path.name}\nfeatures:\n  agee: drop\n")

    with pytest.raises(ConfigurationError, match=r"wrong.yml, line 3, .*Did you mean 'age'"):
        selection_comparison_definitions(
            use_case_named("wrong"),
            catalogue=Catalogue(FAMILIES),
            selection=selection,
            variants=[path],
            rules=RULES,
        )
