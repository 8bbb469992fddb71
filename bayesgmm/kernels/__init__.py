"""Compiled passes over rows and draws, the density of a row, triangular algebra, allocation, threads: arithmetic that
knows no prior and no structure.

May import errors.
"""
