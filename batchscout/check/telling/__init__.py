"""How a check is told: as text, as JSON, and in the words of a CI service."""
