"""Draws as a DataTree, and what they say: diagnosis, summary, prediction, outliers.

It never imports `inference`. May import data, kernels and model.
"""
