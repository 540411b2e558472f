"""An evaluation report whose figures are made up, for the tests of the pages."""

from datetime import date

import numpy as np
import polars as pl

from hrob_assets.risk.cohort.baseline import baseline_table
from hrob_assets.risk.evaluation.analysis import (
    Allocation,
    Analysis,
    AntiClassification,
    CalibrationBin,
    Counts,
    CurvePoint,
    FairnessReport,
    GroupFairness,
    GroupShare,
    LabelAudit,
    Metric,
    ParityGap,
    ThresholdRow,
)
from hrob_assets.risk.evaluation.report import Definition, EvaluationReport, Method, Subject
from hrob_assets.risk.promotion.criteria import Verdict
from hrob_assets.risk.reporting.pages.parts import ModelTerms, ReportContext
from hrob_assets.risk.use_case import Characteristic

DEFINITIONS = {
    "prevalence": Definition("prevalence", "Share of rows with the outcome.", is_share=True),
    "alert_rate": Definition("alert rate", "Share of rows on the list.", is_share=True),
    "sensitivity": Definition("sensitivity", "Share found of the outcomes.", 1.0, is_share=True),
    "specificity": Definition("specificity", "Share left out of the others.", 1.0, is_share=True),
    "positive_predictive_value": Definition("PPV", "Share with the outcome.", 1.0, is_share=True),
    "negative_predictive_value": Definition("NPV", "Share without it.", 1.0, is_share=True),
    "lift": Definition("lift", "PPV over prevalence."),
    "odds_ratio": Definition("odds ratio", "Odds on the list over odds off it."),
    "auroc": Definition("AUROC", "Chance that a case ranks above another row.", 1.0),
    "brier": Definition("Brier score", "Mean squared distance.", 0.0),
    "calibration_factor": Definition("calibration factor", "Mean estimated - observed.", 0.0),
    "observed_over_expected": Definition("E/O", "Expected over observed outcomes.", 1.0),
    "ici": Definition("ICI", "Mean distance of the curve from the line.", 0.0),
}
CURVE = tuple(
    CurvePoint(p, p * 0.95 + 0.005, p * 0.85, p * 1.05 + 0.015) for p in np.linspace(0.01, 0.5, 40)
)


def metrics(factor=0.002, width=0.008):
    """Figures of one set of rows."""
    near = {
        "prevalence": (0.10, 0.01), "alert_rate": (0.08, 0.005), "sensitivity": (0.21, 0.02),
        "specificity": (0.93, 0.01), "positive_predictive_value": (0.26, 0.03),
        "negative_predictive_value": (0.91, 0.01), "lift": (2.5, 0.3), "odds_ratio": (3.55, 0.6),
        "auroc": (0.712, 0.02), "brier": (0.086, 0.004), "observed_over_expected": (1.02, 0.08),
    }  # fmt: skip
    found = {
        name: Metric(value, value - d, value + d, "patient-cluster bootstrap", 1.6)
        for name, (value, d) in near.items()
    }
    found["calibration_factor"] = Metric(factor, factor - width, factor + width, None, 3.1)
    found["ici"] = Metric(0.006, 0.003, 0.012, None, None, expected=0.004)
    return found


def analysis(name, dimension=None, level=None, *, unit="encounter", factor=0.002, width=0.008):
    """One analysis with everything that it may have."""
    bins = tuple(CalibrationBin(n + 1, 2843, 0.04 * n + 0.02, 0.038 * n + 0.02) for n in range(10))
    thresholds = tuple(
        ThresholdRow(
            t, 0.5 - t, 0.9 - t, 0.5 + t, 0.1 + t, 0.95, 0.08 - 0.2 * t, 0.07 - 0.2 * t,
            0.09 - 0.2 * t, 0.1 - 0.9 * t / (1 - t), 20 * t,
        )
        for t in np.linspace(0.01, 0.5, 50).round(2).tolist()
    )  # fmt: skip
    return Analysis(
        name, dimension, level, unit, "exploratory" if dimension == "era" else "pre-specified",
        Counts(28433, 2385, 2945, 2274, 591, 1683, 2354, 23805), metrics(factor, width),
        CURVE, bins, thresholds,
    )  # fmt: skip


def group(dimension, level, verdict, factor, width, needed=None):
    """One group with its verdict."""
    of = analysis(f"{dimension}: {level}", dimension, level, factor=factor, width=width)
    return GroupFairness(
        of, verdict, abs(factor) < width, factor - 2 * width, factor + 2 * width, 900, needed
    )


def too_few(dimension, level):
    """A group of which nothing may be told."""
    none = Counts(*[None] * 8)
    of = Analysis(f"{dimension}: {level}", dimension, level, "encounter", "pre-specified", none, {},
                  suppressed="fewer than 11 patients")  # fmt: skip
    return GroupFairness(of, "too few", None, None, None, None, None)


