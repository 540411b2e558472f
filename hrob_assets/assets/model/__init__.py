"""Assets of a model version: training, evaluation, fairness, reports, promotion."""
