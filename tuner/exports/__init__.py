"""An answer in the words of a framework: one file for each format, and their registry.

Only the standard library is needed, since the service and the command line both write exports.
What a format cannot say is left out and told in its notes, never put in by guess.
"""
