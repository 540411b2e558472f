"""Codes and what they stand for: code sets by vocabulary, and the events that carry their codes.

A code set is one clinical idea in one CSV file; features, labels and cohorts refer to it by name.

References
----------
OHDSI, *The Book of OHDSI*, chapter 5: standardized vocabularies (source and standard codes).
"""

from hrob_assets.risk.vocabulary.code_set_files import read_code_sets
from hrob_assets.risk.vocabulary.code_sets import REFERENCE_RANGES, TRIMESTER_LIMITS, Code, CodeSet
from hrob_assets.risk.vocabulary.coded_events import is_abnormal, narrow_to_coded, select_coded
from hrob_assets.risk.vocabulary.matching import match_codes

__all__ = [
    "REFERENCE_RANGES",
    "TRIMESTER_LIMITS",
    "Code",
    "CodeSet",
    "is_abnormal",
    "match_codes",
    "narrow_to_coded",
    "read_code_sets",
    "select_coded",
]
