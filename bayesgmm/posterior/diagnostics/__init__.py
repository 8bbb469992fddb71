"""Can the draws be believed: label-invariant quantities, the convergence criteria, the verdict.

May import what posterior may.
"""
