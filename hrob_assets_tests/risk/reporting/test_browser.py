"""The pages in a real browser: no request, no error, no sideways scrolling, accessible."""

import os
import re
import shutil
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import sync_playwright

from hrob_assets.risk.governance.card_evidence import CardEvidence
from hrob_assets.risk.governance.model_card import model_card
from hrob_assets.risk.governance.six_steps import UseCaseStanding, framework_steps
from hrob_assets.risk.reporting.monitoring_summary import monitoring_summary, monitoring_tables
from hrob_assets.risk.reporting.pages.data_dictionary import dictionary_page
from hrob_assets.risk.reporting.pages.model_card import model_card_page
from hrob_assets.risk.reporting.pages.monitoring import monitoring_page
from hrob_assets.risk.reporting.pages.replay import replay_page
from hrob_assets.risk.reporting.pages.status_board import status_board_page
from hrob_assets.risk.reporting.reports import render_evaluation_reports
from hrob_assets_tests.example import example_use_case
from hrob_assets_tests.risk.features.quality.test_dictionary import described, world
from hrob_assets_tests.risk.governance.test_six_steps import WHOLE
from hrob_assets_tests.risk.reporting.example_report import example_context, example_report
from hrob_assets_tests.risk.reporting.test_monitoring_files import look, scored
from hrob_assets_tests.risk.updating.test_counterfactual import compared

pytestmark = pytest.mark.xdist_group("browser")  # one browser for all

WATCH = ("monitoring", "status_board", "replay")
NAMES = (
    *("index", "summary", "evaluation", "fairness", "comparison", "model_card", "dictionary"),
    *WATCH,
)
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
)
SCREENS = {"desktop": 1280, "phone": 360}


@pytest.fixture(scope="module")
def browser():
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        how = "chromium must be installed for these tests: apt-get install chromium"
        pytest.fail(how) if os.environ.get("HROB_REQUIRE_CHROMIUM") else pytest.skip(how)
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("reports")
    report = example_report()
    card = model_card_page(model_card(example_use_case(), CardEvidence(report=report)))
    pages = render_evaluation_reports(
        report, context=example_context(), beside={"model_card.html": card}
    )
    pages["dictionary.html"] = dictionary_page(
        described(world(shift=0.3), root), use_case_name="example", lead="Some rows.", source="here"
    )
    for name, html in (pages | pages_of_the_watch()).items():
        (root / name).write_text(html, encoding="utf-8")
    return root


def pages_of_the_watch():
    """A shift that raised the alarm, a board with something to look at, a replay with an update."""
    found = look(scored(shift=0.6))
    steps = framework_steps(
        UseCaseStanding(**(WHOLE | {"prospective": None, "alarms": ["everybody"]}))
    )
    replay = replay_page(compared(), title="falls", world="a world", drift="The risk doubles.")
    return {
        "monitoring.html": monitoring_page(monitoring_summary(found), monitoring_tables(found)),
        "status_board.html": status_board_page(
            steps, title="Falls", pages={"monitoring": "monitoring.html"}
        ),
        "replay.html": replay,
    }


@pytest.fixture
def visit(browser, folder):
    """Open a page; whatever it asks for and whatever it complains of is collected."""
    opened = []

    def go(name, *, width=1280, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.asked, page.complaints = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto((folder / f"{name}.html").as_uri())
        opened.append(page)
        return page

    yield go
    for page in opened:
        page.close()


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", NAMES)
def test_a_page_asks_for_nothing_complains_of_nothing_and_fits(visit, folder, name, screen):
    page = visit(name, width=SCREENS[screen])

    assert page.asked == [(folder / f"{name}.html").as_uri()]
    assert page.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen]
    assert page.evaluate("document.querySelector('h1').textContent.length") > 10


def violations(page, rules="undefined"):
    """What axe-core finds on a page; all its rules by default."""
    page.evaluate(AXE)
    return page.evaluate(
        f"axe.run(document, {rules}).then(found => found.violations.map(v => v.id + ': ' + v.help))"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_accessible(visit, name):
    assert violations(visit(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_can_be_read_in_the_dark(visit, name):
    assert violations(visit(name, scheme="dark"), "{runOnly: ['color-contrast']}") == []


def test_the_finder_of_violations_finds_one(visit):
    page = visit("summary")
    page.evaluate("document.querySelector('h1').style.color = '#dddddd'")
    page.evaluate("document.documentElement.removeAttribute('lang')")

    assert [each.split(":")[0] for each in violations(page)] == ["color-contrast", "html-has-lang"]


def test_charts_are_seen_and_the_narrow_one_on_a_phone(visit):
    seen = "es => es.map(e => e.getBoundingClientRect().width > 0)"

    wide = visit("fairness").eval_on_selector_all("svg.wide, svg.narrow", seen)
    narrow = visit("fairness", width=360).eval_on_selector_all("svg.wide, svg.narrow", seen)

    assert wide == [True, False] * 2
    assert narrow == [False, True] * 2


def test_no_text_of_a_chart_is_cut_off(visit):
    beyond = """texts => texts.filter(text => {
        const of = text.ownerSVGElement.getBoundingClientRect(), at = text.getBoundingClientRect();
        return of.width && at.width && (at.left < of.left - 1.5 || at.right > of.right + 1.5);
    }).map(text => text.textContent)"""

    for name in ("evaluation", "fairness", "comparison", "monitoring", "replay"):
        for width in SCREENS.values():
            cut = visit(name, width=width).eval_on_selector_all("figure svg text", beyond)
            assert cut == [], (name, width)


def test_the_keyboard_reaches_the_content_and_the_numbers_of_a_chart(visit):
    page = visit("evaluation")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.focus("summary")
    page.keyboard.press("Enter")
    assert page.eval_on_selector("details", "details => details.open")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("monitoring", ["Calibration alarm: all rows (under-prediction", "race: Black"]),
        ("status_board", ["4 of 6 steps are done.", "look at this", "everybody"]),
        ("replay", ["The risk doubles.", "everybody: under-prediction", "intercept", "version 2"]),
    ],
)
def test_a_page_of_the_watch_says_what_was_found(visit, name, words):
    text = visit(name, width=360).inner_text("body")

    assert [word for word in words if word not in text] == []


def test_dark_and_light_differ(visit):
    paper = "getComputedStyle(document.body).backgroundColor"

    assert visit("summary").evaluate(paper) == "rgb(255, 255, 255)"
    assert visit("summary", scheme="dark").evaluate(paper) != "rgb(255, 255, 255)"


def test_the_summary_prints_on_one_sheet(visit):
    pdf = visit("summary").pdf(prefer_css_page_size=True)

    assert re.findall(rb"/Type /Pages\s.*?/Count (\d+)", pdf, re.DOTALL) == [b"1"]
