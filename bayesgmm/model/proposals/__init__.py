"""Densities fitted to draws: for importance and bridge sampling, and for moves of the Gibbs sampler.

May import data and kernels, besides the model.
"""
