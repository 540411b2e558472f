"""Risk models on OMOP encounters, as Dagster assets."""
