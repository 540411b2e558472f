"""Every page: colours that can be read in light, dark and print; landmarks; no request."""

import re
from pathlib import Path

import pytest

from hrob_assets.risk import reporting

CSS = (Path(reporting.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
TEXT = ("ink", "soft", "one", "other", "warn", "good", "open", "focus")
GRAPHICS = ("one", "other", "third", "fourth", "axis", "warn")


def colours(block):
    found = re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})\b", block)
    return {name: "#" + "".join(c * 2 for c in v[1:]) if len(v) == 4 else v for name, v in found}


def modes():
    """Colour variables of the three modes, each on top of the light one."""
    light = colours(CSS.split("@media")[0])
    dark = colours(CSS.split("(prefers-color-scheme: dark)")[1].split("@media")[0].split("\n*")[0])
    print_ = colours(CSS.split("@media print")[1])
    return {"light": light, "dark": light | dark, "print": light | print_}


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_of_contrast_is_that_of_the_guideline():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("mode", ["light", "dark", "print"])
@pytest.mark.parametrize("name", TEXT)
def test_text_has_a_contrast_of_at_least_4_5(mode, name):
    found = modes()[mode]

    assert contrast(found[name], found["paper"]) >= 4.5
    assert contrast(found[name], found["shade"]) >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark", "print"])
@pytest.mark.parametrize("name", ["good", "warn", "open"])
def test_text_of_a_verdict_can_be_read_on_its_shade(mode, name):
    found = modes()[mode]

    assert contrast(found[name], found[f"{name}-shade"]) >= 4.5
    assert contrast(found["ink"], found[f"{name}-shade"]) >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark", "print"])
@pytest.mark.parametrize("name", GRAPHICS)
def test_what_is_drawn_has_a_contrast_of_at_least_3(mode, name):
    found = modes()[mode]

    assert contrast(found[name], found["paper"]) >= 3
    assert contrast(found[name], found["shade"]) >= 3


def test_no_rule_has_a_colour_of_its_own():
    rules = "\n".join(line for line in CSS.splitlines() if not re.search(r"--[a-z-]+: #", line))

    assert re.findall(r"#[0-9a-fA-F]{3,6}\b", rules) == []


def test_every_colour_variable_that_is_used_is_defined():
    used = set(re.findall(r"var\(--([a-z-]+)\)", CSS))

    assert used <= set(modes()["light"])


def test_a_page_asks_for_nothing():
    assert not re.search(r"url\(|@import|http", CSS)
