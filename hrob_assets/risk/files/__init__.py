"""Tables that people hand in as files, and files that appear whole or not at all.

Score files and outcome files are checked before anything is computed from them.
"""

from hrob_assets.risk.files.atomic import require_free, whole_folder
from hrob_assets.risk.files.outcomes import OutcomeColumns, read_outcomes, require_as_of
from hrob_assets.risk.files.parquet import DEFINITION, INPUTS, UNTIL, write_parquet
from hrob_assets.risk.files.scores import ScoreColumns, read_scores, without_small_levels

__all__ = [
    "DEFINITION",
    "INPUTS",
    "UNTIL",
    "OutcomeColumns",
    "ScoreColumns",
    "read_outcomes",
    "read_scores",
    "require_as_of",
    "require_free",
    "whole_folder",
    "without_small_levels",
    "write_parquet",
]
