"""Charts of a tuning job."""
