"""Tests of the commands and the client."""
