"""Decision records, the model registry and the lineage of code and configuration."""
