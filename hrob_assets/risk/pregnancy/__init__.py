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
from hrob_assets.risk.pregnancy.layout import NULL
from hrob_assets.risk.pregnancy.signatures import (
    KIND_OF_CODE_SET,
    SIGNATURES,
    pregnancy_signatures,
    signatures_of,
)
from hrob_assets.risk.pregnancy.terms import (
    FULL_TERM_DAYS,
    POSTPARTUM_DAYS,
    PRECISION,
    SECOND_TRIMESTER_DAYS,
    TERM_BIRTH_DAYS,
    THIRD_TRIMESTER_DAYS,
    VIABLE_DAYS,
    trimester_of,
)

__all__ = [
    "FULL_TERM_DAYS",
    "KIND_OF_CODE_SET",
    "NULL",
    "POSTPARTUM_DAYS",
    "PRECISION",
    "SECOND_TRIMESTER_DAYS",
    "SIGNATURES",
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
