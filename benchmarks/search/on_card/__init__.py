"""Three real trainings, searched and scored live; `benchmarks/search/gpu.py` runs them."""
