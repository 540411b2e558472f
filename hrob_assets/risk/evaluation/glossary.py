"""What each metric is, in words: the order, labels and definitions that every report uses."""

from collections.abc import Mapping

from hrob_assets.risk.evaluation.report import Definition

METRICS: Mapping[str, Definition] = {
    "prevalence": Definition("Prevalence", "Share of rows with the outcome.", is_share=True),
    "mean_predicted": Definition(
        "Mean predicted risk", "Mean of the predicted probabilities.", is_share=True
    ),
    "calibration_factor": Definition(
        "Calibration factor",
        "Mean predicted risk minus share with the outcome. Above 0: the model predicts too much.",
        ideal=0.0,
    ),
    "observed_over_expected": Definition(
        "Observed over expected (O:E)",
        "Number of rows with the outcome over the sum of the predicted probabilities; above 1, "
        "more events occur than the model predicts.",
        ideal=1.0,
    ),
    "calibration_in_the_large": Definition(
        "Calibration in the large",
        "Intercept of a logistic regression of the outcome with the logit of the prediction as an "
        "offset. Above 0: the model predicts too little.",
        ideal=0.0,
    ),
    "calibration_slope": Definition(
        "Calibration slope",
        "Slope of a logistic regression of the outcome on the logit of the prediction. Below 1: "
        "predictions are too extreme.",
        ideal=1.0,
    ),
    "ici": Definition(
        "Integrated calibration index",
        "Mean distance between predicted risk and flexible calibration curve. Never 0 in a "
        "sample: compare it with its expected value.",
        ideal=0.0,
    ),
    "e50": Definition("E50", "Median distance between prediction and curve.", ideal=0.0),
    "e90": Definition("E90", "90th percentile of the distance between prediction and curve.", 0.0),
    "emax": Definition("Emax", "Largest distance between prediction and curve.", ideal=0.0),
    "auroc": Definition(
        "AUROC",
        "Chance that a row with the outcome has a higher prediction than one without; ties count "
        "half. 0.5 is a coin.",
        ideal=1.0,
    ),
    "auprc": Definition(
        "AUPRC",
        "Average precision: mean, over the rows with the outcome, of the share of true ones among "
        "all rows that rank as high. A coin has the prevalence.",
        ideal=1.0,
    ),
    "brier": Definition("Brier score", "Mean squared distance of prediction and outcome.", 0.0),
    "scaled_brier": Definition(
        "Scaled Brier score",
        "1 minus the Brier score over that of predicting the prevalence for everybody.",
        ideal=1.0,
    ),
    "log_loss": Definition(
        "Log loss",
        "Mean negative logarithm of the probability given to what happened; probabilities are "
        "clipped to [0.000001, 0.999999].",
        ideal=0.0,
    ),
    "alert_rate": Definition(
        "Alert rate", "Share of rows at or above the threshold.", is_share=True
    ),
    "sensitivity": Definition(
        "Sensitivity", "Share of rows with the outcome that are high risk.", 1.0, is_share=True
    ),
    "specificity": Definition(
        "Specificity", "Share of rows without the outcome that are not high risk.", 1.0,
        is_share=True,
    ),
    "positive_predictive_value": Definition(
        "Positive predictive value", "Share of high-risk rows with the outcome.", 1.0,
        is_share=True,
    ),
    "negative_predictive_value": Definition(
        "Negative predictive value", "Share of low-risk rows without the outcome.", 1.0,
        is_share=True,
    ),
    "accuracy": Definition(
        "Accuracy", "Share of rows on the right side of the threshold.", 1.0, is_share=True
    ),
    "lift": Definition("Lift", "Positive predictive value over prevalence."),
    "odds_ratio": Definition(
        "Odds ratio", "Odds of the outcome at high risk over the odds at low risk."
    ),
    "net_benefit": Definition(
        "Net benefit",
        "True positives per row, less false positives per row times the odds of the threshold. "
        "Calling nobody high risk has 0.",
    ),
}  # fmt: skip
"""By name, in the order in which they are shown."""
