"""The science: pure Python on Polars, DuckDB, NumPy and scikit-learn; no orchestration."""
