"""Assets of the shared data and of the cohort: raw, staged, feature store, cohort, labels."""
