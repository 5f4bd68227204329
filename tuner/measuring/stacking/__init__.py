"""Trains several learning rates and seeds of one workload together, weights stacked.

`train_stacked` gives each run the result that it would have had alone, up to rounding;
`stackable` and `together` say which runs it takes, and why it refuses the others;
`measure_paces` says whether it is faster for them.
"""

from tuner.measuring.stacking.paces import measure_paces
from tuner.measuring.stacking.rule import stackable, together
from tuner.measuring.stacking.train import train_stacked

__all__ = ["measure_paces", "stackable", "together", "train_stacked"]
