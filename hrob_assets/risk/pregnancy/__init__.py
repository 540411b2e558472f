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
    infer_episodes,
    known_pregnancies,
    pregnancy_at,
    pregnancy_states,
    with_trimester,
)
from hrob_assets.risk.pregnancy.score import score_episodes
from hrob_assets.risk.pregnancy.signatures import SIGNATURES, pregnancy_signatures, signatures_of

__all__ = [
    "SIGNATURES",
    "KnownPregnancies",
    "infer_episodes",
    "known_pregnancies",
    "pregnancy_at",
    "pregnancy_signatures",
    "pregnancy_states",
    "score_episodes",
    "signatures_of",
    "with_trimester",
]
