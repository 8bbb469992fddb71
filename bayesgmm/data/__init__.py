"""A table checked once: frames, CSV files, recording resolution, and files written whole.

May import arguments and errors.
"""
