"""The page: HTML that the service writes itself, one stylesheet and one small script.

Everything is readable without the script; with it, a page follows its job and draws figures.
"""
