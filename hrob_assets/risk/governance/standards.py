"""What reporting standards ask for, and which fact of a model card answers it.

The questions are data: ``standards.yaml`` beside this module.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hrob_assets.risk.governance.packaged_yaml import read_packaged

_STRICT = ConfigDict(extra="forbid")
_Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=_STRICT)
class _Item:
    number: _Text
    asked: _Text
    fact: _Text
    where: _Text


@dataclass(frozen=True, config=_STRICT)
class _Part:
    name: _Text
    questions: tuple[_Item, ...]


@dataclass(frozen=True, config=_STRICT)
class _Standard:
    name: _Text
    source: _Text
    parts: tuple[_Part, ...]


@dataclass(frozen=True, config=_STRICT)
class _Standards:
    standards: tuple[_Standard, ...]


@dataclass(frozen=True, config=_STRICT)
class StandardQuestion:
    """One thing that a standard asks for.

    Parameters
    ----------
    part : str
        Heading of the standard under which it is asked.
    number : str
        Its number in the standard.
    asked : str
    fact : str
        Name of the fact that answers it; see `hrob_assets.risk.governance.facts.card_facts`.
    where : str
        Where to read more: a report, an asset or a file.
    """

    part: str
    number: str
    asked: str
    fact: str
    where: str


@cache
def reporting_standards() -> Mapping[str, tuple[StandardQuestion, ...]]:
    """Questions of each reporting standard, by its name and in its order.

    Raises
    ------
    ConfigurationError
        If ``standards.yaml`` lacks a key or has an unknown one.

    References
    ----------
    45 CFR 170.315(b)(11)(iv)(B), source attributes of predictive decision support interventions.
    Norgeot et al. 2020, Nat Med 26, 1320-1324 (MI-CLAIM).
    Collins et al. 2024, BMJ 385, e078378 (TRIPOD+AI).

    Examples
    --------
    >>> {name: len(asked) for name, asked in reporting_standards().items()}
    {'ONC source attributes': 31, 'MI-CLAIM': 22, 'TRIPOD+AI': 52}
    """
    return {
        standard.name: tuple(
            StandardQuestion(part.name, each.number, each.asked, each.fact, each.where)
            for part in standard.parts
            for each in part.questions
        )
        for standard in read_packaged("standards.yaml", _Standards).standards
    }
