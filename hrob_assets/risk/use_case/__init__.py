"""The use case: one question, as data. Everything a risk model is, and nothing of where it runs.

A use case imports no model; whoever reads its YAML passes the names of the model types that exist.
"""

from hrob_assets.risk.use_case.card import Card
from hrob_assets.risk.use_case.files import UseCaseFiles
from hrob_assets.risk.use_case.model import (
    COMPARATOR_FAMILY,
    Choice,
    FamilySpec,
    ModelSpec,
    Threshold,
    Tuning,
)
from hrob_assets.risk.use_case.operation import GROUP_NAMES, Acceptance, Monitoring, SilentArm
from hrob_assets.risk.use_case.question import (
    Characteristic,
    Criterion,
    Outcome,
    OutcomeComponent,
    Split,
)
from hrob_assets.risk.use_case.use_case import UseCase, UseCaseProblem, find_problems, use_case_from

__all__ = [
    "COMPARATOR_FAMILY",
    "GROUP_NAMES",
    "Acceptance",
    "Card",
    "Characteristic",
    "Choice",
    "Criterion",
    "FamilySpec",
    "ModelSpec",
    "Monitoring",
    "Outcome",
    "OutcomeComponent",
    "SilentArm",
    "Split",
    "Threshold",
    "Tuning",
    "UseCase",
    "UseCaseFiles",
    "UseCaseProblem",
    "find_problems",
    "use_case_from",
]
