"""How many components: scores of each fit, their ranking, the recommendation. Repairs of LOO are handed in.

May import data, kernels, model, em, posterior and clustering.
"""
