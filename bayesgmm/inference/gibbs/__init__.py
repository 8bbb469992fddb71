"""Gibbs sampling by data augmentation: sweeps, scouts, rounds of chains, and chains without a row.

May import what inference may.
"""
