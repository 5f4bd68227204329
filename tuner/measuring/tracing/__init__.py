"""Training steps traced without values: what they would take of a device that is not here."""

from tuner.measuring.tracing.prediction import predict

__all__ = ["predict"]
