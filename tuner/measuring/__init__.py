"""Measures what a request asks for, on the device it is run on.

`dispatch.py` is the door. Standard library, torch and NumPy only: this runs on a bare GPU
image.
"""
