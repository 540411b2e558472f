"""Pregnancy episodes, as they could be known at any prediction time.

Three published ideas, in this order: outcomes anchor episodes (Matcho hierarchy and spacing),
gestational-age signatures date them, and the agreement of the signatures says how precisely.

References
----------
Matcho et al. 2018, PLoS ONE 13(2) e0192033 (hierarchy, terms, spacing).
Jones et al. 2023, JAMIA Open 6(3) ooad067 (HIPPS: HIP, PPS and ESD).
"""

from hrob_assets.risk.pregnancy.episodes import infer_episodes, pregnancy_at
from hrob_assets.risk.pregnancy.score import score_episodes
from hrob_assets.risk.pregnancy.signatures import SIGNATURES, pregnancy_signatures

__all__ = [
    "SIGNATURES",
    "infer_episodes",
    "pregnancy_at",
    "pregnancy_signatures",
    "score_episodes",
]
