"""What every model type shares: its contract, the design matrix, recalibration and contributions.

The model types themselves are in `types`, one file each; a file added there is a model type.
"""

from hrob_assets.risk.models.base import Family, Parameters, Range, family_of, fit_pipeline, prepare
from hrob_assets.risk.models.design_matrix import (
    Design,
    comparator_design,
    design_matrix,
    enters_as_logarithm,
)
from hrob_assets.risk.models.recalibration import (
    UNCHANGED,
    Calibration,
    Recalibration,
    Steps,
    calibration_from,
    fit_calibration,
)
from hrob_assets.risk.models.types import family_names
from hrob_assets.risk.models.types.logistic_regression import build_classifier, fit_classifier

__all__ = [
    "UNCHANGED",
    "Calibration",
    "Design",
    "Family",
    "Parameters",
    "Range",
    "Recalibration",
    "Steps",
    "build_classifier",
    "calibration_from",
    "comparator_design",
    "design_matrix",
    "enters_as_logarithm",
    "family_names",
    "family_of",
    "fit_calibration",
    "fit_classifier",
    "fit_pipeline",
    "prepare",
]
