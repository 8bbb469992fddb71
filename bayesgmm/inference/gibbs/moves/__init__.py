"""Moves besides the sweep. Those between modes are a module each, and `registry` lists them; `lone_rows` is part of a
sweep, and `walks` (with `pairs`, `pair_steps`, `redraws`) come before some.

May import what inference may.
"""
