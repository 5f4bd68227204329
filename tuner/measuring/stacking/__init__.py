"""Trains several learning rates and seeds of one workload together, weights stacked."""
