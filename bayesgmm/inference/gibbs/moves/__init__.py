"""Moves between modes, besides the sweep: a module each, and `registry` lists them.

May import what inference may.
"""
