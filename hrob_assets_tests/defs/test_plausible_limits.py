"""Absurd and negative values of the synthetic world do not reach the shipped features."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hrob_assets.resources.sources.source_database import open_source
from hrob_assets.risk.features.build.build import build_features
from hrob_assets.risk.features.catalogue.catalogue import Catalogue
from hrob_assets.risk.features.catalogue.mappings import read_feature_mappings
from hrob_assets.risk.sources.staging import StagingResult, stage
from hrob_assets.risk.sources.validation import validate
from hrob_assets.risk.vocabulary.code_set_files import read_code_sets
from hrob_assets.risk.vocabulary.code_sets import REFERENCE_RANGES, CodeSet
from hrob_assets.synthetic.world import World, WorldSpec, make_world
from hrob_assets_tests.paths import DEFS

CODE_SETS = read_code_sets([DEFS / "code_sets", DEFS / "high_risk_obstetrics" / "code_sets"])
MEASURED = {
    name: code_set
    for name, code_set in CODE_SETS.items()
    if any(code.unit is not None for code in code_set.codes)
}


def catalogue() -> Catalogue:
    one, other = (
        read_feature_mappings(
            DEFS / use_case / "feature_mappings.yml",
            code_set_names=read_code_sets(
                [DEFS / "code_sets", *sorted((DEFS / use_case).glob("code_sets"))]
            ),
        )
        for use_case in ("high_risk_obstetrics", "oncology_ed_visit")
    )
    return one.merge(other)


def absurd_rows(world: World) -> list[int]:
    return world.truth["truth_dirty"].filter(
        pl.col("fault").is_in(["absurd_value", "negative_value"])
    )["row_id"].to_list()  # fmt: skip


def staged(tables: dict[str, pl.DataFrame], folder: Path) -> StagingResult:
    (folder / "source").mkdir()
    for name, frame in tables.items():
        frame.write_parquet(folder / "source" / f"{name}.parquet")
    open_source(str(folder / "source")).snapshot(folder / "snapshot")
    return stage(folder / "snapshot", folder / "staged", known_lag_days={}, threads=1)


def features(result: StagingResult, code_sets: dict[str, CodeSet]) -> pl.DataFrame:
    return build_features(
        pl.read_parquet(result.path("encounters")),
        persons=pl.scan_parquet(result.path("persons")),
        coverage=pl.scan_parquet(result.path("coverage")),
        events=pl.scan_parquet(result.path("events")),
        catalogue=catalogue(),
        code_sets=code_sets,
        n_threads=1,
    )


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(WorldSpec(seed=5, pregnancies=150, oncology_patients=100))


@pytest.fixture(scope="module")
def dirty(world, tmp_path_factory) -> StagingResult:
    return staged(world.tables, tmp_path_factory.mktemp("dirty"))


def test_there_are_laboratory_and_vital_code_sets():
    assert {"hemoglobin", "platelets", "systolic_bp", "body_weight"} <= set(MEASURED)


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_all_codes_of_a_laboratory_or_vital_code_set_have_the_same_plausible_limits(name):
    limits = {(code.plausible_low, code.plausible_high) for code in MEASURED[name].codes}
    ((low, high),) = limits

    assert 0 <= low < high < 99_999
    assert all("plausible: " in code.source for code in MEASURED[name].codes)


@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        ("hemoglobin", ((12.0, 17.5), (11.0, 13.9), (10.5, 14.8), (11.0, 15.0))),
        ("hematocrit", ((36, 50), (33, 41), (32, 39), (33, 40))),
        ("platelets", ((150, 450), (174, 391), (155, 409), (146, 429))),
        ("wbc", ((4.0, 11.0), (5.7, 13.6), (5.6, 14.8), (5.9, 16.9))),
        ("creatinine", ((0.5, 1.2), (0.4, 0.7), (0.4, 0.8), (0.4, 0.9))),
        ("albumin", ((3.5, 5.5), (3.1, 5.1), (2.6, 4.5), (2.3, 4.2))),
        ("alt", ((None, 40), (None, 30), (None, 33), (None, 25))),
        ("ast", ((None, 40), (None, 23), (None, 33), (None, 32))),
        ("bilirubin", ((None, 1.2), (None, 0.4), (None, 0.8), (None, 1.1))),
        ("heart_rate", ((60, 100), (63, 105), (63, 115), (63, 115))),
    ],
)
def test_reference_ranges_by_trimester_are_those_of_the_source(name, ranges):
    for code in MEASURED[name].codes:
        found = tuple((getattr(code, low), getattr(code, high)) for low, high in REFERENCE_RANGES)

        assert found == ranges
        assert "in pregnancy: " in code.source


def test_the_negative_values_of_the_world_are_seen_without_a_warning(dirty):
    name = "negative_or_not_finite_measurement_share"
    report = validate("events", dirty.path("events"))
    (share,) = [result for result in report.results if result.name == name]

    assert share.success
    assert 0.001 < float(share.observed) < 0.005


def test_absurd_and_negative_values_change_no_feature(world, dirty, tmp_path):
    absurd = absurd_rows(world)
    is_absurd = pl.col("measurement_id").is_in(absurd)
    emptied = world.tables["measurement"].with_columns(
        pl.when(~is_absurd).then("value_as_number").alias("value_as_number")
    )
    without_limits = {
        name: CodeSet(
            name,
            tuple(replace(c, plausible_low=None, plausible_high=None) for c in code_set.codes),
        )
        for name, code_set in CODE_SETS.items()
    }

    clean = staged(world.tables | {"measurement": emptied}, tmp_path)

    assert len(absurd) > 20
    assert_frame_equal(features(dirty, CODE_SETS), features(clean, CODE_SETS), check_exact=True)
    assert not features(dirty, without_limits).equals(features(clean, CODE_SETS))
