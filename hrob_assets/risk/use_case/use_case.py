"""A use case as a whole, read from parsed YAML; every problem is found at once."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from hrob_assets.risk.errors import ConfigurationError, nearest
from hrob_assets.risk.use_case.card import Card
from hrob_assets.risk.use_case.constraints import STRICT, Name
from hrob_assets.risk.use_case.model import ModelSpec, Threshold
from hrob_assets.risk.use_case.operation import Acceptance, Fairness, Monitoring, Scoring
from hrob_assets.risk.use_case.question import Characteristic, Cohort, Goal, Outcome, Split


@dataclass(frozen=True, config=STRICT)
class UseCase:
    """A risk model, complete and without a place."""

    name: Name
    title: str
    question: str
    owner: str
    goal: Goal
    cohort: Cohort
    outcome: Outcome
    split: Split
    model: ModelSpec
    threshold: Threshold
    acceptance: Acceptance
    fairness: Fairness
    scoring: Scoring
    monitoring: Monitoring
    notes: tuple[str, ...] = ()
    baseline: tuple[Characteristic, ...] = ()
    card: Card = field(default_factory=Card)


_ADAPTER = TypeAdapter(UseCase)


@dataclass(frozen=True)
class UseCaseProblem:
    """One thing that is wrong: where in the YAML, and what."""

    path: tuple[str | int, ...]
    what: str

    def __str__(self) -> str:
        return f"{'.'.join(str(part) for part in self.path) or 'use_case'}: {self.what}"


def use_case_from(values: Mapping[str, Any]) -> UseCase:
    """Build a use case from parsed YAML.

    Raises
    ------
    ConfigurationError
        Naming each key that is unknown, missing or out of bounds, and the nearest valid one.

    Examples
    --------
    >>> use_case_from({"nam": "x"})
    Traceback (most recent call last):
    ...
    hrob_assets.risk.errors.ConfigurationError: ...nam: unknown key. Did you mean 'name'?...
    """
    if problems := find_problems(values):
        lines = "\n".join(f"  {problem}" for problem in problems)
        msg = f"the use case must be complete and have known keys only:\n{lines}"
        raise ConfigurationError(msg)
    return _ADAPTER.validate_python(dict(values))


def find_problems(
    values: Mapping[str, Any], *, model_types: Sequence[str] | None = None
) -> tuple[UseCaseProblem, ...]:
    """Everything that is wrong with parsed YAML, each with its path; empty when nothing is.

    Parameters
    ----------
    values : mapping
        Parsed YAML.
    model_types : sequence of str, optional
        Names of the model types that exist; without them, any name is accepted.

    Examples
    --------
    >>> str(find_problems({"nam": "x"})[-1])
    "nam: unknown key. Did you mean 'name'?"
    """
    try:
        _ADAPTER.validate_python(dict(values), context={"model_types": model_types})
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False)
        return tuple(UseCaseProblem(tuple(item["loc"]), _what(item)) for item in items)
    return ()


def _what(item: Any) -> str:
    if item["type"] == "unexpected_keyword_argument":
        return f"unknown key. {nearest(str(item['loc'][-1]), _keys_at(item['loc'][:-1]))}"
    return str(item["msg"])


def _keys_at(path: tuple[Any, ...]) -> list[str]:
    current: Any = UseCase
    for part in path:
        if isinstance(part, int):
            continue
        annotation = current.__pydantic_fields__[part].annotation
        current = _dataclass_in(annotation)
    return list(current.__pydantic_fields__)


def _dataclass_in(annotation: Any) -> Any:
    if hasattr(annotation, "__pydantic_fields__"):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _dataclass_in(inner)
        if found is not None:
            return found
    return None
