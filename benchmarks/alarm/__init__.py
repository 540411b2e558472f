"""The calibration alarm in worlds whose truth is known, beside the rules that are in use."""
