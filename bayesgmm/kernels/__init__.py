"""Compiled passes over the rows, triangular algebra, allocation, threads: no statistics, only arithmetic.

May import errors.
"""
