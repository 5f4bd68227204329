"""Trains several learning rates and seeds of one workload together, weights stacked.

`train_stacked` gives each run the result that it would have had alone, up to rounding;
`stackable` and `together` say which runs it takes, and why it refuses the others;
`measured_gain` says whether it is faster for them.
"""

from tuner.measuring.stacking.gain import measured_gain
from tuner.measuring.stacking.rule import stackable, together
from tuner.measuring.stacking.train import train_stacked

__all__ = ["measured_gain", "stackable", "together", "train_stacked"]
