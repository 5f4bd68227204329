"""What a batch-size study decides: what to measure next, and what the measurements tell."""
