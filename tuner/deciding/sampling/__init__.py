"""How the next trial is found: the space, the studies told to Optuna, and one file a sampler."""
