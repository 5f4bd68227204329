"""Runs measurements: one device, one child process, behind one small port."""
