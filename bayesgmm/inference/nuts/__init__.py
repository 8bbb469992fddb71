"""NUTS on the compiled density, or on the PyMC face.

May import what inference may.
"""
