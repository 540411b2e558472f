"""Pregnancy episodes, as they could be known at any prediction time.

Three published ideas, in this order: outcomes anchor episodes (Matcho hierarchy and spacing),
gestational-age signatures date them, and the agreement of the signatures says how precisely.

References
----------
Matcho et al. 2018, PLoS ONE 13(2) e0192033 (hierarchy, terms, spacing).
Jones et al. 2023, JAMIA Open 6(3) ooad067 (HIPPS: HIP, PPS and ESD).
"""

from hrob_assets.risk.pregnancy.episodes import (
    KnownPregnancies,
    known_pregnancies,
    pregnancy_states,
    with_trimester,
)
from hrob_assets.risk.pregnancy.layout import NULL_INTEGER
from hrob_assets.risk.pregnancy.signatures import (
    PREGNANCY_CODE_SETS,
    PREGNANCY_SIGNATURES,
    pregnancy_signatures,
    signatures_of,
)
from hrob_assets.risk.pregnancy.terms import (
    FULL_TERM_DAYS,
    POSTPARTUM_DAYS,
    PRECISION_CLASSES,
    SECOND_TRIMESTER_DAYS,
    TERM_BIRTH_DAYS,
    THIRD_TRIMESTER_DAYS,
    VIABLE_DAYS,
    trimester_of,
)

__all__ = [
    "FULL_TERM_DAYS",
    "NULL_INTEGER",
    "POSTPARTUM_DAYS",
    "PRECISION_CLASSES",
    "PREGNANCY_CODE_SETS",
    "PREGNANCY_SIGNATURES",
    "SECOND_TRIMESTER_DAYS",
    "TERM_BIRTH_DAYS",
    "THIRD_TRIMESTER_DAYS",
    "VIABLE_DAYS",
    "KnownPregnancies",
    "known_pregnancies",
    "pregnancy_signatures",
    "pregnancy_states",
    "signatures_of",
    "trimester_of",
    "with_trimester",
]
