"""All forms of the benchmark's task give the same numbers; and its figures become a page."""

import json

import polars as pl
import pytest

from benchmarks.feature_store import (
    duckdb_forms,
    kernel_forms,
    meds_tab_forms,
    pandas_forms,
    polars_forms,
)
from benchmarks.feature_store.comparison import Result, check_equal, scaling_exponent
from benchmarks.feature_store.forms import FORMS
from benchmarks.feature_store.page import Figures
from benchmarks.feature_store.staged_tables import TABLES, write_staged_tables
from benchmarks.feature_store.whole_catalogue import Written, realistic_codes
from benchmarks.feature_store.window_task import (
    CELLS,
    LABS,
    N_GROUPS,
    WINDOWS,
    Digest,
    cells_of,
    digest,
    group_codes,
)
from hrob_assets.risk.tables import CODE_COLUMNS, CODES, COVERAGE, ENCOUNTERS, EVENTS, PERSONS
from hrob_assets.risk.windows import DAY_US


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups") / "tables"
    write_staged_tables(folder, group_codes(), n_persons=12, late_days=0, seed=3)
    return folder


@pytest.fixture(scope="module")
def ours(tables):
    return digest(cells_of(kernel_forms.sliding_windows(tables)()))


@pytest.mark.parametrize(
    "form",
    [
        duckdb_forms.packed_sums,
        duckdb_forms.packed_sums_spread,
        duckdb_forms.packed_sums_scattered,
        duckdb_forms.cumulative_counts,
        duckdb_forms.range_frames,
        polars_forms.expanded_pairs,
        polars_forms.expanded_pairs_spread,
        polars_forms.cumulative_counts,
        pandas_forms.merged_pairs,
    ],
    ids=lambda form: f"{form.__module__.rpartition('.')[2]}.{form.__name__}",
)
def test_the_form_gives_what_ours_gives(form, tables, ours):
    assert digest(cells_of(form(tables)())) == ours


@pytest.mark.skipif(not meds_tab_forms.is_installed(), reason="its environment is not there")
def test_meds_tab_gives_our_counts_of_the_events_that_it_counts(tables):
    meds_tab_forms.prepare(tables)
    theirs = digest(cells_of(meds_tab_forms.tabularize_time_series(tables)()))
    counted = duckdb_forms.packed_sums(meds_tab_forms.counted_folder(tables))

    assert theirs == digest(cells_of(counted()))._replace(labs=None)


def test_cells_are_counts_of_events_in_days_before_the_prediction_time(tables):
    """Counted pair by pair, without any of the forms."""
    moments = pl.read_parquet(tables / "encounters.parquet")
    events = pl.read_parquet(tables / "events.parquet")
    pairs = moments.select("person_id", "encounter_id", "prediction_time").join(
        events.select("person_id", "code_id", "occurred_at", "value"), on="person_id"
    )
    before = pl.col("prediction_time") - pl.col("occurred_at")
    past = pairs.filter(before > pl.duration(), before <= pl.duration(days=WINDOWS[-1]))
    day = pl.col("occurred_at").dt.truncate("1d")
    expected = past.group_by("encounter_id", "code_id").agg(
        *((before <= pl.duration(days=days)).sum().alias(f"n{days}") for days in WINDOWS),
        last_value=pl.col("value").sort_by("occurred_at").last(),
        days_since=pl.when(pl.col("value").is_not_null())
        .then((pl.col("prediction_time") - day).dt.total_days())
        .min(),
    )

    assert digest(expected.cast(CELLS)) == digest(cells_of(duckdb_forms.packed_sums(tables)()))


def test_a_digest_changes_with_any_number():
    cells = pl.DataFrame(
        [(1, 0, 1, 2, 3, 4, 1.5, 3), (2, 4, 0, 0, 0, 1, 1.5, 9)], CELLS, orient="row"
    )
    changed = [
        cells.with_columns(pl.when(pl.col("encounter_id") == 2).then(7).otherwise(name).alias(name))
        for name in CELLS
    ]
    digests = {digest(each.cast(CELLS)) for each in [cells, *changed]}

    assert len(digests) == 1 + len(CELLS)
    assert digest(cells.reverse()) == digest(cells)


def test_results_that_differ_stop_the_comparison(tmp_path):
    one, other = Digest(2, 7, 8), Digest(2, 7, 9)
    check_equal(tmp_path, {"ours": [one], "duckdb_packed": [one]})

    with pytest.raises(AssertionError, match="duckdb_packed must give the same"):
        check_equal(tmp_path, {"ours": [one], "duckdb_packed": [one, other]})


def test_tables_are_as_staging_makes_them(tables):
    read = {name: pl.read_parquet(tables / f"{name}.parquet") for name in TABLES}

    for table in (PERSONS, COVERAGE, ENCOUNTERS, EVENTS):
        table.check(read[table.name])
    events = read["events"]
    order = ["person_id", "occurred_at", "known_at", "domain", "source_row_id", "code"]
    assert events["code_id"].dtype == CODES.schema["code_id"]
    assert events.select(order).equals(events.select(order).sort(order))
    numbered = events.join(
        read["codes"], on=["code_id", *CODE_COLUMNS], how="semi", nulls_equal=True
    )
    assert numbered.height == events.height
    assert (events["known_at"] >= events["occurred_at"]).all()
    times = read["encounters"]["prediction_time"].to_physical()
    assert (times % DAY_US == 0).all()


def test_half_of_realistic_events_are_of_code_sets_and_a_fifth_have_a_standard_code():
    codes = realistic_codes()
    is_other = pl.col("code").str.starts_with("ZZ")
    shares = codes.select(
        pl.col("share").sum().alias("all"),
        pl.col("share").filter(is_other).sum().alias("other"),
        pl.col("share").filter(pl.col("standard_code").is_not_null()).sum().alias("standard"),
    ).row(0)

    assert shares == pytest.approx((1.0, 0.5, 0.2))


def test_the_task_has_30_labs_and_540_columns(tables):
    table = kernel_forms.sliding_windows(tables)()

    assert len(LABS) == 30
    assert table.width - 3 == N_GROUPS * len(WINDOWS) + 2 * len(LABS) == 540


def test_quadratic_seconds_have_exponent_two():
    results = [Result("ours", n, n, float(n * n), 0.0, 0.0, 3) for n in (10, 20, 40)]

    assert scaling_exponent(results) == pytest.approx(2.0)


def test_figures_are_kept_and_shown(tmp_path):
    results = [
        Result(name, events, events // 15, seconds * events / 1_000, 1.0, 0.5, 3)
        for events in (1_000, 2_000)
        for name, seconds in zip(FORMS, range(1, 99), strict=False)
    ]
    written = Written(30_000_000, 2_000_000, 501, 262, 181.0, 7.0, 10.0, 80.0, 9.0, 8_000)
    figures = Figures(tmp_path)
    figures.add("comparison", "`command`, machine.", results)
    figures.add("catalogue_large", "`command --large`, machine.", [written])
    page = (tmp_path / "features.md").read_text("utf-8")

    for form in FORMS.values():
        assert form.label in page
    assert "| all weeks | 181.0 s | under 180 s | **no** |" in page
    assert "| peak memory | 7.0 GB | under 8 GB | yes |" in page
    assert "| times the limit | 2.01 |" in page
    assert json.loads((tmp_path / "features.json").read_text("utf-8")).keys() == {
        "comparison",
        "catalogue_large",
    }
    assert (tmp_path / "features.svg").read_text("utf-8").startswith("<?xml")
    again = Figures(tmp_path)
    again.write()
    assert (tmp_path / "features.md").read_text("utf-8") == page
