"""The batch-size study on real data, beside the published experiment."""
