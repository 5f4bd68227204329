"""A model and a data set of our own: separating interleaved spirals."""
