"""The codes that the synthetic world uses."""
