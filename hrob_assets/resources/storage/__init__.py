"""Files of the data root: Parquet by asset key, the Delta table of scores, trials."""
