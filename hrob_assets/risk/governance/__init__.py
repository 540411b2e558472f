"""What an organisation must be able to show: model card, six steps, reporting standards, summary.

Every statement comes from the use case, the registry or an evaluation; what nothing states is shown
as a gap. The texts are YAML beside the code.

References
----------
45 CFR 170.315(b)(11)(iv)(B), source attributes of predictive decision support interventions.
Collins et al. 2024, BMJ 385, e078378 (TRIPOD+AI). Norgeot et al. 2020, Nat Med 26 (MI-CLAIM).
Coalition for Health AI, *Applied Model Card*, version 0.2.
"""

from hrob_assets.risk.governance.card_evidence import CardEvidence, CardFact, version_kind
from hrob_assets.risk.governance.model_card import ModelCard, model_card
from hrob_assets.risk.governance.six_steps import (
    FrameworkStep,
    StepState,
    UseCaseStanding,
    framework_steps,
)
from hrob_assets.risk.governance.standards import StandardQuestion, reporting_standards
from hrob_assets.risk.governance.summary import (
    EvaluationSummary,
    SummaryStatus,
    summarise_evaluation,
)

__all__ = [
    "CardEvidence",
    "CardFact",
    "EvaluationSummary",
    "FrameworkStep",
    "ModelCard",
    "StandardQuestion",
    "StepState",
    "SummaryStatus",
    "UseCaseStanding",
    "framework_steps",
    "model_card",
    "reporting_standards",
    "summarise_evaluation",
    "version_kind",
]
