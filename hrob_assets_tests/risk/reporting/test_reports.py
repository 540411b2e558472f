"""The pages of an evaluation: complete in themselves, honest about gaps, careful with words."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from hrob_assets.risk.evaluation.analysis import Metric
from hrob_assets.risk.governance.summary import summarise_evaluation
from hrob_assets.risk.promotion.criteria import Verdict
from hrob_assets.risk.reporting.reports import render_evaluation_reports
from hrob_assets_tests.risk.reporting.example_report import example_context, example_report, too_few

VOID = {"meta", "br", "input"}
FAILED = Verdict("ranks well enough", "AUROC at least 0.8", "0.712", passed=False)


class Page(HTMLParser):
    """What a page is made of; each element must end where it began."""

    def __init__(self, html) -> None:
        super().__init__()
        self.open, self.ids, self.outside, self.heads, self.tags = [], [], [], [], []
        self.words = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """Note an element."""
        named = dict(attrs)
        self.tags.append(tag)
        self.ids += [named["id"]] if "id" in named else []
        links = [value for name, value in attrs if name in {"src", "href", "srcset", "data"}]
        self.outside += [link for link in links if not link.startswith("#")]
        self.heads += [named.get("scope")] if tag == "th" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Every element ends where it began."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Collect what is read, but not the style."""
        if self.open and self.open[-1] not in {"style", "script"}:
            self.words.append(data)

    @property
    def text(self):
        """What is read."""
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def pages():
    found = render_evaluation_reports(example_report(), context=example_context())
    return {name: Page(html) for name, html in found.items()}


def test_these_pages_are_drawn(pages):
    assert list(pages) == [
        "index.html", "summary.html", "evaluation.html", "fairness.html", "comparison.html",
    ]  # fmt: skip


def test_a_score_file_of_any_model_has_its_pages_too():
    assert list(render_evaluation_reports(example_report(fairness=False))) == [
        "index.html", "summary.html", "evaluation.html",
    ]  # fmt: skip


def test_pages_are_complete_in_themselves(pages):
    index, *others = pages.items()
    assert index[1].outside == [name for name, _ in others]
    for name, page in others:
        assert page.outside == [], name
        assert page.open == [], name
        assert len(page.ids) == len(set(page.ids)), name
        assert {"header", "main", "footer", "h1"} <= set(page.tags), name
        assert None not in page.heads, name


def test_rows_and_patients_stand_together_on_every_page():
    for html in render_evaluation_reports(example_report(), context=example_context()).values():
        assert "28,433 encounters of 2,385 patients" in Page(html).text


def test_every_analysis_says_whether_it_was_planned(pages):
    text = pages["evaluation.html"].text

    assert "All figures pre-specified" in text
    assert "By era exploratory" in text


def test_the_glossary_has_every_definition_of_the_report(pages):
    text = pages["evaluation.html"].text.split("Glossary", 2)[-1]

    for each in example_report().definitions.values():
        assert each.label in text
        assert each.meaning in text


@pytest.mark.parametrize("words", [r"\bdiagnos", r"\bwill have\b", r"\bwill be\b", r"\bwill visit"])
def test_no_page_foretells_or_diagnoses(pages, words):
    for name, page in pages.items():
        assert not re.search(words, page.text, re.IGNORECASE), name


def test_the_worklist_wording_leaves_the_decision_to_the_clinician(pages):
    for page in pages.values():
        assert "the decision is the clinician's" in page.text


def test_race_is_on_no_page_but_those_about_groups(pages):
    assert "Black or African American" in pages["fairness.html"].text
    assert "Black or African American" not in pages["comparison.html"].text


def test_one_look_tells_that_the_model_may_be_used_and_for_whom_not_yet(pages):
    text = pages["summary.html"].text

    assert "May be used, but not yet for everybody" in text
    assert "race: Black or African American : the estimated chance is 4.1 percentage points" in text
    assert "American Indian or Alaska Native (about 1,400 more patients needed)" in text
    assert "Of 100 encounters on the list, about 26 (95 % interval 23 to 29) were" in text


def test_a_model_that_fails_a_criterion_must_not_be_used():
    html = render_evaluation_reports(example_report(), context=example_context(criteria=[FAILED]))[
        "summary.html"
    ]

    text = Page(html).text
    assert "Must not be used: 1 acceptance criterion is not met" in text
    assert "AUROC at least 0.8 (found 0.712)" in text


def test_without_criteria_nothing_is_decided():
    assert summarise_evaluation(example_report(), None).status == "open"


def test_without_groups_that_stand_out_it_may_be_used():
    report = example_report(fairness=False)

    assert summarise_evaluation(report, []).status == "may be used"


def test_a_group_of_which_nothing_may_be_told_shows_nothing():
    report = example_report()
    fairness = dataclasses.replace(report.fairness, groups=(too_few("race", "Other"),))
    shown = dataclasses.replace(report, fairness=fairness)

    text = Page(render_evaluation_reports(shown)["fairness.html"]).text

    assert "race: Other too few suppressed (suppressed) suppressed" in text


def test_what_is_not_known_is_shown_as_a_gap():
    report = example_report()
    bare = dataclasses.replace(report.fairness, label_audit=None, anti_classification=None)

    pages = render_evaluation_reports(dataclasses.replace(report, fairness=bare))

    assert Page(pages["fairness.html"]).text.count("Not given:") == 3


def test_texts_of_a_source_are_escaped():
    report = example_report()
    subject = dataclasses.replace(report.subject, title="<img src=x onerror=alert(1)>")

    pages = render_evaluation_reports(dataclasses.replace(report, subject=subject))

    for name, html in pages.items():
        assert "<img" not in html, name


def test_a_figure_that_is_suppressed_leaves_no_tile_with_a_number():
    report = example_report()
    main = report.analyses[0]
    hidden = dict.fromkeys(main.metrics, Metric(None, note="suppressed"))
    bare = dataclasses.replace(
        main, metrics=hidden, calibration_curve=(), calibration_bins=(), thresholds=()
    )

    pages = render_evaluation_reports(dataclasses.replace(report, analyses=(bare,)))

    assert "The curve may not be shown" in Page(pages["evaluation.html"]).text
    assert "Too few to tell." in Page(pages["summary.html"]).text
