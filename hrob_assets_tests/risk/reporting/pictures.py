"""The pictures of docs/reports.md: ``python -m hrob_assets_tests.risk.reporting.pictures``."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from hrob_assets.risk.evaluation.report import from_json
from hrob_assets.risk.governance.card_evidence import CardEvidence
from hrob_assets.risk.governance.model_card import model_card
from hrob_assets.risk.reporting.pages.model_card import model_card_page
from hrob_assets.risk.reporting.reports import render_evaluation_reports
from hrob_assets_tests.example import example_use_case
from hrob_assets_tests.paths import PROJECT
from hrob_assets_tests.risk.reporting.example_report import example_context

IMAGES = PROJECT / "docs" / "images"
EXAMPLE = PROJECT / "hrob_assets_tests" / "golden" / "evaluation.json"
PICTURES = {
    # picture: page, width, height, colours, where it begins
    "report-summary": ("summary", 900, 1060, "light", "body"),
    "report-evaluation": ("evaluation", 1280, 900, "light", "body"),
    "report-calibration-dark": ("evaluation", 1280, 640, "dark", "#calibration"),
    "report-fairness": ("fairness", 1280, 900, "light", "#calibration"),
    "report-phone": ("fairness", 390, 844, "light", "figure.chart"),
    "report-model-card": ("model_card", 1280, 900, "light", "body"),
}


def main() -> None:
    """Draw the example and take its pictures."""
    report = from_json(EXAMPLE.read_text(encoding="utf-8"))
    card = model_card_page(model_card(example_use_case(), CardEvidence(report=report)))
    pages = render_evaluation_reports(
        report, context=example_context(), beside={"model_card.html": card}
    )
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        folder = Path(name)
        for file, html in pages.items():
            (folder / file).write_text(html, encoding="utf-8")
        program = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for picture, (page, width, height, colours, start) in PICTURES.items():
            view = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=colours
            )
            view.goto((folder / f"{page}.html").as_uri())
            view.locator(start).first.evaluate("it => it.scrollIntoView()")
            view.screenshot(path=IMAGES / f"{picture}.png")
            view.close()
        browser.close()


if __name__ == "__main__":
    main()
