"""Training steps traced without values: what they would take of a device that is not here."""
