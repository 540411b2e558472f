"""The feature engine against other engines, and alone on large tables."""
