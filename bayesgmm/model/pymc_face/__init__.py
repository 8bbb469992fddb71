"""The same posterior as a PyMC model.

May import data and kernels, besides the model, and PyMC.
"""
