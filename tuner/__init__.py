"""Decides what to measure, and measures: the science of batchscout.

`tuner.tuning` is the machine that turns results into the next measurement and, in the end,
into an answer; `tuner.deciding` holds its stages; `tuner.measuring` and `tuner.workloads` run
on a device and are the only ones that know torch. Nothing here knows HTTP, databases or
engines. Importing this package alone imports nothing heavy.
"""
