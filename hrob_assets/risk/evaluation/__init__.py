"""How well a set of predictions ranks, how true its probabilities are, and for whom.

Everything is computed from one set of rows with patient-cluster intervals; pages only draw it.

References
----------
Huntsman Cancer Institute and Flatiron Health, framework for the evaluation of clinical risk models
(calibration factor by group with bootstrap intervals).
Van Calster et al. 2019, BMC Medicine 17:230 (why calibration decides).
"""

from hrob_assets.risk.evaluation.analysis import (
    Analysis,
    AntiClassification,
    Counts,
    FairnessReport,
    GroupFairness,
    GroupShare,
    LabelAudit,
    Metric,
    ThresholdRow,
)
from hrob_assets.risk.evaluation.differences import (
    COMPARED,
    gains,
    improvements,
    paired_mean_difference,
    sign_of,
)
from hrob_assets.risk.evaluation.evaluate import ReportOptions, era_boundary, evaluate_scores
from hrob_assets.risk.evaluation.fairness import group_draw, measure_groups, shares_by_group
from hrob_assets.risk.evaluation.golden_bands import (
    bands_from,
    feature_figures,
    judge_bands,
    model_figures,
)
from hrob_assets.risk.evaluation.measures import (
    Draw,
    Measured,
    measure,
    measure_performance,
    measure_sums,
)
from hrob_assets.risk.evaluation.performance import (
    Evaluation,
    calibration_table,
    evaluate,
    safe_figures,
    summarise,
)
from hrob_assets.risk.evaluation.report import (
    Definition,
    EvaluationReport,
    Subject,
    from_json,
    to_json,
)
from hrob_assets.risk.evaluation.tables import evaluation_tables, write_evaluation_tables

__all__ = [
    "COMPARED",
    "Analysis",
    "AntiClassification",
    "Counts",
    "Definition",
    "Draw",
    "Evaluation",
    "EvaluationReport",
    "FairnessReport",
    "GroupFairness",
    "GroupShare",
    "LabelAudit",
    "Measured",
    "Metric",
    "ReportOptions",
    "Subject",
    "ThresholdRow",
    "bands_from",
    "calibration_table",
    "era_boundary",
    "evaluate",
    "evaluate_scores",
    "evaluation_tables",
    "feature_figures",
    "from_json",
    "gains",
    "group_draw",
    "improvements",
    "judge_bands",
    "measure",
    "measure_groups",
    "measure_performance",
    "measure_sums",
    "model_figures",
    "paired_mean_difference",
    "safe_figures",
    "shares_by_group",
    "sign_of",
    "summarise",
    "to_json",
    "write_evaluation_tables",
]