def example_report(*, fairness=True):
    """The whole of a report."""
    groups = (
        group("race", "White", "calibrated", 0.001, 0.007, 0),
        group("race", "Black or African American", "not calibrated", 0.041, 0.015, 0),
        group("race", "American Indian or Alaska Native", "undetermined", 0.01, 0.04, 1400),
        too_few("race", "Other"),
        group("gender", "female", "calibrated", -0.001, 0.012, 0),
        group("gender", "male", "undetermined", 0.012, 0.014, 500),
    )
    found = FairnessReport(
        0.02, ("race", "gender"), groups,
        (group("race x gender", "White x female", "calibrated", 0.001, 0.009, 0),),
        (ParityGap("race", "sensitivity", "White", "Black or African American",
                   Metric(0.08, 0.02, 0.14)),),
        (Allocation("race", "White", 0.7, 0.66, 0.61, Metric(1.08, 1.01, 1.15)),
         Allocation("race", "Black or African American", 0.2, 0.22, 0.27, Metric(0.81, 0.7, 0.93))),
        (GroupShare("payer", "race", "White", 0.02), GroupShare("payer", "race", "Other", None)),
        LabelAudit(
            statement="Visits are read from claims and records.", is_proxy=False,
            sources={"ed_visit": "visit type"},
            components=(GroupShare("ed_visit", "race", "White", 0.1),),
        ),
        AntiClassification(("race", "ethnicity"), Metric(0.001, -0.002, 0.003),
                           Metric(-0.0001, -0.0003, 0.0001), Metric(0.0002, -0.001, 0.001)),
        {"calibrated": 2, "not calibrated": 1, "undetermined": 2, "too few": 1},
    )  # fmt: skip
    return EvaluationReport(
        Subject(
            "oncology_ed_visit", "Emergency visits of patients with cancer",
            "emergency department visit", "7", "the test period of the example",
            date(2019, 3, 1), date(2019, 9, 30), 0.2, "model", 0.1,
        ),
        Method(2000, 7, 0.95, 11, ("Patients are drawn with replacement.",)),
        DEFINITIONS,
        (
            analysis("all rows"),
            analysis("all rows", unit="patient"),
            analysis("era: before", "era", "before"),
            analysis("era: after", "era", "after", factor=0.03),
        ),
        found if fairness else None,
    )  # fmt: skip


def example_baseline():
    """Table 1 of a made-up training set."""
    rng = np.random.default_rng(1)
    n = 900
    rows = pl.DataFrame(
        {
            "person_id": np.arange(n),
            "prediction_time": [date(2019, 1, 1)] * n,
            "split": np.repeat(["train", "validation", "test"], n // 3),
            "age": rng.normal(65, 12, n).round(),
            "race": rng.choice(["White", "Black", "Asian"], n, p=[0.8, 0.18, 0.02]),
        }
    )
    return baseline_table(
        rows,
        characteristics=[
            Characteristic("Age", feature="age", unit="years"),
            Characteristic("Race", person="race"),
        ],
        parts=["train", "validation", "test"],
    )  # fmt: skip


def example_context(**changed: object):
    """Everything that a use case knows beside its evaluation."""
    values = {
        "goal": "If the team anticipates a visit they will call, which will help.",
        "question": "Who will come to the emergency department within 60 days?",
        "criteria": [
            Verdict("ranks well enough", "AUROC at least 0.65", "0.712", passed=True),
            Verdict("is calibrated", "factor within +-0.02", "+0.0020", passed=True),
        ],
        "decision": "Version 7 became champion: there was none before.",
        "baseline": example_baseline(),
        "baseline_sentence": "Of 300 patients, the median age was 65 years.",
        "terms": ModelTerms(
            [("age__years", 0.31), ("ed_visit__count_30d", 0.22)], "log-odds per standard deviation"
        ),
        "comparison": {
            "Model families": pl.DataFrame(
                {
                    "family": ["logistic regression", "random forest"],
                    "auroc": [0.712, 0.719], "auroc_low": [0.69, 0.70], "auroc_high": [0.73, 0.74],
                }
            ),
            "Left out one by one": pl.DataFrame(
                {
                    "without": ["labs", "social_determinants"],
                    "auroc_change": [-0.012, -0.001], "auroc_change_low": [-0.02, -0.004],
                    "auroc_change_high": [-0.004, 0.002],
                }
            ),
        },
        "choice": "Logistic regression: no family is better by more than the margin.",
        "lineage": {"git_commit": "0123abc", "training_set": "feedbeef"},
        "made_on": date(2020, 1, 6),
        "notes": ["The figures of this example are made up."],
    }  # fmt: skip
    return ReportContext(**(values | changed))
