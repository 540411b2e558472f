"""The search for hyperparameters: its plan, the points that Hyperopt suggests, and the search."""
