"""The statistics beneath everything else: resampling, calibration, 2x2 tables, net benefit.

Every estimator stands here once, so that a page, the Dagster UI and the gate show the same number.

References
----------
Van Calster et al. 2016, J Clin Epidemiol 74:167 (hierarchy of calibration).
Vickers and Elkin 2006, Med Decis Making 26:565 (net benefit).
Bouwmeester et al. 2013, Am J Epidemiol 177:1209 (resample clusters, not rows within them).
"""

from hrob_assets.risk.statistics.bootstrap import (
    CONFIDENCE,
    REPLICATES,
    Estimate,
    Replicates,
    estimate,
    interval,
    person_sums,
    replicate,
    resampled_sums,
    seed_of,
)
from hrob_assets.risk.statistics.calibration import Calibration, calibrate, fit_line
from hrob_assets.risk.statistics.calibration_replicates import (
    CalibrationReplicates,
    calibrate_replicates,
    expected_distances,
    in_bins,
    logit_bins,
)
from hrob_assets.risk.statistics.confusion_matrix import Cells, Z, log_odds_ratio, wilson, woolf
from hrob_assets.risk.statistics.distances import DISTANCES
from hrob_assets.risk.statistics.hashing import GAMMA, next_uniform, person_fraction, scramble
from hrob_assets.risk.statistics.influence import auprc_influence, auroc_influence, design_effect
from hrob_assets.risk.statistics.logistic import (
    CLIP,
    cluster_robust_covariance,
    clustered_products,
    expit,
    fit_logistic,
    logit,
)
from hrob_assets.risk.statistics.metrics import (
    index_of_shares,
    population_stability_index,
    ranking_areas,
    row_brier,
    row_log_loss,
)
from hrob_assets.risk.statistics.net_benefit import (
    THRESHOLDS,
    interventions_avoided,
    net_benefit,
    net_benefit_of_all,
)
from hrob_assets.risk.statistics.ranked_rows import (
    FEWEST_EVENTS,
    FEWEST_PERSONS,
    RankedRows,
    rank_rows,
)

__all__ = [
    "CLIP",
    "CONFIDENCE",
    "DISTANCES",
    "FEWEST_EVENTS",
    "FEWEST_PERSONS",
    "GAMMA",
    "REPLICATES",
    "THRESHOLDS",
    "Calibration",
    "CalibrationReplicates",
    "Cells",
    "Estimate",
    "RankedRows",
    "Replicates",
    "Z",
    "auprc_influence",
    "auroc_influence",
    "calibrate",
    "calibrate_replicates",
    "cluster_robust_covariance",
    "clustered_products",
    "design_effect",
    "estimate",
    "expected_distances",
    "expit",
    "fit_line",
    "fit_logistic",
    "in_bins",
    "index_of_shares",
    "interval",
    "interventions_avoided",
    "log_odds_ratio",
    "logit",
    "logit_bins",
    "net_benefit",
    "net_benefit_of_all",
    "next_uniform",
    "person_fraction",
    "person_sums",
    "population_stability_index",
    "rank_rows",
    "ranking_areas",
    "replicate",
    "resampled_sums",
    "row_brier",
    "row_log_loss",
    "scramble",
    "seed_of",
    "wilson",
    "woolf",
]
