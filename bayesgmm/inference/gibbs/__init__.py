"""Gibbs sampling by data augmentation: sweeps, pilot chains, rounds of chains, and chains without a row.

May import what inference may.
"""
