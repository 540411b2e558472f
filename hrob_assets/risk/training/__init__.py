"""From features and labels to a tuned, fitted model with a frozen threshold.

The split keeps validation patients apart and leaves one horizon between training and test.

References
----------
Bergstra et al. 2011, NeurIPS (tree-structured Parzen estimator, as in Hyperopt).
"""

from hrob_assets.risk.training.compare_model_types import (
    choose_family,
    compare_families,
    family_table,
    shown_families,
    tellable,
)
from hrob_assets.risk.training.compare_selections import (
    ComparedSelection,
    caution,
    compare_selections,
    comparison_table,
    figures_of,
    named_selections,
    shown_comparison,
)
from hrob_assets.risk.training.feature_selection import select_features, selection_tag
from hrob_assets.risk.training.fit import fit_comparator, fit_model, train_model, with_list_size
from hrob_assets.risk.training.model import CrossFit, FittedModel, slope_of, with_columns_of
from hrob_assets.risk.training.periods import periods
from hrob_assets.risk.training.predict import (
    comparator_probability,
    contributions,
    judged_probability,
    judged_rows,
    predict,
    strongest_terms,
    term_names,
)
from hrob_assets.risk.training.sensitivity_analysis import (
    analyse_sensitivity,
    anti_classification,
    sensitivity_table,
    shown_sensitivity,
    variants_of,
)
from hrob_assets.risk.training.split import plan_split
from hrob_assets.risk.training.threshold import ListSize, capacity_threshold
from hrob_assets.risk.training.training_set import (
    TRAINING_COLUMNS,
    assemble_training_set,
    censored_rows,
    fingerprint,
    require_enough,
    require_ripe,
    training_set_tag,
)
from hrob_assets.risk.training.tuning.plan import Fold, SearchEngine, SearchPlan, Trial, best_trial
from hrob_assets.risk.training.tuning.search import search, try_parameters
from hrob_assets.risk.training.update_split import JUDGED_SHARE, judged_from, judges_whole

__all__ = [
    "JUDGED_SHARE",
    "TRAINING_COLUMNS",
    "ComparedSelection",
    "CrossFit",
    "FittedModel",
    "Fold",
    "ListSize",
    "SearchEngine",
    "SearchPlan",
    "Trial",
    "analyse_sensitivity",
    "anti_classification",
    "assemble_training_set",
    "best_trial",
    "capacity_threshold",
    "caution",
    "censored_rows",
    "choose_family",
    "comparator_probability",
    "compare_families",
    "compare_selections",
    "comparison_table",
    "contributions",
    "family_table",
    "figures_of",
    "fingerprint",
    "fit_comparator",
    "fit_model",
    "judged_from",
    "judged_probability",
    "judged_rows",
    "judges_whole",
    "named_selections",
    "periods",
    "plan_split",
    "predict",
    "require_enough",
    "require_ripe",
    "search",
    "select_features",
    "selection_tag",
    "sensitivity_table",
    "shown_comparison",
    "shown_families",
    "shown_sensitivity",
    "slope_of",
    "strongest_terms",
    "tellable",
    "term_names",
    "train_model",
    "training_set_tag",
    "try_parameters",
    "variants_of",
    "with_columns_of",
    "with_list_size",
]
