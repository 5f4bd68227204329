"""What a device was asked for at sizes that ran, replayed at sizes that did not."""

from tuner.measuring.replaying.replay import replay_memory

__all__ = ["replay_memory"]
