"""Assets of every week: scores, outcomes, calibration, drift and what follows an alarm."""
