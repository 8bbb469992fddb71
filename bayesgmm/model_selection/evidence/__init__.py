"""log p(y | K), and numbers of occupied components.

May import what model_selection may.
"""
