"""What exists: the shared source data and one folder per use case."""
