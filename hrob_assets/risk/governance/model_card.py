"""A model card that fills itself: facts with their source; what is not known is a gap."""

from collections.abc import Mapping
from dataclasses import dataclass

from hrob_assets.risk.governance.card_evidence import CardEvidence, CardFact
from hrob_assets.risk.governance.card_texts import card_texts
from hrob_assets.risk.governance.facts import card_facts
from hrob_assets.risk.governance.standards import reporting_standards
from hrob_assets.risk.use_case import UseCase


@dataclass(frozen=True)
class ModelCard:
    """Facts of one model version.

    Parameters
    ----------
    use_case : UseCase
    evidence : CardEvidence
    facts : mapping of str to CardFact
    """

    use_case: UseCase
    evidence: CardEvidence
    facts: Mapping[str, CardFact]

    def at_a_glance(self) -> list[tuple[str, CardFact]]:
        """The first facts of the card, with their labels."""
        return [(label, self.facts[fact]) for label, fact in card_texts().at_a_glance.items()]

    def gaps(self, standard: str) -> int:
        """Questions of a standard that nothing answers."""
        return sum(self.facts[each.fact].text is None for each in reporting_standards()[standard])


def model_card(use_case: UseCase, evidence: CardEvidence) -> ModelCard:
    """Fill a card from a use case and from what lineage knows."""
    return ModelCard(use_case, evidence, card_facts(use_case, evidence))
