"""Clients that strangers generate from openapi.json: without a warning, and they work."""
