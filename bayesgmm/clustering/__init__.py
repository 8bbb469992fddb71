"""Who belongs where: assignment, co-clustering, components merged into clusters, other methods beside ours.

May import data, kernels, model and posterior.
"""
