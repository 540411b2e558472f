"""Charts: well-formed, spoken, with their numbers; nothing is drawn where nothing is told."""

import math
import re
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hrob_assets.risk.reporting.charts.calibration import Group, calibration_curve
from hrob_assets.risk.reporting.charts.forest import ForestTexts, Row, forest_plot
from hrob_assets.risk.reporting.charts.lines import Axis, Limit, Line, line_chart
from hrob_assets.risk.reporting.charts.lollipop import Stem, lollipop_chart
from hrob_assets.risk.reporting.charts.scales import date_ticks, tick_texts, ticks
from hrob_assets.risk.reporting.charts.svg import small_multiples
from hrob_assets.risk.reporting.charts.timeline import Event, timeline

WEEKS = [date(2024, 1, 1) + timedelta(weeks=week) for week in range(6)]
HOSTILE = '<script>alert("1")</script> & "quotes"'


def drawings(name="a series"):
    return [
        line_chart(
            name,
            [
                Line(name, WEEKS, [1, 2, None, 4, 3, 2], [0.5, 1, None, 3, 2, 1], [2] * 6),
                Line("other", WEEKS, [2] * 6, look=1, marked=True),
            ],
            x=Axis("week"),
            y=Axis("events"),
            limits=[Limit(3, name)],
            spoken=name,
        ),
        calibration_curve(
            name,
            Line(name, [0.1, 0.2], [0.1, 0.3], [0.05, 0.2], [0.15, 0.4]),
            groups=[Group(0.15, 0.2, 0.1, 0.3), Group(0.2, None)],
            spoken=name,
        ),
        forest_plot(
            name,
            [
                Row(name, heading=True),
                Row(name, 0.1, -0.1, 0.2, "99 (50)", "undetermined"),
                Row("x"),
            ],
            texts=ForestTexts(name),
            margin=(-0.05, 0.05),
            spoken=name,
        ),
        lollipop_chart(
            name, [Stem(name, [0.1, None], name)], series=["a", name], x=Axis(name), spoken=name
        ),
        timeline(name, [Event(WEEKS[0], name)], kinds=[name], spoken=name),
    ]


def tree(drawing):
    return etree.fromstring(drawing.__html__())


@pytest.mark.parametrize("number", range(5))
def test_a_chart_is_well_formed_whatever_its_texts_are(number):
    drawing = drawings(HOSTILE)[number]

    found = tree(drawing)

    assert found.find("figcaption").text == HOSTILE
    assert not found.findall(".//script")


@pytest.mark.parametrize("number", range(5))
def test_a_chart_is_spoken_and_has_its_numbers_as_a_table(number):
    found = tree(drawings()[number])

    pictures = found.findall("svg")
    assert pictures
    for each in pictures:
        assert each.get("role") == "img"
        assert each.get("aria-label")
        assert each.find("title").text
        assert each.find("desc").text
    heads = found.findall("details//thead//th")
    rows = found.findall("details//tbody/tr")
    assert heads
    assert {head.get("scope") for head in heads} == {"col"}
    assert rows
    assert {len(row) for row in rows} == {len(heads)}
    assert {row.find("th").get("scope") for row in rows} == {"row"}


def test_a_missing_value_breaks_the_line_and_its_band():
    drawing = drawings()[0]

    found = tree(drawing)

    lines = [each for each in found.findall("svg/path") if each.get("class") == "line one"]
    bands = [each for each in found.findall("svg/path") if each.get("class") == "band one"]
    assert [each.get("d").count("L") for each in lines] == [1, 2]
    assert len(bands) == 2
    assert drawing.table.rows[2][1] == "\N{EN DASH}"


def test_a_point_stands_where_its_scales_say():
    drawn = line_chart(
        "t", [Line("a", [0.0, 1.0], [0.0, 1.0], marked=True)], x=Axis("x"), y=Axis("y"), spoken="s"
    )

    marks = [e for e in tree(drawn).findall("svg/path") if e.get("class") == "mark one"]

    # 440 wide with 62 and 20 beside, 280 high with 22 above and 44 below; a mark of radius 3.5
    assert [mark.get("d").split("a")[0] for mark in marks] == ["M58.5 236", "M416.5 22"]


def test_series_differ_by_dashes_and_marks_not_by_colour_alone():
    x = [1.0, 2.0]
    many = [Line(str(n), x, [n, n], look=n, marked=True) for n in range(4)]

    found = tree(line_chart("t", many, x=Axis("x"), y=Axis("y"), spoken="s"))

    paths = found.findall("svg/path")
    dashes = {e.get("stroke-dasharray") for e in paths if e.get("class").startswith("line")}
    shapes = {re.sub(r"[\d.\s-]", "", e.get("d")) for e in paths if e.get("class")[:4] == "mark"}
    assert len(dashes) == 4
    assert len(shapes) >= 3


def test_the_verdicts_of_a_forest_plot_differ_by_their_marks():
    names = ["calibrated", "not calibrated", "undetermined", "too few"]
    rows = [Row(name, 0.1, 0.0, 0.2, verdict=name) for name in names]

    found = tree(forest_plot("t", rows, texts=ForestTexts("x"), spoken="s"))

    wide = found.find("svg[@class='wide']")
    marks = [e for e in wide.findall("path") if e.find("title") is not None]
    assert len({(e.get("class"), re.sub(r"[\d.\s-]", "", e.get("d"))) for e in marks}) == 4
    assert [li.find("svg").get("aria-hidden") for li in found.findall("ul/li")] == ["true"] * 4


def test_a_long_series_has_a_table_that_one_can_read():
    x = [float(n) for n in range(1000)]

    drawn = line_chart("t", [Line("a", x, x)], x=Axis("x"), y=Axis("y"), spoken="s")

    assert 20 <= len(drawn.table.rows) <= 40


def test_small_multiples_stand_in_one_grid():
    found = etree.fromstring(small_multiples(drawings()[:2]))

    assert found.get("class") == "multiples"
    assert len(found.findall("figure")) == 2


finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(finite, st.floats(1e-6, 1e6))
def test_ticks_hold_the_values_and_are_few_and_evenly_spaced(low, span):
    found = ticks(low, low + span)

    assert found[0] <= low + 1e-9 * max(1, abs(low)) + 1e-6 * span
    assert found[-1] >= low + span - 1e-9 * max(1, abs(low)) - 1e-6 * span
    assert 2 <= len(found) <= 13
    gaps = [b - a for a, b in pairwise(found)]
    assert all(math.isclose(gap, gaps[0], rel_tol=1e-3) for gap in gaps)


@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.integers(0, 4000))
def test_ticks_of_dates_lie_between_the_first_and_the_last(first, days):
    found = date_ticks(first, first + timedelta(days=days))

    assert found[0] == first
    assert found[-1] <= first + timedelta(days=max(days, 1))
    assert 1 <= len(found) <= 7


@given(finite, st.floats(1e-3, 1e5))
def test_ticks_that_differ_have_texts_that_differ(low, span):
    texts = tick_texts(ticks(low, low + span))

    assert len(set(texts)) == len(texts)
