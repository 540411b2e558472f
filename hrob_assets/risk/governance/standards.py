"""What reporting standards ask for, in our own words, and which fact of a model card answers it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """One thing that a standard asks for.

    Parameters
    ----------
    part : str
    number : str
    asked : str
    fact : str
        Name of the fact that answers it; see `hrob_assets.risk.governance.model_card.card_facts`.
    where : str
        Where more of it is: a report, an asset, a file.
    """

    part: str
    number: str
    asked: str
    fact: str
    where: str


def _questions(part: str, *rows: tuple[str, str, str, str]) -> tuple[Question, ...]:
    return tuple(Question(part, *row) for row in rows)


ONC = (
    *_questions(
        "Details and output",
        ("1", "Developer and contact", "developer_contact", "defs.yaml"),
        ("2", "Funding of the development", "funding", "defs.yaml"),
        ("3", "Value that is given as output", "output_value", "weekly list"),
        ("4", "Kind of output", "output_type", "weekly list"),
    ),
    *_questions(
        "Purpose",
        ("5", "Intended use", "intended_use", "summary"),
        ("6", "Intended patients", "population", "defs.yaml: cohort"),
        ("7", "Intended users", "users", "defs.yaml"),
        ("8", "Role in the decision", "decision_role", "summary"),
    ),
    *_questions(
        "Out of scope",
        ("9", "Cautioned uses", "cautioned_uses", "defs.yaml"),
        ("10", "Known risks, inappropriate settings and limitations", "known_risks", "defs.yaml"),
    ),
    *_questions(
        "Development and input",
        ("11", "Who is in the training data and who is not", "criteria", "cohort"),
        (
            "12",
            "Demographic and social variables as input",
            "sensitive_inputs",
            "feature_selection",
        ),
        (
            "13",
            "Whether the training data stand for the patients",
            "representativeness",
            "baseline",
        ),
        ("14", "Relevance of the training data to the setting", "relevance", "baseline"),
    ),
    *_questions(
        "Fairness in development",
        ("15", "How fairness was sought", "fairness_process", "fairness"),
        ("16", "How bias was reduced", "bias_mitigation", "fairness"),
    ),
    *_questions(
        "External validation",
        ("17", "Data and setting", "external_validation", "defs.yaml"),
        ("18", "Who did it", "external_party", "defs.yaml"),
        ("19", "Whom these data stand for", "external_representativeness", "defs.yaml"),
        ("20", "How it was done", "external_process", "defs.yaml"),
    ),
    *_questions(
        "Measures of performance",
        ("21", "Validity in data of the development", "validity", "evaluation"),
        ("22", "Fairness in data of the development", "fairness", "fairness"),
        ("23", "Validity in external data", "external_validity", "defs.yaml"),
        ("24", "Fairness in external data", "external_fairness", "defs.yaml"),
        ("25", "Effect on outcomes, with references", "outcome_impact", "defs.yaml"),
    ),
    *_questions(
        "Maintenance",
        ("26", "How and how often validity is watched", "monitoring", "weekly_calibration"),
        ("27", "Validity at this place", "local_validity", "evaluation"),
        (
            "28",
            "How and how often fairness is watched",
            "fairness_monitoring",
            "weekly_calibration",
        ),
        ("29", "Fairness at this place", "local_fairness", "fairness"),
    ),
    *_questions(
        "Update",
        ("30", "How and how often it is updated", "update_process", "champion_model"),
        (
            "31",
            "How performance is corrected when it falls",
            "correction_process",
            "champion_model",
        ),
    ),
)
"""The 31 source attributes of 45 CFR 170.315 (b)(11)(iv)(B) for predictive interventions."""

MI_CLAIM = (
    *_questions(
        "1 Study design",
        ("1.1", "Clinical problem in which it is used", "goal", "summary"),
        ("1.2", "Question that is answered", "question", "summary"),
        ("1.3", "Characteristics of the cohorts", "characteristics", "baseline"),
        ("1.4", "Whether they stand for clinical practice", "representativeness", "baseline"),
        ("1.5", "Solution that it is compared with", "comparator", "comparison"),
    ),
    *_questions(
        "2 Data for training and for testing",
        ("2.1", "Where the data are from", "data_source", "staged tables"),
        ("2.2", "What is done to them before the model", "preparation", "data dictionary"),
        ("2.3", "How training and test are kept apart", "partition", "training_set"),
        ("2.4", "Whether test patients are other patients", "independence", "evaluation"),
    ),
    *_questions(
        "3 Optimisation and choice of the model",
        ("3.1", "Models that were tried", "families", "comparison"),
        ("3.2", "How parameters were searched", "tuning", "trained_model"),
        ("3.3", "Kind of input", "input_types", "data dictionary"),
    ),
    *_questions(
        "4 Performance",
        ("4.1", "Main measures, and why these", "measures", "evaluation"),
        ("4.2", "Measures of clinical use", "utility", "evaluation"),
        ("4.3", "Performance with intervals", "validity", "evaluation"),
    ),
    *_questions(
        "5 Examination of the model",
        ("5.1", "What drives the estimates", "importance", "evaluation"),
        ("5.2", "Effect of groups of features", "sensitivity", "comparison"),
        ("5.3", "Reasons for one patient", "reasons", "weekly list"),
        ("5.4", "What happens when data change", "monitoring", "weekly_calibration"),
        ("5.5", "Performance by group", "fairness", "fairness"),
    ),
    *_questions(
        "6 Reproducible pipeline",
        ("6.1", "Code, configuration and data version", "reproducibility", "model registry"),
        ("6.2", "What is shared", "data_sharing", "defs.yaml"),
    ),
)
"""MI-CLAIM in six parts (Norgeot 2020)."""

TRIPOD_AI = (
    *_questions(
        "Title and abstract",
        ("1", "Name as a study of a prediction model", "title", "evaluation"),
        ("2", "Short account", "validity", "summary"),
    ),
    *_questions(
        "Introduction",
        ("3a", "Health-care context and reason", "goal", "summary"),
        ("3b", "Patients, purpose and users", "intended_use", "defs.yaml"),
        ("3c", "Known inequalities of health", "inequalities", "fairness"),
        ("4", "Aims", "question", "defs.yaml"),
    ),
    *_questions(
        "Methods",
        ("5a", "Sources of the data", "data_source", "staged tables"),
        ("5b", "Dates", "dates", "evaluation"),
        ("6a", "Setting", "setting", "defs.yaml"),
        ("6b", "Who is eligible", "criteria", "cohort"),
        ("6c", "Treatment received", "treatment", "data dictionary"),
        ("7", "Preparation of the data", "preparation", "data dictionary"),
        ("8a", "Outcome, horizon, and how it is told", "outcome", "labels"),
        ("8b", "Who judged the outcome", "outcome_judge", "labels"),
        ("8c", "Whether they knew the predictors", "blinding", "labels"),
        ("9a", "How predictors were chosen", "predictor_choice", "feature_selection"),
        ("9b", "What predictors are and when measured", "predictors", "data dictionary"),
        ("9c", "Who judged the predictors", "predictor_judge", "data dictionary"),
        ("10", "Size of the sample", "sample_size", "evaluation"),
        ("11", "Missing values", "missing_values", "data dictionary"),
        ("12a", "How data were split", "partition", "training_set"),
        ("12b", "How predictors enter", "predictor_form", "trained_model"),
        ("12c", "Kind of model, building and tuning", "tuning", "trained_model"),
        ("12d", "Differences between sites", "sites", "evaluation"),
        ("12e", "Measures of performance", "measures", "evaluation"),
        ("12f", "Updating of the model", "update_process", "champion_model"),
        ("12g", "How estimates are made", "reproducibility", "weekly_scores"),
        ("13", "Imbalance of the outcome", "imbalance", "trained_model"),
        ("14", "Fairness", "fairness_process", "fairness"),
        ("15", "Output and threshold", "output_value", "weekly list"),
        ("16", "Training and test data compared", "split_difference", "baseline"),
        ("17", "Ethics", "irb_statement", "defs.yaml"),
    ),
    *_questions(
        "Open science",
        ("18a", "Funding", "funding", "defs.yaml"),
        ("18b", "Interests", "interests", "defs.yaml"),
        ("18c", "Protocol", "protocol", "defs.yaml"),
        ("18d", "Registration of the study", "registration", "defs.yaml"),
        ("18e", "Sharing of data", "data_sharing", "defs.yaml"),
        ("18f", "Sharing of code", "reproducibility", "model registry"),
        ("19", "Patients and public", "stakeholders", "defs.yaml"),
    ),
    *_questions(
        "Results",
        ("20a", "Flow of patients", "flow", "cohort"),
        ("20b", "Characteristics", "characteristics", "baseline"),
        ("20c", "Predictors in training and test", "split_difference", "baseline"),
        ("21", "Patients and outcomes in each analysis", "sample_size", "evaluation"),
        ("22", "The whole model", "specification", "model registry"),
        ("23a", "Performance with intervals", "validity", "evaluation"),
        ("23b", "Performance by site", "sites", "evaluation"),
        ("24", "Results of updating", "update_results", "champion_model"),
    ),
    *_questions(
        "Discussion",
        ("25", "What it means, also for fairness", "fairness", "summary"),
        ("26", "Limits", "known_risks", "defs.yaml"),
        ("27a", "Input that is poor or not there", "missing_values", "data dictionary"),
        ("27b", "What users must do and know", "how_to_use", "defs.yaml"),
        ("27c", "Next steps, other settings", "cautioned_uses", "defs.yaml"),
    ),
)
"""TRIPOD+AI: 27 items in 52 parts (Collins 2024)."""
