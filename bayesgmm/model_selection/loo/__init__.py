"""Leave-one-out scores, and WAIC.

May import what model_selection may.
"""
