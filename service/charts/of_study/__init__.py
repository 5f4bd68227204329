"""Charts of a batch-size study."""
