"""The feature store: catalogue, selection, kernel and its oracle."""
