"""The model card as a page."""

from collections.abc import Mapping

from hrob_assets.risk.governance import (
    CardFact,
    ModelCard,
    StandardQuestion,
    reporting_standards,
)
from hrob_assets.risk.reporting.pages.page import render


def model_card_page(card: ModelCard) -> str:
    """Draw a model card: the main facts, three checklists, signatures and lineage.

    Parameters
    ----------
    card : ModelCard

    Returns
    -------
    str
        HTML, complete in itself.
    """
    version = card.evidence.version or "not trained yet"
    standards = [
        (f"standard-{number}", name, card.gaps(name), len(asked), _parts(asked, card.facts))
        for number, (name, asked) in enumerate(reporting_standards().items())
    ]
    signed = [
        f"{each.step}: {each.name}, {each.role}, {each.signed_on}"
        for each in card.use_case.card.sign_offs
    ]
    return render(
        "model_card.html.j2",
        title=f"Model card: {card.use_case.title}",
        version=version,
        first=card.at_a_glance(),
        standards=standards,
        sign_offs=signed,
        lineage=[(name.replace("_", " "), value) for name, value in card.evidence.tags.items()],
        notes=card.use_case.notes,
        made_from=(
            f"{card.use_case.title}, version {version}. Facts are filled from the use case, the "
            "registry and the evaluation; what is not known is shown as a gap. The estimated "
            "chance supports a clinician's own assessment; the decision is the clinician's."
        ),
    )


def _parts(
    asked: tuple[StandardQuestion, ...], facts: Mapping[str, CardFact]
) -> list[tuple[str, list[tuple[StandardQuestion, CardFact]]]]:
    names = dict.fromkeys(each.part for each in asked)
    return [
        (name, [(each, facts[each.fact]) for each in asked if each.part == name]) for name in names
    ]
