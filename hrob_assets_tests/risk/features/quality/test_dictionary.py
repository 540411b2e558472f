"""The data dictionary: figures as a slow reckoning has them, nothing of few persons, real drift."""

from datetime import date, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from hrob_assets.risk.features.catalogue.catalogue import Catalogue, FeatureColumn, FeatureFamily
from hrob_assets.risk.features.catalogue.imputation import ImputationRule
from hrob_assets.risk.features.catalogue.selection import FeatureSelection, Screening
from hrob_assets.risk.features.quality.dictionary import (
    ComparedPeriods,
    describe_features,
    drift_table,
)
from hrob_assets.risk.reporting.pages.data_dictionary import dictionary_page

VISITS = FeatureColumn(
    "visit__count_30d", "visit", "utilisation", "codes", aggregation="count", window_days=30
)
LAB = FeatureColumn(
    "lab__last_value_90d", "lab", "labs", "codes", aggregation="last_value", window_days=90
)
CATALOGUE = Catalogue(
    (
        FeatureFamily("visit", "utilisation", "codes", "visit", (VISITS,), "Tempo", "Study"),
        FeatureFamily("lab", "labs", "codes", "lab", (LAB,), "<b>Kidney</b>", "Study"),
    )
)
START = datetime(2023, 1, 2)
REFERENCE = ComparedPeriods(date(2023, 1, 2), date(2023, 7, 3), date(2023, 10, 2))


def world(seed=1, persons=400, shift=0.0):
    """A row per person and half-year: the first in training, the second in the recent weeks."""
    rng = np.random.default_rng(seed)
    who = np.tile(np.arange(persons), 2)
    late = np.repeat([0, 280], persons)
    days = late + rng.integers(0, 80, who.size)
    at = [START + timedelta(days=int(day)) for day in days]
    lab = rng.normal(1 + shift * (late > 0), 0.2, who.size)
    frame = pl.DataFrame(
        {
            "person_id": who,
            "encounter_id": np.arange(who.size),
            "prediction_time": pl.Series(at, dtype=pl.Datetime("us")),
            "week": [(each - timedelta(days=each.weekday())).date() for each in at],
            "race": np.where(who % 2 == 0, "Black", "White"),
            "ethnicity": "Unknown",
            "gender": "female",
            VISITS.name: rng.poisson(1.0, who.size).astype(np.float32),
            LAB.name: pl.Series(lab, dtype=pl.Float32),
        }
    )
    missing = pl.col("person_id") % 4 == 0
    return frame.with_columns(pl.when(~missing).then(LAB.name).alias(LAB.name))


def described(frame, tmp_path):
    selection = FeatureSelection(tmp_path, (VISITS.name,), {LAB.name: "group labs"}, Screening())
    keys = ["person_id", "encounter_id", "prediction_time"]
    return describe_features(
        frame.select(*keys, VISITS.name, LAB.name).lazy(),
        frame.drop(VISITS.name, LAB.name),
        catalogue=CATALOGUE,
        code_sets={},
        selection=selection,
        rules=dict.fromkeys(CATALOGUE.column_names, ImputationRule("median")),
        reference=REFERENCE,
    )


def test_the_figures_are_those_of_a_slow_reckoning(tmp_path):
    frame = world()
    pandas = frame.to_pandas()

    visits, lab = described(frame, tmp_path).iter_rows(named=True)

    valued = pandas[pandas[VISITS.name] > 0]
    assert visits["persons_with_value"] == valued["person_id"].nunique()
    assert visits["value_share"] == pytest.approx(len(valued) / len(pandas))
    assert visits["first_week"] == valued["week"].min().date()
    assert lab["missing_share"] == pytest.approx(pandas[LAB.name].isna().mean())
    by_race = pandas[LAB.name].isna().groupby(pandas["race"]).mean()
    told = {each["level"]: each["share"] for each in lab["missing_by_group"]}
    assert told["Black"] == pytest.approx(by_race["Black"])
    training = pandas[pandas["week"] < "2023-07-03"]
    assert visits["training_share"][0] == pytest.approx((training[VISITS.name] == 0).mean())


def test_each_column_is_there_once_with_its_decision(tmp_path):
    table = described(world(), tmp_path)

    assert table["column"].to_list() == list(CATALOGUE.column_names)
    assert table["selected"].to_list() == [True, False]


def test_nothing_is_told_of_fewer_than_11_persons(tmp_path):
    frame = world().with_columns(
        pl.when(pl.col("person_id") < 5).then(pl.lit(1.0, pl.Float32)).otherwise(0.0)
        .cast(pl.Float32).alias(VISITS.name)
    )  # fmt: skip

    visits = described(frame, tmp_path).row(0, named=True)

    figures = ("persons_with_value", "value_share", "first_week", "psi", "training_share", "p50")
    assert [visits[name] for name in figures] == [None] * len(figures)


def test_without_change_about_one_column_in_twenty_is_called_drifted(tmp_path):
    drifted = [
        described(world(seed), tmp_path)["drifted"].to_list() for seed in range(120)
    ]  # fmt: skip

    # 240 draws at 5 % give 12; beyond 25 chance has less than 1 in 1,000
    assert sum(flag for pair in drifted for flag in pair) <= 25


def test_a_shift_of_the_values_is_called_drift(tmp_path):
    table = described(world(shift=0.3), tmp_path)

    assert drift_table(table, most=5)["column"].to_list() == [LAB.name]


class Page(HTMLParser):
    """Collects what a page asks for from elsewhere, its ids and its labels."""

    def __init__(self) -> None:
        super().__init__()
        self.outside, self.ids, self.scopes, self.open = [], [], 0, []

    def handle_starttag(self, tag, attrs):
        """Note an element."""
        named = dict(attrs)
        self.outside += [
            value for name, value in attrs if name in {"src", "href"} and not value.startswith("#")
        ]
        self.ids += [named["id"]] if "id" in named else []
        self.scopes += tag == "th" and "scope" in named
        if tag not in {"meta", "br", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Every element ends where it began."""
        assert self.open.pop() == tag


def test_the_page_is_complete_in_itself_and_escapes_what_files_say(tmp_path):
    table = described(world(), tmp_path)

    html = dictionary_page(table, use_case_name="a_case", lead="Some rows.", source="here")

    page = Page()
    page.feed(html)
    assert page.outside == []
    assert page.open == []
    assert {VISITS.name, LAB.name, "find", "summary", "drift"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.scopes > 5
    assert "&lt;b&gt;Kidney" in html
    assert "url(" not in html
