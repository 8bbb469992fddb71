"""The compiled posterior: its layout, its coordinates, log density and gradient.

May import data and kernels, besides the model.
"""
