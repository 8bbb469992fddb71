"""What a mixture is: structures of covariances, the prior, parameters, draws, relabelling; its
density, densities fitted to its draws, and its PyMC model.

May import data and kernels.
"""
