"""Orchestration: one module per stage, each with its assets, checks, jobs and schedules."""
