"""Adapters that write public data sets as OMOP tables."""
