"""The world outside: the only code that opens files, databases, MLflow and mail."""
