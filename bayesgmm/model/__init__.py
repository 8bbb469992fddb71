"""What a mixture is: structures of covariances, the prior, parameters, draws, relabelling.

May import data and kernels.
"""
