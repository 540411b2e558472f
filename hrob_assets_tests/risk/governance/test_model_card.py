"""The model card: every standard is complete, gaps are gaps, and the XML keeps its schema."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml
from lxml import etree

from hrob_assets.risk import reporting
from hrob_assets.risk.errors import ConfigurationError
from hrob_assets.risk.governance import facts
from hrob_assets.risk.governance.card_evidence import CardEvidence
from hrob_assets.risk.governance.card_texts import CardTexts, card_texts
from hrob_assets.risk.governance.model_card import model_card
from hrob_assets.risk.governance.packaged_yaml import read_packaged
from hrob_assets.risk.governance.standards import reporting_standards
from hrob_assets.risk.promotion.criteria import BETTER_THAN_COMPARATOR
from hrob_assets.risk.reporting.chai import NAMESPACE, chai_xml
from hrob_assets.risk.reporting.pages.model_card import model_card_page
from hrob_assets.risk.use_case import use_case_from
from hrob_assets_tests.example import example_use_case, example_values
from hrob_assets_tests.paths import DEFS
from hrob_assets_tests.risk.reporting.example_report import example_report

SCHEMA = Path(reporting.__file__).parent / "chai_v0_2"
EVIDENCE = CardEvidence(
    report=example_report(),
    version="7",
    registered_on="2026-01-05",
    tags={"git_commit": "0123abc", "configuration": "feed"},
    family="logistic regression",
    compared=("random forest", "comparator"),
    trials=10,
    parameters={"inverse_penalty": 0.0312345},
    scaled=True,
    exact_reasons=True,
    threshold=0.2,
    training_rows=120_000,
    training_persons=9_000,
    training_events=12_000,
    features={"demographics": 11, "conditions": 211},
    strongest=("age__years",),
    strength="log-odds per standard deviation",
    variants=("without labs",),
    baseline_sentence="Of 300 patients, the median age was 65 years.",
    decision={"kind": "promoted", "reason": "there was none before", "decided_at": "2026-01-06"},
    source="a synthetic world",
)


def schema():
    """The schema of CHAI, with what it imports from the web resolved to a file beside it."""

    class Local(etree.Resolver):
        def resolve(self, url, _, context):
            return self.resolve_filename(
                str(SCHEMA / ("signature.xsd" if "xmldsig" in url else "schema.xsd")), context
            )

    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Local())
    return etree.XMLSchema(etree.parse(SCHEMA / "schema.xsd", parser))


def test_the_standards_are_whole():
    sizes = {name: len(asked) for name, asked in reporting_standards().items()}

    assert sizes["ONC source attributes"] == 31
    assert sizes["TRIPOD+AI"] == 52
    numbers = {each.number.rstrip("abcdefg") for each in reporting_standards()["TRIPOD+AI"]}
    assert numbers == {str(n) for n in range(1, 28)}
    assert len({each.part for each in reporting_standards()["MI-CLAIM"]}) == 6
    for asked in reporting_standards().values():
        assert len({each.number for each in asked}) == len(asked)


def test_the_source_attributes_are_grouped_as_the_rule_groups_them():
    parts = [each.part for each in reporting_standards()["ONC source attributes"]]

    assert [parts.count(name) for name in dict.fromkeys(parts)] == [4, 4, 2, 4, 2, 4, 5, 4, 2]


@pytest.mark.parametrize("evidence", [CardEvidence(), EVIDENCE], ids=["bare", "full"])
def test_every_question_has_a_fact(evidence):
    card = model_card(example_use_case(), evidence)

    for asked in reporting_standards().values():
        assert {each.fact for each in asked} <= set(card.facts)


def test_every_sentence_of_the_texts_is_used():
    source = Path(facts.__file__).read_text(encoding="utf-8")
    beginnings = tuple(re.findall(r'sentence\(\s*f"([a-z_]+_)\{', source))

    unused = [
        name
        for name in card_texts().sentences
        if f'"{name}"' not in source and not name.startswith(beginnings)
    ]

    assert len(beginnings) == 5
    assert unused == []


def test_texts_with_another_key_are_refused_by_its_name():
    with pytest.raises(ConfigurationError, match=r"standards: Unexpected keyword argument"):
        read_packaged("standards.yaml", CardTexts)


def test_what_is_not_given_is_a_gap_that_says_what_fills_it():
    card = model_card(example_use_case(), CardEvidence())

    assert card.facts["funding"].shown == "Not given: fill `card: funding` in defs.yaml"
    assert card.facts["validity"].shown == "Not given: materialise evaluation"
    assert "Not given: fill `card: funding` in defs.yaml" in model_card_page(card)
    assert all(each.fill for each in card.facts.values() if each.text is None)


def test_a_field_of_the_card_fills_its_gap():
    values = example_values()
    values["card"] = {
        "funding": "A grant <b>",
        "sign_offs": [
            {"step": "bias", "name": "A. Person", "role": "lead", "signed_on": date(2026, 1, 5)}
        ],
    }
    card = model_card(use_case_from(values), EVIDENCE)

    page = model_card_page(card)

    before = model_card(example_use_case(), EVIDENCE)
    assert card.gaps("TRIPOD+AI") == before.gaps("TRIPOD+AI") - 1
    assert "A grant &lt;b&gt;" in page
    assert "bias: A. Person, lead, 2026-01-05" in page


def test_figures_are_those_of_the_evaluation():
    card = model_card(example_use_case(), EVIDENCE)

    assert card.facts["validity"].text.startswith("AUROC 0.712 (0.692 to 0.732);")
    assert "28,433 encounters of 2,385 patients" in card.facts["sample_size"].text
    assert "Not calibrated: race: Black or African American." in card.facts["fairness"].text
    assert "demographics 11 columns" in card.facts["sensitive_inputs"].text
    assert "on the worklist from 0.2 on" in card.facts["output_value"].text


def test_what_differs_between_families_is_that_of_the_family():
    linear = model_card(example_use_case(), EVIDENCE).facts
    trees = replace(EVIDENCE, family="random forest", scaled=False, exact_reasons=False)
    forest = model_card(example_use_case(), trees).facts

    assert linear["families"].text == (
        "logistic regression; compared on the same training set: random forest, comparator."
    )
    assert "10 trials, each scored by log loss in 2-fold" in linear["tuning"].text
    assert "chosen: inverse penalty 0.03123." in linear["tuning"].text
    assert "standardised" in linear["predictor_form"].text
    assert "trees need no scaling" in forest["predictor_form"].text
    assert "add up to the log-odds" in linear["reasons"].text
    assert "approximate" in forest["reasons"].text
    assert "coefficient" not in forest["specification"].text


def test_what_no_code_does_is_not_claimed():
    values = example_values()
    values["fairness"] = {"groups": ["race", "payer"]}
    facts = model_card(use_case_from(values), CardEvidence()).facts

    assert facts["sites"].text is None
    assert facts["comparator"].text is None
    assert facts["sensitivity"].shown == "Not given: run analyse_sensitivity_example"
    assert facts["bias_mitigation"].text is None  # no label audit was declared
    assert "one detector for each subgroup of: race." in facts["fairness_monitoring"].text
    assert "Assessed at each evaluation only: payer." in facts["fairness_monitoring"].text


def test_a_label_audit_is_told_as_it_was_declared():
    values = example_values()
    audit = {"statement": "A visit is the visit itself.", "is_proxy": False}
    values["fairness"] = {"groups": ["race"], "label_audit": audit}
    values["model"]["comparator"] = {"columns": ["age__years"]}
    facts = model_card(use_case_from(values), CardEvidence()).facts

    assert "not a proxy for the intended outcome: A visit is the visit itself." in (
        facts["bias_mitigation"].text
    )
    assert facts["comparator"].text.startswith("1 of the feature columns (age__years), fitted")


@pytest.mark.parametrize("evidence", [CardEvidence(), EVIDENCE], ids=["bare", "full"])
def test_the_xml_keeps_the_schema_of_chai(evidence):
    text = chai_xml(model_card(example_use_case(), evidence))

    schema().assertValid(etree.fromstring(text.encode()))


def test_the_schema_refuses_a_card_without_a_section():
    root = etree.fromstring(chai_xml(model_card(example_use_case(), EVIDENCE)).encode())
    root.remove(root.find(f"{{{NAMESPACE}}}Warnings"))

    assert not schema().validate(root)


def test_the_xml_tells_figures_with_their_intervals_and_no_figure_without_evidence():
    find = f".//{{{NAMESPACE}}}MetricResult/{{{NAMESPACE}}}Label"
    labels = [
        [each.text for each in etree.fromstring(chai_xml(card).encode()).iterfind(find)]
        for card in (
            model_card(example_use_case(), EVIDENCE),
            model_card(example_use_case(), CardEvidence()),
        )
    ]

    assert "AUROC (95 % interval 0.692 to 0.732)" in labels[0]
    assert labels[1] == ["Not given: materialise evaluation"] * 3


def shipped():
    return sorted(path.parent.name for path in DEFS.glob("*/defs.yaml"))


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_use_case_says_that_it_is_a_demonstration(name):
    values = yaml.safe_load((DEFS / name / "defs.yaml").read_text(encoding="utf-8"))
    use_case = use_case_from(values["attributes"]["use_case"])

    assert "emonstration" in use_case.card.developer
    assert use_case.card.funding is None
    assert use_case.card.sign_offs == ()
    assert use_case.fairness.label_audit.statement.endswith(".")  # R37; sentences for the page
    schema().assertValid(etree.fromstring(chai_xml(model_card(use_case, CardEvidence())).encode()))


def test_the_page_is_complete_in_itself_and_counts_its_answers():
    card = model_card(example_use_case(), EVIDENCE)

    page = model_card_page(card)

    assert "src=" not in page
    assert 'href="http' not in page
    for name, asked in reporting_standards().items():
        assert f"{name}: {len(asked) - card.gaps(name)} of {len(asked)} answered" in page


def decided(passed, found="lower bound +0.0100"):
    criterion = {"criterion": BETTER_THAN_COMPARATOR, "found": found, "passed": passed}
    return {"kind": "promoted", "reason": "all criteria are met", "criteria": [criterion]}


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        (None, "this version was not compared with it."),
        (decided(None, "no champion yet"), "this version was not compared with it."),
        (decided(passed=True), "gate found this version better (lower bound +0.0100)."),
        (decided(passed=False), "found this version not better, or could not tell (lower bound"),
    ],
    ids=["not decided", "first champion", "better", "not better"],
)
def test_the_card_says_of_the_comparator_what_the_gate_found(decision, told):
    values = example_values()
    values["model"]["comparator"] = {"columns": ["age__years"]}
    card = model_card(use_case_from(values), replace(EVIDENCE, decision=decision))

    assert told in card.facts["comparator"].text


@pytest.mark.parametrize(
    ("update", "dates", "partition", "kind"),
    [
        (None, "training ends earlier.", "begins at least 60 days after", "later period"),
        ("refit", "from other patients.", "40% of the other patients form the test set",
         "other persons"),
        ("intercept", "evaluated with the fit on the other part of the patients.",
         "each part is tested with the fit on the other.", "other persons"),
    ],
)  # fmt: skip
def test_of_an_update_no_later_test_period_is_claimed(update, dates, partition, kind):
    tags = {**EVIDENCE.tags, **({"update": update} if update else {})}
    card = model_card(example_use_case(), replace(EVIDENCE, tags=tags))

    assert card.facts["dates"].text.endswith(dates)
    assert partition in card.facts["partition"].text
    assert ("after training ends" in card.facts["partition"].text) == (update is None)
    assert f"<TestType>Internal, {kind}</TestType>" in chai_xml(card)
