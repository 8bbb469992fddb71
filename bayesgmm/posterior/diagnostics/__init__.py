"""Can the draws be believed: label-invariant quantities, the gate, the verdict.

May import what posterior may.
"""
