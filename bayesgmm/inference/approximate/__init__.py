"""Laplace's approximation and ADVI, corrected by importance weights.

May import what inference may.
"""
