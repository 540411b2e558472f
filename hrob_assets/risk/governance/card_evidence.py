"""What a model card is made from, and the facts that it states."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hrob_assets.risk.evaluation import EvaluationReport

VersionKind = Literal["training", "refit", "recalibration"]


@dataclass(frozen=True)
class CardFact:
    """One thing that is known of a model, or a gap.

    Parameters
    ----------
    text : str or None
        None where it is not known.
    source : str
        ``use case``, ``card``, ``evaluation``, ``registry``, ``environment`` or ``design`` (holds
        for every model of this project).
    fill : str
        What to fill or to do where it is not known.
    """

    text: str | None
    source: str
    fill: str = ""

    @property
    def shown(self) -> str:
        """The text, or what would fill the gap."""
        return f"Not given: {self.fill}" if self.text is None else self.text


@dataclass(frozen=True)
class CardEvidence:
    """What lineage knows of a model version; whatever is left out is a gap on the card.

    Parameters
    ----------
    report : EvaluationReport, optional
    version, registered_on : str, optional
        Version in the registry, and the day on which it was registered.
    tags : mapping of str to str
        Of the version: commit, configuration, training set.
    family : str, optional
    compared : tuple of str
        Other model types that were evaluated on the same validation patients.
    trials : int, optional
        Of the search of its parameters; 0 where nothing was searched.
    parameters : mapping of str to float
        Those of the best trial.
    scaled : bool, optional
        Whether numbers are standardised before the classifier.
    exact_reasons : bool, optional
        Whether the terms of a row add up to its log-odds.
    threshold : float, optional
    training_rows, training_persons, training_events : int, optional
    features : mapping of str to int
        Number of columns that the model takes, by group.
    feature_families : mapping of str to tuple of str
        Families of these columns, by group.
    strongest : tuple of str
        Names of its strongest terms.
    strength : str
        By what they are the strongest, in words.
    variants : tuple of str
        Refits of the sensitivity analysis of this version.
    baseline_sentence : str, optional
    decision : mapping, optional
        The last record of the gate: ``kind``, ``reason``, ``decided_at``, ``criteria``.
    source : str, optional
        What the data are, in words.
    """

    report: EvaluationReport | None = None
    version: str | None = None
    registered_on: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    family: str | None = None
    compared: tuple[str, ...] = ()
    trials: int | None = None
    parameters: Mapping[str, float] = field(default_factory=dict[str, float])
    scaled: bool | None = None
    exact_reasons: bool | None = None
    threshold: float | None = None
    training_rows: int | None = None
    training_persons: int | None = None
    training_events: int | None = None
    features: Mapping[str, int] = field(default_factory=dict[str, int])
    feature_families: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )
    strongest: tuple[str, ...] = ()
    strength: str = ""
    variants: tuple[str, ...] = ()
    baseline_sentence: str | None = None
    decision: Mapping[str, Any] | None = None
    source: str | None = None


def version_kind(evidence: CardEvidence) -> VersionKind:
    """How a version was made; by this its rows are divided."""
    update = evidence.tags.get("update")
    if update is None:
        return "training"
    return "refit" if update == "refit" else "recalibration"
