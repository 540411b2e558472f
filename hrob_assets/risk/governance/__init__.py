"""What an organisation must be able to show: model card, six steps, reporting standards, summary.

References
----------
45 CFR 170.315(b)(11) (HTI-1 source attributes); CHAI Applied Model Card v0.2; TRIPOD+AI.
"""

from hrob_assets.risk.governance.model_card import (
    STANDARDS,
    CardEvidence,
    Fact,
    ModelCard,
    model_card,
    version_kind,
)
from hrob_assets.risk.governance.six_steps import Standing, State, Step, framework_steps
from hrob_assets.risk.governance.standards import Question
from hrob_assets.risk.governance.summary import Status, Summary, summarise

__all__ = [
    "STANDARDS",
    "CardEvidence",
    "Fact",
    "ModelCard",
    "Question",
    "Standing",
    "State",
    "Status",
    "Step",
    "Summary",
    "framework_steps",
    "model_card",
    "summarise",
    "version_kind",
]
