"""NUTS on the compiled density, or on the PyMC model.

May import what inference may.
"""
