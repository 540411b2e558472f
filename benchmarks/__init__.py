"""Benchmarks: ``python -m benchmarks [name ...]``; seconds, peak memory and ratios of one run."""
