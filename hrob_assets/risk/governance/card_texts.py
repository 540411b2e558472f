"""Texts of the model card: ``model_card.yaml`` of this package, read once."""

from collections.abc import Mapping
from functools import cache

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hrob_assets.risk.governance.card_evidence import CardFact
from hrob_assets.risk.governance.packaged_yaml import read_packaged


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class CardTexts:
    """Texts of the model card.

    Parameters
    ----------
    at_a_glance : mapping of str to str
        The first facts of the card by their labels.
    from_card : mapping of str to str
        Key under ``card:`` of a use case by the fact that it gives.
    by_design : mapping of str to str
        Facts that hold for every model of this project.
    gaps : mapping of str to str
        What would fill a gap.
    sentences : mapping of str to str
        Sentences with places for the values of one model.
    """

    at_a_glance: Mapping[str, str]
    from_card: Mapping[str, str]
    by_design: Mapping[str, str]
    gaps: Mapping[str, str]
    sentences: Mapping[str, str]


@cache
def card_texts() -> CardTexts:
    """Read the texts.

    Raises
    ------
    ConfigurationError
        If ``model_card.yaml`` lacks a section or has an unknown one.
    """
    return read_packaged("model_card.yaml", CardTexts)


def sentence(name: str, **values: object) -> str:
    """Fill a sentence of the card; a value that it needs must be given.

    Examples
    --------
    >>> sentence("criteria", criteria="adult", trained_on=sentence("trained_on_all"))
    'adult. Training uses all encounters.'
    """
    return card_texts().sentences[name].format(**values)


def known_or_gap(text: str | None, source: str, gap: str, **values: object) -> CardFact:
    """Return a fact; where it has no text, the gap of that name says what would fill it."""
    return CardFact(text, source, card_texts().gaps[gap].format(**values))
