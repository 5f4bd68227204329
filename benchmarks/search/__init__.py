"""The bench of the search: recorded grids of real training runs, and searches replayed on them."""
