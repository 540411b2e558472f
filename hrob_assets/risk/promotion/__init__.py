"""Whether a challenger may replace the champion, and the signed record of each decision.

The gate evaluates stored rows against criteria of the use case; nobody becomes champion without it.
"""

from hrob_assets.risk.promotion.audit_trail import (
    Decision,
    Head,
    Kind,
    SigningKey,
    are_signed,
    champion_before,
    record_of,
    signed_texts,
    verify_chain,
    withdrawn_models,
    withdrawn_versions,
)
from hrob_assets.risk.promotion.criteria import (
    BETTER_THAN_COMPARATOR,
    CRITERIA,
    SOUND,
    FrozenRows,
    Verdict,
    judge,
    not_judged,
    unmet,
)
from hrob_assets.risk.promotion.model_fingerprint import model_fingerprint

__all__ = [
    "BETTER_THAN_COMPARATOR",
    "CRITERIA",
    "SOUND",
    "Decision",
    "FrozenRows",
    "Head",
    "Kind",
    "SigningKey",
    "Verdict",
    "are_signed",
    "champion_before",
    "judge",
    "model_fingerprint",
    "not_judged",
    "record_of",
    "signed_texts",
    "unmet",
    "verify_chain",
    "withdrawn_models",
    "withdrawn_versions",
]
