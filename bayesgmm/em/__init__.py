"""Maximum likelihood: starts, steps, acceleration, search, result and criteria.

May import data, kernels and model.
"""
